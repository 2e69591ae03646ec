"""Experiments side by side: what each metric came to.

Guarantees: one unreadable experiment never breaks a comparison: it is in it, with its problem.
Plain values only: no file, no column and no terminal is behind them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expstore.compare.curves import check_name, load_one
from expstore.compare.series import Extremes, extremes
from expstore.model.values import Metadata
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

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


def compare(
    store: StoreReader,
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
    for commit_id in progress(store.select_ids(ids)):
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
