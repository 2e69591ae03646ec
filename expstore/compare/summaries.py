"""Comparing experiments by the last, minimum and maximum value of each metric.

Guarantees: an unreadable experiment does not break a comparison; it is included with its problems.
Summaries are plain values that hold no open files or arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from expstore.compare.curves import check_name, load_tables
from expstore.compare.series import Extremes, summarize
from expstore.model.values import Metadata
from expstore.store.jobs import check_jobs, in_order
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

ASPECTS = ("last", "min", "max")
"""The statistics of a metric that experiments can be sorted by."""


@dataclass(frozen=True)
class Summary:
    """The summary of one experiment.

    Attributes:
        commit_id: its id.
        metadata: None if it cannot be read.
        metrics: each metric's statistics, by name in order of first appearance.
        status: the state of the end of its metrics.bin.
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
    jobs: int = 1,
) -> list[Summary]:
    """Summarize the metrics of experiments.

    Args:
        store: the store to read from.
        ids: commit ids, in output order; None: all, sorted.
        names: only metrics with these names; None: all.
        sort: a metric's name, or `name:last`, `name:min`, `name:max`; ascending. Experiments
            without the metric come last, and those whose value is NaN just before them.
        reverse: sort in descending order; experiments without a number still come last. Without
            `sort`, reverse the order of the experiments.
        progress: wraps the list of ids while they are read.
        jobs: the number of processes that read; 0: one for each processor. More than one pay for
            long logs, or many. A script that uses them must do so under
            `if __name__ == "__main__":`.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
        SelectionError: `jobs` is not a whole number.
        JobError: a process died.
        UnknownMetricError: no experiment has a metric named in `names` or `sort`.
    """
    wanted = None if names is None else list(dict.fromkeys(names))
    summaries: list[Summary] = []
    known: set[str] = set()
    jobs, chosen = check_jobs(jobs), store.select_ids(ids)
    work = partial(_summaries, store)
    found = work(chosen) if jobs == 1 else in_order(work, store.log_sizes(chosen), jobs)
    for _, summary in zip(progress(chosen), found, strict=True):
        known |= summary.metrics.keys()
        summaries.append(summary)
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


def _summaries(store: StoreReader, ids: list[str]) -> Iterator[Summary]:
    for loaded in load_tables(store, ids):
        metrics = {} if loaded.table is None else summarize(loaded.table)
        yield Summary(loaded.commit_id, loaded.metadata, metrics, loaded.status, loaded.problems)


def _sort_key(sort: str, known: Collection[str]) -> tuple[str, str]:
    """Split a sort key into metric name and aspect; a name may itself end in `:min`."""
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
