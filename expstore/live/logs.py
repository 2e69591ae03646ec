"""The logs that are shown: each read once, then followed from its last offset.

Guarantees: whoever looks at a run shares what was read of its log. The points of logs together take
at most `LIMIT` bytes, besides those of the one that was asked for last: others are dropped, and
read again if they are asked for. A position says exactly which points a curve has, so that those
logged since can be appended to it and nothing is missed or drawn twice.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from expstore.errors import ExperimentGoneError
from expstore.live.points import Points, Tally
from expstore.report.curvedata import curve_payload
from expstore.store.files import layout
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import Selection, iter_tables
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    from expstore.model.runinfo import RunInfo
    from expstore.model.table import MetricTable
    from expstore.store.reader import StoreReader

LIMIT = 96 << 20
"""Bytes of points that are kept."""

_CURVES = 48 << 20  # bytes of curves that are kept
_LOGS = 2000  # logs that are kept without their points

_RECENT = 20_000  # points that are kept to be sent; who is further behind asks for curves anew


class Position(NamedTuple):
    """How far a log was read: a state of the log, and the byte after the last record in it.

    Points between two positions of one state can be appended; those of another are other points.
    """

    state: str
    offset: int


class Part(NamedTuple):
    """The points between two offsets."""

    start: int
    end: int
    table: MetricTable


class CurvePart(NamedTuple):
    """What is wanted of a curve; see `curve_payload`.

    Attributes:
        points: how many suffice.
        x: the axis.
        start, end: the part of the axis; None: without limit.
    """

    points: int
    x: Literal["step", "time"] = "step"
    start: float | None = None
    end: float | None = None


class FollowedLog:
    """What was read of the log of one run; safe to use from several threads.

    Args:
        store: the store.
        commit_id: the experiment.
        info: its run.json, which says what is superseded.

    Attributes:
        tally: the summary of what was read.
        status: of the end of the log.
        watchers: how many clients follow it; while any do, only `advance` reads on.

    Raises:
        ExperimentNotFoundError, UnreadableFileError: see `Follower`.
    """

    def __init__(self, store: StoreReader, commit_id: str, info: RunInfo) -> None:
        self.lock = threading.RLock()
        self.watchers = 0
        self._store, self._commit_id = store, commit_id
        self._points: Points | None = None
        self._recent: deque[Part] = deque()
        self._restart(info)

    def _restart(self, info: RunInfo) -> None:
        self.tally = Tally()
        self.status: TailStatus = CLEAN
        self._state = secrets.token_hex(6)
        self._records = self._cuts = 0
        self._starts = info.starts
        self._rewind = Rewind(info.starts)
        self._points = None if self._points is None else Points()
        self._recent.clear()
        self._follower = self._store.follow(self._commit_id)

    @property
    def position(self) -> Position:
        """How far the log was read."""
        return Position(self._state, self._follower.offset)

    @property
    def nbytes(self) -> int:
        """The memory that its points take."""
        return self._points.nbytes if self._points is not None else 0

    def advance(self, info: RunInfo | None = None, *, keep: bool = False) -> bool:
        """Read what was appended; returns whether anything was, or all was read anew.

        Args:
            info: the present run.json: if it has other starts, others may be superseded.
            keep: also keep the points, if the log was not yet read.

        Raises:
            ExperimentGoneError: the experiment was deleted.
            UnreadableFileError: it cannot be read.
        """
        with self.lock:
            before = self.position
            if info is not None and Rewind(info.starts).rules != self._rewind.rules:
                self._restart(info)
            if keep and self._follower.offset == 0 and self._points is None:
                self._points = Points()
            try:
                self._read_on()
            except ExperimentGoneError:  # deleted, or replaced: in which case it is read anew
                self._restart_empty()
                self._read_on()
            return self.position != before

    def _restart_empty(self) -> None:
        info = self._store.read_run(self._commit_id)
        self._restart(info)

    def _read_on(self) -> None:
        while True:
            start = self._follower.offset
            table = self._follower.poll()
            if self._follower.cuts != self._cuts:
                self._restart_empty()
                continue
            if self.status.kind != "implausible":  # what follows may be read at a wrong offset
                self.status = table.status
            count = len(table)
            which = self._rewind.rows(table, self._records)
            if which is not None and not which.all():
                table = table.take(which)
            self._records += count
            if count:
                self._add(Part(start, self._follower.offset, table))
            if not self._follower.is_behind:
                return

    def _add(self, part: Part) -> None:
        self.tally.add(part.table)
        if self._points is not None:
            self._points.add(part.table)
        if self.watchers:
            self._recent.append(part)
            while sum(len(one.table) for one in self._recent) > _RECENT:
                self._recent.popleft()

    def since(self, position: Position) -> list[Part] | None:
        """The parts after a position; None if they are not all at hand."""
        with self.lock:
            if position == self.position:
                return []
            if position.state != self._state:
                return None
            found = [part for part in self._recent if part.start >= position.offset]
            return found if found and found[0].start == position.offset else None

    def forget_recent(self) -> None:
        """Nobody follows it any more."""
        with self.lock:
            self._recent.clear()

    def drop_points(self) -> None:
        """Give the memory back."""
        with self.lock:
            self._points = None

    def curve(self, name: str, part: CurvePart) -> tuple[dict[str, Any], bytes] | None:
        """A curve as `curve_payload` has it, with the position up to which it goes; None: no curve.

        Raises:
            ExpStoreError: the log cannot be read again.
        """
        with self.lock:
            if self._points is None:
                self._points = self._read_again()
            series = self._points.series(name)
            if series is None:
                return None
            header, data = curve_payload(
                series, part.points, x=part.x, start=part.start, end=part.end
            )
            return header | {"end": list(self.position)}, data

    def _read_again(self) -> Points:
        """The points up to the present position, in parts that take little memory."""
        points, path = Points(), self._store.locate(self._commit_id, layout.METRICS)
        end = self._follower.offset
        for table in iter_tables(path, Selection(), end=end, rewind=self._rewind):
            points.add(table)
        return points


class Logs:
    """The logs of the runs that are shown, by commit id; safe to use from several threads."""

    def __init__(self, store: StoreReader, limit: int = LIMIT) -> None:
        self._store, self._limit = store, limit
        self._held: OrderedDict[str, FollowedLog] = OrderedDict()
        self._lock = threading.Lock()
        self._curves: OrderedDict[object, tuple[dict[str, Any], bytes]] = OrderedDict()
        self._curves_size = 0

    def get(self, commit_id: str) -> FollowedLog:
        """The log of a run; it may not have been read yet.

        Raises:
            InvalidCommitIdError, ExperimentNotFoundError, RunFileError, UnreadableFileError
        """
        with self._lock:
            if (held := self._held.get(commit_id)) is not None:
                self._held.move_to_end(commit_id)
                return held
        made = FollowedLog(self._store, commit_id, self._store.read_run(commit_id))
        with self._lock:
            return self._held.setdefault(commit_id, made)

    def held(self, commit_id: str) -> FollowedLog | None:
        """The log, if it is kept."""
        return self._held.get(commit_id)

    def forget(self, commit_id: str) -> None:
        """The experiment is gone."""
        with self._lock:
            self._held.pop(commit_id, None)

    def stamp(self) -> tuple[int, int]:
        """Differs if a log that clients follow was read on, or read anew."""
        followed = [held for held in list(self._held.values()) if held.watchers]
        return len(followed), hash(tuple(held.position for held in followed))

    def curve(
        self, commit_id: str, held: FollowedLog, name: str, part: CurvePart
    ) -> tuple[dict[str, Any], bytes] | None:
        """As `FollowedLog.curve`; what was asked for lately is not made again."""
        key = (commit_id, held.position, name, part)
        with self._lock:
            if key in self._curves:
                self._curves.move_to_end(key)
                return self._curves[key]
        found = held.curve(name, part)
        if found is not None:
            with self._lock:
                self._curves[key] = found
                self._curves_size += len(found[1])
                while self._curves_size > _CURVES:
                    self._curves_size -= len(self._curves.popitem(last=False)[1][1])
        return found

    def has_room(self, size: int) -> bool:
        """Whether the points of a log of so many bytes can be kept without dropping others."""
        with self._lock:
            return sum(held.nbytes for held in self._held.values()) + size <= self._limit

    def trim(self) -> None:
        """Drop the points of logs that were not asked for lately, and logs that nobody follows."""
        with self._lock:
            total = sum(held.nbytes for held in self._held.values())
            for commit_id, held in list(self._held.items())[:-1]:
                if total > self._limit:
                    total -= held.nbytes
                    held.drop_points()
                elif len(self._held) <= _LOGS:
                    break
                if len(self._held) > _LOGS and not held.watchers:
                    del self._held[commit_id]


def parts_payload(parts: list[Part], names: set[str]) -> dict[str, tuple[dict[str, Any], bytes]]:
    """The points of some metrics in consecutive parts, for a client to append to its curves."""
    together = Points()
    for part in parts:
        if names & set(part.table.names):
            together.add(part.table)
    found = {}
    for name in names:
        series = together.series(name)
        if series is not None:
            found[name] = curve_payload(series, max(len(series.steps), 8))
    return found
