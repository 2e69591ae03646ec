"""Rows for imports of TensorBoard's event files, and for reports of more than they can show.

TensorBoard's own loader is the other: what an import that leaves the framing of records to it would
have to wait for, before it has written a single record. Both run in one process on one core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from tests.benchmarks.corpora import Corpora
from tests.benchmarks.first_curve import event_files, told
from tests.benchmarks.harness import Bench, Contender, Row, Sample, faster, within


def rows(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    """Long runs and many short ones, and the size of a report."""
    runs, points = bench.size(20, 2), bench.size(10_000, 500)
    yield Row(
        f"import of TensorBoard event files: {runs:,} runs of {points:,} points, one core",
        "us a point",
        faster(5),
        _of(bench, corpora, runs, points, "import_events", 1e6 / runs / points),
        _of(bench, corpora, runs, points, "load_events", 1e6 / runs / points),
        "TensorBoard's loader",
    )
    runs, points = bench.size(500, 5), bench.size(300, 50)
    yield Row(
        f"import of TensorBoard event files: {runs:,} runs of {points:,} points, each on disk",
        "ms a run",
        within(80, "ms"),
        _of(bench, corpora, runs, points, "import_events", 1e3 / runs),
    )
    many = bench.size(20_000, 200)
    yield Row(
        f"report of {many:,} experiments of 300 records, its size",
        "MB",
        within(15, "MB"),
        lambda: _report_size(corpora.experiments(many, 300)),
    )


def _of(
    bench: Bench, corpora: Corpora, runs: int, points: int, task: str, scale: float
) -> Contender:
    def sample() -> Sample:
        events = event_files(corpora.experiments(runs, points))
        return Sample.of(bench.ours(task, events, one_core=True), scale)

    return sample


def import_all(events: str, root: str) -> Any:
    """The runs of a directory of event files as experiments of a new store."""
    from expstore.exchange.imports import import_experiments

    return import_experiments(ExperimentStore(root), "tensorboard", events)


def load_all(events: str) -> int:
    """The scalars of a directory of event files, as TensorBoard's loader gives them; their number.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return sum(
        bool(value.tag)
        for path in sorted(Path(events).rglob("events.out.tfevents.*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    )


def _report_size(root: Path) -> float:
    """Megabytes of the file that `expstore report` writes."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "report.html"
        said = told("report", "--output", str(output), root=root)
        if "experiments" not in said:
            raise AssertionError(f"nothing says what was left out: {said!r}")
        return output.stat().st_size / 1e6
