"""Running commands in this process, and an experiment to run them on."""

from __future__ import annotations

from typer.testing import CliRunner, Result

import tests.helpers.commands_loaded  # noqa: F401 - adds the commands
from expstore import (
    ExperimentStore,
)
from expstore.cli import base


def log(store: ExperimentStore, commit_id: str, metrics: dict[str, list[float]]) -> None:
    """Create an experiment with values at steps 0, 1, ..."""
    with store.start_experiment(commit_id, job_name=f"job-{commit_id}", user="alice") as writer:
        for name, values in metrics.items():
            writer.append({"name": name, "value": values, "step": list(range(len(values)))})


def run(store: ExperimentStore, *arguments: str) -> Result:
    """Run a command on a store."""
    return CliRunner().invoke(base.app, ["--root", str(store.root), *arguments])
