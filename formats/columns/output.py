"""The columns that a parser fills.

Guarantees: records are appended in amortised constant time, and memory that they did not need is
given back at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = (1 << 22) - 64  # bytes; NumPy asks for huge pages from 4 MiB on


@cache
def keep_freed_memory() -> None:
    """Have the allocator keep what a block's arrays took, for those of the next block.

    By default, glibc maps arrays of 128 KiB or more anew each time, which costs more than filling
    them; once a larger one was freed, it takes up to that size from the heap. No page is touched.
    """
    np.empty(_KEPT, np.uint8)


class Output:
    """Columns being written: longer than needed, until `finish` shrinks them in place.

    Untouched memory is never committed, so a generous capacity costs nothing.
    """

    def __init__(
        self,
        types: dict[str, Any],
        capacity: int,
        begun: Mapping[str, NDArray[Any]],
    ) -> None:
        self.count, self._capacity = 0, capacity
        self.arrays = {name: np.empty(capacity, dtype) for name, dtype in types.items()}
        if begun:
            self.add(begun)

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add records of which each has a place in every column."""
        room = self.extend(len(next(iter(columns.values()))))
        for name, column in columns.items():
            self.arrays[name][room] = column

    def extend(self, count: int) -> slice:
        """Make room for further records."""
        room = slice(self.count, self.count + count)
        if room.stop > self._capacity:
            self._resize(max(room.stop, self._capacity * 3 // 2))
        self.count = room.stop
        return room

    def finish(self) -> dict[str, NDArray[Any]]:
        """The columns; from now on the caller owns the arrays."""
        self._resize(self.count)
        return self.arrays

    def _resize(self, capacity: int) -> None:
        self._capacity = capacity
        for array in self.arrays.values():
            shape = (capacity, *array.shape[1:])
            array.resize(shape, refcheck=False)  # no view of it outlives a call
