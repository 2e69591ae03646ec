"""Comparing experiments by the last, minimum and maximum value of each metric.

Guarantees: an unreadable experiment does not break a comparison; it is included with its problems.
Summaries are plain values that hold no open files or arrays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, overload

from expstore.compare.comparison import Comparison
from expstore.compare.experiments import Experiment, experiments
from expstore.compare.exportreader import as_source
from expstore.compare.groups import GroupSummary, grouped
from expstore.compare.naming import ASPECTS, order, resolve
from expstore.compare.patterns import expand
from expstore.compare.reading import ReadLogs, read_logs, read_metadata, read_states
from expstore.compare.selection import check_known, matching
from expstore.compare.series import Extremes
from expstore.compare.wanted import wants_of
from expstore.compare.where import parse
from expstore.errors import SelectionError
from expstore.model.values import Metadata, is_whole_number
from expstore.store.jobs import check_jobs
from expstore.store.reader import StoreReader
from formats import CLEAN, TailStatus

__all__ = ["ASPECTS", "Comparison", "GroupSummary", "RunStatus", "Summary", "compare"]

Progress = Callable[[list[str]], Iterable[str]]

_FEW = 4  # the share of experiments that may be read once more, to be shown with all metrics


class RunStatus(str):
    """How a run is, as text: see `expstore.model.runinfo.Status`.

    It is false if the end of the log is damaged, so that `if not summary.status` finds such logs.

    Attributes:
        tail: the state of the end of metrics.bin.
    """

    __slots__ = ("tail",)
    tail: TailStatus

    def __new__(cls, status: str, tail: TailStatus = CLEAN) -> Self:  # noqa: D102
        made = super().__new__(cls, status)
        made.tail = tail
        return made

    def __bool__(self) -> bool:
        return bool(self.tail)

    def __reduce__(self) -> tuple[Any, ...]:
        return RunStatus, (str(self), self.tail)


@dataclass(frozen=True)
class Summary:
    """The summary of one experiment.

    Attributes:
        commit_id: its id.
        metadata: None if it cannot be read.
        metrics: each metric's statistics, by name in order of first appearance.
        status: how its run is, such as "running"; false if the end of its log is damaged.
        problems: what could not be read, and why.
        params: the parameters by flat name.
        tags: in the order in which they were added.
        notes: free text.
        duration: seconds that it ran; None if nothing tells.
    """

    commit_id: str
    metadata: Metadata | None = None
    metrics: dict[str, Extremes] = field(default_factory=dict)
    status: RunStatus = RunStatus("unknown")  # noqa: RUF009  immutable
    problems: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""
    duration: float | None = None

    @property
    def tail(self) -> TailStatus:
        """The state of the end of its metrics.bin."""
        return self.status.tail

    def row(self) -> dict[str, Any]:
        """As one row of a table; see `Comparison.to_pandas`."""
        metadata = self.metadata
        return {
            "commit_id": self.commit_id,
            "job": metadata.job_name if metadata else None,
            "user": metadata.user if metadata else None,
            "created": metadata.timestamp if metadata else None,
            "status": str(self.status),
            "duration": self.duration,
            "tags": list(self.tags),
            "notes": self.notes,
            **{f"param.{name}": value for name, value in self.params.items()},
            **{
                f"metric.{name}:{column}": getattr(metric, column)
                for name, metric in self.metrics.items()
                for column in ("last", "last_step", "min", "min_step", "max", "max_step")
            },
        }


@overload
def compare(
    store: StoreReader | str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    *,
    where: str | None = None,
    sort: str | None = None,
    reverse: bool = False,
    limit: int | None = None,
    group_by: None = None,
    progress: Progress = iter,
    jobs: int = 1,
    read: ReadLogs | None = None,
) -> Comparison[Summary]: ...


@overload
def compare(
    store: StoreReader | str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    *,
    where: str | None = None,
    sort: str | None = None,
    reverse: bool = False,
    limit: int | None = None,
    group_by: str | Sequence[str],
    progress: Progress = iter,
    jobs: int = 1,
    read: ReadLogs | None = None,
) -> Comparison[GroupSummary]: ...


def compare(
    store: StoreReader | str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    *,
    where: str | None = None,
    sort: str | None = None,
    reverse: bool = False,
    limit: int | None = None,
    group_by: str | Sequence[str] | None = None,
    progress: Progress = iter,
    jobs: int = 1,
    read: ReadLogs | None = None,
) -> Comparison[Summary] | Comparison[GroupSummary]:
    """Summarize experiments: their parameters, and the statistics of their metrics.

    Args:
        store: the store to read from, or its root; or the path of an export to Parquet, which is
            searched without the store: see `expstore.compare.exported`.
        ids: commit ids, in output order; None: all, sorted.
        names: only metrics with these names, or patterns such as `val/*`; None: all.
        where: only experiments for which this is true, such as `lr < 0.01 and tag == baseline`; see
            `expstore.compare.where`.
        sort: a field, a parameter or a metric, as in `where`; ascending. A metric is a name, or
            `name:last`, `name:min`, `name:max`. Experiments without such a value come last, and
            those whose value is NaN just before them. With `group_by`, one of its names, a metric,
            by its mean, or `count`.
        reverse: sort in descending order; experiments without a number still come last. Without
            `sort`, reverse the order of the experiments.
        limit: at most this many, after sorting; 1 or more.
        group_by: summarize experiments with the same values of these fields or parameters together,
            such as the seeds of one setting; the result is a list of `GroupSummary`.
        progress: wraps the list of ids while their logs are read.
        jobs: the number of processes that read; 0: one for each processor. More than one pay for
            long logs, or many. A script that uses them must do so under
            `if __name__ == "__main__":`.
        read: reads the logs instead, such as `expstore.cluster.log_reader(store)`.

    Raises:
        WhereError, SelectionError: an invalid argument; nothing was read.
        JobError: a process died.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
        UnknownMetricError: there are experiments, and none has a name in `names`, `where`, `sort`
            or `group_by`.
        MissingExtraError: `where` is given, and the extra `where` is not installed.
    """
    check_limit(limit)
    jobs = check_jobs(jobs)
    expression = None if where is None else parse(where)
    store = as_source(store)
    found = everything = list(experiments(store, store.select_ids(ids)))
    whole = partial(read_logs, store, progress=progress, jobs=jobs)
    few = limit is not None and limit * _FEW <= len(found)
    if read is not None:
        look = show = read
    elif group_by is not None or (names is None and not few):
        look = show = whole
    else:
        look = partial(whole, wants=wants_of(expression, sort, names or ()))
        show = whole if names is None else look
    if expression is not None:
        found = matching(found, expression, where or "", look)
    if group_by is not None:
        keys = [group_by] if isinstance(group_by, str) else list(group_by)
        groups = grouped(show(found), keys, names, sort, reverse)
        return Comparison(groups[:limit], _unread(everything))
    none = not found
    cut = limit is not None and limit < len(found)
    if sort is not None and not none:
        found = ordered(found, sort, reverse, look)
    elif reverse:
        found = found[::-1]
    found = show(found[:limit])
    if isinstance(store, StoreReader):
        read_states(store, found)
        read_metadata(store, found)
    shown = None if names is None else _expanded(found, names, strict=not (cut or none))
    summaries = [_summary(one, shown) for one in found]
    chosen = {one.commit_id for one in found}
    return Comparison(summaries, _unread(one for one in everything if one.commit_id not in chosen))


def _unread(found: Iterable[Experiment]) -> dict[str, str]:
    return {one.commit_id: one.problems[-1] for one in found if one.is_unreadable}


def check_limit(limit: int | None) -> None:
    """Check a limit.

    Raises:
        SelectionError: it is not a whole number above 0.
    """
    if limit is not None and (not is_whole_number(limit) or limit < 1):
        raise SelectionError(f"limit must be an integer above 0, got {limit!r}")


def ordered(found: list[Experiment], sort: str, reverse: bool, read: ReadLogs) -> list[Experiment]:
    """The experiments sorted by a field, a parameter or a metric; see `compare`.

    Args:
        found: the experiments.
        sort, reverse: see `compare`.
        read: reads their logs; see `read_logs`.

    Raises:
        UnknownMetricError: no experiment has what to sort by.
    """
    params = {name for one in found for name in one.params}
    reference = resolve(sort, params)
    if reference.sort == "metric":
        check_known(read(found), [(sort, reference)], params)
    places = order([reference.value(one) for one in found], reverse)
    return [found[place] for place in places]


def _summary(one: Experiment, names: Sequence[str] | None) -> Summary:
    """The summary of an experiment, with the metrics of these names only; None: with all."""
    if names is None:
        metrics = one.metrics  # first, since reading them may add a problem
    else:
        known = one.metrics_of(names)
        metrics = {name: known[name] for name in names if name in known}
    return Summary(
        one.commit_id,
        one.metadata,
        metrics,
        RunStatus(one.status, one.tail),
        tuple(one.problems),
        one.params,
        one.run.tags,
        one.run.notes,
        one.duration,
    )


def _expanded(found: Iterable[Experiment], names: Iterable[str], *, strict: bool) -> list[str]:
    """The metrics of experiments that names and patterns stand for."""
    return expand(names, dict.fromkeys(name for one in found for name in one.names), strict=strict)
