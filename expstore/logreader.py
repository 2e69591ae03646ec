"""A log that is being read, wherever it lies.

Guarantees: nothing beyond the log's size at the moment of opening is read, so that what others
append meanwhile matters to nobody; where a log is cut meanwhile, it ends there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

_BLOCK = 1 << 20  # bytes: a block and what is parsed from it fit a core's cache


class LogReader:
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
    def of(cls, descriptor: int) -> LogReader:
        """The reader of an open file, which the caller closes."""
        status = os.fstat(descriptor)

        def fill(buffer: memoryview, offset: int) -> int:
            return os.preadv(descriptor, [buffer], offset)

        return cls(fill, status.st_size, (status.st_dev, status.st_ino))

    @classmethod
    def missing(cls) -> LogReader:
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
