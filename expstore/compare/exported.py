"""Experiments as an export to Parquet has them, instead of a store.

Guarantees: the answers are those of the store where the export has a file about its experiments,
see `experimentfile`; no other file is read then. Without one, all rows are read, a batch at a time,
so memory is that of the summaries. There is then only what rows say: no experiment without a
metric, parameters and tags only if the export was made with them, and no notes; and what a resumed
run superseded counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare.experimentfile import (
    StoredExperiment,
    beside,
    is_experiment_file,
    read_experiments,
)
from expstore.compare.footers import read_notes
from expstore.compare.logs import Log
from expstore.compare.series import Extremes, summarize
from expstore.errors import ExperimentNotFoundError, StoreNotFoundError
from expstore.extras import require
from expstore.model.longform import COMMIT_ID, METADATA_COLUMNS
from expstore.model.paramcolumns import PARAM
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
_STATES = ("running", "finished", "failed", "stopped")


MARK = "_expstore_export.parquet"
"""The file that makes a directory an export; it has no rows."""


def is_export(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a Parquet file, or a directory of them and not a store."""
    place = Path(path)
    if place.is_file():
        return place.suffix == ".parquet"
    return place.is_dir() and any(place.glob("*.parquet")) and not any(place.glob(f"*/{METRICS}"))


def _of_row(commit_id: str, row: dict[str, Any], log: Log) -> StoredExperiment:
    """An experiment by the columns about it in a row of its metrics."""
    created = row.get("created")
    metadata, problems = None, []
    if created is None:
        problems.append("the export has no metadata of it")
    else:
        texts = (unescape(row[name] or "") for name in ("job_name", "user"))
        metadata = Metadata(commit_id, created, *texts)
    params = {
        unescape(name.removeprefix(PARAM)): value
        for name, value in row.items()
        if name.startswith(PARAM) and value is not None
    }
    tags = row.get("tags")
    run = RunInfo(params=params, tags=tuple(tags.split(", ")) if tags else ())
    status = row.get("status")
    state = RunState(status if status in _STATES else "unknown")
    first = None if metadata is None or log.ended is None else float(metadata.timestamp)
    ran = None if first is None or log.ended is None else max(log.ended - first, 0.0)
    return StoredExperiment(commit_id, metadata, run, state, log, problems, ran)


def experiments_in(
    path: str | os.PathLike[str], ids: Iterable[str] | None = None
) -> list[StoredExperiment]:
    """The experiments of an export, by commit id, or those of these ids in that order.

    Args:
        path: a Parquet file in the long form, or of experiments; or the directory that a cluster
            exported to.
        ids: only these; None: all.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
        StoreNotFoundError: it is not such an export, or not a complete one.
        ExperimentNotFoundError: it has no experiment of one of the ids.
    """
    found = {one.commit_id: one for one in _all_in(Path(path))}
    wanted = list(found) if ids is None else list(dict.fromkeys(ids))
    if missing := next((one for one in wanted if one not in found), None):
        raise ExperimentNotFoundError(f"{path}: has no experiment {missing}, or no metric of it")
    return [found[one] for one in wanted]


def _all_in(path: Path) -> list[StoredExperiment]:
    """All experiments of an export, by commit id."""
    if path.is_file():
        if is_experiment_file(_columns(path)):
            return read_experiments(path)
        return summarized([path])
    files = files_in(path)
    noted = read_notes(beside(path))
    # Not of an earlier export, if only the directory was copied here since.
    is_of_these = noted is not None and noted[1].get("parts") == [file.name for file in files]
    # What could not be read, for which an export stays incomplete, is among the problems there.
    lacks = noted is not None and is_of_these and noted[1].get("lacks")
    if any(path.glob("_expstore_export*")) and not ((path / "_SUCCESS").exists() or lacks):
        raise StoreNotFoundError(
            f"{path}: the export is not complete; run it again, and see what it cannot read"
        )
    return read_experiments(beside(path)) if is_of_these else summarized(files)


def files_in(path: Path) -> list[Path]:
    """The files of an export that have its metrics, in order."""
    if path.is_file():
        return [] if is_experiment_file(_columns(path)) else [path]
    return sorted(path.glob("part-*.parquet")) or sorted(
        file for file in path.glob("*.parquet") if file.name != MARK
    )


def has_all_names(path: Path) -> bool:
    """Whether a directory's export has each experiment's whole log, as far as it is known."""
    noted = read_notes(path / MARK)
    return noted is not None and noted[1].get("of", {"names": ""}).get("names", "") is None


def summarized(files: Iterable[Path]) -> list[StoredExperiment]:
    """The experiments in files of metrics in the long form, by commit id.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
        StoreNotFoundError: a file is not in the long form.
    """
    logs: dict[str, dict[str, Extremes]] = {}
    ends: dict[str, int] = {}
    rows: dict[str, dict[str, Any]] = {}
    for batch in (batch for file in files for batch in _batches(file)):
        for commit_id, name, extremes in _summaries(batch):
            metrics = logs.setdefault(commit_id, {})
            before = metrics.get(name)
            metrics[name] = extremes if before is None else joined(before, extremes)
        for commit_id, last, row in _first_rows(batch):
            ends[commit_id] = last
            rows.setdefault(commit_id, row)
    return [
        _of_row(one, rows[one], Log(logs[one], CLEAN, float(ends[one]))) for one in sorted(rows)
    ]


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    parquet = require("pyarrow.parquet", "arrow")
    if not {COMMIT_ID, "name", *_NUMBERS} <= set(_columns(file)):
        raise StoreNotFoundError(f"{file}: is not an export in the long form")
    # Opened here, since Arrow accepts only paths that are valid Unicode.
    with (
        open(file, "rb") as data,
        parquet.ParquetFile(data, read_dictionary=[COMMIT_ID, "name"]) as opened,
    ):
        yield from opened.iter_batches(_ROWS)


def _columns(file: Path) -> list[str]:
    with open(file, "rb") as data:
        names: list[str] = require("pyarrow.parquet", "arrow").read_schema(data).names
        return names


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
        if name in (*METADATA_COLUMNS, "tags", "status") or name.startswith(PARAM)
    ]
    rows = batch.select(about).take(starts).to_pylist()
    texts = [unescape(text) for text in ids.take(starts).to_pylist()]
    lasts = batch.column("timestamp").take(ends).to_pylist()
    yield from zip(texts, lasts, rows, strict=True)


def joined_log(first: Log, later: Log) -> Log:
    """What two parts of a log say together, the second of which was logged later."""
    metrics = dict(first.metrics)
    for name, extremes in later.metrics.items():
        metrics[name] = joined(metrics[name], extremes) if name in metrics else extremes
    return Log(metrics, later.tail, first.ended if later.ended is None else later.ended)


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
