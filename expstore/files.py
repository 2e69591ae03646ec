"""Opening and reading the files of a store.

Guarantees: a file is opened beneath its experiment's directory, following no symbolic link below
the root; what is no regular file is refused without waiting on it; each error of the operating
system becomes a typed one that names the path. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    OutputExistsError,
    StoreNotFoundError,
    UnreadableFileError,
)

# O_NONBLOCK: opening a FIFO must not wait for its other end.
_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
READ = os.O_RDONLY | _SAFE
APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | _SAFE
_BLOCK = 1 << 20  # bytes: a block and what is parsed from it fit a core's cache
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def root_directory(root: Path) -> Iterator[int]:
    """A descriptor of the store's root, which may itself be reached through links.

    Raises:
        StoreNotFoundError: there is no such directory.
        UnreadableFileError: it cannot be opened.
    """
    try:
        descriptor = os.open(root, _DIRECTORY)
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
        return os.open(path, _DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        raise ExperimentNotFoundError(f"{path}: no such experiment") from None
    except OSError as error:
        raise unreadable(path, error) from error


def open_regular(path: Path, flags: int, directory: int) -> int:
    """A descriptor of a regular file; the caller closes it.

    Args:
        path: the file's path; its last component is opened relative to `directory`.
        flags: READ or APPEND.
        directory: a descriptor of the file's directory.

    Raises:
        FileNotFoundError: no such file.
        UnreadableFileError: a link, a directory, a FIFO, a device, or no permission.
    """
    try:
        descriptor = os.open(path.name, flags, 0o644, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableFileError(f"{path}: not a regular file")
    return descriptor


def read_start(name: str, directory: int, limit: int) -> bytes:
    """The first `limit` bytes of a file, in three system calls.

    pread refuses what has no position (FIFOs, sockets, terminals), so no fstat is needed.

    Raises:
        OSError: as the system calls do.
    """
    descriptor = os.open(name, READ, dir_fd=directory)
    try:
        return os.pread(descriptor, limit, 0)
    finally:
        os.close(descriptor)


class LogReader:
    """A log open for reading, as large as it was when it was opened.

    Attributes:
        exists: whether there is a file; without one, the log is empty.
        size: bytes; what is appended later is not read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.exists = descriptor >= 0
        self.size = os.fstat(descriptor).st_size if descriptor >= 0 else 0
        self._position = 0

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on."""
        if not self.exists:
            return b""
        return os.pread(self._descriptor, min(size, max(self.size - offset, 0)), offset)

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the bytes that come next; 0 at the end.

        Raises:
            OSError: the device fails.
        """
        wanted = min(len(buffer), self.size - self._position)
        count = os.preadv(self._descriptor, [buffer[:wanted]], self._position) if wanted else 0
        if count == 0:
            self.size = self._position  # where it was cut meanwhile
        self._position += count
        return count

    def blocks(self, start: int = 0) -> Iterator[memoryview]:
        """The bytes from `start` on, in blocks that stay in cache; each is valid until the next."""
        buffer = memoryview(bytearray(max(min(_BLOCK, self.size - start), 0)))
        while start < self.size:
            wanted = min(len(buffer), self.size - start)
            count = os.preadv(self._descriptor, [buffer[:wanted]], start)
            if count == 0:  # cut meanwhile
                self.size = start
                return
            start += count
            yield buffer[:count]


@contextmanager
def open_log(path: Path) -> Iterator[LogReader]:
    """A log's reader; a log that is not there yet is empty.

    Raises:
        ExperimentNotFoundError: its directory is missing.
        UnreadableFileError: no regular file, or no permission.
    """
    directory = open_experiment(path.parent)
    try:
        descriptor = open_regular(path, READ, directory)
    except FileNotFoundError:
        descriptor = -1
    finally:
        os.close(directory)
    try:
        yield LogReader(descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def unreadable(path: Path, error: OSError) -> ExpStoreError:
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


def write_atomically(path: Path, data: bytes, directory: int) -> None:
    """Replace a file's content: a reader sees the old or the new, never a mixture.

    Raises:
        UnreadableFileError: the file system refuses; the old content is still there.
    """
    temporary = f".{path.name}.{secrets.token_hex(8)}"
    try:
        descriptor = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o644,
            dir_fd=directory,
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(temporary, dir_fd=directory)
            raise
    except OSError as error:
        raise unreadable(path, error) from error


def write_output(path: Path, data: bytes) -> None:
    """Write a file that a user named, replacing a regular file whole or not at all.

    Raises:
        OutputExistsError: something is there that is no regular file.
        UnreadableFileError: the file system refuses.
    """
    if path.exists() and not path.is_file():
        raise OutputExistsError(f"{path}: is no regular file, and is not replaced")
    path = path.resolve()
    try:
        directory = os.open(path.parent, _DIRECTORY)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        write_atomically(path, data, directory)
    finally:
        os.close(directory)
