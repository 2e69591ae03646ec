"""Keras: 5 epochs, with a backup after each; ends in the fourth."""

from __future__ import annotations

import keras

from expstore.integrations.keras import ExpStoreCallback
from tests.integrations.programs.base import arguments, data, options, strike


class Strike(keras.callbacks.Callback):
    """Ends the program in the middle of the fourth epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """After a step."""
        if (self.epoch, batch) == (3, 1):
            strike(mode)


root, mode = arguments()
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
x, y = data()
model.fit(
    x,
    y,
    batch_size=4,
    epochs=5,
    shuffle=False,
    validation_data=(x, y),
    verbose=0,
    callbacks=[
        ExpStoreCallback(**options(root, mode)),
        keras.callbacks.BackupAndRestore(root.parent / "backup"),
        Strike(),
    ],
)
