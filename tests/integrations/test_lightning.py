"""Lightning: what its Trainer asks of a logger besides a training."""

from __future__ import annotations

import gc
import pickle
import warnings
from pathlib import Path

import pytest

import expstore
from expstore import ExperimentStore
from expstore.errors import WriterClosedError
from tests.faults.base import fork, join
from tests.integrations.helpers import curve, needs

needs("torch", "lightning")

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities import rank_zero_only

from expstore.integrations.lightning import ExpStoreLogger


class Model(LightningModule):
    """A single number that is fitted to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.lr = 0.01
        self.weight = torch.nn.Parameter(torch.tensor(1.0))

    def training_step(self, batch, batch_idx):
        """One step."""
        loss = (self.weight * batch).sum() ** 2
        self.log("loss", loss)
        return loss

    def test_step(self, batch, batch_idx):
        """One batch."""
        self.log("test_loss", (self.weight * batch).sum() ** 2)

    def configure_optimizers(self):
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), self.lr)


def trainer(logger: ExpStoreLogger, epochs: int = 1) -> Trainer:
    """Two steps an epoch."""
    return Trainer(
        max_epochs=epochs,
        logger=logger,
        accelerator="cpu",
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_a_test_after_training_goes_on_in_the_run(tmp_path: Path) -> None:
    """Checkpoints and the Trainer's own files are in the experiment; the run has finished."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a", prefix="x")
    fit = trainer(logger)
    data = torch.ones(2, 1)
    fit.fit(Model(), data)
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "finished"
    assert (logger.version, logger.name) == ("a", "")
    assert fit.log_dir == logger.save_dir == logger.log_dir == str(store.files_path("a"))
    assert store.status("a") == "finished"
    assert fit.checkpoint_callback is not None
    assert Path(fit.checkpoint_callback.best_model_path).is_relative_to(store.files_path("a"))
    fit.test(Model(), data, verbose=False)
    assert store.status("a") == "finished"
    assert [step for step, _ in curve(store, "a", "x/loss")] == [0, 1]
    assert [step for step, _ in curve(store, "a", "x/test_loss")] == [2]


def test_a_run_of_the_user_is_not_ended(tmp_path: Path) -> None:
    """What the user logs to it after training is kept."""
    with expstore.start(tmp_path, "a") as run:
        logger = ExpStoreLogger(run)
        trainer(logger).fit(Model(), torch.ones(2, 1))
        assert logger.experiment is run
        run.log({"after": 1.0})
    assert curve(run.store, "a", "after") == [(2, 1.0)]


def test_other_ranks_log_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lightning counts them."""
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = ExpStoreLogger(root=tmp_path / "store", commit_id="a")
    logger.log_hyperparams({"lr": 1})
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize("success")
    assert logger.experiment is logger.version is logger.save_dir is None
    assert not (tmp_path / "store").exists()


def test_a_second_training_from_the_beginning_is_reported(tmp_path: Path) -> None:
    """It is in the same run, as with Lightning's own loggers, and mixes with the first."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a")
    trainer(logger).fit(Model(), torch.ones(2, 1))
    with pytest.warns(UserWarning, match="run a has the metrics of a training already"):
        trainer(logger).fit(Model(), torch.ones(2, 1))
    store = ExperimentStore(tmp_path)
    assert store.list_experiments() == ["a"]
    assert [step for step, _ in curve(store, "a", "loss")] == [0, 1, 0, 1]


def test_only_metrics_of_a_training_are_mixed(tmp_path: Path) -> None:
    """Not those of a test before it, or of a search for the learning rate, which logs nothing."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a")
    fit = trainer(logger)
    model = Model()
    fit.test(model, torch.ones(2, 1), verbose=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*metrics of a training already")
        Tuner(fit).lr_find(model, torch.ones(2, 1), num_training=2)
        fit.fit(model, torch.ones(2, 1))
    outcomes = [start.outcome for start in ExperimentStore(tmp_path).read_run("a").starts]
    assert set(outcomes) == {"finished"}


def test_training_that_goes_on_from_a_checkpoint_stays_in_the_run(tmp_path: Path) -> None:
    """With the same logger, for more epochs."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a")
    first = trainer(logger)
    first.fit(Model(), torch.ones(2, 1))
    again = trainer(logger, epochs=2)
    path = first.checkpoint_callback.best_model_path
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*metrics of a training already")
        again.fit(Model(), torch.ones(2, 1), ckpt_path=path)
    store = ExperimentStore(tmp_path)
    assert store.list_experiments() == ["a"]
    assert [step for step, _ in curve(store, "a", "loss")] == [0, 1, 2, 3]


def test_what_is_logged_after_training_leaves_the_run_finished(tmp_path: Path) -> None:
    """Metrics go on, and hyperparameters are added; the run itself says that it has ended."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a")
    trainer(logger).fit(Model(), torch.ones(2, 1))
    logger.log_hyperparams({"best": 1})
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "finished"
    assert logger.experiment is not None
    with pytest.raises(WriterClosedError, match=r"run a has ended.*resume=True"):
        logger.experiment.log({"extra": 1.0})
    logger.log_metrics({"extra": 1.0})
    del logger
    gc.collect()
    assert store.status("a") == "finished"
    assert store.read_run("a").params == {"best": 1}
    assert curve(store, "a", "extra") == [(2, 1.0)]


def test_lightning_says_whether_a_training_failed(tmp_path: Path) -> None:
    """An exception that is being handled as it succeeds, as one outside, is not its own."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a")
    logger.log_metrics({"loss": 1.0}, 0)
    try:
        raise ValueError("handled")
    except ValueError:
        logger.finalize("success")
    logger.log_metrics({"loss": 1.0}, 1)
    try:
        raise ValueError("no data")
    except ValueError:
        logger.finalize("failed")
    starts = ExperimentStore(tmp_path).read_run("a").starts
    assert [start.outcome for start in starts] == ["finished", "failed"]
    assert starts[1].error == "ValueError: no data"


def test_a_test_in_processes_of_its_own_supersedes_nothing(tmp_path: Path) -> None:
    """Its step may be 0; only a training that was asked to go on supersedes, and that once."""
    with expstore.start(tmp_path, "a") as run:
        for step in range(4):
            run.log({"loss": 1.0}, step)
    logger = ExpStoreLogger(root=tmp_path, commit_id="a", resume=True)
    for first, name in ((2, "loss"), (0, "test_loss")):
        copy = pickle.loads(pickle.dumps(logger))
        copy.log_metrics({name: 2.0}, first)
        copy.finalize("success")
    store = ExperimentStore(tmp_path)
    assert curve(store, "a", "loss") == [(0, 1.0), (1, 1.0), (2, 2.0)]
    assert curve(store, "a", "test_loss") == [(0, 2.0)]


@pytest.mark.parametrize("begun", [False, True])
def test_a_copy_for_another_process_logs_to_the_same_experiment(
    begun: bool, tmp_path: Path
) -> None:
    """As strategies need that start the training in processes of their own."""
    logger = ExpStoreLogger(root=tmp_path, commit_id="a", prefix="x")
    if begun:
        logger.log_metrics({"loss": 1.0}, 0)
    data = pickle.dumps(logger)

    def train() -> None:
        copy = pickle.loads(data)
        copy.log_metrics({"loss": 2.0}, 1)
        copy.finalize("success")
        assert copy.version == "a"
        assert copy.save_dir == logger.save_dir

    join(fork(train))
    logger.finalize("success")
    store = ExperimentStore(tmp_path)
    assert curve(store, "a", "x/loss") == [(0, 1.0)] * begun + [(1, 2.0)]
    assert store.status("a") == "finished"
