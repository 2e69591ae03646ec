"""Loading experiments with their curves, and the curves of selected metrics.

Guarantees: an unreadable experiment does not affect the others; it is included with its problems.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from expstore.compare.series import Series, split
from expstore.errors import ExpStoreError, UnknownMetricError
from expstore.model.values import Metadata
from formats import CLEAN, FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader


@dataclass(frozen=True)
class LoadedExperiment:
    """The readable part of one experiment, with its curves; see `Summary`."""

    commit_id: str
    metadata: Metadata | None
    curves: dict[str, Series]
    status: TailStatus
    problems: tuple[str, ...]


def load(store: StoreReader, ids: Iterable[str] | None = None) -> Iterator[LoadedExperiment]:
    """Load experiments with their curves, one at a time.

    Args:
        store: the store to read from.
        ids: commit ids, in output order; None: all, sorted.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: raised by the call
            itself, before anything is read. Later problems are reported in each experiment's
            `problems`.
    """
    return (load_one(store, commit_id) for commit_id in store.select_ids(ids))


def load_one(store: StoreReader, commit_id: str) -> LoadedExperiment:
    """Load one experiment; any failure, even its deletion, is reported in its `problems`."""
    metadata, curves, status, problems = None, {}, CLEAN, []
    try:
        metadata = store.read_metadata(commit_id)
    except (ExpStoreError, FormatError) as error:
        problems.append(str(error))
    try:
        table = store.get_metrics(commit_id)
        curves, status = split(table), table.status
    except (ExpStoreError, FormatError) as error:
        problems.append(str(error))
    return LoadedExperiment(commit_id, metadata, curves, status, tuple(problems))


def check_name(name: str, known: Collection[str]) -> None:
    """Check that at least one experiment has this metric.

    Raises:
        UnknownMetricError: none has it; the message lists the known names.
    """
    if name not in known:
        raise UnknownMetricError.of(name, sorted(known))


class Curve(NamedTuple):
    """The curve of one metric in one experiment."""

    commit_id: str
    name: str
    series: Series


def curves(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
) -> list[Curve]:
    """The curves of experiments; unreadable experiments and missing metrics are left out.

    Args:
        store: the store to read from.
        ids: commit ids, in output order; None: all, sorted.
        names: only metrics with these names; None: all.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
        UnknownMetricError: no experiment has one of `names`.
    """
    found: list[Curve] = []
    known: set[str] = set()
    for experiment in load(store, ids):
        known |= experiment.curves.keys()
        found += [
            Curve(experiment.commit_id, name, experiment.curves[name])
            for name in (experiment.curves if names is None else dict.fromkeys(names))
            if name in experiment.curves
        ]
    for name in names or ():
        check_name(name, known)
    return found
