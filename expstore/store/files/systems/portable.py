"""Windows, and other systems without POSIX: a store is read, and written by one process at a time.

Guarantees: the functions named as those of `os` do what those do on POSIX, by paths. A directory is
open as a number that stands for its path here; it follows a rename that goes through this module,
and is known by device and file number after any other. A link is refused where it is to be.
A lock excludes the threads of this process; from other processes, a file that is open is safe here
because Windows neither renames, replaces nor deletes it, nor renames a directory that it is in.

What is missing: leases, so that a torn tail is cut by force only; reserving space; syncs of
directories, and modes and owners of files, which such a system handles by itself.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any, NamedTuple

Path = str | bytes | os.PathLike[str]

# Without O_BINARY, Windows changes line ends and stops at Ctrl-Z.
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_CLOEXEC", 0)
_IS_DIRECTORY, NOFOLLOW = 1 << 28, 1 << 29  # no flag of `os.open` anywhere
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
SAFE = NOFOLLOW
DIRECTORY = os.O_RDONLY | _IS_DIRECTORY
FOREIGN = os.O_RDONLY
LOCK_SH, LOCK_EX, LOCK_UN = 1, 2, 8
LOCKS_ARE_SEEN = False
OPEN_FILES_MOVE = False
NOREPLACE, EXCHANGE = 1, 2
# Forbidden characters (a colon would name a stream of a file), names of devices with or without an
# extension, and ends that Windows strips.
REFUSED_NAMES: re.Pattern[str] | None = re.compile(
    r"""[\x00-\x1f<>:"/\\|?*]|[. ]\Z|\A(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?: *\.|\Z)""",
    re.IGNORECASE,
)

_FIRST = 1 << 30  # numbers of directories; no file has one as high
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a link to a directory


class _OpenDirectory(NamedTuple):
    path: str
    status: os.stat_result


_directories: dict[int, _OpenDirectory] = {}
_locks: dict[tuple[int, int], dict[int, int]] = {}  # by file: who holds a lock, and of which kind
_guard = threading.RLock()  # of both, and of the positions of files
replacing = threading.RLock()
"""Held while a file is read and then replaced, where it cannot be open, and so not be locked."""


def _place(path: Path, directory: int | None) -> str:
    """Where a path leads that is relative to an open directory."""
    name = os.fsdecode(path)
    return name if directory is None else os.path.join(_opened(directory).path, name)


def _opened(number: int) -> _OpenDirectory:
    try:
        return _directories[number]
    except KeyError:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None


def _hold(path: str, status: os.stat_result) -> int:
    with _guard:
        number = max(_directories, default=_FIRST) + 1
        _directories[number] = _OpenDirectory(os.path.abspath(path), status)
        return number


def _is_link(status: os.stat_result) -> bool:
    return S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def _refused(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def open(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """As `os.open`; a directory gets a number that only this module's functions take."""
    place = _place(path, dir_fd)
    try:
        found = os.lstat(place)
        if _is_link(found):
            if flags & NOFOLLOW and flags & _IS_DIRECTORY:
                raise _refused(errno.ENOTDIR, place)
            if flags & NOFOLLOW:
                raise _refused(errno.ELOOP, place)
            found = os.stat(place)
    except FileNotFoundError:
        if flags & _IS_DIRECTORY or not flags & os.O_CREAT:
            raise
    else:
        if S_ISDIR(found.st_mode):
            if flags & os.O_EXCL:
                raise _refused(errno.EEXIST, place)
            if flags & _WRITING:
                raise _refused(errno.EISDIR, place)
            os.scandir(place).close()  # refused without permission, as by `os.open`
            return _hold(place, found)
        if flags & _IS_DIRECTORY:
            raise _refused(errno.ENOTDIR, place)
        if not S_ISREG(found.st_mode):
            raise _refused(errno.ENXIO, place)
    return os.open(place, flags & ~NOFOLLOW | _PLAIN, mode)


def close(descriptor: int) -> None:
    """As `os.close`; it ends the locks."""
    with _guard:
        for locked in [place for place, holders in _locks.items() if descriptor in holders]:
            _unlock(locked, descriptor)
        if descriptor >= _FIRST:
            _opened(descriptor)
            del _directories[descriptor]
            return
    os.close(descriptor)


def dup(descriptor: int) -> int:
    """As `os.dup`."""
    if descriptor < _FIRST:
        return os.dup(descriptor)
    return _hold(*_opened(descriptor))


def fstat(descriptor: int) -> os.stat_result:
    """As `os.fstat`; a directory that is gone has no link."""
    if descriptor < _FIRST:
        return os.fstat(descriptor)
    path, status = _opened(descriptor)
    try:
        now = os.lstat(path)
    except OSError:
        now = None
    if now is not None and os.path.samestat(now, status):
        return now
    values = list(status)
    values[3] = 0  # st_nlink
    return os.stat_result(values)


def stat(path: Path, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
    """As `os.stat`."""
    return os.stat(_place(path, dir_fd), follow_symlinks=follow_symlinks)


def access(
    path: Path, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> bool:
    """As `os.access`."""
    place = _place(path, dir_fd)
    return os.access(place, mode) if follow_symlinks else os.path.lexists(place)


def scandir(directory: int | Path) -> Any:
    """As `os.scandir`."""
    return os.scandir(_opened(directory).path if isinstance(directory, int) else directory)


def listdir(directory: int | Path) -> list[str]:
    """As `os.listdir`."""
    path = _opened(directory).path if isinstance(directory, int) else directory
    return os.listdir(os.fsdecode(path))


def mkdir(path: Path, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """As `os.mkdir`."""
    os.mkdir(_place(path, dir_fd), mode)


def rmdir(path: Path, *, dir_fd: int | None = None) -> None:
    """As `os.rmdir`."""
    os.rmdir(_place(path, dir_fd))


def unlink(path: Path, *, dir_fd: int | None = None) -> None:
    """As `os.unlink`."""
    os.unlink(_place(path, dir_fd))


def link(
    src: Path, dst: Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """As `os.link`."""
    os.link(_place(src, src_dir_fd), _place(dst, dst_dir_fd))


def rename(
    src: Path, dst: Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """As `os.rename`; directories that are open go along."""
    source = os.path.abspath(_place(src, src_dir_fd))
    target = os.path.abspath(_place(dst, dst_dir_fd))
    with _guard:
        os.replace(source, target)
        for number, (path, status) in _directories.items():
            if path == source or path.startswith(source + os.sep):
                moved = target + path[len(source) :]
                _directories[number] = _OpenDirectory(moved, status)


replace = rename


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """As `os.pread`; the position is left at the end of what was read."""
    with _guard:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)


def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
    """As `os.preadv`, into one buffer."""
    (buffer,) = buffers
    data = pread(descriptor, len(buffer), offset)
    buffer[: len(data)] = data
    return len(data)


def lock(descriptor: int, operation: int) -> None:
    """See `posix.lock`; other processes do not see it."""
    status = fstat(descriptor)
    place = status.st_dev, status.st_ino
    with _guard:
        if operation == LOCK_UN:
            _unlock(place, descriptor)
            return
        holders = _locks.get(place, {})
        others = {kind for number, kind in holders.items() if number != descriptor}
        if LOCK_EX in others or (operation == LOCK_EX and others):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        _locks.setdefault(place, {})[descriptor] = operation


def _unlock(place: tuple[int, int], descriptor: int) -> None:
    """Forget a lock, and the file with the last one on it."""
    holders = _locks.get(place, {})
    holders.pop(descriptor, None)
    if not holders:
        _locks.pop(place, None)


def sync(descriptor: int) -> None:
    """See `posix.sync`; there is no call for a directory."""
    if descriptor < _FIRST:
        os.fsync(descriptor)


sync_data = sync


def begin_sync(descriptor: int, offset: int, size: int) -> None:
    """There is no such call; the system begins when it sees fit."""


def take_lease(descriptor: int) -> None:
    """See `posix.take_lease`; there is none."""
    raise NotImplementedError


def end_lease(descriptor: int) -> None:
    """See `posix.end_lease`."""


def keep_access(descriptor: int, old: os.stat_result) -> None:
    """See `posix.keep_access`; what is new gets the rights that its directory gives."""


def file_size_limit() -> int:
    """See `posix.file_size_limit`; there is none."""
    return sys.maxsize


def library_function(name: str, *, errors: bool = True) -> Any:
    """See `posix.library_function`; nothing is taken from it here."""
    return None


def rename_flagged(source: Path, target: Path, flag: int) -> bool:
    """See `posix.rename_flagged`; a rename on Windows replaces nothing, and cannot exchange."""
    if flag != NOREPLACE:
        return False
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(target))
    os.rename(source, target)
    return True


def host_name() -> str:
    """See `posix.host_name`."""
    import platform  # here, since it takes its time to import

    return platform.node()
