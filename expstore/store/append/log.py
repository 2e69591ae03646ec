"""Appending whole records to a log that others append to at the same time.

Guarantees: each append is one write at the end of the file (O_APPEND), so records of several
processes never mix. Before it, whatever was added since the last known record boundary is parsed,
so nothing is appended after a torn tail: the tear is first set aside into a file next to the log
and cut, under a lease that excludes every other program. Space is reserved before it is needed, so
that a full disk is noticed before a record is torn; where that is not possible, the part of a
record that was written is cut off again. After it, the file position shows whether someone else's
tear came in between; then the record is cut off with it, and appended again. An append that returns
is readable; one that raises says what became of it.

A log that is shorter than what is known of it has lost records, and is appended to no more: a tear
is cut after the last whole record, never before it. One that was rewritten in place, in no fewer
bytes, is recognised by the 64 bytes before the last known boundary: when its size has changed too,
at the next look; else only by `recall`. Not noticed is a change of other bytes.

This module knows files; where a record ends is for `formats` to say.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from expstore.errors import (
    ExperimentGoneError,
    ExpStoreError,
    ShortWriteError,
    TornTailError,
)
from expstore.model.values import METRICS_FORMAT
from expstore.store.append.boundary import (
    ANCHOR,
    bad_end,
    boundary_after,
    describe,
    ends_in_zeros,
    is_known,
    lost,
)
from expstore.store.append.cut import BadTail, cut_back, exclusive_access, set_aside
from expstore.store.append.header import write_header
from expstore.store.append.logfile import LogFile
from expstore.store.append.space import ReservedSpace
from expstore.store.files import system
from expstore.store.files.systems.native import own
from formats import CLEAN, Format, FormatError, TailStatus

if TYPE_CHECKING:
    from collections.abc import Callable

_lseek, _END, _HERE = os.lseek, os.SEEK_END, os.SEEK_CUR
_PATIENCE = 0.05  # seconds that another writer gets to complete what looks torn
NO_ANCHOR = 0, b""
_SMALL = 4096  # bytes of an append that may stay in memory until the next


class AppendLog(LogFile):
    """A log open for appending; not to be shared among threads.

    Args:
        path: the log, in an existing directory.
        format: of the log.
        directory: a descriptor of its directory, where the caller has one.
        header: what an empty log begins with, if the format has a header.
        create: whether to create the log where it is missing.

    Attributes:
        boundary: the offset after the last record known to be whole.
        is_lost: the log was found to have lost records, and a call said so; so will every append.

    Raises:
        ExperimentNotFoundError: the directory is missing (or, without `create`, the log).
        UnreadableFileError: not a regular file, or no permission.
    """

    def __init__(
        self,
        path: Path,
        format: Format = METRICS_FORMAT,
        directory: int = -1,
        *,
        header: bytes = b"",
        create: bool = True,
    ) -> None:
        self.boundary = 0
        self.is_lost = False
        self._format = format
        self._header = header if format.schema.header is not None else None
        # A boundary, and the bytes before it when it was found; one value, since an interrupt or a
        # fork may come between any two assignments.
        self._anchor = NO_ANCHOR
        self._room = ReservedSpace(path)
        self._shared = False  # others were seen to append, so that the next one may be near
        self._bad: BadTail | None = None
        super().__init__(path, directory, create=create)

    def _part(self) -> None:
        super()._part()
        self._bad = None  # what the parent has to cut, it cuts

    def append(self, data: bytes, looked: bool = False) -> None:
        """Append whole records by one write.

        Args:
            data: the records.
            looked: the end was checked a moment ago. As long as nobody else was seen to append, it
                is assumed to be there still, and only the check after the write is made.

        Raises:
            NoSpaceError: there is no room; nothing is written.
            ShortWriteError: only a part was written; the text says whether it was cut off again.
            TornTailError: the log ends in a tear that cannot be cut now, or is misaligned, and
                nothing is written; or someone else's tear came in just before the write (the text
                says which).
            FormatError: the log has another header, or a record that the format refuses; nothing
                is written, unless it came in just before the write (the text says which).
            ExperimentGoneError: the log was deleted between a fork and the child's first append; or
                it was cut or rewritten in place, and has lost records (the text says which, and
                whether these were still written).
            UnreadableFileError: the system refuses the write.
        """
        size = len(data)
        if not size:
            return
        try:
            if self._inherited:
                self._part()
            end = self.boundary
            # Not fstat: asking for a file's times makes its next write dearer than the write.
            if (not looked or self._shared) and (
                _lseek(self._descriptor, 0, _END) != end or not end or self.is_lost
            ):
                end = self._reconcile()
            behind = end + size
            if behind > self._room.end:
                self._room.reserve(self._descriptor, end, size)
            written = os.write(self._descriptor, data)
            if written != size or _lseek(self._descriptor, 0, _HERE) != behind:
                behind = self._settle(data, written)
        except OSError as error:
            if isinstance(error, ExpStoreError):
                raise
            raise system.unwritable(self.path, error) from error
        self.boundary = behind
        self._anchor = behind, (data if size <= _SMALL else data[-ANCHOR:])

    def repair(
        self, look: Callable[[int], TailStatus], *, force: bool = False
    ) -> tuple[TailStatus, Path | None]:
        """Set aside and cut a bad tail, if cutting repairs it.

        Args:
            look: finds how the log ends, through its descriptor, once nobody else has it open: only
                then does it not change, and what looked torn may be complete by now.
            force: without a lease: what another program appends at this moment may be lost.

        Returns:
            What `look` found, and the file that keeps what was cut, if anything was.

        Raises:
            TornTailError: others have the log open.
            UnreadableFileError: the cut bytes cannot be kept; nothing was cut.
        """
        with exclusive_access(self._descriptor, self.path, force=force) as check:
            status = look(self._descriptor)
            if status.offset is None or not status.can_be_cut:
                return status, None
            kept = set_aside(self.path, status.offset, self._descriptor)
            check()
            os.ftruncate(self._descriptor, status.offset)
            own.sync(self._descriptor)
            self._anchor, self.boundary, self._room.end = NO_ANCHOR, status.offset, 0
        return status, kept

    def records_since(self, start: int) -> str:
        """Which records are in the open log from a boundary on, for messages."""
        return describe(self._format, self._descriptor, start, self.boundary)

    def recall(self) -> None:
        """Raise ExperimentGoneError if the boundary is no longer in the log; see the module."""
        size = self.size
        if size < self.boundary:
            self.is_lost = True
            raise lost(self.path, f"cut to {size} bytes", size, self.boundary)
        if self.is_lost or not is_known(self._descriptor, *self._anchor):
            self.is_lost = True
            raise lost(self.path, "rewritten in place", 0, self.boundary)

    def _reconcile(self) -> int:
        """Parse what others added; returns the end of the file, which then is a boundary."""
        self._shared = self._shared or self.boundary > 0  # before, it is what was there already
        if self._bad:
            self._cut_bad(self._bad)
        self.recall()
        start = seen = self.boundary
        bad_since, pause = time.monotonic(), _PATIENCE / 1000
        while True:
            end, rest = boundary_after(self._format, self.path, self._descriptor, start)
            zeros = ends_in_zeros(self._format, self._descriptor, self.boundary, end)
            now = time.monotonic()
            if end > seen:  # others go on: what looked torn was being written
                seen, bad_since, pause = end, now, _PATIENCE / 1000
            if not zeros:  # they would look like records until their bytes are there
                start = end
            if not rest and not zeros:
                self.boundary = end
                if self._begin():
                    continue
                break
            if now > bad_since + _PATIENCE:
                self.repair(self._look_bad)
                if self._begin():
                    continue
                break
            time.sleep(pause)
            pause *= 2
        return self.boundary

    def _look_bad(self, descriptor: int) -> TailStatus:
        """Whether the log ends inside a record, or in zeros that others wrote."""
        end, rest = boundary_after(self._format, self.path, descriptor, self.boundary)
        if not rest and not ends_in_zeros(self._format, descriptor, self.boundary, end):
            self.boundary = end
            return CLEAN
        return bad_end(self._format, self.path, descriptor, self.boundary)

    def _begin(self) -> bool:
        """Write the header if the log needs one; whether it did."""
        if self.boundary or self._header is None:
            return False
        write_header(self._descriptor, self.path, self._header)
        return True

    def _settle(self, data: bytes, written: int) -> int:
        """After a write that was short, or not at the boundary; returns the one behind the records.

        Another program appended since the last look. What it wrote is complete by now, since writes
        to one file exclude each other: a tear there is for good.
        """
        self._shared = True
        at = _lseek(self._descriptor, 0, _HERE) - written
        if written != len(data):
            self._bad = BadTail(at, at + written, foreign=False)
            message = f"{self.path}: only {written} of {len(data)} bytes could be written"
            try:
                self._cut_bad(self._bad)
            except TornTailError as error:
                raise ShortWriteError(
                    f"{message}; until they can be cut off again: {error}"
                ) from error
            raise ShortWriteError(f"{message}; they were cut off again")
        try:
            self.recall()
        except ExperimentGoneError as error:
            raise ExperimentGoneError(
                f"{error}; the last record was still written, at byte {at}", error.start, error.end
            ) from None
        if at < self.boundary:  # the system contradicts itself, so nothing is concluded, or cut
            raise ShortWriteError(f"{self.path}: {written} of {len(data)} bytes, but at byte {at}")
        try:
            tear, _ = boundary_after(self._format, self.path, self._descriptor, self.boundary, at)
        except FormatError as error:
            error.reason += "; what was appended now follows it, and cannot be read"
            raise
        if tear == at:
            return at + written
        self._bad = BadTail(tear, at + written, foreign=True)
        try:
            self._cut_bad(self._bad)
        except TornTailError as error:
            raise TornTailError(
                f"written behind a tear at byte {tear} that came in just before, so it cannot be "
                f"read: {error}"
            ) from error
        self._anchor, self.boundary = NO_ANCHOR, tear
        self.append(data)
        return self.boundary

    def _cut_bad(self, bad: BadTail) -> None:
        """Cut what is known to be no whole records; raises TornTailError if that is impossible."""
        # If there are whole records from there on, a repair has cut it meanwhile.
        if self.boundary <= bad.start:
            cut_back(self._descriptor, self.path, bad)
            self._room.end = 0
        self._bad = None
