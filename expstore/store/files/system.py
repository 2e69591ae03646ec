"""Opening the files and directories of a store on a file system, locking and syncing them.

Guarantees: a file is opened relative to its experiment's directory, and no symbolic link below the
root is followed; a file that is not regular is refused without blocking on it; what is new has the
mode that the umask gives; a new directory's name is on disk when the function returns, unlike that
of a file that `open_regular` creates; an error of the operating system becomes a typed one that
names the path. Nothing here depends on what the bytes mean.
"""

from __future__ import annotations

import errno
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
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import fs, own

READ = os.O_RDONLY | own.SAFE
MEND = os.O_RDWR | os.O_APPEND | own.SAFE
APPEND = MEND | os.O_CREAT
DIRECTORY = own.DIRECTORY
REAL_DIRECTORY = own.DIRECTORY | own.NOFOLLOW  # and not a link to one
LOCK_SH, LOCK_EX, LOCK_UN = own.LOCK_SH, own.LOCK_EX, own.LOCK_UN
NEW = 0o666  # the mode of a new file, less what the umask takes
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})
# A file system on which directories cannot be synced, such as some network file systems.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
# Seconds to wait for a file that is being repaired under a lease, and between two tries; the
# kernel breaks a lease after 45 s by default.
_LEASED, _PAUSE = 60.0, 0.001
_BLOCK = 1 << 16  # bytes read at a time
_REFUSALS = 10  # of a new name for want of its parent, which is there


@contextmanager
def root_directory(root: Path) -> Iterator[int]:
    """Open the store's root, which may itself be reached through links.

    Yields:
        Its descriptor.

    Raises:
        StoreNotFoundError: no such directory.
        UnreadableFileError: it cannot be opened.
    """
    try:
        opened = Descriptor(root, DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(
            f"{root}: no store found; create one with initialize() or `expstore init`"
        ) from None
    except OSError as error:
        raise unreadable(root, error) from error
    with opened as descriptor:
        yield descriptor


def open_experiment(path: Path) -> Descriptor:
    """Open an experiment's directory; the caller closes it.

    Raises:
        ExperimentNotFoundError: no such directory (a link to one does not count).
        UnreadableFileError: it cannot be opened.
    """
    try:
        return Descriptor(path, REAL_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise ExperimentNotFoundError(f"{path}: no such experiment") from None
    except OSError as error:
        raise unreadable(path, error) from error


def make_directory(path: Path) -> bool:
    """Create a directory and its missing parents, unless it exists.

    Returns:
        Whether this call has created it.

    Raises:
        NoSpaceError, UnreadableFileError: it cannot be created, or the name is taken by something
            else.
    """
    refused = 0
    while True:
        try:
            os.mkdir(path)
        except FileExistsError as error:
            if not path.is_dir():
                raise unreadable(path, error) from error
            return False
        except FileNotFoundError as error:
            # Another program may remove the parent again. Some file systems, such as /proc and
            # automounted ones, say the same of any new name in a parent that is there.
            if path == path.parent or refused == _REFUSALS:
                raise unreadable(path, error) from error
            refused += not make_directory(path.parent)
        except OSError as error:
            raise unwritable(path, error) from error
        else:
            try:
                _sync_name(path)
            except BaseException:
                with suppress(OSError):
                    os.rmdir(path)
                raise
            return True


@contextmanager
def undone_after_error(path: Path) -> Iterator[None]:
    """Remove the directories that a block makes, if it ends in an error and they are empty.

    Args:
        path: what the block makes: this directory, and those of its parents that are missing.
    """
    missing = []
    for directory in (path, *path.parents):
        if os.path.lexists(directory):
            break
        missing.append(directory)
    try:
        yield
    except BaseException:  # also an interrupt
        for directory in missing:
            with suppress(OSError):
                os.rmdir(directory)
        raise


def make_inside(path: Path, name: str) -> None:
    """Create a directory inside an experiment's, unless it exists.

    Raises:
        ExperimentNotFoundError: no such experiment (a link to one does not count).
        UnreadableFileError: it cannot be created, or the name is taken by something else.
    """
    with open_experiment(path) as directory:
        try:
            fs.mkdir(name, dir_fd=directory)
            sync_entries(directory)
        except FileExistsError as error:
            if not (path / name).is_dir():
                raise unreadable(path / name, error) from error
        except OSError as error:
            raise unwritable(path / name, error) from error


def open_regular(path: Path, flags: int, directory: int) -> Descriptor:
    """Open a regular file; the caller closes it.

    Args:
        path: the file's path; its last component is opened relative to `directory`.
        flags: READ, APPEND, or MEND, which is APPEND without creating the file.
        directory: a descriptor of the file's directory.

    Raises:
        FileNotFoundError: no such file.
        UnreadableFileError: a link, a directory, a FIFO, a device, or no permission.
    """
    return open_with_status(path, flags, directory)[0]


def open_with_status(path: Path, flags: int, directory: int) -> tuple[Descriptor, os.stat_result]:
    """What `open_regular` opens, and its status."""
    deadline = time.monotonic() + _LEASED
    while True:
        try:
            opened = Descriptor(path.name, flags, directory, NEW)
            break
        except FileNotFoundError:
            raise
        except BlockingIOError as error:  # being repaired under a lease
            if time.monotonic() > deadline:
                raise unreadable(path, error) from error
            time.sleep(_PAUSE)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise unwritable(path, error) from error
            raise unreadable(path, error) from error
    try:
        status = fs.fstat(opened.number)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError(f"{path}: not a regular file")
        return opened, status
    except BaseException:
        opened.close()
        raise


def unreadable(path: object, error: OSError) -> ExpStoreError:
    """The typed error for an error of the operating system."""
    reasons = {
        errno.ELOOP: "is a symbolic link, which a store does not follow",
        errno.EISDIR: "is a directory",
        errno.ESPIPE: "is not a regular file",
        errno.ENXIO: "is not a regular file",
        errno.EACCES: "permission denied",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return UnreadableFileError(f"{path}: {reason}")


def unwritable(path: Path, error: OSError) -> ExpStoreError:
    """The typed error for an error of the operating system on writing."""
    if error.errno in NO_SPACE:
        return NoSpaceError(f"{path}: {error.strerror}; nothing was written")
    return unreadable(path, error)


@contextmanager
def typed_errors(path: Path) -> Iterator[None]:
    """Turn the errors of the operating system on writing into typed ones that name the path."""
    try:
        yield
    except ExpStoreError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error


def try_lock(descriptor: int, operation: int) -> bool | None:
    """Lock an open file or directory (`flock`) without blocking, for as long as it is open.

    Args:
        descriptor: the file or directory to lock.
        operation: LOCK_SH, LOCK_EX or LOCK_UN.

    Returns:
        Whether the lock was taken; None if the file system does not support it.
    """
    try:
        own.lock(descriptor, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def unlock(descriptor: int) -> None:
    """Release a lock now, also for forked processes, which inherit it with the descriptor."""
    with suppress(OSError):
        own.lock(descriptor, LOCK_UN)


def let_go(opened: Descriptor) -> None:
    """Before an open file is renamed, replaced or deleted: close it, if it must be, as on Windows.

    A lock on it ends too.
    """
    if not own.OPEN_FILES_MOVE:
        opened.close()


def refers_to(name: str, directory: int, descriptor: int) -> bool:
    """Whether a name in a directory refers to this open file or directory.

    Raises:
        OSError: a system call fails.
    """
    try:
        found = fs.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, fs.fstat(descriptor))


def is_linked(descriptor: int) -> bool:
    """Whether an open file or directory still has a name."""
    return fs.fstat(descriptor).st_nlink > 0


def read_all(descriptor: int, limit: int) -> bytes:
    """The first `limit` bytes of an open file."""
    blocks: list[bytes] = []
    read = 0
    while read < limit and (block := fs.pread(descriptor, min(limit - read, _BLOCK), read)):
        blocks.append(block)
        read += len(block)
    return b"".join(blocks)


def sync_directory(path: Path) -> None:
    """Sync a directory's entries to disk.

    Raises:
        OSError: a system call fails.
    """
    with Descriptor(path, DIRECTORY) as descriptor:
        sync_entries(descriptor)


def sync_entries(directory: int) -> None:
    """Sync an open directory's entries to disk, if its file system can do that.

    Raises:
        OSError: the system call fails.
    """
    try:
        own.sync(directory)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync_name(path: Path) -> None:
    """Sync a new directory's name; what may not be read cannot be opened for that."""
    try:
        with suppress(PermissionError):
            sync_directory(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
