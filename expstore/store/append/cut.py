"""Cutting a log's tail: alone with the file, by the kernel's leases, and keeping what is cut.

Guarantees: a lease that is held excludes every other program, whether it knows of leases or not;
where the system or the file system has none, asking for one is an error that says so. The bytes
that are cut are first on disk, in a file beside the log that is named by where they were; a file
that is already there is never changed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from expstore.errors import TornTailError, UnreadableFileError
from expstore.store.files import system

_BLOCK = 1 << 20  # bytes copied at a time
_PATIENCE = 0.2  # seconds that others get to close the log; a killed process needs some
# Seconds: the kernel takes a lease away 45 s after someone else asks (or as an administrator has
# set it), so what is done under one must be over well before.
_TRUSTED = 5.0


class LeaseRefused(Exception):  # noqa: N818 - told to users as a TornTailError
    """Why a file cannot be had alone."""


class Lease:
    """A write lease on an open file: while it is held, nobody else has the file open.

    The kernel refuses it while another open file exists anywhere on the machine, and holds up
    whoever opens the file meanwhile until it is given back; a descriptor inherited or duplicated
    from this one does not count as another. It works in every thread: the signal that the
    holder gets when somebody waits is not needed.

    Args:
        descriptor: the file, opened for writing.
        patience: seconds to wait for others to close it; a process that was killed takes a moment.

    Raises:
        LeaseRefused: others have the file open; it belongs to another user; or there are no leases.
    """

    def __init__(self, descriptor: int, patience: float = 0.0) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._until = 0.0

    def __enter__(self) -> Self:
        patience = time.monotonic() + self._patience
        while not self._take(last=time.monotonic() >= patience):
            time.sleep(self._patience / 20)
        self._until = time.monotonic() + _TRUSTED
        return self

    def _take(self, *, last: bool) -> bool:
        try:
            # Whoever waits for the file sends its holder a signal: SIGIO, which kills, unless
            # another is named. SIGURG is ignored by default.
            fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
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
        except AttributeError:
            raise LeaseRefused(f"{sys.platform} has no leases") from None
        return True

    def check(self) -> None:
        """Raise LeaseRefused where the kernel may have taken it away, so much time has passed."""
        if time.monotonic() > self._until:
            raise LeaseRefused("keeping the cut bytes took too long; try again")

    def __exit__(self, *exc: object) -> None:
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


@contextmanager
def exclusive_access(
    descriptor: int, path: Path, *, force: bool = False
) -> Iterator[Callable[[], None]]:
    """A time in which nobody else has a log open that is to be mended.

    Args:
        descriptor: the log, opened for writing.
        path: of the log, for the error.
        force: go on without a lease, and without knowing.

    Yields:
        What checks that the time still lasts; to be called before anything is cut.

    Raises:
        TornTailError: the log cannot be had alone, or not for so long.
    """
    if force:
        yield lambda: None
        return
    try:
        with Lease(descriptor, _PATIENCE) as lease:
            yield lease.check
    except LeaseRefused as error:
        raise TornTailError(
            f"{path}: ends inside a record, and cannot be mended: {error}; close what has it open, "
            "or run `expstore repair --force`"
        ) from error


def set_aside(path: Path, offset: int, descriptor: int) -> Path:
    """Keep a log's bytes from `offset` on in a file beside it, named by where they stood.

    Returns:
        The file; the same one, where an earlier try kept the same bytes and went no further.

    Raises:
        UnreadableFileError, NoSpaceError: they cannot be kept.
    """
    base = f"{path.name}.torn-{offset}"
    for number in range(1000):
        kept = path.with_name(base if not number else f"{base}.{number}")
        try:
            with open(kept, "x+b") as file:
                try:
                    for block in _blocks(descriptor, offset):
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                except BaseException:
                    kept.unlink()
                    raise
            system.sync_directory(path.parent)
        except FileExistsError:
            if _same(kept, descriptor, offset):
                return kept
        except OSError as error:
            raise system.unwritable(kept, error) from error
        else:
            return kept
    raise UnreadableFileError(f"{path}: a thousand torn tails are kept beside it already")


def _blocks(descriptor: int, offset: int) -> Iterator[bytes]:
    while block := os.pread(descriptor, _BLOCK, offset):
        yield block
        offset += len(block)


def _same(kept: Path, descriptor: int, offset: int) -> bool:
    """Whether a file has the same bytes as the log from `offset` on."""
    try:
        # Whatever stands there: nothing is waited for, and no link is followed.
        with open(os.open(kept, system.READ), "rb") as file:
            same = all(file.read(len(block)) == block for block in _blocks(descriptor, offset))
            return same and not file.read(1)
    except OSError:
        return False
