"""Real trainings with each framework: whole, killed and resumed, failed, and interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore
from tests.integrations.helpers import curve, needs, train
from tests.integrations.programs.base import ID


@dataclass(frozen=True)
class Case:
    """What a program logs.

    Attributes:
        name: of the program, and of the framework's module.
        modules: what it needs.
        curves: the steps at which each metric is logged.
        goes_on: the first step after its last checkpoint.
        params: some that it must have.
    """

    name: str
    modules: tuple[str, ...]
    curves: dict[str, list[int]]
    goes_on: int
    params: dict[str, Any]


CASES = [
    Case(
        "lightning",
        ("torch", "lightning"),
        {"train_loss": list(range(12)), "val_loss": [3, 7, 11]},
        8,
        {"lr": 0.1},
    ),
    Case(
        "transformers",
        ("torch", "transformers", "accelerate"),
        {"train/loss": list(range(1, 13)), "eval/loss": [4, 8, 12]},
        9,
        {"learning_rate": 0.01, "model.hidden_size": 8},
    ),
    Case(
        "keras",
        ("keras", "jax"),
        {name: list(range(5)) for name in ("loss", "mae", "val_loss", "learning_rate")},
        3,
        {"epochs": 5, "model.parameters": 4, "optimizer.learning_rate": 0.1, "loss": "mse"},
    ),
    Case(
        "lightgbm",
        ("lightgbm",),
        {"valid_0/l2": list(range(10))},
        4,
        {"learning_rate": 0.2, "num_leaves": 4},
    ),
    Case(
        "xgboost",
        ("xgboost",),
        {"train/rmse": list(range(10))},
        4,
        {"learning_rate": 0.2, "max_depth": 2, "objective": "reg:squarederror"},
    ),
    Case("wandb", (), {"loss": list(range(10))}, 4, {"lr": 0.1, "optimizer": "sgd"}),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_a_killed_training_goes_on_where_its_checkpoint_is(case: Case, tmp_path: Path) -> None:
    """In the same experiment, with the same curves as one that was not killed."""
    needs(*case.modules)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    done = train(case.name, tmp_path / "whole" / "store", "whole")
    assert done.returncode == 0, done.stderr
    whole = ExperimentStore(tmp_path / "whole" / "store")
    assert whole.status(ID) == "finished"
    params = whole.read_run(ID).flat_params
    assert {name: params[name] for name in case.params} == case.params

    root = tmp_path / "killed" / "store"
    assert train(case.name, root, "kill").returncode == -9
    store = ExperimentStore(root)
    assert store.status(ID) == "stopped"
    done = train(case.name, root, "resume")
    assert done.returncode == 0, done.stderr
    assert store.list_experiments() == [ID]
    assert store.status(ID) == "finished"
    assert [start.from_step for start in store.read_run(ID).starts] == [None, case.goes_on]
    for name, steps in case.curves.items():
        expected = curve(whole, ID, name)
        assert [step for step, _ in expected] == steps
        found = curve(store, ID, name)
        assert [step for step, _ in found] == steps
        assert [value for _, value in found] == pytest.approx(
            [value for _, value in expected], rel=1e-3
        )
    assert store.check(ID).ok


@each_case
@pytest.mark.parametrize(
    ("mode", "status", "error"),
    [("raise", "failed", "the data loader gave up"), ("interrupt", "stopped", "KeyboardInterrupt")],
)
def test_the_end_of_a_training_is_recorded(
    case: Case, mode: str, status: str, error: str, tmp_path: Path
) -> None:
    """An exception or Ctrl-C, with its text; what was logged before is kept."""
    needs(*case.modules)
    root = tmp_path / "store"
    done = train(case.name, root, mode)
    assert done.returncode != 0
    store = ExperimentStore(root)
    state = store.run_state(ID)
    assert state.status == status
    assert error in store.read_run(ID).starts[-1].error
    name = next(iter(case.curves))
    assert len(curve(store, ID, name)) >= 3
