"""A script for wandb: 10 steps of a loop of its own, with a checkpoint every 4; ends after 7."""

from __future__ import annotations

import json

import numpy as np

from expstore.integrations import wandb
from tests.integrations.programs.base import ID, arguments, data, strike

root, mode = arguments()
x, y = data()
saved = root.parent / "weights.json"
weights, first = np.zeros((3, 1)), 0
go_on: dict[str, str] = {"id": ID}
if mode == "resume":
    state = json.loads(saved.read_text())
    weights, first = np.array(state["weights"]), state["step"]
    go_on = {"resume_from": f"{ID}?_step={first - 1}"}
wandb.init(project="lines", config={"lr": 0.1, "optimizer": "sgd"}, **go_on)
for step in range(first, 10):
    error = x @ weights - y
    weights -= wandb.config.lr * x.T @ error / len(x)
    wandb.log({"loss": float((error**2).mean())})
    if step == 6:
        strike(mode)
    if step % 4 == 3:
        saved.write_text(json.dumps({"weights": weights.tolist(), "step": step + 1}))
wandb.summary["weights"] = "found"
