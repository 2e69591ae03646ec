"""Reading runs from mlflow's file store (`mlruns`), which consists of YAML and text files.

Guarantees: mlflow need not be installed, and nothing in its store is changed. Milliseconds are
rounded down to whole seconds. mlflow keeps each metric in its own file, so points of different
metrics are ordered by time, then by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.runs import ForeignRun, MetricsBuilder
from expstore.extras import require

# Where run metadata is, relative to a run, an experiment, or the whole file store.
_RUNS = ("meta.yaml", "*/meta.yaml", "*/*/meta.yaml")


def read_runs(path: Path) -> Iterator[ForeignRun]:
    """Read the runs in `mlruns`, in one of its experiments, or in a single run directory; sorted.

    A run is named by its run id. Deleted runs and the metrics of models are skipped.

    Raises:
        MissingExtraError: the extra `mlflow` is not installed.
        ImportSourceError: no runs, a malformed file, or a metric that a store cannot hold.
    """
    yaml = require("yaml", "mlflow")
    files = chain(*(sorted(path.glob(pattern)) for pattern in _RUNS))
    found = False
    for file in files:
        try:
            facts = yaml.safe_load(file.read_bytes())
        except (yaml.YAMLError, UnicodeError) as error:
            raise ImportSourceError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
        run_id = (facts.get("run_id") or facts.get("run_uuid")) if isinstance(facts, dict) else None
        if run_id is None:
            continue  # it describes an experiment or a model
        found = True
        if facts.get("lifecycle_stage") != "deleted":
            yield _read_run(file, str(run_id), facts)
    if not found:
        raise ImportSourceError(f"{path}: no runs of an mlflow file store (meta.yaml) found")


def _read_run(file: Path, run_id: str, facts: dict[str, Any]) -> ForeignRun:
    metrics = file.parent / "metrics"
    points: list[tuple[int, int, str, float]] = []
    for path in sorted(metrics.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(metrics))
            points += _points(path, name)
    points.sort(key=lambda point: point[:2])
    builder = MetricsBuilder(str(file.parent))
    for milliseconds, step, name, value in points:
        builder.add(name, value, step, milliseconds // 1000)
    created = facts.get("start_time")
    return ForeignRun(
        run_id,
        builder.table(),
        job_name=str(facts.get("run_name") or ""),
        user=str(facts.get("user_id") or ""),
        created=created // 1000 if isinstance(created, int) else None,
    )


def _points(path: Path, name: str) -> Iterator[tuple[int, int, str, float]]:
    """Parse lines of `milliseconds value [step [dataset digest]]`; the step defaults to 0."""
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            milliseconds, value, step = [*line.split(" "), "0"][:3]
            yield int(milliseconds), int(step), name, float(value)
        except ValueError:
            raise ImportSourceError(
                f"{path}: line {number}: not `milliseconds value step`: {line[:80]!r}"
            ) from None
