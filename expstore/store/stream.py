"""The experiments of a store as one stream of tables.

Guarantees: one experiment is held at a time, or the small ones of one batch, or those that `ahead`
reads of a store at a URL; an unreadable one is either raised, or recorded and left out, as
requested.

`model.longform` says which columns the long form has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from expstore.errors import ExpStoreError
from expstore.extras import require
from expstore.model.frames import repeated_text
from expstore.model.longform import LongRows, long_columns, long_schema
from expstore.model.table import MetricTable
from expstore.model.values import Metadata
from expstore.store import metafile, runfile
from expstore.store.files import layout
from expstore.store.files.place import log_of
from expstore.store.read import ahead
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import read_table, select
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.store.files.directory import Location

_Result = TypeVar("_Result")

ROWS = 1 << 20  # maximum rows in a batch


def _read_whole(root: Location, commit_id: str, limit: int | None) -> MetricTable:
    return read_table(log_of(root, commit_id), limit=limit)


class _Found(NamedTuple):
    """What was read of one experiment.

    Attributes:
        table: None if it cannot be read.
        about: its metadata, or why they cannot be read; None: they are not wanted.
        errors: what else went wrong.
    """

    table: MetricTable | None
    about: metafile.Outcome | None
    errors: list[ExpStoreError | FormatError]


@dataclass
class TableStream:
    """The experiments of a store, read as the stream is consumed.

    Args:
        root: the store's location.
        ids: commit ids, already validated, in the desired order.
        names, steps: select metrics with these; None: all.
        metadata: also read the metadata.
        metadata_required: record unreadable metadata as a failure.
        strict: raise on unreadable metrics; otherwise record the error and continue.
        superseded: whether to include what is superseded; see `StoreReader.get_metrics`. If not,
            and run.json cannot be parsed, that is a failure, but nothing is left out.
        read: reads an experiment's metrics, given the root, the commit id, and a limit: see
            `ahead.each`.
        progress: wraps the ids while they are read.

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
    metadata_required: bool = False
    strict: bool = True
    superseded: bool = True
    read: Callable[[Location, str, int | None], MetricTable] = _read_whole
    progress: Callable[[Iterable[str]], Iterable[str]] = iter
    failures: dict[str, ExpStoreError | FormatError] = field(default_factory=dict)
    tails: dict[str, TailStatus] = field(default_factory=dict)
    rows: int = 0

    def __iter__(self) -> Iterator[tuple[str, Metadata | None, MetricTable]]:
        ids = list(self.ids)
        found = ahead.each(self.root, ids, self._read)
        for (commit_id, (table, about, errors)), _ in zip(found, self.progress(ids), strict=True):
            for error in errors:
                if self.strict:
                    raise error
                self.failures[commit_id] = error
            if table is None:
                continue
            if isinstance(about, Exception) and self.metadata_required:
                self.failures[commit_id] = about
            if not table.status:
                self.tails[commit_id] = table.status
            self.rows += len(table)
            yield commit_id, about if isinstance(about, Metadata) else None, table

    def _read(self, commit_id: str, limit: int | None) -> _Found:
        errors: list[ExpStoreError | FormatError] = []

        def attempt(read: Callable[[], _Result]) -> _Result | None:
            try:
                return read()
            except (ExpStoreError, FormatError) as error:
                errors.append(error)
                return None

        table = attempt(lambda: self.read(self.root, commit_id, limit))
        if table is None:
            return _Found(None, None, errors)
        if not self.superseded:
            info = attempt(lambda: runfile.read(self.root / commit_id / layout.RUN))
            table = table if info is None else Rewind(info.starts).current(table)
        about = self._about(commit_id) if self.metadata else None
        return _Found(select(table, self.names, self.steps), about, errors)

    def _about(self, commit_id: str) -> metafile.Outcome:
        try:
            return metafile.read(self.root / commit_id / layout.METADATA)
        except (ExpStoreError, FormatError) as error:
            return error


def long_batches(source: TableStream, gather: int = 1) -> Iterator[pa.RecordBatch]:
    """Yield the experiments in the long form.

    Args:
        source: the experiments.
        gather: rows that a batch should have at least; 1: a batch has one experiment. Batches of
            many small experiments take a fraction of the time and memory.
    """
    columns = long_columns(source.metadata)
    gathered = LongRows(columns)
    for commit_id, metadata, table in source:
        gathered.add(commit_id, table, metadata)
        if gathered.rows >= gather:
            yield from _batches(gathered, source.metadata)
            gathered = LongRows(columns)
    if gathered.rows:
        yield from _batches(gathered, source.metadata)


def _batches(gathered: LongRows, metadata: bool) -> list[pa.RecordBatch]:
    table = require("pyarrow", "arrow").table(gathered.finish(), schema=long_schema(metadata))
    batches: list[pa.RecordBatch] = table.to_batches(max_chunksize=ROWS)
    return batches


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
