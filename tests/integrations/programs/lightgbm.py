"""LightGBM: 10 iterations, with the model saved after each fourth; ends after the seventh."""

from __future__ import annotations

import lightgbm

from expstore.integrations.lightgbm import ExpStoreCallback
from tests.integrations.programs.base import arguments, data, options, strike


def save(env):
    """Save the model, or end the program."""
    if env.iteration == 6:
        strike(mode)
    elif env.iteration == 3:
        env.model.save_model(saved)


save.order = 40

root, mode = arguments()
saved = root.parent / "model.txt"
x, y = data()
train = lightgbm.Dataset(x, y[:, 0], free_raw_data=False)
done = 4 if mode == "resume" else 0
lightgbm.train(
    {"learning_rate": 0.2, "min_data_in_leaf": 2, "verbose": -1, "num_leaves": 4},
    train,
    10 - done,
    valid_sets=[lightgbm.Dataset(x, y[:, 0], reference=train, free_raw_data=False)],
    init_model=saved if done else None,
    callbacks=[ExpStoreCallback(**options(root, mode)), save],
)
