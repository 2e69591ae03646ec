"""Experiments as an export to Parquet has them, instead of a store.

Guarantees: only the row groups' columns that are needed are read, a batch at a time, so memory is
that of the summaries. An export has what its rows say: no experiment without a metric, parameters
and tags only if it was made with them, and no notes. What a resumed run superseded counts, as in
the store's logs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare.experiments import Experiment, Log
from expstore.compare.series import Extremes, summarize
from expstore.errors import ExperimentNotFoundError, StoreNotFoundError
from expstore.extras import require
from expstore.model.longform import COMMIT_ID, METADATA_COLUMNS
from expstore.model.runinfo import RunInfo, RunState
from expstore.model.table import MetricTable
from expstore.model.texts import unescape
from expstore.model.values import Metadata
from expstore.store.files.layout import METRICS
from formats import CLEAN

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1 << 18  # in memory at a time
_NUMBERS = ("value", "step", "timestamp")
_PARAM = "param:"  # begins the name of a parameter's column
_STATES = ("running", "finished", "failed", "stopped")


def is_export(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a Parquet file, or a directory of them and not a store."""
    place = Path(path)
    if place.is_file():
        return place.suffix == ".parquet"
    return place.is_dir() and any(place.glob("*.parquet")) and not any(place.glob(f"*/{METRICS}"))


class _Exported(Experiment):
    """One experiment; all that is known of it was read."""

    def __init__(self, commit_id: str, row: dict[str, Any], log: Log) -> None:
        created = row.get("created")
        self.commit_id = commit_id
        self.metadata = None
        self.problems = []
        if created is None:
            self.problems.append("the export has no metadata of it")
        else:
            texts = (unescape(row[name] or "") for name in ("job_name", "user"))
            self.metadata = Metadata(commit_id, created, *texts)
        self.params = {
            unescape(name.removeprefix(_PARAM)): value
            for name, value in row.items()
            if name.startswith(_PARAM) and value is not None
        }
        tags = row.get("tags")
        self.run = RunInfo(params=self.params, tags=tuple(tags.split(", ")) if tags else ())
        status = row.get("status")
        self._state = RunState(status if status in _STATES else "unknown")
        self._log = log

    def read_table(self) -> MetricTable | None:
        """None: an export has been summarized as a whole."""
        return None


def experiments_in(
    path: str | os.PathLike[str], ids: Iterable[str] | None = None
) -> list[Experiment]:
    """The experiments of an export, by commit id, or those of these ids in that order.

    Args:
        path: a Parquet file, or the directory that a cluster exported to, in the long form.
        ids: only these; None: all.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
        StoreNotFoundError: it is not such an export, or not a complete one.
        ExperimentNotFoundError: it has no experiment of one of the ids.
    """
    logs: dict[str, dict[str, Extremes]] = {}
    ends: dict[str, int] = {}
    rows: dict[str, dict[str, Any]] = {}
    for batch in _batches(Path(path)):
        for commit_id, name, extremes in _summaries(batch):
            metrics = logs.setdefault(commit_id, {})
            before = metrics.get(name)
            metrics[name] = extremes if before is None else joined(before, extremes)
        for commit_id, last, row in _first_rows(batch):
            ends[commit_id] = last
            rows.setdefault(commit_id, row)
    wanted = sorted(rows) if ids is None else list(dict.fromkeys(ids))
    if missing := next((one for one in wanted if one not in rows), None):
        raise ExperimentNotFoundError(f"{path}: has no experiment {missing}, or no metric of it")
    return [_Exported(one, rows[one], Log(logs[one], CLEAN, float(ends[one]))) for one in wanted]


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    parquet = require("pyarrow.parquet", "arrow")
    files = sorted(path.glob("part-*.parquet")) or sorted(path.glob("*.parquet"))
    if path.is_dir() and any(path.glob("_expstore_export*")) and not (path / "_SUCCESS").exists():
        raise StoreNotFoundError(f"{path}: the export is not complete; run it again")
    for file in files if path.is_dir() else [path]:
        names = parquet.read_schema(file).names
        if not {COMMIT_ID, "name", *_NUMBERS} <= set(names):
            raise StoreNotFoundError(f"{file}: is not an export in the long form")
        texts = [name for name in (COMMIT_ID, "name") if name in names]
        with parquet.ParquetFile(file, read_dictionary=texts) as opened:
            yield from opened.iter_batches(_ROWS)


def _summaries(batch: pa.RecordBatch) -> Iterator[tuple[str, str, Extremes]]:
    """The statistics of each experiment and name in a batch, in order of first appearance."""
    import numpy as np

    ids, names = (batch.column(name) for name in (COMMIT_ID, "name"))
    many = len(names.dictionary) or 1
    pairs = ids.indices.to_numpy().astype(np.int64) * many + names.indices.to_numpy()
    found, firsts, codes = np.unique(pairs, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    value, step, timestamp = (batch.column(name).to_numpy().copy() for name in _NUMBERS)
    # As if each pair were a metric of one log, so that all are summarized at once.
    keys = list(map(str, range(len(order))))
    table = MetricTable(keys, rank[codes.reshape(-1)], value, step, timestamp)
    all_ids = [unescape(text) for text in ids.dictionary.to_pylist()]
    all_names = [unescape(text) for text in names.dictionary.to_pylist()]
    for pair, extremes in zip(found[order].tolist(), summarize(table).values(), strict=True):
        yield all_ids[pair // many], all_names[pair % many], extremes


def _first_rows(batch: pa.RecordBatch) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """For each experiment, its last timestamp, and a row's columns about it."""
    import numpy as np

    ids = batch.column(COMMIT_ID)
    starts = np.flatnonzero(np.diff(ids.indices.to_numpy(), prepend=-1))
    ends = np.append(starts[1:], batch.num_rows) - 1
    about = [
        name
        for name in batch.schema.names
        if name in (*METADATA_COLUMNS, "tags", "status") or name.startswith(_PARAM)
    ]
    rows = batch.select(about).take(starts).to_pylist()
    texts = [unescape(text) for text in ids.take(starts).to_pylist()]
    lasts = batch.column("timestamp").take(ends).to_pylist()
    yield from zip(texts, lasts, rows, strict=True)


def joined(first: Extremes, later: Extremes) -> Extremes:
    """The statistics of two parts of a series, the second of which was logged later."""
    last = later if later.last_step >= first.last_step else first
    low = _extreme(first.min, first.min_step, later.min, later.min_step, 1, last.last_step)
    high = _extreme(first.max, first.max_step, later.max, later.max_step, -1, last.last_step)
    points = first.points + later.points
    return Extremes(last.last, low[0], high[0], last.last_step, low[1], high[1], points)


def _extreme(
    first: float, first_step: int, later: float, later_step: int, sign: int, last_step: int
) -> tuple[float, int]:
    known = [
        (sign * value, step, value)
        for value, step in ((first, first_step), (later, later_step))
        if not math.isnan(value)
    ]
    if not known:
        return math.nan, last_step
    _, step, value = min(known, key=lambda one: one[:2])
    return value, step
