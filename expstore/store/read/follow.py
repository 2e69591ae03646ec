"""Following a log while others write it.

Guarantees: only new bytes are read, and the 64 before them, by which the log is recognised; every
whole record is given once, in file order. A tail that is torn, or of zeros, is
given once it is whole. Between two polls no descriptor is held, so a writer that must repair a tear
is not kept from it. Memory is bounded however far behind the follower is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from expstore.errors import ExperimentGoneError, ExperimentNotFoundError, SelectionError
from expstore.model.table import MetricTable
from expstore.model.values import METRICS_FORMAT, is_whole_number
from expstore.store.files.directory import Location, OpenLog
from expstore.store.files.place import open_log
from expstore.store.read.parser import LogParser
from expstore.store.read.survey import scan_log
from formats import CLEAN, Format, TailStatus
from formats.damage.tail import TailWatch

if TYPE_CHECKING:
    from formats.columns import Columns

Table = TypeVar("Table")

_MOST = 1 << 22  # bytes read by one poll
_ANCHOR = 64  # bytes before the offset by which the log is recognised


class LogFollower(Generic[Table]):
    """Gives the records of one log as they come; an iterator over tables that never ends.

    Args:
        path: the log; it need not be there yet, its directory must.
        offset: where to begin: 0, or the `offset` that an earlier follower had. One beyond the end
            of the log is taken for that of a follower of a log that was cut since; see `cuts`.
        format: of the log.
        make: makes a table of columns, and of the state of the tail after them.
        interval: seconds between two polls, while iterating.
        sleep: waits that long.

    Attributes:
        offset: the byte after the last record that was given; another follower may go on there.
        cuts: how often the log was found shorter than `offset`. What is written from the new end
            on is given next; some of what was given before is no longer in the log.
        is_behind: whether the last poll left bytes unread, so that another should follow at once.

    Raises:
        ExperimentNotFoundError: the directory is missing.
        UnreadableFileError: not a regular file, or no permission.
        SelectionError: the offset is not an integer from 0 on, or the interval is negative.
    """

    def __init__(
        self,
        path: Location,
        offset: int,
        format: Format,
        make: Callable[[Columns, TailStatus], Table],
        *,
        interval: float = 0.5,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not is_whole_number(offset) or offset < 0:
            raise SelectionError(f"offset must be an integer from 0 on, got {offset!r}")
        if not interval >= 0:
            raise SelectionError(f"interval must not be negative, got {interval!r}")
        self.path = path
        self.offset = offset
        self.interval = interval
        self.cuts = 0
        self.is_behind = False
        self._format, self._make = format, make
        self._sleep = sleep
        self._is_proved = offset == 0  # a record begins at the offset, for all that is known
        self._identity: tuple[int, int] | None = None
        self._anchor = b""  # the bytes before the offset
        self._hole_end = 0  # the offset after a byte that is known not to be zero
        self._version: tuple[int, int | None] = (0, None)  # of the log that was read last
        self._ends_in_zeros: object = None  # the version that was seen to be zeros to its end
        with open_log(path):  # at a URL, only reading shows whether there is such an experiment
            pass

    def poll(self) -> Table:
        """What was added since the last poll, at most 4 MiB of it; empty if nothing was.

        The table's status, if it has one, reports a tail that is waited for.

        Raises:
            ExperimentGoneError: the experiment, or its log, was deleted or replaced by another; or
                the log was cut, and written to again beyond the offset.
            SelectionError: no record begins at the offset that was given. This is noticed where the
                bytes there are no plausible record, which is nearly always; and always where the
                format has no label, which needs the log before it to be read, once.
            FormatError: the log has another header, or the next record is refused by its format.
            UnreadableFileError: not a regular file, or no permission.
        """
        return self._make(*self._poll())

    def _poll(self) -> tuple[Columns, TailStatus]:
        from formats.columns import parse_columns

        data = self._read()
        schema = self._format.schema.records if self.offset else self._format.schema
        columns = parse_columns(schema, data)
        watch = TailWatch(schema, self._format.roles, self.offset)
        watch.feed(columns, self.offset + columns.end)
        zeros = columns.error is not None and not any(data[columns.end :])
        status = watch.status(self.offset + len(data), only_zeros=zeros)
        if not self._is_proved:
            self._prove(status)
        if columns.error is not None and not columns.count and not zeros:
            raise columns.error.at(source=str(self.path), offset=self.offset)
        if self.is_behind and status.kind == "zero":
            self.is_behind = self._is_hole(self.offset + len(data))
        if self.is_behind and status.kind != "implausible":
            status = CLEAN  # the tail of what was read, not of the log
        start, self.offset = self.offset, watch.end
        if status.kind == "zero" and status.offset is not None:
            # What is zeros now may be records later, so they are not given yet.
            columns = columns.first(columns.count - status.records)
            self.offset = status.offset
        columns.start, columns.end = columns.start + start, self.offset
        self._anchor = (self._anchor + data[: self.offset - start])[-_ANCHOR:]
        return columns, status

    def _read(self) -> bytes:
        """The bytes from `offset` on."""
        try:
            with open_log(self.path) as log:
                if self._identity not in {None, log.identity}:
                    raise self._gone("replaced by another file" if log.exists else "deleted")
                self._identity = log.identity
                self._version = log.version
                if log.size < self.offset:
                    self.cuts += 1
                    # Not the size: the log may have been cut inside a record.
                    self.offset, self._anchor = _end_of_records(log, self._format), b""
                self.is_behind = log.size > self.offset + _MOST
                known = len(self._anchor)
                data = log.read(self.offset - known, known + _MOST)
                if data[:known] != self._anchor:  # a new file may get the old one's identity
                    raise self._gone("replaced by another file")
                return data[known:]
        except ExperimentGoneError:
            raise
        except ExperimentNotFoundError as error:
            raise ExperimentGoneError(
                f"{self.path.parent}: deleted while it was followed"
            ) from error

    def _prove(self, status: TailStatus) -> None:
        """Raise if what begins at the offset that was given is the inside of a record."""
        roles = self._format.roles
        is_weak = roles is None or roles.label is None  # what looks plausible may be anything
        if is_weak or status.offset == self.offset:  # a live writer's record may look torn, too
            with open_log(self.path) as log:
                log.section(0, self.offset)
                end = _end_of_records(log, self._format)
            if end != self.offset:
                raise SelectionError(
                    f"{self.path}: no record begins at offset {self.offset}; the last one before "
                    f"it ends at byte {end}; begin there, at 0, or at a follower's offset"
                )
        self._is_proved = True

    def _gone(self, how: str) -> ExperimentGoneError:
        return ExperimentGoneError(
            f"{self.path}: {how} while it was followed; what was given, up to byte {self.offset}, "
            "was read from the earlier log: follow anew, from byte 0"
        )

    def _is_hole(self, offset: int) -> bool:
        """Whether the zeros before this offset end before the log does.

        What was found is remembered: a hole is searched once, and an unchanged log too.
        """
        if offset < self._hole_end <= self._version[0]:  # else it was cut meanwhile
            return True
        if self._version == self._ends_in_zeros:
            return False
        with open_log(self.path) as log:
            while block := log.read(offset, _MOST):
                if rest := block.lstrip(b"\0"):
                    self._hole_end = offset + len(block) - len(rest) + 1
                    return True
                offset += len(block)
            self._ends_in_zeros = log.version
        return False

    def __iter__(self) -> Iterator[Table]:
        while True:
            columns, status = self._poll()
            if columns.count:
                yield self._make(columns, status)
            else:
                self._sleep(self.interval)


class Follower(LogFollower[MetricTable]):
    """Gives the metrics of one log as they come; an iterator over MetricTables that never ends.

    Args, attributes and errors are those of LogFollower.
    """

    def __init__(
        self,
        path: Location,
        offset: int = 0,
        *,
        interval: float = 0.5,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(path, offset, METRICS_FORMAT, _table, interval=interval, sleep=sleep)


def _table(columns: Columns, status: TailStatus) -> MetricTable:
    """What a follower gives, whose names are those that occur in it."""
    table = MetricTable.of_columns(columns, status)
    # The parser also knows the empty name of zeros, which are not given.
    return table[:] if status.kind == "zero" else table


def _end_of_records(log: OpenLog, format: Format) -> int:
    """The offset after the last whole record of a log, in bounded memory."""
    parser = LogParser(format=format)
    scan_log(log, parser=parser)
    return parser.end
