"""Experiments with their curves, and curves of chosen metrics.

Guarantees: one unreadable experiment never breaks the rest: it is there, with its problem.
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
    """One experiment with its curves, as far as it can be read; see `Summary`."""

    commit_id: str
    metadata: Metadata | None
    curves: dict[str, Series]
    status: TailStatus
    problems: tuple[str, ...]


def load(store: StoreReader, ids: Iterable[str] | None = None) -> Iterator[LoadedExperiment]:
    """Experiments with their curves, one at a time.

    Args:
        store: where they are.
        ids: which, in the order wanted; None: all, sorted.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: at the call, before
            anything is read. What is unreadable in an experiment is told in its `problems`.
    """
    return (load_one(store, commit_id) for commit_id in store.select_ids(ids))


def load_one(store: StoreReader, commit_id: str) -> LoadedExperiment:
    """One experiment; even that it is gone meanwhile is told in its `problems`."""
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
    """Refuse a metric's name that no experiment has.

    Raises:
        UnknownMetricError: naming those that there are.
    """
    if name not in known:
        listed = sorted(known)
        more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
        raise UnknownMetricError(
            f"no metric {name!r}; the metrics are: {', '.join(listed[:20]) or 'none'}{more}"
        )


class Curve(NamedTuple):
    """One metric of one experiment."""

    commit_id: str
    name: str
    series: Series


def curves(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
) -> list[Curve]:
    """The curves of experiments; what cannot be read, and what an experiment lacks, is left out.

    Args:
        store: where they are.
        ids: which, in the order wanted; None: all, sorted.
        names: metrics of these names only; None: all.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
        UnknownMetricError: a name that no experiment has.
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
