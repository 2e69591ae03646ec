"""A directory of a file system, read by its descriptor.

Guarantees: no symbolic link is followed; a file that is not regular is refused without blocking on
it; nothing is written, created or locked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, Self, TypeVar

from expstore.errors import UnreadableFileError
from expstore.store.files import system
from expstore.store.files.descriptor import Descriptor, while_inside, while_open
from expstore.store.files.directory import Entry, OpenLog
from expstore.store.files.systems.native import fs

_Given = TypeVar("_Given")


class LocalDirectory:
    """A directory open by a descriptor; a context manager; see `Directory`.

    Args:
        path: where it is.
        descriptor: open for reading.
        close: closes it where the context ends; None: the caller does.
    """

    def __init__(
        self, path: Path, descriptor: int, close: Callable[[], object] | None = None
    ) -> None:
        self.path = path
        self._descriptor = descriptor
        self._close = close

    def directories(self) -> list[str]:
        """See `Directory`."""
        # By descriptor: a link that replaces the directory meanwhile is not followed.
        with fs.scandir(self._descriptor) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def entries(self) -> list[Entry]:
        """See `Directory`."""
        with fs.scandir(self._descriptor) as entries:
            return [Entry(entry.name, _kind(entry)) for entry in entries]

    @contextmanager
    def subdirectory(self, *names: str) -> Iterator[LocalDirectory]:
        """See `Directory`; two descriptors at most are held, however deep it is."""
        path, above, opened = self.path, self._descriptor, Descriptor()
        try:
            for name in names:
                inner = Descriptor(name, system.REAL_DIRECTORY, above)
                opened.close()
                path, above, opened = path / name, inner.number, inner
            yield LocalDirectory(path, above)
        finally:
            opened.close()

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | None]:
        """See `Directory`."""
        for name in names:
            try:
                status = fs.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                yield None
            except OSError as error:
                yield error
            else:
                yield status.st_size if stat.S_ISREG(status.st_mode) else None

    def modified(self, name: str) -> float | None:
        """See `Directory`."""
        try:
            return fs.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            raise system.unreadable(self.path / name, error) from error

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Directory`; three system calls."""
        (data,) = self.read_starts([name], limit)
        if isinstance(data, OSError):
            raise data
        return data

    def read_starts(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError]:
        """See `Directory`."""

        def start(descriptor: int) -> bytes:
            # pread fails on FIFOs, sockets and terminals, so no fstat is needed.
            return fs.pread(descriptor, limit, 0)

        return self._read(names, start)

    def read_short(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError | None]:
        """See `Directory`."""

        def whole(descriptor: int) -> bytes | None:
            data = fs.pread(descriptor, limit, 0)
            # A read that ends early, as before a bad block, must not pass for the whole.
            return None if len(data) == limit or fs.pread(descriptor, 1, len(data)) else data

        return self._read(names, whole)

    def _read(
        self, names: Iterable[str], use: Callable[[int], _Given]
    ) -> Iterator[_Given | OSError]:
        """What a function gives of each file, which is open meanwhile, or why it is not."""
        call = partial(fs.open, flags=system.READ, dir_fd=self._descriptor)
        for name in names:
            found: _Given | OSError
            try:
                found = while_open(call, name, use)
            except OSError as error:
                found = error
            yield found

    def open_log(self, name: str) -> OpenLog:
        """See `Directory`."""
        return _open_log(self.path / name, self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._close is not None:
            self._close()


class FileLog(OpenLog):
    """A log that is an open file, closed by the caller, or by `close`.

    Args:
        descriptor: open for reading.
        status: of the file, if it is known.
        close: closes it where the context ends.
    """

    exists = True

    def __init__(
        self,
        descriptor: int,
        status: os.stat_result | None = None,
        close: Callable[[], object] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._status = fs.fstat(descriptor) if status is None else status
        self._close = close
        self._position = 0
        self.size = self._status.st_size

    @property
    def identity(self) -> tuple[int, int]:
        """See `OpenLog`."""
        return self._status.st_dev, self._status.st_ino

    @property
    def version(self) -> tuple[int, int | None]:
        """See `OpenLog`."""
        return self._status.st_size, self._status.st_mtime_ns

    def read(self, offset: int, size: int) -> bytes:
        """See `OpenLog`; one system call, unless the system has less at hand."""
        wanted = min(size, self.size - offset)
        if wanted > 0:
            data = fs.pread(self._descriptor, wanted, offset)
            if len(data) == wanted:
                return data
        return super().read(offset, size)

    def _fill(self, buffer: memoryview, offset: int) -> int:
        return fs.preadv(self._descriptor, [buffer], offset)


def open_log(path: Path | str) -> OpenLog:
    """Open a log, relative to its directory; see `place.open_log`."""
    directory, _, name = str(path).rpartition("/")
    try:
        opened = Descriptor.inside(directory, name, system.READ)
    except OSError:  # the careful way waits, or says what is wrong
        path = Path(path)
        with system.open_experiment(path.parent) as number:
            return _open_log(path, number)
    status = fs.fstat(opened.number)
    if stat.S_ISREG(status.st_mode):
        return FileLog(opened.number, status, opened.close)
    opened.close()
    raise UnreadableFileError(f"{path}: not a regular file")


def read_log(path: str, limit: int) -> bytes | None:
    """See `place.read_log`."""
    directory, _, name = path.rpartition("/")

    def whole(descriptor: int) -> bytes | None:
        status = fs.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        data = fs.pread(descriptor, status.st_size, 0)
        return data if len(data) == status.st_size else None

    try:
        return while_inside(directory, name, system.READ, whole)
    except OSError:
        return None


def _open_log(path: Path, directory: int) -> OpenLog:
    try:
        opened, status = system.open_with_status(path, system.READ, directory)
    except FileNotFoundError:
        return OpenLog()
    return FileLog(opened.number, status, opened.close)


def _kind(entry: os.DirEntry[str]) -> Literal["directory", "file", "link", "other"]:
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "link" if entry.is_symlink() else "other"
