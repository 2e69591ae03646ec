"""Metrics as tables of pyarrow, pandas and polars.

Guarantees: a column has the name and the type that the format declares, in the order of `Metric`;
numbers are not copied where the library can share them; `timestamp` stays a 64-bit count of seconds
since 1970-01-01 UTC, since files hold values that no calendar type does (cast it to `timestamp[s]`,
which costs nothing, where they are dates). Names are dictionary-encoded, and made valid Unicode by
`texts.escape`, which keeps different names different.

In the long form of many experiments `commit_id` comes first, and `job_name`, `user` and `created`
(seconds) last where metadata was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from expstore import layout
from expstore.codecs import RECORD_CODEC
from expstore.errors import ExpStoreError
from expstore.extras import require
from expstore.model import Metadata, Metric, MetricTable
from expstore.selection import read_table, select, table_parser
from expstore.texts import escape
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from expstore.logparser import LogParser
    from expstore.reader import StoreReader

_Result = TypeVar("_Result")

ROWS = 1 << 20  # rows in one batch at most
METADATA_COLUMNS = ("job_name", "user", "created")


def to_arrow(table: MetricTable) -> pa.Table:
    """See `MetricTable.to_arrow`."""
    pa = require("pyarrow", "arrow")
    names = pa.array([escape(name) for name in table.names], pa.string())
    columns = {
        "name": pa.DictionaryArray.from_arrays(pa.array(table.name_codes), names),
        "value": pa.array(table.values),
        "step": pa.array(table.steps),
        "timestamp": pa.array(table.timestamps),
    }
    return pa.table(columns, schema=pa.schema(_metric_fields()))


def to_pandas(table: MetricTable) -> pd.DataFrame:
    """See `MetricTable.to_pandas`."""
    pandas = require("pandas", "pandas")
    columns = {
        "name": pandas.Categorical.from_codes(
            table.name_codes, categories=[escape(name) for name in table.names]
        ),
        "value": table.values,
        "step": table.steps,
        "timestamp": table.timestamps,
    }
    frame: pd.DataFrame = pandas.DataFrame(columns, copy=False)
    return frame


def to_polars(table: MetricTable) -> pl.DataFrame:
    """See `MetricTable.to_polars`."""
    polars = require("polars", "polars")
    names = polars.Series([escape(name) for name in table.names], dtype=polars.Categorical)
    frame: pl.DataFrame = polars.DataFrame(
        {
            "name": names.gather(table.name_codes),
            "value": table.values,
            "step": table.steps,
            "timestamp": table.timestamps,
        }
    )
    return frame


def _read_whole(store: StoreReader, commit_id: str, parser: LogParser) -> MetricTable:
    return read_table(store.locate(commit_id, layout.METRICS), parser=parser)


@dataclass
class Source:
    """The experiments of a store, read one by one as they are asked for.

    Args:
        store: where they are.
        ids: commit ids, in the order wanted.
        names, steps: metrics of these only; None: all.
        metadata: also read the metadata.
        strict: raise what cannot be read; otherwise note it and go on.
        read: gives an experiment's metrics, by a parser for one after another.

    Attributes:
        failures: by commit id, what could not be read: metrics, then left out, or metadata, then
            None.
        tails: by commit id, the end of a metrics.bin that is not clean.
        rows: metrics given so far.
    """

    store: StoreReader
    ids: Iterable[str]
    names: Collection[str] | None = None
    steps: range | None = None
    metadata: bool = False
    strict: bool = True
    read: Callable[[StoreReader, str, LogParser], MetricTable] = _read_whole
    failures: dict[str, ExpStoreError | FormatError] = field(default_factory=dict)
    tails: dict[str, TailStatus] = field(default_factory=dict)
    rows: int = 0

    def __iter__(self) -> Iterator[tuple[str, Metadata | None, MetricTable]]:
        parser = table_parser()
        for commit_id in self.ids:
            table = self._attempt(commit_id, lambda i: self.read(self.store, i, parser))
            if table is None:
                continue
            metadata = self._attempt(commit_id, self.store.read_metadata) if self.metadata else None
            if not table.status:
                self.tails[commit_id] = table.status
            table = select(table, self.names, self.steps)
            self.rows += len(table)
            yield commit_id, metadata, table

    def _attempt(self, commit_id: str, read: Callable[[str], _Result]) -> _Result | None:
        try:
            return read(commit_id)
        except (ExpStoreError, FormatError) as error:
            if self.strict:
                raise
            self.failures[commit_id] = error
            return None


def long_schema(metadata: bool = False) -> pa.Schema:
    """The columns of many experiments in the long form."""
    pa = require("pyarrow", "arrow")
    text = pa.dictionary(pa.int32(), pa.string())
    fields = [("commit_id", text), *_metric_fields()]
    if metadata:
        fields += [("job_name", text), ("user", text), ("created", pa.int64())]
    return pa.schema(fields)


def long_batches(source: Source) -> Iterator[pa.RecordBatch]:
    """The experiments in the long form, each in one batch or more."""
    pa = require("pyarrow", "arrow")
    schema = long_schema(source.metadata)
    for commit_id, metadata, table in source:
        columns = [constant(commit_id, len(table)), *to_arrow(table).columns]
        if source.metadata:
            columns += metadata_columns(metadata, len(table))
        yield from pa.table(columns, schema=schema).to_batches(max_chunksize=ROWS)


def constant(text: str | None, count: int) -> pa.DictionaryArray:
    """A column of one text, or of nulls."""
    import numpy as np

    pa = require("pyarrow", "arrow")
    codes = pa.nulls(count, pa.int32()) if text is None else pa.array(np.zeros(count, np.int32))
    values = pa.array([] if text is None else [escape(text)], pa.string())
    return pa.DictionaryArray.from_arrays(codes, values)


def metadata_columns(metadata: Metadata | None, count: int) -> list[pa.Array]:
    """The columns METADATA_COLUMNS of one experiment; null where the metadata is unreadable."""
    pa = require("pyarrow", "arrow")
    if metadata is None:
        return [constant(None, count), constant(None, count), pa.nulls(count, pa.int64())]
    return [
        constant(metadata.job_name, count),
        constant(metadata.user, count),
        pa.repeat(pa.scalar(metadata.timestamp, pa.int64()), count),
    ]


def _metric_fields() -> list[tuple[str, Any]]:
    """Name and Arrow type of each column, from the declaration."""
    import numpy as np

    pa = require("pyarrow", "arrow")

    def arrow_type(name: str) -> Any:
        declared = RECORD_CODEC.schema[name]
        if declared.is_text:
            return pa.dictionary(pa.int32(), pa.string())
        return pa.from_numpy_dtype(np.dtype(declared.dtype).newbyteorder("="))

    return [(name, arrow_type(name)) for name in Metric._fields]
