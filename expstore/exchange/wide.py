"""Metrics in wide form: one row per experiment and step, one column per metric name.

Guarantees: rows are ordered by experiment, then by step. If a metric was logged more than once at a
step, the last value in file order wins, and `timestamp` is that of the step's last record. A metric
not logged at a step is null; a logged NaN stays NaN. No two names share a column: a metric with the
name of another column gets the prefix `metric:`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from expstore.errors import ExportError
from expstore.extras import require
from expstore.model.frames import repeated_text
from expstore.model.longform import CREATED_DATE, METADATA_COLUMNS
from expstore.model.paramcolumns import PARAM
from expstore.model.table import MetricTable
from expstore.model.texts import escape, unescape
from expstore.store.stream import TableStream, metadata_columns

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("commit_id", "step", "timestamp")
"""The first columns of the wide form."""

RUN_COLUMNS = ("tags", "status")
"""What the columns of run.json are called, but for those of parameters."""

_PREFIX = "metric:"
_COLUMN_LIMIT = 10_000  # tools cannot read wider tables, and hostile files could fill a disk
_CELLS = 1 << 22  # cells built at a time


def column_name(name: str) -> str:
    """The name of a metric's column."""
    bare = name
    while bare.startswith(_PREFIX):
        bare = bare.removeprefix(_PREFIX)
    return escape(_PREFIX + name if _is_taken(bare) else name)


def _is_taken(name: str) -> bool:
    """Whether another column has the name, or may have it."""
    taken = (*KEYS, *METADATA_COLUMNS, CREATED_DATE, *RUN_COLUMNS)
    return name in taken or name.startswith(PARAM)


def metric_name(column: str) -> str:
    """The name of the metric in a column; undoes `column_name`."""
    bare = column
    while bare.startswith(_PREFIX):
        bare = bare.removeprefix(_PREFIX)
    if _is_taken(bare):
        column = column.removeprefix(_PREFIX)
    return unescape(column)


def metric_names(source: TableStream) -> tuple[list[str], dict[str, int]]:
    """The metric names, in order of first appearance, and each experiment's number of metrics.

    Raises:
        ExportError: too many names for a table.
    """
    names: dict[str, None] = {}
    counts: dict[str, int] = {}
    for commit_id, _, table in source:
        names.update(dict.fromkeys(table.names))
        counts[commit_id] = len(table)
        check_columns(names)
    return list(names), counts


def check_columns(names: Collection[str]) -> None:
    """Raise ExportError if there are too many names for a table."""
    if len(names) > _COLUMN_LIMIT:
        raise ExportError(
            f"more than {_COLUMN_LIMIT:,} metric names are too many for a wide table; choose some "
            "by name, or use the long form"
        )


def wide_schema(names: Collection[str], metadata: bool = False) -> pa.Schema:
    """The schema of the wide form."""
    pa = require("pyarrow", "arrow")
    text = pa.dictionary(pa.int32(), pa.string())
    fields = [("commit_id", text), ("step", pa.int64()), ("timestamp", pa.int64())]
    if metadata:
        fields += [("job_name", text), ("user", text), ("created", pa.int64())]
    return pa.schema(fields + [(column_name(name), pa.float64()) for name in names])


def wide_batches(
    source: TableStream, names: Collection[str], counts: dict[str, int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The experiments in wide form.

    Args:
        source: the experiments.
        names: the metrics that get a column.
        counts: how many metrics to take from each experiment, so that metrics logged since they
            were counted are ignored; None: all.
    """
    pa = require("pyarrow", "arrow")
    schema = wide_schema(names, source.metadata)
    for commit_id, metadata, table in source:
        count = len(table) if counts is None else counts.get(commit_id, 0)
        for steps, timestamps, cells in _pivot(table[:count], names):
            columns = [repeated_text(commit_id, len(steps)), pa.array(steps), pa.array(timestamps)]
            if source.metadata:
                columns += metadata_columns(metadata, len(steps))
            missing = pa.nulls(len(steps), pa.float64())
            columns += [cells.get(name, missing) for name in names]
            yield pa.record_batch(columns, schema=schema)


def _pivot(
    table: MetricTable, names: Collection[str]
) -> Iterator[tuple[Any, Any, dict[str, pa.Array]]]:
    """Yield steps, timestamps and each metric's cells, a block of rows at a time."""
    import numpy as np

    pa = require("pyarrow", "arrow")
    steps, rows = np.unique(table.steps, return_inverse=True)
    # The stable sort keeps file order within a step, so the last record is assigned last.
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    block = max(1, _CELLS // max(1, len(names)))
    for first in range(0, len(steps), block):
        count = min(block, len(steps) - first)
        low, high = np.searchsorted(rows, [first, first + count])
        records, row = order[low:high], rows[low:high] - first
        timestamps = np.zeros(count, np.int64)
        timestamps[row] = table.timestamps[records]
        values = np.zeros((len(table.names), count))
        absent = np.ones((len(table.names), count), bool)
        values[table.name_codes[records], row] = table.values[records]
        absent[table.name_codes[records], row] = False
        cells = {
            name: pa.array(values[code], mask=absent[code]) for code, name in enumerate(table.names)
        }
        yield steps[first : first + count], timestamps, cells
