"""Transformers: evaluations outside a training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from expstore import ExperimentStore
from tests.integrations.helpers import curve, needs

needs("torch", "transformers")

from expstore.integrations.transformers import ExpStoreCallback


def test_an_evaluation_after_training_goes_on_in_the_run(tmp_path: Path) -> None:
    """It has finished again; in between, its last step is known. Other ranks log nothing."""
    args = SimpleNamespace(to_dict=lambda: {"learning_rate": 0.1})
    state = SimpleNamespace(is_world_process_zero=True, global_step=0)
    other = SimpleNamespace(is_world_process_zero=False, global_step=0)
    callback = ExpStoreCallback(root=tmp_path, commit_id="a")
    for of_rank in (other, state):
        callback.on_train_begin(args, of_rank, None)
    state.global_step = 5
    for of_rank in (other, state):
        callback.on_log(args, of_rank, None, {"loss": 1.0, "epoch": 1.0})
    callback.on_evaluate(args, state, None)  # in the middle of training
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "running"
    callback.on_train_end(args, state, None)
    assert store.status("a") == "finished"
    callback.on_log(args, state, None, {"eval_loss": 2.0, "test_f1": 0.5})
    callback.on_evaluate(args, state, None)
    assert store.status("a") == "finished"
    assert callback.run is not None
    assert callback.run.commit_id == "a"
    names = ("train/loss", "epoch", "eval/loss", "test/f1")
    assert [curve(store, "a", name) for name in names] == [[(5, v)] for v in (1.0, 1.0, 2.0, 0.5)]


def test_a_prediction_is_logged_with_its_metrics(tmp_path: Path) -> None:
    """Also without a training: the arguments and the model's configuration are params then too."""
    args = SimpleNamespace(to_dict=lambda: {"learning_rate": 0.1})
    model = SimpleNamespace(config=SimpleNamespace(to_dict=lambda: {"hidden_size": 8}))
    state = SimpleNamespace(is_world_process_zero=True, global_step=0)
    other = SimpleNamespace(is_world_process_zero=False, global_step=0)
    callback = ExpStoreCallback(root=tmp_path, commit_id="a")
    for of_rank in (other, state):
        callback.on_predict(args, of_rank, None, metrics={"test_loss": 2.0}, model=model)
    callback.on_predict(args, state, None, metrics=None, model=model)
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "finished"
    assert curve(store, "a", "test/loss") == [(0, 2.0)]
    assert store.read_run("a").params == {"learning_rate": 0.1, "model": {"hidden_size": 8}}
