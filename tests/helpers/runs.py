"""Experiments with a run.json, for the tests of what looks at them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from expstore import ExperimentStore


def write_run(store: ExperimentStore, commit_id: str, **values: Any) -> None:
    """Give an experiment a run.json with these values."""
    path = store.experiment_path(commit_id) / "run.json"
    path.write_text(json.dumps(values))


def add(
    store: ExperimentStore,
    commit_id: str,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Sequence[float]] | None = None,
    *,
    job: str = "job",
    user: str = "alice",
    **run: Any,
) -> None:
    """Create an experiment with metrics at steps 0, 1, ..., and a run.json if there are values."""
    with store.start_experiment(commit_id, job_name=job, user=user) as writer:
        for name, values in (metrics or {}).items():
            writer.append({"name": name, "value": values, "step": list(range(len(values)))})
    if params is not None or run:
        write_run(store, commit_id, params=dict(params or {}), **run)
