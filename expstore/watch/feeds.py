"""The points of the runs that are looked at, live.

Guarantees: a log is read from the last offset only, and not at all while its run is not shown. What
is superseded by a resumed start is left out. A log that was cut or replaced is read anew; of one
that was deleted, the points that were read stay, and `problem` says so. A problem of one run never
affects the others. Memory is bounded: of a metric with more than `POINTS` points, the extremes of
every interval are kept (see `thinning.thin`).

`Feeds.poll` may run in another thread than what reads `curves`: a mapping that was handed out never
changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from expstore.compare.axes import TimedSeries, split_timed
from expstore.compare.series import Series
from expstore.compare.thinning import thin
from expstore.errors import ExperimentGoneError, ExperimentNotFoundError, ExpStoreError
from expstore.model.table import MetricTable
from expstore.store.read.rewind import Rewind
from formats import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from expstore.store.read.follow import Follower
    from expstore.store.reader import StoreReader

POINTS = 1 << 15
"""The maximum number of points that are kept of a metric."""

_BUDGET = 1 << 20  # points of a run
_FEWEST = 1 << 11  # points of a metric, however many metrics a run has
_RETRY = 5.0  # seconds until a log that cannot be read is tried again
_KEPT = 8  # runs that are no longer shown, but whose points are kept

Rules = tuple[tuple[int, int | None], ...]


class Feed:
    """The curves of one run, which grow with its log.

    Attributes:
        curves: the points of each metric, by name in order of first appearance; replaced, never
            changed.
        problem: why the log cannot be read, or not in full; empty if it can.
        is_read: whether it was looked at.
        is_behind: whether there is more to read at once.
        progress: the part of the log that was read, 0 to 1.
    """

    def __init__(self, store: StoreReader, commit_id: str) -> None:
        self.commit_id = commit_id
        self.curves: Mapping[str, TimedSeries] = {}
        self.problem = ""
        self.is_read = False
        self.is_behind = False
        self.progress = 0.0
        self._store = store
        self._follower: Follower | None = None
        self._cuts = 0
        self._records = 0  # of the log that were read
        self._rules: Rules = ()
        self._rewind = Rewind(())
        self._size = 0
        self._flaw = ""
        self._not_before = 0.0

    def poll(self) -> bool:
        """Read what is new, at most 4 MiB; returns whether anything that is shown changed."""
        if time.monotonic() < self._not_before:
            return False
        curves, state = self.curves, (self.is_read, self.problem, self.progress)
        try:
            self._read()
        except ExperimentGoneError as error:  # another may be there by the next poll
            self._stop(str(error) if self._exists() else "deleted while it was watched")
        except ExperimentNotFoundError:
            self._stop("deleted while it was watched" if self.curves else "there is no such run")
        except (ExpStoreError, FormatError, OSError) as error:
            self._stop(str(error))
            self._not_before = time.monotonic() + _RETRY
        self.is_read = True
        return self.curves is not curves or (True, self.problem, self.progress) != state

    def _exists(self) -> bool:
        try:
            return self._store.experiment_exists(self.commit_id)
        except ExpStoreError:
            return False

    def _stop(self, problem: str) -> None:
        self._follower, self.problem, self.is_behind = None, problem, False

    def _read(self) -> None:
        follower = self._follower or self._begin()
        table = follower.poll()
        if follower.cuts != self._cuts or (len(table) and self._starts() != self._rules):
            follower = self._begin()  # some of what was read no longer counts
            table = follower.poll()
        status = table.status
        if status.kind == "implausible" and not self._flaw:
            self._flaw = f"its log is {status}; what follows may be wrong"
        self.problem = self._flaw
        self.is_behind = follower.is_behind
        if self.is_behind and follower.offset >= self._size:
            self._size = self._store.log_sizes([self.commit_id])[self.commit_id] or 0
        self.progress = min(follower.offset / self._size, 1.0) if self.is_behind else 1.0
        if len(table):
            rows = self._rewind.rows(table, self._records)
            self._records += len(table)
            self._add(table if rows is None else table.take(rows))

    def _begin(self) -> Follower:
        self._rules = self._starts()
        self._follower = self._store.follow(self.commit_id)
        self._cuts, self._records, self._size, self._flaw, self.curves = 0, 0, 0, "", {}
        return self._follower

    def _starts(self) -> Rules:
        """The starts of the run as far as they say what is superseded."""
        try:
            starts = self._store.read_run(self.commit_id).starts
        except ExperimentNotFoundError:
            raise
        except ExpStoreError:  # the list of runs says what is wrong with the file
            starts = ()
        self._rewind = Rewind(starts)
        return tuple((start.records, start.from_step) for start in starts if start.records)

    def _add(self, table: MetricTable) -> None:
        curves = dict(self.curves)
        for name, new in split_timed(table).items():
            old = curves.get(name)
            curves[name] = new if old is None else _joined(old, new)
        limit = max(min(POINTS, _BUDGET // max(len(curves), 1)), _FEWEST)
        for name, series in curves.items():
            if len(series.steps) > limit:
                kept = thin(Series(series.steps, series.values), limit // 2).kept
                curves[name] = _taken(series, kept)
        self.curves = curves


def _joined(old: TimedSeries, new: TimedSeries) -> TimedSeries:
    """Both, ordered by step."""
    both = TimedSeries(
        np.concatenate((old.steps, new.steps)),
        np.concatenate((old.values, new.values)),
        np.concatenate((old.times, new.times)),
    )
    if new.steps[0] < old.steps[-1]:
        both = _taken(both, both.steps.argsort(kind="stable"))
    return both


def _taken(series: TimedSeries, which: NDArray[np.int64]) -> TimedSeries:
    """These points of a series."""
    return TimedSeries(series.steps[which], series.values[which], series.times[which])


class Feeds:
    """The feeds of the runs that are shown, and of the last few that were."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._feeds: dict[str, Feed] = {}  # those shown last at the end
        self._shown: tuple[str, ...] = ()

    def show(self, ids: Iterable[str]) -> None:
        """Read these from the next poll on, and no others."""
        self._shown = tuple(ids)
        feeds = dict(self._feeds)
        for commit_id in self._shown:
            feed = feeds.pop(commit_id) if commit_id in feeds else Feed(self._store, commit_id)
            feeds[commit_id] = feed
        for commit_id in list(feeds)[: max(len(feeds) - len(self._shown) - _KEPT, 0)]:
            del feeds[commit_id]
        self._feeds = feeds

    def curves(self, commit_id: str) -> Mapping[str, TimedSeries]:
        """The curves of a run; none if it was not shown lately."""
        feed = self._feeds.get(commit_id)
        return {} if feed is None else feed.curves

    def states(self) -> list[Feed]:
        """The feeds of the runs that are shown."""
        feeds = self._feeds
        return [feeds[commit_id] for commit_id in self._shown if commit_id in feeds]

    def poll(self) -> set[str]:
        """Read what is new of each run that is shown; returns those that changed."""
        return {feed.commit_id for feed in self.states() if feed.poll()}

    @property
    def are_behind(self) -> bool:
        """Whether there is more to read at once."""
        return any(feed.is_behind for feed in self.states())
