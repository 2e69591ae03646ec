"""Reading runs from mlflow's file store (`mlruns`), which consists of YAML and text files.

Guarantees: mlflow need not be installed, and nothing in its store is changed. Milliseconds are
rounded down to whole seconds. mlflow keeps each metric in its own file, so points of different
metrics are ordered by time, then by step.

A file need not be friendly: of YAML, only texts, lists and maps are read, without aliases, so that
nothing expands; every text and line is read up to a limit; all that is wrong is one kind of error.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.runs import ForeignRun, MetricsBuilder, brief, reading
from expstore.extras import require

# Where run metadata is, relative to a run, an experiment, or the whole file store.
_RUNS = ("meta.yaml", "*/meta.yaml", "*/*/meta.yaml")
_YAML_LIMIT = 1 << 20  # bytes of a meta.yaml; mlflow's have a few hundred
_LINE_LIMIT = 1 << 12  # characters of a metric's line; mlflow's have fewer than a hundred
_TAG = "tag:yaml.org,2002:"


def read_runs(path: Path) -> Iterator[ForeignRun]:
    """Read the runs in `mlruns`, in one of its experiments, or in a single run directory; sorted.

    A run is named by its run id. Deleted runs and the metrics of models are skipped.

    Raises:
        MissingExtraError: the extra `mlflow` is not installed.
        ImportSourceError: no runs, a malformed file, or a metric that a store cannot hold.
    """
    require("yaml", "mlflow")
    files = chain(*(sorted(path.glob(pattern)) for pattern in _RUNS))
    found = False
    for file in files:
        facts = _facts(file)
        run_id = facts.get("run_id") or facts.get("run_uuid")
        if not run_id:
            continue  # it describes an experiment or a model
        found = True
        if facts.get("lifecycle_stage") != "deleted":
            yield _read_run(file, run_id, facts)
    if not found:
        raise ImportSourceError(f"{path}: no runs of an mlflow file store (meta.yaml) found")


def _facts(file: Path) -> dict[str, str]:
    """The texts in a meta.yaml, by name."""
    yaml = require("yaml", "mlflow")
    with reading(file):
        with open(file, "rb") as opened:
            data = opened.read(_YAML_LIMIT + 1)
        if len(data) > _YAML_LIMIT:
            raise ImportSourceError(f"{file}: more than {_YAML_LIMIT:,} bytes; not mlflow's")
        try:
            facts = yaml.load(data, _loader(yaml))
        except yaml.YAMLError as error:
            raise ImportSourceError(f"{file}: not YAML: {brief(error)}") from error
    if not isinstance(facts, dict):
        return {}
    return {key: value for key, value in facts.items() if isinstance(value, str)}


def _loader(yaml: Any) -> Any:
    """A loader of plain data: texts, nulls, lists and maps. All else, such as a date, is a text."""
    safe = yaml.SafeLoader
    null = f"{_TAG}null"

    class PlainLoader(safe):  # type: ignore[misc, valid-type]
        """A loader that refuses aliases and all other tags."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.composer.ComposerError(
                    None, None, "has an alias, which mlflow does not write", None
                )
            return super().compose_node(parent, index)

    PlainLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag == null]
        for first, known in safe.yaml_implicit_resolvers.items()
    }
    PlainLoader.yaml_constructors = {
        tag: safe.yaml_constructors[tag]
        for tag in (None, null, *(f"{_TAG}{kind}" for kind in ("str", "seq", "map")))
    }
    return PlainLoader


def _read_run(file: Path, run_id: str, facts: dict[str, str]) -> ForeignRun:
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
    with reading(file):
        created = int(facts["start_time"]) // 1000 if facts.get("start_time") else None
    return ForeignRun(
        run_id,
        builder.table(),
        job_name=facts.get("run_name", ""),
        user=facts.get("user_id", ""),
        created=created,
    )


def _points(path: Path, name: str) -> Iterator[tuple[int, int, str, float]]:
    """Parse lines of `milliseconds value [step [dataset digest]]`; the step defaults to 0."""
    with reading(path), open(path, encoding="utf-8", errors="replace") as file:
        lines = iter(lambda: file.readline(_LINE_LIMIT), "")
        for number, line in enumerate(lines, 1):
            try:
                milliseconds, value, step = [*line.rstrip("\n").split(" "), "0"][:3]
                yield int(milliseconds), int(step), name, float(value)
            except ValueError:
                raise ImportSourceError(
                    f"{path}: line {number}: not `milliseconds value step`: {line[:80]!r}"
                ) from None
