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

from expstore.errors import ExperimentGoneError, ExperimentNotFoundError
from expstore.model.table import MetricTable
from expstore.model.values import METRICS_FORMAT
from expstore.store.files.directory import Location
from expstore.store.files.place import open_log
from expstore.store.read.parser import LogParser
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
        offset: where to begin: 0, or the `offset` that an earlier follower had.
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
        ValueError: a negative offset or interval.
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
        if offset < 0 or not interval >= 0:
            raise ValueError(f"offset {offset} and interval {interval} must not be negative")
        self.path = path
        self.offset = offset
        self.interval = interval
        self.cuts = 0
        self.is_behind = False
        self._format, self._make = format, make
        self._sleep = sleep
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
        if columns.error is not None and not columns.count and not zeros:
            raise columns.error.at(source=str(self.path), offset=self.offset)
        status = watch.status(self.offset + len(data), only_zeros=zeros)
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
                    parser = LogParser(format=self._format)
                    parser.begin(log)
                    parser.read()
                    self.offset, self._anchor = parser.end, b""
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
        super().__init__(
            path, offset, METRICS_FORMAT, MetricTable.of_columns, interval=interval, sleep=sleep
        )
