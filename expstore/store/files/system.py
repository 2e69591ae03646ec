"""Opening and replacing the files of a store on a file system.

Guarantees: a file is opened beneath its experiment's directory, following no symbolic link below
the root; what is no regular file is refused without waiting on it; a file is replaced whole or not
at all; each error of the operating system becomes a typed one that names the path. Nothing here
knows what the bytes mean; `reading` reads them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    NoSpaceError,
    StoreNotFoundError,
    UnreadableFileError,
)
from expstore.store.files.layout import is_temporary_name, temporary_name

# O_NONBLOCK: opening a FIFO must not wait for its other end.
_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
READ = os.O_RDONLY | _SAFE
MEND = os.O_RDWR | os.O_APPEND | _SAFE
APPEND = MEND | os.O_CREAT
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})
# Seconds to wait for a file that someone mends under a lease, and between two tries; the kernel
# ends the longest lease after 45.
_LEASED, _PAUSE = 60.0, 0.001
_TRIES = 100  # for a temporary file that another writer of the same file takes for a leftover


@contextmanager
def root_directory(root: Path) -> Iterator[int]:
    """A descriptor of the store's root, which may itself be reached through links.

    Raises:
        StoreNotFoundError: there is no such directory.
        UnreadableFileError: it cannot be opened.
    """
    try:
        descriptor = os.open(root, DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(
            f"{root}: no store there; initialize() or `expstore init` creates one"
        ) from None
    except OSError as error:
        raise unreadable(root, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_experiment(path: Path) -> int:
    """A descriptor of an experiment's directory; the caller closes it.

    Raises:
        ExperimentNotFoundError: there is no such directory (a link to one is none).
        UnreadableFileError: it cannot be opened.
    """
    try:
        return os.open(path, DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        raise ExperimentNotFoundError(f"{path}: no such experiment") from None
    except OSError as error:
        raise unreadable(path, error) from error


def make_inside(path: Path, name: str) -> None:
    """Create a directory inside an experiment's; nothing happens where it exists.

    Raises:
        ExperimentNotFoundError: there is no such experiment (a link to one is none).
        UnreadableFileError: it cannot be created, or something else has its name.
    """
    directory = open_experiment(path)
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError as error:
        if not (path / name).is_dir():
            raise unreadable(path / name, error) from error
    except OSError as error:
        raise unwritable(path / name, error) from error
    finally:
        os.close(directory)


def open_regular(path: Path, flags: int, directory: int) -> int:
    """A descriptor of a regular file; the caller closes it.

    Args:
        path: the file's path; its last component is opened relative to `directory`.
        flags: READ, APPEND, or MEND, which does not create it.
        directory: a descriptor of the file's directory.

    Raises:
        FileNotFoundError: no such file.
        UnreadableFileError: a link, a directory, a FIFO, a device, or no permission.
    """
    patience = time.monotonic() + _LEASED
    while True:
        try:
            descriptor = os.open(path.name, flags, 0o644, dir_fd=directory)
            break
        except FileNotFoundError:
            raise
        except BlockingIOError as error:  # someone mends it under a lease
            if time.monotonic() > patience:
                raise unreadable(path, error) from error
            time.sleep(_PAUSE)
        except OSError as error:
            raise unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableFileError(f"{path}: not a regular file")
    return descriptor


def unreadable(path: object, error: OSError) -> ExpStoreError:
    """The typed error for one of the operating system's."""
    reasons = {
        errno.ELOOP: "is a symbolic link, which a store does not follow",
        errno.EISDIR: "is a directory",
        errno.ESPIPE: "is not a regular file",
        errno.ENXIO: "is not a regular file",
        errno.EACCES: "no permission",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return UnreadableFileError(f"{path}: {reason}")


def unwritable(path: Path, error: OSError) -> ExpStoreError:
    """The typed error for one of the operating system's, where something was to be written."""
    if error.errno in NO_SPACE:
        return NoSpaceError(f"{path}: {error.strerror}; nothing was written")
    return unreadable(path, error)


def write_atomically(path: Path, data: bytes, directory: int) -> None:
    """Replace a file's content: a reader sees the old or the new, never a mixture.

    The new content is on disk before it takes the name. Temporary files that an interruption left
    are removed.

    Raises:
        NoSpaceError: there is no room; the old content is still there.
        UnreadableFileError: the file system refuses; the old content is still there.
    """
    prefix = f".{path.name}."
    try:
        _remove_leftovers(prefix, directory)
        for _ in range(_TRIES):
            if _replace(temporary_name(prefix), path.name, data, directory):
                return
    except OSError as error:
        raise unwritable(path, error) from error
    raise UnreadableFileError(f"{path}: its temporary file is removed again and again")


def _replace(temporary: str, name: str, data: bytes, directory: int) -> bool:
    """Whether it was done; False where another writer took the temporary file for a leftover."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o644, dir_fd=directory), "wb") as file:
        try:
            try_lock(file.fileno(), fcntl.LOCK_EX)  # a leftover is what nobody has locked
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except FileNotFoundError:
            return False
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            raise
    return True


def _remove_leftovers(prefix: str, directory: int) -> None:
    with os.scandir(directory) as entries:
        names = [
            entry.name
            for entry in entries
            if is_temporary_name(entry.name, prefix) and entry.is_file(follow_symlinks=False)
        ]
    for name in names:
        with suppress(OSError):  # what cannot be removed is in nobody's way
            descriptor = os.open(name, READ, dir_fd=directory)
            try:
                if try_lock(descriptor, fcntl.LOCK_EX):  # else it is being written just now
                    os.unlink(name, dir_fd=directory)
            finally:
                os.close(descriptor)


def try_lock(descriptor: int, operation: int) -> bool | None:
    """Lock an open file or directory (`flock`) without waiting, for as long as it is open.

    Args:
        descriptor: what to lock.
        operation: LOCK_SH or LOCK_EX.

    Returns:
        Whether it could be had; None where the file system has no such locks.
    """
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def sync_directory(path: Path) -> None:
    """Have a directory's entries on disk before returning.

    Raises:
        OSError: as the system calls do.
    """
    descriptor = os.open(path, DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
