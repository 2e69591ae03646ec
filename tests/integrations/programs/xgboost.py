"""XGBoost: 10 rounds, with the model saved after the fourth; ends after the seventh."""

from __future__ import annotations

import xgboost

from expstore.integrations.xgboost import ExpStoreCallback
from tests.integrations.programs.base import arguments, data, options, strike


class Save(xgboost.callback.TrainingCallback):
    """Saves the model, and ends the program."""

    def after_iteration(self, model, epoch, evals_log):
        """After a round."""
        rounds = model.num_boosted_rounds()
        if rounds == 7:
            strike(mode)
        elif rounds == 4:
            model.save_model(saved)
        return False


root, mode = arguments()
saved = root.parent / "model.json"
x, y = data()
train = xgboost.DMatrix(x, y)
done = 4 if mode == "resume" else 0
xgboost.train(
    {"learning_rate": 0.2, "max_depth": 2},
    train,
    10 - done,
    evals=[(train, "train")],
    verbose_eval=False,
    xgb_model=saved if done else None,
    callbacks=[ExpStoreCallback(**options(root, mode)), Save()],
)
