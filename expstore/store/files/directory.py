"""What reading a store needs of the place where it lies, on a file system or at a URL.

Guarantees: nothing beyond a log's size at the moment of opening is read, so that what others append
meanwhile matters to nobody; where a log is cut meanwhile, it ends there.

`Location` and `Directory` are protocols: `local` has them for a file system, `remote` for URLs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol, Self

_BLOCK = 1 << 20  # bytes: a block and what is parsed from it fit a core's cache


class Location(Protocol):
    """Where a file or a directory lies: a pathlib.Path, or what stands for one at a URL."""

    @property
    def name(self) -> str:
        """The last component."""

    @property
    def parent(self) -> Self:
        """The directory that it is in."""

    def __truediv__(self, name: str) -> Self:
        """What has this name in the directory."""

    def is_dir(self) -> bool:
        """Whether there is such a directory."""

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""


class Entry(NamedTuple):
    """What stands in a directory under one name; a link is never followed."""

    name: str
    kind: Literal["directory", "file", "link", "other"]


class Directory(Protocol):
    """A directory open for reading: a store's root, or an experiment's.

    Names are of files in it, or below it, as in `3f2a9c1d/meta.bin`.

    Attributes:
        path: where it lies, for messages.
    """

    @property
    def path(self) -> Location:
        """Where it lies."""

    def directories(self) -> list[str]:
        """The names of the directories in it, in no order."""

    def entries(self) -> list[Entry]:
        """All that is in it, in no order."""

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | None]:
        """The files' sizes in bytes; None for what is not there or is no regular file.

        Where that cannot be told, the error.
        """

    def read_start(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file.

        Raises:
            FileNotFoundError: no such file.
            ExperimentNotFoundError: no such directory, where opening it could not tell.
            OSError: as the system calls do.
        """

    def read_starts(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError]:
        """The first `limit` bytes of many files, or the error that `read_start` would raise."""

    def open_log(self, name: str) -> AbstractContextManager[OpenLog]:
        """A log's reader; a log that is not there yet is empty.

        Raises:
            ExperimentNotFoundError: no such directory, where opening it could not tell.
            UnreadableFileError: no regular file, or no permission.
        """


class OpenLog:
    """A log open for reading, as large as it was when it was opened.

    Args:
        fill: fills a buffer with the log's bytes from an offset on, and says with how many.
        size: bytes of the log.
        identity: what tells this file from another of the same name, where that can be told.
        exists: whether there is a file; without one, the log is empty.

    Attributes:
        size: bytes; what is appended later is not read.
        exists, identity: as given.
    """

    def __init__(
        self,
        fill: Callable[[memoryview, int], int],
        size: int,
        identity: tuple[int, int] | None = None,
        *,
        exists: bool = True,
    ) -> None:
        self._fill = fill
        self._position = 0
        self.size = size
        self.identity = identity
        self.exists = exists

    @classmethod
    def of(cls, descriptor: int) -> OpenLog:
        """The reader of an open file, which the caller closes."""
        status = os.fstat(descriptor)

        def fill(buffer: memoryview, offset: int) -> int:
            return os.preadv(descriptor, [buffer], offset)

        return cls(fill, status.st_size, (status.st_dev, status.st_ino))

    @classmethod
    def missing(cls) -> OpenLog:
        """The reader of a log that is not there."""
        return cls(lambda buffer, offset: 0, 0, exists=False)

    def section(self, start: int, end: int) -> None:
        """Have `readinto` and `part` give these bytes of the log only."""
        self._position, self.size = start, min(end, self.size)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on; fewer than `size` only at the end of the file."""
        buffer = memoryview(bytearray(max(min(size, self.size - offset), 0)))
        held = 0
        while held < len(buffer) and (count := self._fill(buffer[held:], offset + held)):
            held += count
        return bytes(buffer[:held])

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the bytes that come next; 0 at the end.

        Raises:
            OSError: the device fails.
        """
        wanted = min(len(buffer), self.size - self._position)
        count = self._fill(buffer[:wanted], self._position) if wanted > 0 else 0
        if count == 0:
            self.size = self._position  # where it was cut meanwhile
        self._position += count
        return count

    def part(self, size: int) -> Callable[[memoryview], int]:
        """A `readinto` that ends behind the next `size` bytes, or where the log ends."""
        left = size

        def readinto(buffer: memoryview) -> int:
            nonlocal left
            count = self.readinto(buffer[:left]) if left else 0
            left -= count
            return count

        return readinto

    @property
    def left(self) -> int:
        """Bytes that `readinto` has still to give."""
        return max(self.size - self._position, 0)

    @property
    def exhausted(self) -> bool:
        """Whether `readinto` has come to the end."""
        return self._position >= self.size

    def blocks(self, start: int = 0) -> Iterator[memoryview]:
        """The bytes from `start` on, in blocks that stay in cache; each is valid until the next."""
        buffer = memoryview(bytearray(max(min(_BLOCK, self.size - start), 0)))
        while start < self.size:
            count = self._fill(buffer[: min(len(buffer), self.size - start)], start)
            if count == 0:  # cut meanwhile
                self.size = start
                return
            start += count
            yield buffer[:count]
