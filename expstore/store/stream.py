"""The experiments of a store as one stream of tables.

Guarantees: one experiment is held at a time; an unreadable one is either raised, or recorded and
left out, as requested.

In the long form of many experiments, `commit_id` is the first column; `job_name`, `user` and
`created` (seconds) are the last, if metadata was requested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from expstore.errors import ExpStoreError
from expstore.extras import require
from expstore.model.frames import metric_fields, repeated_text
from expstore.model.runinfo import RunInfo
from expstore.model.table import MetricTable
from expstore.model.values import Metadata
from expstore.store import metafile, runfile
from expstore.store.files import layout
from expstore.store.files.place import log_of
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import read_table, select, table_parser
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.store.files.directory import Location
    from expstore.store.read.parser import LogParser

_Result = TypeVar("_Result")

ROWS = 1 << 20  # maximum rows in a batch
METADATA_COLUMNS = ("job_name", "user", "created")


def _read_whole(root: Location, commit_id: str, parser: LogParser) -> MetricTable:
    return read_table(log_of(root, commit_id), parser=parser)


@dataclass
class TableStream:
    """The experiments of a store, read one by one as the stream is consumed.

    Args:
        root: the store's location.
        ids: commit ids, already validated, in the desired order.
        names, steps: select metrics with these; None: all.
        metadata: also read the metadata.
        strict: raise on unreadable data; otherwise record the error and continue.
        superseded: whether to include what is superseded; see `StoreReader.get_metrics`. If not,
            and run.json cannot be parsed, that is a failure, but nothing is left out.
        read: reads an experiment's metrics, given the root, the commit id and a shared parser.

    Attributes:
        failures: read errors by commit id. An experiment without readable metrics is left out; one
            without readable metadata has None as its metadata.
        tails: by commit id, the status of each metrics.bin whose end is not clean.
        rows: metrics yielded so far.
    """

    root: Location
    ids: Iterable[str]
    names: Collection[str] | None = None
    steps: range | None = None
    metadata: bool = False
    strict: bool = True
    superseded: bool = True
    read: Callable[[Location, str, LogParser], MetricTable] = _read_whole
    failures: dict[str, ExpStoreError | FormatError] = field(default_factory=dict)
    tails: dict[str, TailStatus] = field(default_factory=dict)
    rows: int = 0

    def __iter__(self) -> Iterator[tuple[str, Metadata | None, MetricTable]]:
        parser = table_parser()
        for commit_id in self.ids:
            table = self._attempt(commit_id, lambda i: self.read(self.root, i, parser))
            if table is None:
                continue
            if not self.superseded:
                info = self._attempt(commit_id, self._read_run)
                table = table if info is None else Rewind(info.starts).current(table)
            metadata = self._attempt(commit_id, self._read_metadata) if self.metadata else None
            if not table.status:
                self.tails[commit_id] = table.status
            table = select(table, self.names, self.steps)
            self.rows += len(table)
            yield commit_id, metadata, table

    def _read_metadata(self, commit_id: str) -> Metadata:
        return metafile.read(self.root / commit_id / layout.METADATA)

    def _read_run(self, commit_id: str) -> RunInfo:
        return runfile.read(self.root / commit_id / layout.RUN)

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
    fields = [("commit_id", text), *metric_fields()]
    if metadata:
        fields += [("job_name", text), ("user", text), ("created", pa.int64())]
    return pa.schema(fields)


def long_batches(source: TableStream) -> Iterator[pa.RecordBatch]:
    """Yield the experiments in the long form, each in one or more batches."""
    pa = require("pyarrow", "arrow")
    schema = long_schema(source.metadata)
    for commit_id, metadata, table in source:
        columns = [repeated_text(commit_id, len(table)), *table.to_arrow().columns]
        if source.metadata:
            columns += metadata_columns(metadata, len(table))
        yield from pa.table(columns, schema=schema).to_batches(max_chunksize=ROWS)


def metadata_columns(metadata: Metadata | None, count: int) -> list[pa.Array]:
    """The columns METADATA_COLUMNS of one experiment; null where the metadata is unreadable."""
    pa = require("pyarrow", "arrow")
    if metadata is None:
        return [repeated_text(None, count), repeated_text(None, count), pa.nulls(count, pa.int64())]
    return [
        repeated_text(metadata.job_name, count),
        repeated_text(metadata.user, count),
        pa.repeat(pa.scalar(metadata.timestamp, pa.int64()), count),
    ]
