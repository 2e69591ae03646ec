"""The examples: each run twice, then compared by `expstore compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.integrations.helpers import needs, run

EXAMPLES = Path(__file__).parent / "examples"


@pytest.mark.parametrize(
    ("name", "modules", "settings", "param", "metric"),
    [
        (
            "lightning_autoencoder",
            ("torch", "lightning", "sklearn"),
            ("0.001", "0.01"),
            "lr",
            "val_loss",
        ),
        (
            "transformers_classifier",
            ("torch", "transformers", "accelerate"),
            ("0.001", "0.01"),
            "learning_rate",
            "eval/accuracy",
        ),
        ("keras_digits", ("keras", "jax", "sklearn"), ("0.1", "0.5"), "dropout", "val_accuracy"),
        ("lightgbm_regression", ("lightgbm", "sklearn"), ("4", "31"), "num_leaves", "valid_0/l2"),
        (
            "xgboost_classifier",
            ("xgboost", "sklearn"),
            ("1", "3"),
            "max_depth",
            "validation_0/mlogloss",
        ),
        ("optuna_quadratic", ("optuna",), ("2", "3"), "x", "value"),
        ("wandb_first_run", (), ("0.1", "0.2"), "learning_rate", "loss"),
    ],
)
def test_two_runs_of_an_example_compare(
    name: str,
    modules: tuple[str, ...],
    settings: tuple[str, str],
    param: str,
    metric: str,
    tmp_path: Path,
) -> None:
    """Both have finished, and differ in the setting that was changed."""
    needs(*modules)
    root = tmp_path / "store"
    for setting in settings:
        done = run([str(EXAMPLES / f"{name}.py"), setting], root)
        assert done.returncode == 0, done.stderr
    # Outside the examples' folder, whose modules would hide others of the same name.
    options = ["--metric", metric, "--json"]
    done = run(["-m", "expstore", "--root", str(root), "compare", *options], root)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    expected = [float(setting) for setting in settings]
    if name.startswith("optuna"):
        assert len(rows) == sum(map(int, settings))
        assert len({row["params"][param] for row in rows}) == len(rows)
    else:
        assert sorted(row["params"][param] for row in rows) == expected
    assert {row["status"] for row in rows} == {"finished"}
    assert all(metric in row["metrics"] for row in rows)


def test_the_examples_differ_from_their_like_by_one_import() -> None:
    """Each imports from expstore once."""
    for path in EXAMPLES.glob("*_*.py"):
        if path.name != "__init__.py":
            lines = [line for line in path.read_text().splitlines() if "import" in line]
            assert sum("expstore" in line for line in lines) == 1, path.relative_to(ROOT)
