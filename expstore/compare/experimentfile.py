"""Experiments as a Parquet file: one row for each, whatever its log has.

Guarantees: what `compare` says of an experiment read back is what it said when the file was
written, but that a run which was running then is not known to have ended since. The columns are the
same in every file, apart from those of parameters, and texts are made valid Unicode by
`texts.escape`.

| column | |
|---|---|
| `commit_id`, `job_name`, `user` | text |
| `created`, `created_date` | seconds since 1970-01-01 UTC, and that day in UTC |
| `status`, `duration` | how its run is, and the seconds that it ran |
| `tags`, `notes` | a list of texts, and a text |
| `records`, `last_logged` | how many count, and the last one's time in seconds |
| `metrics` | a map from a name to `last`, `min`, `max`, their steps, and `points` |
| `tail`, `problems` | null or how the log ends, and a list of what could not be read |
| `run` | run.json |
| `param:NAME` | each parameter, unless there are too many; see `model.paramcolumns` |
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from expstore.compare.experiments import Experiment, experiments
from expstore.compare.footers import NOTES
from expstore.compare.logs import Log
from expstore.compare.reading import read_logs
from expstore.compare.series import Extremes
from expstore.extras import require
from expstore.model.chunks import gc_paused
from expstore.model.longform import COMMIT_ID, CREATED_DATE, dates
from expstore.model.paramcolumns import LIMIT, PARAM, ParamTypes, arrow_type, as_cell
from expstore.model.runinfo import RunInfo, RunState
from expstore.model.table import MetricTable
from expstore.model.texts import escape, escape_loosely, unescape
from expstore.model.values import Metadata
from expstore.store import runfile
from expstore.store.files.output import check_output, whole_file
from expstore.store.jobs import check_jobs
from expstore.store.reader import StoreReader
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".experiments.parquet"
"""What the name of the file beside an exported directory ends with."""

_ROW_GROUP = 1 << 14


def beside(directory: Path) -> Path:
    """The file about an exported directory's experiments: outside it, since readers take it all."""
    return directory.with_name(directory.name + SUFFIX)


def is_experiment_file(names: Iterable[str]) -> bool:
    """Whether a Parquet file with these columns is one of this module."""
    return {COMMIT_ID, "metrics", "run", "status"} <= set(names)


class StoredExperiment(Experiment):
    """An experiment of which everything that is known was read from a file.

    Attributes:
        read_rows: gives its metrics, if they are at hand.
    """

    read_rows: Callable[[str], MetricTable | None] | None = None

    def __init__(
        self,
        commit_id: str,
        metadata: Metadata | None,
        run: RunInfo,
        state: RunState,
        log: Log,
        problems: Iterable[str] = (),
        duration: float | None = None,
    ) -> None:
        self.commit_id = commit_id
        self.run = run
        self.params = run.flat_params
        self.faults = list(problems)
        self._metadata = metadata
        self._state = state
        self._log = log
        self._duration = duration

    @property
    def metadata(self) -> Metadata | None:
        """None if the store had none, or could not read them."""
        return self._metadata

    @property
    def problems(self) -> list[str]:
        """What could not be read when the file was written, and why."""
        return self.faults

    def read_table(self, limit: int | None = None) -> MetricTable | None:
        """Its metrics; None if only their statistics are at hand."""
        return None if self.read_rows is None else self.read_rows(self.commit_id)

    @property
    def duration(self) -> float | None:
        """The seconds that it had run when the file was written; None if nothing told."""
        return self._duration


def write_experiments(
    found: Sequence[Experiment], file: IO[bytes], notes: Mapping[str, Any] | None = None
) -> None:
    """Write experiments, whose logs are read if they were not.

    Args:
        found: the experiments.
        file: open for writing.
        notes: what the footer is to have; see `footers`.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
    """
    parquet = require("pyarrow.parquet", "arrow")
    table = _table(found)
    with parquet.ParquetWriter(
        file, table.schema, store_schema=False, compression="zstd", use_dictionary=True
    ) as writer:
        writer.write_table(table, row_group_size=_ROW_GROUP)
        writer.add_key_value_metadata({NOTES: json.dumps(notes or {})})


def export_experiments(
    store: StoreReader | str | os.PathLike[str],
    output: str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    *,
    force: bool = False,
    progress: Callable[[list[str]], Iterable[str]] = iter,
    jobs: int = 1,
) -> list[Experiment]:
    """Write a Parquet file with one row for each experiment.

    Args:
        store: the store, or its root.
        output: the file.
        ids: commit ids, in output order; None: all, sorted.
        force: replace an existing file.
        progress: wraps the list of ids while their logs are read.
        jobs: the number of processes that read; see `compare`.

    Returns:
        The experiments, with what could not be read of them.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, OutputExistsError:
            nothing was written.
        NoSpaceError, UnreadableFileError: the file cannot be written.
    """
    require("pyarrow", "arrow")
    jobs = check_jobs(jobs)
    store = store if isinstance(store, StoreReader) else StoreReader(store)
    check_output(Path(output), force=force)
    found = list(experiments(store, store.select_ids(ids)))
    with whole_file(Path(output)) as file:
        write_experiments(read_logs(store, found, progress, jobs), file)
    return found


def _table(found: Sequence[Experiment]) -> pa.Table:
    arrow = require("pyarrow", "arrow")
    types = ParamTypes()
    metrics = [one.metrics for one in found]  # first: reading a log may find a problem
    for one in found:
        types.add(one.params)
    described = [one.metadata for one in found]
    created = arrow.array([known and known.timestamp for known in described], arrow.int64())
    logs = [one.read() for one in found]
    text, texts = arrow.string(), arrow.list_(arrow.string())
    columns = {
        COMMIT_ID: arrow.array([escape(one.commit_id) for one in found], text),
        "job_name": arrow.array([known and escape(known.job_name) for known in described], text),
        "user": arrow.array([known and escape(known.user) for known in described], text),
        "created": created,
        CREATED_DATE: dates(created),
        "status": arrow.array([one.status for one in found], text),
        "duration": arrow.array([one.duration for one in found], arrow.float64()),
        "tags": arrow.array([list(map(escape_loosely, one.run.tags)) for one in found], texts),
        "notes": arrow.array([escape_loosely(one.run.notes) for one in found], text),
        "records": arrow.array(
            [sum(each.points for each in of.values()) for of in metrics], arrow.int64()
        ),
        "last_logged": arrow.array([log.ended for log in logs], arrow.float64()),
        "metrics": _map_of(metrics),
        "tail": _tails([log.tail for log in logs]),
        "problems": arrow.array([list(map(escape_loosely, one.problems)) for one in found], texts),
        "run": arrow.array([_json(one.run) for one in found], text),
    }
    for name, kind in types.types.items() if len(types) <= LIMIT else ():
        cells = [as_cell(one.params.get(name), kind) for one in found]
        if kind is str:
            cells = [None if cell is None else escape_loosely(cell) for cell in cells]
        columns[PARAM + escape_loosely(name)] = arrow.array(cells, arrow_type(kind))
    return arrow.table(columns)


def _json(run: RunInfo) -> str | None:
    return None if run == RunInfo() else runfile.build(run).decode()


def _map_of(metrics: list[dict[str, Extremes]]) -> pa.Array:
    """The column `metrics`."""
    import numpy as np

    arrow = require("pyarrow", "arrow")
    types = [arrow.float64()] * 3 + [arrow.int64()] * 4
    cells = zip(*(each for of in metrics for each in of.values()), strict=True)
    columns = list(cells) or [()] * len(types)
    each = arrow.StructArray.from_arrays(
        [arrow.array(column, kind) for column, kind in zip(columns, types, strict=True)],
        list(Extremes._fields),
    )
    names = arrow.array([escape(name) for of in metrics for name in of], arrow.string())
    offsets = np.cumsum([0, *map(len, metrics)], dtype=np.int32)
    return arrow.MapArray.from_arrays(offsets, names, each)


def _tails(tails: list[TailStatus]) -> pa.Array:
    arrow = require("pyarrow", "arrow")
    whole = arrow.int64()
    kind = arrow.struct(
        [("kind", arrow.string()), ("offset", whole), ("size", whole), ("records", whole)]
    )
    return arrow.array([None if tail else vars(tail) for tail in tails], kind)


def read_experiments(file: Path) -> list[StoredExperiment]:
    """The experiments in a file that `write_experiments` wrote, in its order."""
    parquet = require("pyarrow.parquet", "arrow")
    found: list[StoredExperiment] = []
    with open(file, "rb") as data, parquet.ParquetFile(data) as opened, gc_paused():
        columns = [name for name in opened.schema_arrow.names if not name.startswith(PARAM)]
        for batch in opened.iter_batches(_ROW_GROUP, columns=columns):
            metrics = _metrics_of(batch.column("metrics"))
            rows = batch.drop_columns(["metrics"]).to_pylist()
            found += map(_stored, rows, metrics)
    return found


def _metrics_of(column: pa.MapArray) -> Iterator[dict[str, Extremes]]:
    """What each row of the column `metrics` holds; `to_pylist` would take three times as long."""
    known = {text: unescape(text) for text in column.keys.unique().to_pylist()}
    names = [known[text] for text in column.keys.to_pylist()]
    numbers = [column.items.field(name).to_pylist() for name in Extremes._fields]
    each = list(map(Extremes._make, zip(*numbers, strict=True)))
    for start, end in pairwise(column.offsets.to_pylist()):
        yield dict(zip(names[start:end], each[start:end], strict=True))


def _stored(row: dict[str, Any], metrics: dict[str, Extremes]) -> StoredExperiment:
    commit_id = unescape(row[COMMIT_ID])
    metadata = None
    if row["created"] is not None:
        texts = (unescape(row[name]) for name in ("job_name", "user"))
        metadata = Metadata(commit_id, row["created"], *texts)
    run = RunInfo() if row["run"] is None else runfile.parse(row["run"].encode())
    tail = CLEAN if row["tail"] is None else TailStatus(**row["tail"])
    problems = map(unescape, row["problems"])
    log = Log(metrics, tail, row["last_logged"])
    state = RunState(row["status"])
    return StoredExperiment(commit_id, metadata, run, state, log, problems, row["duration"])
