"""Loading experiments with their curves, and the curves of selected metrics.

Guarantees: an unreadable experiment does not affect the others; it is included with its problems.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from expstore.compare.axes import Axis, along
from expstore.compare.experiments import Experiment, experiments
from expstore.compare.exportreader import as_source
from expstore.compare.patterns import expand
from expstore.compare.series import Series
from expstore.model.runinfo import RunInfo
from expstore.model.values import Metadata
from expstore.store.read import ahead
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    from expstore.model.table import MetricTable
    from expstore.store.reader import StoreReader


@dataclass(frozen=True)
class LoadedExperiment:
    """The readable part of one experiment, with its curves; see `Summary`."""

    commit_id: str
    metadata: Metadata | None
    curves: dict[str, Series]
    status: TailStatus
    run: RunInfo
    problems: tuple[str, ...]


class LoadedTable(NamedTuple):
    """The readable part of one experiment, without superseded metrics; see `Summary`."""

    commit_id: str
    metadata: Metadata | None
    table: MetricTable | None
    run: RunInfo
    problems: tuple[str, ...]

    @classmethod
    def of(cls, one: Experiment, table: MetricTable | None) -> Self:
        """An experiment whose table was just read."""
        return cls(one.commit_id, one.metadata, table, one.run, tuple(one.problems))

    @property
    def status(self) -> TailStatus:
        """Of the end of its log; clean if there is no table."""
        return CLEAN if self.table is None else self.table.status


def load_tables(
    store: StoreReader,
    ids: list[str],
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Iterator[LoadedTable]:
    """Load experiments in order; any failure, even a deletion, is one of its `problems`.

    Args:
        store: the store to read from.
        ids: commit ids that `select_ids` returned, in output order.
        progress: wraps the list of ids while they are read.

    Raises:
        StoreNotFoundError: the root does not exist.
    """

    def read(one: Experiment, limit: int | None) -> MetricTable | None:
        return one.read_table(limit)

    found = ahead.each(store.location, experiments(store, ids), read)
    for (one, table), _ in zip(found, progress(ids), strict=True):
        yield LoadedTable.of(one, table)


def load(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
    *,
    x: Axis = "step",
) -> Iterator[LoadedExperiment]:
    """Load experiments with their curves, one at a time; see `load_tables`.

    Args:
        store: the store to read from.
        ids: commit ids, in output order; None: all, sorted.
        progress: wraps the list of ids while they are read.
        x: the axis of the curves; see `axes.along`.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: raised by the call
            itself, before anything is read. Later problems are reported in each experiment's
            `problems`.
    """
    tables = load_tables(store, store.select_ids(ids), progress)
    return map(partial(_with_curves, x=x), tables)


def _with_curves(loaded: LoadedTable, x: Axis) -> LoadedExperiment:
    curves = {} if loaded.table is None else along(loaded.table, x)
    return LoadedExperiment(
        loaded.commit_id, loaded.metadata, curves, loaded.status, loaded.run, loaded.problems
    )


class Curve(NamedTuple):
    """The curve of one metric in one experiment."""

    commit_id: str
    name: str
    series: Series


def curves(
    store: StoreReader | str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    *,
    x: Axis = "step",
) -> list[Curve]:
    """The curves of experiments; unreadable experiments and missing metrics are left out.

    Args:
        store: the store to read from, or its root, or the path of an export to Parquet.
        ids: commit ids, in output order; None: all, sorted.
        names: only metrics with these names, or patterns such as `val/*`; None: all.
        x: the axis of the curves; see `axes.along`.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
        UnknownMetricError: no experiment has one of `names`.
    """
    found: list[Curve] = []
    known: dict[str, None] = {}
    for experiment in load(as_source(store), ids, x=x):
        known |= dict.fromkeys(experiment.curves)
        chosen = experiment.curves if names is None else expand(names, known, strict=False)
        found += [
            Curve(experiment.commit_id, name, experiment.curves[name])
            for name in chosen
            if name in experiment.curves
        ]
    expand(names or (), known)  # which raises if there is none
    return found
