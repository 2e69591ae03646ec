"""The interface for reading a store, on a file system or at a URL.

Guarantees: a log is read up to its size at the moment of opening, so concurrent appends do not
matter; if it is truncated meanwhile, it ends there.

`Location` and `Directory` are protocols. `local` implements `Directory` for a file system, where a
location is a pathlib.Path; `remote` implements both for URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol, Self

_BLOCK = 1 << 20  # bytes: a block and what is parsed from it fit into a core's cache


class Location(Protocol):
    """The location of a file or directory: a pathlib.Path, or its counterpart at a URL."""

    @property
    def name(self) -> str:
        """The last component."""

    @property
    def parent(self) -> Self:
        """The directory that it is in."""

    def __truediv__(self, name: str) -> Self:
        """The location of this name in the directory."""

    def is_dir(self) -> bool:
        """Whether there is such a directory."""

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""


class Entry(NamedTuple):
    """A directory entry; a link is never followed."""

    name: str
    kind: Literal["directory", "file", "link", "other"]


class Directory(Protocol):
    """A directory open for reading: a store's root, or an experiment's.

    Names are relative to it and may have several components, as in `3f2a9c1d/meta.bin`.

    Attributes:
        path: its location, for messages.
    """

    @property
    def path(self) -> Location:
        """Its location."""

    def __enter__(self) -> Self:
        """The directory; it is closed where the context ends."""

    def __exit__(self, *exc: object) -> None:
        """Close the directory."""

    def directories(self) -> list[str]:
        """The names of its subdirectories, in no particular order."""

    def entries(self) -> list[Entry]:
        """All its entries, in no particular order."""

    def subdirectory(self, *names: str) -> AbstractContextManager[Directory]:
        """Open a directory below this one, by one name for each level; no link is followed.

        Raises:
            FileNotFoundError, NotADirectoryError: no such directory. At a URL, reading may be the
                first to show it, by an ExperimentNotFoundError.
            OSError: a system call fails.
        """

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | None]:
        """The files' sizes in bytes; None for a file that is missing or not a regular file.

        An error is yielded, not raised.
        """

    def modified(self, name: str) -> float | None:
        """When a file last changed, in seconds since 1970-01-01 UTC; None if unknown or missing.

        Raises:
            UnreadableFileError: a system call or a request fails.
        """

    def read_start(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file.

        Raises:
            FileNotFoundError: no such file.
            ExperimentNotFoundError: no such directory, if opening it did not show that.
            OSError: a system call fails.
        """

    def read_starts(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError]:
        """The first `limit` bytes of many files, or the error that `read_start` would raise."""

    def read_short(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError | None]:
        """All bytes of many files, or the error that reading one gave.

        None for a file of `limit` bytes or more.
        """

    def open_log(self, name: str) -> OpenLog:
        """Open a log for reading; a missing log is empty.

        Raises:
            ExperimentNotFoundError: no such directory, if opening it did not show that.
            UnreadableFileError: not a regular file, or no permission.
        """


class OpenLog:
    """A log open for reading, with the size that it had when it was opened; a context manager.

    This one is of a file that does not exist; `local` and `remote` have those that read one.

    Attributes:
        size: in bytes; what is appended later is not read.
        exists: whether the file exists.
    """

    exists = False

    def __init__(self, size: int = 0, close: Callable[[], object] | None = None) -> None:
        self.size = self._opened_size = size
        self._close = close  # closes the file where the context ends
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._close is not None:
            self._close()

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode number, which tell the file from another of the same name, if known."""
        return None

    @property
    def version(self) -> tuple[int, int | None]:
        """Equal if the log is unchanged, as far as its size and time of change show."""
        return self._opened_size, None

    def _fill(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer with the log's bytes from an offset on, and return their count."""
        return 0

    def section(self, start: int, end: int) -> None:
        """Restrict `readinto` and `part` to these bytes of the log."""
        self._position, self.size = start, min(end, self.size)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer only at the end of the file."""
        buffer = memoryview(bytearray(max(min(size, self.size - offset), 0)))
        held = 0
        while held < len(buffer) and (count := self._fill(buffer[held:], offset + held)):
            held += count
        return bytes(buffer[:held])

    def rest(self) -> bytes:
        """All bytes that `readinto` has yet to return."""
        data = self.read(self._position, self.left)
        self._position += len(data)
        self.size = self._position  # less if it was truncated meanwhile
        return data

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes and return their count; 0 at the end.

        Raises:
            OSError: the device fails.
        """
        wanted = min(len(buffer), self.size - self._position)
        count = self._fill(buffer[:wanted], self._position) if wanted > 0 else 0
        if count == 0:
            self.size = self._position  # truncated meanwhile
        self._position += count
        return count

    def part(self, size: int) -> Callable[[memoryview], int]:
        """A `readinto` that ends after the next `size` bytes, or where the log ends."""
        left = size

        def readinto(buffer: memoryview) -> int:
            nonlocal left
            count = self.readinto(buffer[:left]) if left else 0
            left -= count
            return count

        return readinto

    @property
    def left(self) -> int:
        """The number of bytes that `readinto` has yet to return."""
        return max(self.size - self._position, 0)

    @property
    def exhausted(self) -> bool:
        """Whether `readinto` has reached the end."""
        return self._position >= self.size

    def blocks(self, start: int = 0) -> Iterator[memoryview]:
        """The bytes from `start` on, in cache-sized blocks; each is valid until the next."""
        buffer = memoryview(bytearray(max(min(_BLOCK, self.size - start), 0)))
        while start < self.size:
            count = self._fill(buffer[: min(len(buffer), self.size - start)], start)
            if count == 0:  # truncated meanwhile
                self.size = start
                return
            start += count
            yield buffer[:count]
