"""Lightning: 3 epochs of 4 steps, with a checkpoint after each epoch; ends in the third."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from expstore.integrations.lightning import ExpStoreLogger
from tests.integrations.programs.base import ID, arguments, data, options, strike


class Model(LightningModule):
    """Linear regression."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch, _):
        """One step."""
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        """One batch."""
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

    def configure_optimizers(self):
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), self.hparams.lr)


class Strike(Callback):
    """Ends the program in the middle of the third epoch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """After a step."""
        if trainer.global_step == 10:
            strike(mode)


root, mode = arguments()
seed_everything(1, verbose=False)
loader = DataLoader(TensorDataset(*map(torch.from_numpy, data())), batch_size=4)
checkpoint = ModelCheckpoint(save_last=True)
trainer = Trainer(
    max_epochs=3,
    accelerator="cpu",
    log_every_n_steps=1,
    logger=ExpStoreLogger(**options(root, mode)),
    callbacks=[Strike(), checkpoint],
    enable_progress_bar=False,
    enable_model_summary=False,
    num_sanity_val_steps=0,
)
last = root / ID / "files" / ID / "checkpoints" / "last.ckpt"
trainer.fit(Model(), loader, loader, ckpt_path=last if mode == "resume" else None)
