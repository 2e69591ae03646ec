"""An export to Parquet in the place of a store, for what looks at experiments.

Guarantees: `compare`, `select`, `curves`, `write_report` and the commands `compare`, `ls`, `plot`
and `report` give what they give of the store, but for files and images, which an export does not
have. Statistics are those of `exported`. Of the metrics, only the row groups are read in which an
experiment has some.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.compare.experimentfile import StoredExperiment
from expstore.compare.experiments import Experiment, Source
from expstore.compare.exported import experiments_in, files_in, has_all_names, is_export
from expstore.errors import ExperimentNotFoundError, StoreNotFoundError
from expstore.extras import require
from expstore.model.longform import COMMIT_ID
from expstore.model.runinfo import RunInfo, RunState
from expstore.model.table import MetricTable
from expstore.model.texts import escape, unescape
from expstore.model.values import Metadata
from expstore.store.artifacts import Artifact, OnError
from expstore.store.read.rewind import Rewind
from expstore.store.reader import StoreReader
from formats import TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = (COMMIT_ID, "name", "value", "step", "timestamp")
_KEPT = 4  # row groups in memory, since experiments are usually asked for in order


def as_source(store: StoreReader | str | os.PathLike[str]) -> StoreReader:
    """The store itself, or that at a path or URL, or the export that is there."""
    if isinstance(store, StoreReader):
        return store
    reader = StoreReader(store)
    place = reader.location
    return ExportReader(place) if isinstance(place, Path) and is_export(place) else reader


class _Group(NamedTuple):
    """A row group; `low` and `high` are its first and last commit id, if its footer says them."""

    file: Path
    number: int
    low: str | None
    high: str | None


class ExportReader(Source):
    """The experiments of an export; see the module.

    Args:
        path: a Parquet file in the long form, or of experiments; or the directory that a cluster
            exported to.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._path = Path(path)
        self._read_group = lru_cache(_KEPT)(_read_group)

    @cached_property
    def _found(self) -> dict[str, StoredExperiment]:
        found = {one.commit_id: one for one in experiments_in(self._path)}
        for one in found.values():
            one.read_rows = self._table
        return found

    def _one(self, commit_id: str) -> StoredExperiment:
        if commit_id not in self._found:
            raise ExperimentNotFoundError(f"{self._path}: has no experiment {commit_id}")
        return self._found[commit_id]

    def experiments(self, ids: Iterable[str]) -> Iterator[Experiment]:
        """The experiments of these ids."""
        return map(self._one, ids)

    def list_experiments(self) -> list[str]:
        """All commit ids, sorted."""
        return sorted(self._found)

    def linked_experiments(self) -> list[str]:
        """None: an export has no links."""
        return []

    def experiment_exists(self, commit_id: str) -> bool:
        """Whether the export has it."""
        return commit_id in self._found

    def iter_metadata(self) -> Iterator[tuple[str, Metadata | StoreNotFoundError]]:
        """Each experiment's id and metadata, or an error if the export has none of it."""
        for commit_id in self.list_experiments():
            one = self._found[commit_id]
            missing = StoreNotFoundError(f"{self._path}: has no metadata of {commit_id}")
            yield commit_id, one.metadata or missing

    def read_run(self, commit_id: str) -> RunInfo:
        """What run.json said."""
        return self._one(commit_id).run

    def run_state(self, commit_id: str) -> RunState:
        """How its run was."""
        return self._one(commit_id).state

    def iter_files(
        self, commit_id: str, on_error: OnError = lambda error: None
    ) -> Iterator[Artifact]:
        """None: an export has no files."""
        del commit_id, on_error
        return iter(())

    @cached_property
    def has_curves(self) -> bool:
        """Whether it has the metrics themselves, not only what they came to."""
        return bool(files_in(self._path))

    @cached_property
    def _groups(self) -> list[_Group]:
        return [group for file in files_in(self._path) for group in _groups_of(file)]

    def _table(self, commit_id: str) -> MetricTable | None:
        """An experiment's metrics, without what is superseded if that can be told."""
        arrow, compute = require("pyarrow", "arrow"), require("pyarrow.compute", "arrow")
        text = escape(commit_id)
        parts = []
        for group in self._groups:
            if group.low is None or group.high is None or group.low <= text <= group.high:
                rows = self._read_group(group.file, group.number)
                parts.append(rows.filter(compute.equal(rows.column(COMMIT_ID), text)))
        tail = self._one(commit_id).tail
        if not parts:
            return MetricTable((), *_no_columns(), tail)
        table = _as_table(arrow.concat_tables(parts), tail)
        starts = self._one(commit_id).run.starts
        if starts and has_all_names(self._path):  # places in the log decide
            return Rewind(starts).current(table)
        return table


def _groups_of(file: Path) -> Iterator[_Group]:
    parquet = require("pyarrow.parquet", "arrow")
    with open(file, "rb") as data:
        footer = parquet.read_metadata(data)
    place = footer.schema.names.index(COMMIT_ID)
    for number in range(footer.num_row_groups):
        found = footer.row_group(number).column(place).statistics
        known = found is not None and found.has_min_max
        low, high = (found.min, found.max) if known else (None, None)
        yield _Group(file, number, low, high)


def _read_group(file: Path, number: int) -> pa.Table:
    parquet = require("pyarrow.parquet", "arrow")
    # Opened here, since Arrow accepts only paths that are valid Unicode.
    with open(file, "rb") as data, parquet.ParquetFile(data, read_dictionary=["name"]) as opened:
        return opened.read_row_group(number, columns=list(_COLUMNS))


def _as_table(rows: pa.Table, tail: TailStatus) -> MetricTable:
    import numpy as np

    names = rows.column("name").unify_dictionaries().combine_chunks()
    if isinstance(names, require("pyarrow", "arrow").ChunkedArray):
        names = names.chunk(0)
    value, step, timestamp = (
        np.array(rows.column(name).to_numpy()) for name in ("value", "step", "timestamp")
    )
    texts = [unescape(text) for text in names.dictionary.to_pylist()]
    return MetricTable(texts, np.array(names.indices.to_numpy()), value, step, timestamp, tail)


def _no_columns() -> tuple[Any, Any, Any, Any]:
    import numpy as np

    codes, values = np.empty(0, np.int32), np.empty(0)
    return codes, values, np.empty(0, np.int64), np.empty(0, np.int64)
