"""wandb: a first run, with made-up results. The argument is the learning rate."""

import random
import sys

from expstore.integrations import wandb

random.seed(0)
with wandb.init(
    project="first-run", config={"learning_rate": float(sys.argv[1]), "architecture": "CNN"}
) as run:
    offset = random.random() / 5
    for epoch in range(2, 10):
        accuracy = 1 - 2**-epoch - random.random() / epoch - offset
        loss = 2**-epoch + random.random() / epoch + offset + run.config.learning_rate
        run.log({"accuracy": accuracy, "loss": loss})
