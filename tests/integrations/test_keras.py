"""Keras: what its callback does outside a `fit`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.integrations.helpers import curve, needs

needs("keras", "jax")
os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

from expstore.integrations.keras import ExpStoreCallback

X, Y = np.ones((8, 2)), np.ones((8, 1))


def model() -> keras.Model:
    """Linear regression."""
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("trains", [True, False])
def test_an_evaluation_with_the_callback_is_kept(trains: bool, tmp_path: Path) -> None:
    """At the last step of the training before it; one inside a training is not kept twice."""
    callback = ExpStoreCallback(root=tmp_path, commit_id="a")
    trained = model()
    if trains:
        trained.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[callback])
    trained.evaluate(X, Y, verbose=0, callbacks=[callback])
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "finished"
    assert [step for step, _ in curve(store, "a", "test_loss")] == [1 if trains else 0]
    assert ("val_loss" in store.get_metrics("a").names) == trains
    assert store.read_run("a").flat_params["model.parameters"] == 3


def test_a_training_loop_of_the_users_is_logged(tmp_path: Path) -> None:
    """It calls the callback itself, which knows no number of epochs then."""
    callback = ExpStoreCallback(root=tmp_path, commit_id="a")
    trained = model()
    callbacks = keras.callbacks.CallbackList([callback], model=trained, add_history=False)
    callbacks.on_train_begin()
    for epoch in range(2):
        callbacks.on_epoch_begin(epoch)
        loss = float(trained.train_on_batch(X, Y))
        callbacks.on_epoch_end(epoch, {"loss": loss})
    callbacks.on_train_end()
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "finished"
    assert [step for step, _ in curve(store, "a", "loss")] == [0, 1]
