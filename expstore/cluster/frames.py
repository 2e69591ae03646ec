"""Dask frames of a store, and the readers that build one partition from NumPy columns.

Guarantees: only the columns asked for are built; beyond them, memory use is that of one table of
`iter_metrics`. Text is made valid Unicode by `texts.escape`. Equal partitions of equal stores have
equal keys in Dask's graph, and a frame reads the store that it was made from, even if the working
directory has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expstore.cluster import sections
from expstore.cluster.sections import Section
from expstore.errors import ExpStoreError
from expstore.extras import require
from expstore.model.frames import number_type
from expstore.model.texts import escape
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.files.place import address
from expstore.store.read.parser import LogParser
from expstore.store.read.tables import Selection
from formats import FormatError

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

    from expstore.model.table import MetricTable
    from expstore.store.reader import StoreReader

METRICS = ("commit_id", "name", "step", "value", "timestamp")
METADATA = ("commit_id", "timestamp", "job_name", "user", "error")
METADATA_PARTITION = 10_000
"""Experiments in a partition of metadata: a tenth of a second's work."""

_TEXTS = ("commit_id", "name")
_NUMBERS = {"step": "steps", "value": "values", "timestamp": "timestamps"}


@dataclass
class _Texts:
    """A column of texts being built: codes, in the smallest dtype, in order of first occurrence."""

    index: dict[str, int] = field(default_factory=dict)
    parts: list[NDArray[Any]] = field(default_factory=list)

    def add(self, text: str, count: int) -> None:
        """Add rows that all have one text."""
        code = self._code(text)
        self.parts.append(np.full(count, code, self._dtype()))

    def add_coded(self, texts: Sequence[str], codes: NDArray[np.int32]) -> None:
        """Add rows as codes of `texts`, some of which may not occur."""
        occurs = np.bincount(codes, minlength=len(texts))
        ours = [
            self._code(text) if times else 0
            for text, times in zip(texts, occurs.tolist(), strict=True)
        ]
        self.parts.append(np.array(ours, self._dtype())[codes])

    def _code(self, text: str) -> int:
        return self.index.setdefault(escape(text), len(self.index))

    def _dtype(self) -> np.dtype[Any]:
        return np.min_scalar_type(-max(len(self.index), 1))

    def finish(self, pandas: Any) -> pd.Categorical:
        """The column."""
        codes = _joined(self.parts, np.int8)
        categories = pandas.Index(list(self.index), dtype=_text_dtype(pandas))
        return pandas.Categorical.from_codes(codes, categories=categories)


def _joined(arrays: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    joined = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    arrays.clear()  # now, so that only one column at a time is in memory twice
    return joined


def _text_dtype(pandas: Any) -> Any:
    """The dtype that pandas gives texts, which depends on its version and options."""
    return pandas.Index(["text"]).dtype


@dataclass(frozen=True)
class _Reader:
    """Reads a store."""

    store: StoreReader

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        normal = require("dask.base", "cluster").normalize_token
        # With its secrets, unlike in file names: the scheduler has them anyway, and must not give
        # the error of a wrong one for the right one.
        options = dict(self.store.storage_options or {})
        return type(self).__name__, address(self.store.location), normal(options)


@dataclass(frozen=True)
class MetricsReader(_Reader):
    """Builds the frame of a batch of sections; see `read_metrics`."""

    selection: Selection
    skip_damaged: bool = False

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return *super().__dask_tokenize__(), self.selection.key, self.skip_damaged

    def meta(self) -> pd.DataFrame:
        """An empty frame that tells Dask the columns."""
        clear = require("dask.dataframe.utils", "cluster").clear_known_categories
        frame: pd.DataFrame = clear(self([]))
        return frame

    def __call__(self, batch: Iterable[Section], columns: list[str] | None = None) -> pd.DataFrame:
        """The frame; `columns` are those that Dask asks for."""
        pandas = require("pandas", "cluster")
        wanted = METRICS if columns is None else columns
        texts = {name: _Texts() for name in wanted if name in _TEXTS}
        numbers: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted if name in _NUMBERS}
        parser, rows = LogParser(), 0
        for section in batch:
            for table in self._tables(section, parser):
                rows += len(table)
                if "commit_id" in texts:
                    texts["commit_id"].add(section.commit_id, len(table))
                if "name" in texts:
                    texts["name"].add_coded(table.names, table.name_codes)
                for name, arrays in numbers.items():
                    arrays.append(getattr(table, _NUMBERS[name]))
        made: dict[str, Any] = {name: text.finish(pandas) for name, text in texts.items()}
        for name, arrays in numbers.items():
            made[name] = _joined(arrays, number_type(name))
        frame: pd.DataFrame = pandas.DataFrame(
            {name: made[name] for name in wanted}, index=pandas.RangeIndex(rows), copy=False
        )
        return frame

    def _tables(self, section: Section, parser: LogParser) -> Iterator[MetricTable]:
        try:
            for table in sections.tables(self.store.location, section, self.selection, parser):
                if len(table):
                    yield table
        except (ExpStoreError, FormatError):
            if not self.skip_damaged:
                raise


@dataclass(frozen=True)
class MetadataReader(_Reader):
    """Builds the frame of experiments' metadata; see `read_metadata`."""

    def __call__(self, ids: Iterable[str], columns: list[str] | None = None) -> pd.DataFrame:
        """The frame; `columns` are those that Dask asks for."""
        pandas = require("pandas", "cluster")
        rows = [_row(*outcome) for outcome in metafile.read_all(self.store.location, ids)]
        by_name = dict(zip(METADATA, zip(*rows, strict=True) if rows else [()] * 5, strict=True))
        text = pandas.StringDtype("pyarrow")
        frame: pd.DataFrame = pandas.DataFrame(
            {
                name: pandas.array(
                    list(by_name[name]), dtype="Int64" if name == "timestamp" else text
                )
                for name in (METADATA if columns is None else columns)
            },
            index=pandas.RangeIndex(len(rows)),
        )
        return frame


def _row(commit_id: str, outcome: metafile.Outcome) -> tuple[str | int | None, ...]:
    if isinstance(outcome, Metadata):
        texts = escape(outcome.job_name), escape(outcome.user)
        return escape(commit_id), outcome.timestamp, *texts, None
    return escape(commit_id), None, None, None, escape(str(outcome))


def read_metrics(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    names: Iterable[str] | None = None,
    steps: range | None = None,
    *,
    partition_size: int = sections.BATCH,
    skip_damaged: bool = False,
) -> dd.DataFrame:
    """The metrics of many experiments as a Dask frame, read when it is computed.

    Only the columns that a computation needs are built, and only the metrics of these names and
    steps. Select them here: Dask's own filters apply only after everything is read.

    Args:
        store: the store.
        ids: the experiments, in the order wanted; None: all, sorted.
        names: only metrics of these names; None: all.
        steps: only metrics of these steps, such as `range(1000, 2000)`; None: all.
        partition_size: bytes of log in a partition, which takes about as many in memory.
        skip_damaged: leave out what cannot be read, instead of raising when it is computed.

    Returns:
        Columns `commit_id` and `name` (categories that are unknown until computed), `step`
        (int64), `value` (float64) and `timestamp` (int64, seconds since 1970-01-01 UTC).

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError, InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    frames = require("dask.dataframe", "cluster")
    reader = MetricsReader(store, Selection(names, steps), skip_damaged)
    planned = sections.plan(store, store.select_ids(ids), partition_size)
    frame: dd.DataFrame = frames.from_map(
        reader, planned or [[]], meta=reader.meta(), label="read-metrics"
    )
    return frame


def read_metadata(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    *,
    partition_size: int = METADATA_PARTITION,
) -> dd.DataFrame:
    """The metadata of many experiments as a Dask frame, read when it is computed.

    Args:
        store: the store.
        ids: the experiments, in the order wanted; None: all, sorted.
        partition_size: experiments in a partition.

    Returns:
        Columns `commit_id`, `timestamp` (Int64, seconds since 1970-01-01 UTC), `job_name`, `user`
        and `error`. If the metadata could be read, `error` is null, else the three before it.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: `partition_size` is not a whole number above 0.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    frames = require("dask.dataframe", "cluster")
    sections.check_size(partition_size, "experiments")
    rest = iter(store.select_ids(ids))
    planned = list(iter(lambda: list(islice(rest, partition_size)), []))
    reader = MetadataReader(store)
    frame: dd.DataFrame = frames.from_map(
        reader, planned or [[]], meta=reader([]), label="read-metadata"
    )
    return frame
