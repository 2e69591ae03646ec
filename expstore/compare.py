"""Experiments side by side: what each metric came to.

Guarantees: one unreadable experiment never breaks a comparison: it is in it, with its problem.
Plain values only: no file, no column and no terminal is behind them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expstore.errors import ExpStoreError, UnknownMetricError
from expstore.model import Metadata
from expstore.series import Extremes, Series, extremes, split
from formats import CLEAN, FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.store import ExperimentStore

ASPECTS = ("last", "min", "max")
"""What of a metric can be sorted by."""


@dataclass(frozen=True)
class Summary:
    """One experiment.

    Attributes:
        commit_id: its id.
        metadata: None where it cannot be read.
        metrics: what each metric came to, by name in order of first appearance.
        status: of the end of its metrics.
        problems: what could not be read, and why.
    """

    commit_id: str
    metadata: Metadata | None = None
    metrics: dict[str, Extremes] = field(default_factory=dict)
    status: TailStatus = CLEAN
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """One experiment with its curves, as far as it can be read; see `Summary`."""

    commit_id: str
    metadata: Metadata | None
    curves: dict[str, Series]
    status: TailStatus
    problems: tuple[str, ...]


def load(store: ExperimentStore, ids: Iterable[str] | None = None) -> Iterator[Loaded]:
    """Experiments with their curves, one at a time.

    Args:
        store: where they are.
        ids: which, in the order wanted; None: all, sorted.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: at the call, before
            anything is read. What is unreadable in an experiment is told in its `problems`.
    """
    return (load_one(store, commit_id) for commit_id in store.existing(ids))


def load_one(store: ExperimentStore, commit_id: str) -> Loaded:
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
    return Loaded(commit_id, metadata, curves, status, tuple(problems))


def compare(
    store: ExperimentStore,
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    *,
    sort: str | None = None,
    reverse: bool = False,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> list[Summary]:
    """What the metrics of experiments came to.

    Args:
        store: where they are.
        ids: which, in the order wanted; None: all, sorted.
        names: metrics of these names only.
        sort: a metric's name, or `name:last`, `name:min`, `name:max`; least first. Experiments
            that lack it stand last, those whose value is NaN before them.
        reverse: greatest first; those that have no number still stand last.
        progress: wraps the list of ids while they are read.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
        UnknownMetricError: a name of `names` or `sort` that no experiment has.
    """
    wanted = None if names is None else list(dict.fromkeys(names))
    summaries: list[Summary] = []
    known: set[str] = set()
    for commit_id in progress(store.existing(ids)):
        loaded = load_one(store, commit_id)
        known |= loaded.curves.keys()
        metrics = {name: extremes(series) for name, series in loaded.curves.items()}
        summaries.append(
            Summary(commit_id, loaded.metadata, metrics, loaded.status, loaded.problems)
        )
    for name in wanted or ():
        check_name(name, known)
    if sort is not None:
        summaries = _sorted(summaries, *_sort_key(sort, known), reverse=reverse)
    elif reverse:
        summaries.reverse()
    if wanted is None:
        return summaries
    return [
        Summary(
            summary.commit_id,
            summary.metadata,
            {name: summary.metrics[name] for name in wanted if name in summary.metrics},
            summary.status,
            summary.problems,
        )
        for summary in summaries
    ]


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


def _sort_key(sort: str, known: Collection[str]) -> tuple[str, str]:
    """The metric's name and the aspect; a name may itself end in `:min`."""
    name, _, aspect = sort.rpartition(":")
    if sort in known or aspect not in ASPECTS:
        name, aspect = sort, ASPECTS[0]
    check_name(name, known)
    return name, aspect


def _sorted(summaries: list[Summary], name: str, aspect: str, *, reverse: bool) -> list[Summary]:
    def key(summary: Summary) -> tuple[int, float]:
        if name not in summary.metrics:
            return 2, 0.0
        value = getattr(summary.metrics[name], aspect)
        if math.isnan(value):
            return 1, 0.0
        return 0, -value if reverse else value

    return sorted(summaries, key=key)
