"""Cutting a log's tail: exclusive access through a kernel lease, and keeping the cut bytes.

Guarantees: a lease excludes every other program, whether or not it uses leases; if the system or
the file system has no leases, or another machine may have the file open, which this one's kernel
cannot know, requesting exclusive access raises an error that says so. Bytes are cut only after
they are on disk in a file next to the log, named by their offset; an existing file is never
changed.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from expstore.errors import TornTailError, UnreadableFileError
from expstore.store.files import access, layout, mounts, system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import fs, own

_BLOCK = 1 << 20  # bytes copied at a time
_PATIENCE = 0.2  # seconds that others have to close the log; a killed process needs some
# Seconds: the kernel breaks a lease 45 s (or as configured) after someone else opens the file, so
# work under a lease must end well before.
_TRUSTED = 5.0


class BadTail(NamedTuple):
    """Bytes that a log wrote, or wrote after, and knows not to be whole records."""

    start: int
    end: int
    foreign: bool  # some are another program's, and are kept


class LeaseRefused(Exception):  # noqa: N818 - users see a TornTailError
    """The reason why exclusive access to a file was refused."""


class Lease:
    """A write lease on an open file: while it is held, nobody else has the file open.

    The kernel refuses it while anyone else on the machine has the file open, and blocks later opens
    until it is released; a descriptor inherited or duplicated from this one does not count as
    another. It works in any thread, because the signal sent to the holder when someone waits is
    ignored.

    Args:
        descriptor: the file, opened for writing.
        patience: seconds to wait for others to close it; a killed process takes a moment.

    Raises:
        LeaseRefused: others have the file open; it belongs to another user; or there are no leases.
    """

    def __init__(self, descriptor: int, patience: float = 0.0) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._until = 0.0

    def __enter__(self) -> Self:
        deadline = time.monotonic() + self._patience
        try:
            while not self._take(last=time.monotonic() >= deadline):
                time.sleep(self._patience / 20)
            self._until = time.monotonic() + _TRUSTED
            kind = mounts.file_system(self._descriptor)
            if not mounts.is_local(kind):
                raise LeaseRefused(
                    f"another machine may have it open, which the file system "
                    f"({kind or 'of unknown type'}) cannot exclude"
                )
        except BaseException:  # also an interrupt
            self._give_back()
            raise
        return self

    def _give_back(self) -> None:
        with suppress(OSError):  # there is none
            own.end_lease(self._descriptor)

    def _take(self, *, last: bool) -> bool:
        try:
            own.take_lease(self._descriptor)
        except NotImplementedError:
            raise LeaseRefused(f"{sys.platform} has no leases") from None
        except BlockingIOError as error:
            if last:
                raise LeaseRefused("others have it open") from error
            return False
        except OSError as error:
            reasons = {
                errno.EACCES: "it belongs to another user",
                errno.EINVAL: "the file system has no leases",
            }
            raise LeaseRefused(reasons.get(error.errno or 0, error.strerror)) from error
        return True

    def check(self) -> None:
        """Raise LeaseRefused if so much time has passed that the kernel may have broken it."""
        if time.monotonic() > self._until:
            raise LeaseRefused("keeping the cut bytes took too long; try again")

    def __exit__(self, *exc: object) -> None:
        own.end_lease(self._descriptor)


@contextmanager
def exclusive_access(
    descriptor: int, path: Path, *, force: bool = False
) -> Iterator[Callable[[], None]]:
    """Hold exclusive access to a log that is to be repaired.

    Args:
        descriptor: the log, opened for writing.
        path: the log's path, for the error.
        force: go on without a lease; others may have the log open.

    Yields:
        A function that checks that access is still exclusive, to be called before any cut.

    Raises:
        TornTailError: exclusive access cannot be had, or took too long.
    """
    if force:
        yield lambda: None
        return
    try:
        with Lease(descriptor, _PATIENCE) as lease:
            yield lease.check
    except LeaseRefused as error:
        raise TornTailError(
            f"{path}: ends inside a record or in zeros, and cannot be repaired: {error}; "
            "close what has it open, or repair it by force (in a store: `expstore repair --force`)"
        ) from error


def cut_back(descriptor: int, path: Path, bad: BadTail) -> None:
    """Cut a log's bad tail, unless someone has cut it already.

    Raises:
        TornTailError: exclusive access cannot be had, or another program appended to the tail.
    """
    if os.lseek(descriptor, 0, os.SEEK_END) <= bad.start:
        return
    with exclusive_access(descriptor, path) as check:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end > bad.end:
            raise TornTailError(
                f"{path}: a torn record at byte {bad.start} was appended to by another "
                "program; a salvage (in a store: `expstore salvage`) gets back what follows it"
            )
        if end == bad.end:
            if bad.foreign:
                set_aside(path, bad.start, descriptor)
            check()
            os.ftruncate(descriptor, bad.start)


def set_aside(path: Path, offset: int, descriptor: int) -> Path:
    """Copy a log's bytes from `offset` on to a file next to it, named by their offset.

    Returns:
        The file's path; if an interrupted attempt already kept the same bytes, that file's.

    Raises:
        UnreadableFileError, NoSpaceError: the bytes cannot be kept.
    """
    base = f"{layout.torn(path.name)}{offset}"
    for number in range(1000):
        kept = path.with_name(base if not number else f"{base}.{number}")
        try:
            log = os.fstat(descriptor)
            with (
                (opened := access.new_file(kept, log)) as copy,
                open(copy, "wb", closefd=False) as file,
            ):
                try:
                    own.keep_access(copy, log)
                    for block in _blocks(descriptor, offset):
                        file.write(block)
                    file.flush()
                    own.sync(copy)
                except BaseException:
                    system.let_go(opened)
                    kept.unlink()
                    raise
        except FileExistsError:
            if not _is_kept(kept, descriptor, offset):
                continue
        except OSError as error:
            raise system.unwritable(kept, error) from error
        try:
            system.sync_directory(path.parent)
        except OSError as error:
            raise system.unwritable(kept, error) from error
        return kept
    raise UnreadableFileError(f"{path}: a thousand torn tails are kept next to it; move some away")


def _blocks(descriptor: int, offset: int) -> Iterator[bytes]:
    while block := fs.pread(descriptor, _BLOCK, offset):
        yield block
        offset += len(block)


def _is_kept(kept: Path, descriptor: int, offset: int) -> bool:
    """Whether a file has the same bytes as the log from `offset` on, and has them on disk."""
    try:
        # READ never blocks on a FIFO and follows no link, whatever has taken the name.
        with Descriptor(kept, system.READ) as other, open(other, "rb", closefd=False) as file:
            same = all(file.read(len(block)) == block for block in _blocks(descriptor, offset))
            if not same or file.read(1):
                return False
            own.sync(file.fileno())  # the attempt may have been interrupted before it synced
            return True
    except OSError:
        return False
