"""What the operating system offers beyond plain files: leases, and space reserved ahead.

Guarantees: a lease that is held excludes every other program, whether it knows of leases or not;
where the system or the file system has no such thing, asking for a lease is an error that says so,
and reserving space does nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: the file's size stays, so no reader sees what is reserved
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


@cache
def _fallocate() -> Callable[[int, int, int, int], int] | None:
    """The system's own fallocate; Python's posix_fallocate would change the file's size."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    function = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return lambda *arguments: ctypes.get_errno() if function(*arguments) else 0


def reserve(descriptor: int, offset: int, size: int) -> bool:
    """Have the file system set space aside, beyond the file's end too; its size stays.

    Returns:
        Whether it did; False where it cannot.

    Raises:
        OSError: there is no room (ENOSPC, EDQUOT, EFBIG), or the disk fails.
    """
    fallocate = _fallocate()
    code = errno.ENOSYS if fallocate is None else fallocate(descriptor, _KEEP_SIZE, offset, size)
    if code in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINTR):
        return False
    if code:
        raise OSError(code, os.strerror(code))
    return True
