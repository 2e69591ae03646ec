"""Appending whole records to a log that others append to at the same time.

Guarantees: each append is one write at the end of the file (O_APPEND), so records of several
processes never mix. Before it, whatever was added since the last known record boundary is parsed,
so nothing is appended after a torn tail: the tear is first set aside into a file next to the log
and cut, under a lease that excludes every other program. Space is reserved before it is needed, so
that a full disk is noticed before a record is torn; where that is not possible, the part of a
record that was written is cut off again. After it, the file position shows whether someone else's
tear came in between; then the record is cut off with it, and appended again. An append that returns
is readable; one that raises says what became of it.

This module knows files; where a record ends is for `formats` to say.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from expstore.errors import (
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExpStoreError,
    ShortWriteError,
    TornTailError,
)
from expstore.store.append.boundary import last_boundary, tear_at
from expstore.store.append.cut import exclusive_access, set_aside
from expstore.store.append.space import ReservedSpace
from expstore.store.files import system
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats import RecordCodec

_lseek, _END, _HERE = os.lseek, os.SEEK_END, os.SEEK_CUR
_forks = [0]  # how many times this process was forked from another, since the module was loaded
_PATIENCE = 0.05  # seconds that another writer gets to complete what looks torn
_ANCHOR = 64  # bytes before the boundary by which a log is recognised
_SMALL = 4096  # bytes of an append that may stay in memory until the next


def _forked() -> None:
    _forks[0] += 1


os.register_at_fork(after_in_child=_forked)


class _Bad(NamedTuple):
    """Bytes that this log wrote, or wrote after, and knows not to be whole records."""

    start: int
    end: int
    foreign: bool  # some are another program's, and to be kept


class AppendLog:
    """A log open for appending; not to be shared among threads.

    Args:
        path: the log, in an existing directory.
        codec: of one record.
        directory: a descriptor of its directory, where the caller has one.
        create: whether to create the log where it is missing.

    Attributes:
        boundary: the offset after the last record known to be whole.

    Raises:
        ExperimentNotFoundError: the directory is missing (or, without `create`, the log).
        UnreadableFileError: not a regular file, or no permission.
    """

    _descriptor = -1

    def __init__(
        self, path: Path, codec: RecordCodec, directory: int = -1, *, create: bool = True
    ) -> None:
        self.path = path
        self.boundary = 0
        self._codec = codec
        self._quick_path = os.fsencode(path)
        self._anchor = b""  # the bytes before the boundary when it was found
        self._room = ReservedSpace(path)
        self._shared = False  # others were seen to append, so that the next one may be near
        self._unproved = False  # opened by its path alone
        self._bad: _Bad | None = None
        self._fork = _forks[0]
        self._open(directory, system.APPEND if create else system.MEND)

    def _open(self, directory: int, flags: int) -> None:
        own = directory < 0
        if own:
            directory = system.open_experiment(self.path.parent)
        try:
            self._descriptor = system.open_regular(self.path, flags, directory)
        except FileNotFoundError:
            raise ExperimentNotFoundError(f"{self.path}: no such experiment or log") from None
        finally:
            if own:
                os.close(directory)

    @property
    def closed(self) -> bool:
        """Whether it is not open now."""
        return self._descriptor < 0

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
            ExperimentGoneError: the log was deleted between a fork and the child's first append.
            UnreadableFileError: the system refuses the write.
        """
        size = len(data)
        if not size:
            return
        try:
            if self._fork != _forks[0]:
                self._part()
            end = self.boundary if looked and not self._shared else self._look()
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
        self._anchor = data if size <= _SMALL else data[-_ANCHOR:]

    def append_once(self, data: bytes) -> None:
        """Append and close; a closed log is reopened for it, in as few system calls as possible.

        Raises:
            As the constructor and `append`.
        """
        try:
            if self._descriptor < 0:
                # The path may lead elsewhere by now, even through a link. Only a log that ends
                # where it was left is taken for the same; any other is opened with care.
                self._unproved = False
                if self.boundary:
                    try:
                        self._descriptor = os.open(self._quick_path, system.MEND)
                        self._unproved = True
                    except OSError:
                        self._unproved = False  # `_open` says why
                if not self._unproved:
                    self._open(-1, system.APPEND)
            self.append(data)
        finally:
            self.close()

    def sync(self) -> None:
        """Write all that was appended to the disk before returning.

        Raises:
            OSError: as the system call does; what was written since the last call is in doubt.
        """
        os.fdatasync(self._descriptor)

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
            os.fsync(self._descriptor)
            self.boundary, self._room.end, self._anchor = status.offset, 0, b""
        return status, kept

    def close(self) -> None:
        """Close the file; appending is over, unless by `append_once`.

        Raises:
            UnreadableFileError: the file system says only now that a write failed.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError as error:
                raise system.unwritable(self.path, error) from error

    __del__ = close

    def _part(self) -> None:
        """After a fork: open the log anew, and let go of what is shared with the parent.

        A position that two processes share tells neither of them where its own write went.
        """
        shared, self._descriptor = self._descriptor, -1
        try:
            self._open(-1, system.MEND)
            if not os.path.samestat(os.fstat(shared), os.fstat(self._descriptor)):
                self.close()
                raise ExperimentGoneError(f"{self.path}: deleted, or moved, since the fork")
        finally:
            os.close(shared)
        self._bad, self._fork = None, _forks[0]  # what the parent has to cut, it cuts

    def _look(self) -> int:
        """The end of the file, which is a boundary then."""
        # Not fstat: asking for a file's times makes its next write dearer than the write.
        end = _lseek(self._descriptor, 0, _END)
        return end if end == self.boundary else self._reconcile()

    def _reconcile(self) -> int:
        """Parse what others added; returns the end of the file, which then is a boundary."""
        self._shared = self._shared or self.boundary > 0  # before, it is what was there already
        if self._unproved:
            self.close()
            self._open(-1, system.APPEND)
            self._unproved = False
        if self._bad:
            self._cut_bad(self._bad)
        self._recall()
        pause = _PATIENCE / 1000
        torn_since = time.monotonic()
        while True:
            reached, rest = last_boundary(self._codec, self._descriptor, self.boundary)
            now = time.monotonic()
            if reached > self.boundary:  # others go on: what looked torn was being written
                torn_since, pause = now, _PATIENCE / 1000
            self.boundary = reached
            if not rest:
                break
            if now > torn_since + _PATIENCE:
                self.repair(self._look_torn)
                break
            time.sleep(pause)
            pause *= 2
        known = min(_ANCHOR, self.boundary)
        self._anchor = os.pread(self._descriptor, known, self.boundary - known)
        return self.boundary

    def _recall(self) -> None:
        """Forget the boundary where the log was cut or replaced since it was found."""
        anchor = self._anchor[-_ANCHOR:]
        if os.pread(self._descriptor, len(anchor), self.boundary - len(anchor)) != anchor:
            self.boundary, self._room.end = 0, 0

    def _settle(self, data: bytes, written: int) -> int:
        """After a write that was short, or not at the boundary; returns the one behind the records.

        Another program appended since the last look. What it wrote is complete by now, since writes
        to one file exclude each other: a tear there is for good.
        """
        self._shared = True
        at = _lseek(self._descriptor, 0, _HERE) - written
        if written != len(data):
            self._bad = _Bad(at, at + written, foreign=False)
            message = f"{self.path}: only {written} of {len(data)} bytes could be written"
            try:
                self._cut_bad(self._bad)
            except TornTailError as error:
                raise ShortWriteError(
                    f"{message}; until they can be cut off again: {error}"
                ) from error
            raise ShortWriteError(f"{message}; they were cut off again")
        self._recall()
        if at < self.boundary:  # the system contradicts itself, so nothing is concluded, or cut
            raise ShortWriteError(f"{self.path}: {written} of {len(data)} bytes, but at byte {at}")
        tear, _ = last_boundary(self._codec, self._descriptor, self.boundary, at)
        if tear == at:
            return at + written
        self._bad = _Bad(tear, at + written, foreign=True)
        try:
            self._cut_bad(self._bad)
        except TornTailError as error:
            raise TornTailError(
                f"written behind a tear at byte {tear} that came in just before, so it cannot be "
                f"read: {error}"
            ) from error
        self.boundary, self._anchor = tear, b""
        self.append(data)
        return self.boundary

    def _cut_bad(self, bad: _Bad) -> None:
        """Cut what is known to be no whole records; raises TornTailError where that cannot be."""
        with exclusive_access(self._descriptor, self.path) as check:
            end = _lseek(self._descriptor, 0, _END)
            if end > bad.end:
                raise TornTailError(
                    f"{self.path}: a torn record at byte {bad.start} was appended to by another "
                    "program; `expstore salvage` gets back what follows it"
                )
            if end == bad.end:
                if bad.foreign:
                    set_aside(self.path, bad.start, self._descriptor)
                check()
                os.ftruncate(self._descriptor, bad.start)
                self._room.end = 0
            self._bad = None

    def _look_torn(self, descriptor: int) -> TailStatus:
        """Whether the log ends inside a record; zeros are whole ones, and left to a repair."""
        self.boundary, rest = last_boundary(self._codec, descriptor, self.boundary)
        return tear_at(self.path, descriptor, self.boundary, rest) if rest else CLEAN
