"""Lightning: an autoencoder for small pictures of digits. The argument is the learning rate."""

import sys

import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from expstore.integrations.lightning import ExpStoreLogger


class Autoencoder(LightningModule):
    """Squeezes 64 pixels into 3 numbers and back."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 64))

    def loss(self, batch):
        """The mean squared error of the reconstruction."""
        (x,) = batch
        return nn.functional.mse_loss(self.decoder(self.encoder(x)), x)

    def training_step(self, batch, batch_idx):
        """One step."""
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        """One batch."""
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


torch.manual_seed(0)
pixels = torch.tensor(load_digits().data[:600] / 16, dtype=torch.float32)
train, valid = random_split(TensorDataset(pixels), [500, 100])
trainer = Trainer(
    max_epochs=3,
    accelerator="cpu",
    log_every_n_steps=5,
    logger=ExpStoreLogger(job_name="autoencoder"),
)
trainer.fit(
    Autoencoder(lr=float(sys.argv[1])),
    DataLoader(train, batch_size=32, shuffle=True),
    DataLoader(valid, batch_size=100),
)
