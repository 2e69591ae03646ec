"""Dask frames of a store, and the readers that build one partition from NumPy columns.

Guarantees: only the columns asked for are built; beyond them, memory use is that of one table of
`iter_metrics`. Text is made valid Unicode by `texts.escape`. Equal partitions of equal stores have
equal keys in Dask's graph, and a frame reads the store that it was made from, even if the working
directory has changed since.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from expstore.cluster import sections
from expstore.cluster.sections import Section
from expstore.cluster.sight import Sight, as_reader
from expstore.errors import ExperimentNotFoundError, ExpStoreError, StoreNotFoundError
from expstore.extras import require
from expstore.model.longform import COMMIT_ID, METADATA_COLUMNS, LongRows, long_columns
from expstore.model.texts import escape
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.files import waiting
from expstore.store.files.place import address
from expstore.store.read.tables import Selection
from formats import FormatError

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd
    import pyarrow as pa

    from expstore.model.table import MetricTable
    from expstore.store.reader import StoreReader

METADATA = (COMMIT_ID, *METADATA_COLUMNS, "error")
METADATA_PARTITION = 2_000
"""Most experiments in a partition of metadata: a fiftieth of a second's work."""

_METADATA_PARTITIONS = 64


def text_dtype() -> Any:
    """The pandas type of texts: what Dask, too, reads from Parquet.

    Not categories: pandas gives them 16-bit codes, which no shuffle of more than 32,767 ids can
    join, and Dask does not know them before it computes.
    """
    return require("pandas", "cluster").StringDtype("pyarrow")


@cache
def _arrow_text() -> pa.DataType:
    """What the strings of pandas hold; from 2.2 on, large strings, whose offsets have no limit."""
    column = require("pandas", "cluster").array([""], dtype=text_dtype())
    return require("pyarrow", "cluster").array(column).type


def _as_pandas(name: str, column: pa.Array) -> Any:
    """A column of `LongRows` as pandas has it."""
    arrow, pandas = require("pyarrow", "cluster"), require("pandas", "cluster")
    if arrow.types.is_dictionary(column.type):
        texts = column.dictionary.cast(_arrow_text()).take(column.indices)
        return text_dtype().__from_arrow__(texts)
    if name == "created":  # the same type whether or not a partition has nulls
        return pandas.Int64Dtype().__from_arrow__(column)
    return column.to_numpy()


@dataclass(frozen=True)
class _Reader:
    """Reads a store."""

    store: StoreReader
    sight: Sight

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        normal = require("dask.base", "cluster").normalize_token
        # With its secrets, unlike in file names: the scheduler has them anyway, and must not give
        # the error of a wrong one for the right one.
        options = dict(self.store.storage_options or {})
        return type(self).__name__, address(self.store.location), normal(options)

    def _described(self, ids: Iterable[str]) -> list[tuple[str, metafile.Outcome]]:
        """The metadata of experiments, or what reading it gave.

        Raises:
            ClusterError: this worker does not see the store.
        """
        try:
            outcomes = list(metafile.read_all(self.store.location, ids))
        except StoreNotFoundError:
            self.sight.check(self.store)
            raise
        if any(isinstance(outcome, LookupError) for _, outcome in outcomes):
            self.sight.check(self.store)
        return outcomes


@dataclass(frozen=True)
class MetricsReader(_Reader):
    """Builds the frame of a batch of sections; see `read_metrics`."""

    selection: Selection
    skip_damaged: bool = False
    with_metadata: bool = False
    by_id: bool = False

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        options = self.selection.key, self.skip_damaged, self.with_metadata, self.by_id
        return *super().__dask_tokenize__(), options

    def __call__(self, batch: Sequence[Section], columns: list[str] | None = None) -> pd.DataFrame:
        """The frame; `columns` are those that Dask asks for."""
        pandas = require("pandas", "cluster")
        if columns is None:
            columns = list(long_columns(self.with_metadata))
        if self.by_id and COMMIT_ID not in columns:
            columns = [COMMIT_ID, *columns]
        gathered = LongRows(columns)
        described: dict[str, metafile.Outcome] = {}
        if not set(gathered.columns).isdisjoint(METADATA_COLUMNS):
            described = dict(self._described(section.commit_id for section in batch))
        all_tables = waiting.each(self.store.location, batch, self._tables)
        for section, tables in zip(batch, all_tables, strict=True):
            outcome = described.get(section.commit_id)
            metadata = outcome if isinstance(outcome, Metadata) else None
            for table in tables:
                gathered.add(section.commit_id, table, metadata)
        rows = gathered.rows
        made = {name: _as_pandas(name, column) for name, column in gathered.finish().items()}
        # A copy, since the columns of a single table are read-only, and users write to partitions.
        frame: pd.DataFrame = pandas.DataFrame(made, index=pandas.RangeIndex(rows), copy=True)
        return frame.set_index(COMMIT_ID) if self.by_id else frame

    def _tables(self, section: Section) -> list[MetricTable]:
        tables: list[MetricTable] = []
        try:
            for table in sections.tables(self.store.location, section, self.selection):
                if len(table):
                    tables.append(table)
        except (ExpStoreError, FormatError) as error:
            if isinstance(error, ExperimentNotFoundError):
                self.sight.check(self.store)
            if not self.skip_damaged:
                raise
        return tables


@dataclass(frozen=True)
class MetadataReader(_Reader):
    """Builds the frame of experiments' metadata; see `read_metadata`."""

    by_id: bool = False

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return *super().__dask_tokenize__(), self.by_id

    def __call__(self, ids: Iterable[str], columns: list[str] | None = None) -> pd.DataFrame:
        """The frame; `columns` are those that Dask asks for."""
        pandas = require("pandas", "cluster")
        if self.by_id and columns is not None and COMMIT_ID not in columns:
            columns = [COMMIT_ID, *columns]
        rows = [_row(*outcome) for outcome in self._described(ids)]
        by_name = dict(zip(METADATA, zip(*rows, strict=True) if rows else [()] * 5, strict=True))
        frame: pd.DataFrame = pandas.DataFrame(
            {
                name: pandas.array(
                    list(by_name[name]), dtype="Int64" if name == "created" else text_dtype()
                )
                for name in (METADATA if columns is None else columns)
            },
            index=pandas.RangeIndex(len(rows)),
        )
        return frame.set_index(COMMIT_ID) if self.by_id else frame


def _row(commit_id: str, outcome: metafile.Outcome) -> tuple[str | int | None, ...]:
    if isinstance(outcome, Metadata):
        texts = escape(outcome.job_name), escape(outcome.user)
        return escape(commit_id), *texts, outcome.timestamp, None
    return escape(commit_id), None, None, None, escape(str(outcome))


def read_metrics(
    store: StoreReader | str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    names: Iterable[str] | None = None,
    steps: range | None = None,
    *,
    with_metadata: bool = False,
    partition_size: int = sections.BATCH,
    skip_damaged: bool = False,
    by_id: bool = False,
) -> dd.DataFrame:
    """The metrics of many experiments as a Dask frame, read when it is computed.

    Only the columns that a computation needs are built, and only the metrics of these names and
    steps. Select them here: Dask's own filters apply only after everything is read.

    Equal to the bit are the partitions. Dask itself (as of 2026.8) differs from pandas in places:

    - `quantile` and `describe` are estimates. Sums of the partitions are added up in an order of
      Dask's own, so a mean may differ in its last bits, and one of both infinities is NaN or not
      depending on that order.
    - `groupby(...).mean()`, `.std()` and `.var()` keep the group of nulls, such as that of the
      experiments without a user; with `groupby(..., dropna=True)`, or as `.agg("mean")`, they do
      not. `.nunique()` leaves it out even with `dropna=False`.
    - `.std()` and `.var()` of groups add up squares, which overflow for `timestamp` and for steps
      beyond a billion, silently. Subtract a time or step that is near first.

    Args:
        store: the store, or its root.
        ids: the experiments, in the order wanted; None: all, sorted.
        names: only metrics of these names; None: all.
        steps: only metrics of these steps, such as `range(1000, 2000)`; None: all.
        with_metadata: add the columns `job_name`, `user` and `created`, which needs no merge.
        partition_size: bytes of log in a partition, which takes about eight times as many in
            memory if all columns are used.
        skip_damaged: leave out what cannot be read, instead of raising when it is computed.
        by_id: make `commit_id` the index, sorted, with divisions that Dask knows: `.loc` reads the
            partition of an id alone, and a join with `read_metadata(..., by_id=True)` moves no
            rows. No log is cut then, since Dask's divisions do not repeat, so a partition is as
            large as the longest log; each experiment is in one, and `map_partitions` can group by
            id. Without it, ids are in the order given, and a long log is in several partitions.

    Returns:
        Columns `commit_id` and `name` (strings), `value` (float64), `step` (int64) and `timestamp`
        (int64, seconds since 1970-01-01 UTC); then `job_name`, `user` (strings) and `created`
        (Int64, seconds), null where the metadata cannot be read.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError, InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        ClusterError: when it is computed, by a worker that does not see the store.
    """
    frames = require("dask.dataframe", "cluster")
    store = as_reader(store)
    selection = Selection(names, steps)
    chosen = store.select_ids(ids)
    if by_id:
        chosen.sort(key=escape)
    planned = sections.plan(store, chosen, partition_size, whole_logs=by_id)
    reader = MetricsReader(store, Sight.of(store), selection, skip_damaged, with_metadata, by_id)
    starts = [batch[0].commit_id for batch in planned]
    frame: dd.DataFrame = frames.from_map(
        reader,
        planned or [[]],
        meta=reader([]),
        label="read-metrics",
        divisions=_divisions(starts, chosen) if by_id else None,
    )
    return frame


def _divisions(starts: Iterable[str], ids: Sequence[str]) -> tuple[str, ...] | None:
    """The first id of each partition, and the last of all; None if there is none."""
    return tuple(map(escape, [*starts, ids[-1]])) if ids else None


def read_metadata(
    store: StoreReader | str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    *,
    partition_size: int | None = None,
    by_id: bool = False,
) -> dd.DataFrame:
    """The metadata of many experiments as a Dask frame, read when it is computed.

    To have metadata beside metrics, use `read_metrics(..., with_metadata=True)`; or compute this
    frame, which is small, and merge it in pandas; or join both by index, see `by_id`.

    A merge in Dask with the result of a `groupby`, on a column, is only right if this frame has
    more partitions than that result: Dask (as of 2026.8) takes the result for one that it has
    distributed by a hash, and otherwise finds no match for some rows, silently. It has 64
    partitions or more for that reason, which suffices if the metrics are in up to 900; for more,
    `persist()` the result first.

    Args:
        store: the store, or its root.
        ids: the experiments, in the order wanted; None: all, sorted.
        partition_size: experiments in a partition; None: 2,000, or fewer, so that there are at
            least 64 partitions, some of them empty in a small store.

    Returns:
        Columns `commit_id`, `job_name`, `user` (strings), `created` (Int64, seconds since
        1970-01-01 UTC) and `error`. If the metadata could be read, `error` is null, else the three
        before it.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: `partition_size` is not a whole number above 0.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        ClusterError: when it is computed, by a worker that does not see the store.
    """
    frames = require("dask.dataframe", "cluster")
    if partition_size is not None:
        sections.check_size(partition_size, "experiments")
    store = as_reader(store)
    chosen = store.select_ids(ids)
    if by_id:
        chosen.sort(key=escape)
    size = partition_size or min(METADATA_PARTITION, -(-len(chosen) // _METADATA_PARTITIONS) or 1)
    planned = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    if partition_size is None and not by_id:
        planned += [[] for _ in range(_METADATA_PARTITIONS - len(planned))]
    reader = MetadataReader(store, Sight.of(store), by_id)
    starts = [batch[0] for batch in planned if batch]
    frame: dd.DataFrame = frames.from_map(
        reader,
        planned or [[]],
        meta=reader([]),
        label="read-metadata",
        divisions=_divisions(starts, chosen) if by_id else None,
    )
    return frame
