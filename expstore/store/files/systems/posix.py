"""Linux, macOS, and other systems of POSIX: locks, leases, syncs, modes and owners of files.

Guarantees: a lock excludes other processes, and ends with the last that has the file open; on
macOS, where `fsync` leaves data in the drive's cache, the drive is told to write that too, as far
as the file system can. Leases are Linux's alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import signal
import stat
import sys
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any

assert sys.platform != "win32"

CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
"""Flags for a file that is to be new."""

NOFOLLOW = os.O_NOFOLLOW
"""A flag: a link is refused."""

# O_NONBLOCK: opening a FIFO must not wait for its other end.
SAFE = os.O_CLOEXEC | NOFOLLOW | os.O_NONBLOCK
"""Flags for a file that others may have replaced by anything."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags for a directory."""

FOREIGN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags for reading a file that is not a store's, also through a link."""

LOCK_SH, LOCK_EX, LOCK_UN = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN
LOCKS_ARE_SEEN = True
"""Whether other processes see who holds a lock."""

OPEN_FILES_MOVE = True
"""Whether a file that is open can be renamed, replaced and deleted."""

REFUSED_NAMES: re.Pattern[str] | None = None
"""Found in names that no file can have here; None: all but those with a slash or NUL can be."""

replacing = nullcontext()
"""Held while a file is read and then replaced, if it cannot be locked, since it cannot be open."""

NOREPLACE, EXCHANGE = 1, 2
_AT_FDCWD = -100  # relative paths start at the working directory
# The kernel or the file system (NFS, for example) has no such flag.
_NO_FLAGS = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_NO_FULL_SYNC = (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL)  # of network file systems, and others


def lock(descriptor: int, operation: int) -> None:
    """Lock an open file or directory, or unlock it (`flock`), without waiting.

    Raises:
        BlockingIOError: another has it locked.
        OSError: the file system has no locks.
    """
    fcntl.flock(descriptor, operation | fcntl.LOCK_NB)


def sync(descriptor: int) -> None:
    """Write a file's data and metadata, or a directory's entries, to the medium.

    Raises:
        OSError: as the system call does; what was written since the last call is in doubt.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
    os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """As `sync`; metadata only as far as reading the data needs it.

    Raises:
        OSError: as the system call does; what was written since the last call is in doubt.
    """
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        sync(descriptor)


def begin_sync(descriptor: int, offset: int, size: int) -> None:
    """Have data written to the medium from now on, so that a later `sync` has less to wait for.

    Linux does so when it is told that a part of a file is not needed in memory, of which it then
    drops what needs no writing; see posix_fadvise(2) and mm/fadvise.c. Others do not.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # where the call is missing or forbidden, `sync` does it all
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


def take_lease(descriptor: int) -> None:
    """Take a write lease on an open file: nobody else on the machine has it open then.

    Raises:
        NotImplementedError: the system has no leases.
        BlockingIOError: others have the file open.
        OSError: it belongs to another user (EACCES), or its file system has no leases (EINVAL).
    """
    if sys.platform != "linux":
        raise NotImplementedError
    # The holder gets a signal when someone waits for the file. The default, SIGIO, would kill the
    # process; SIGURG is ignored by default.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)


def end_lease(descriptor: int) -> None:
    """Give a lease back.

    Raises:
        OSError: there is none.
    """
    if sys.platform == "linux":
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def keep_access(descriptor: int, old: os.stat_result) -> None:
    """Give a new file or directory the mode and the owner of the one that it replaces or copies.

    Only root may give a file to another user. Where the group cannot be kept either, the new one's
    group gets no more than everybody had.

    Raises:
        OSError: a system call fails.
    """
    new, mode = os.fstat(descriptor), stat.S_IMODE(old.st_mode)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            try:
                os.fchown(descriptor, -1, old.st_gid)
            except PermissionError:
                everybody = mode & 0o007
                mode &= ~(stat.S_ISGID | 0o070) | (everybody << 3)
    os.fchmod(descriptor, mode)


def file_size_limit() -> int:
    """The size in bytes that the process may give a file."""
    limit: int = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


@cache
def library_function(name: str, *, errors: bool = True) -> Any:
    """A function of the C library that Python does not offer; None if it has none.

    Args:
        name: of the function.
        errors: whether `ctypes.get_errno()` is to have its error, which makes each call dearer.
    """
    import ctypes  # here, since most programs need none

    return getattr(ctypes.CDLL(None, use_errno=errors), name, None)


def rename_flagged(source: Path, target: Path, flag: int) -> bool:
    """Rename with a flag of renameat2(2); False if there are none here.

    Args:
        source: the present name.
        target: the name to give.
        flag: NOREPLACE: replace nothing; EXCHANGE: give the source the name of the target.

    Raises:
        FileExistsError: with NOREPLACE, something has the name.
        OSError: the system call fails.
    """
    rename = library_function("renameat2")
    if rename is None:
        return False
    if not rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag):
        return True
    import ctypes

    code = ctypes.get_errno()
    if code in _NO_FLAGS:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def host_name() -> str:
    """The name of this machine."""
    return os.uname().nodename
