"""The columns that a parser fills.

Guarantees: records are appended in amortised constant time, and memory that they do not need is
never touched. So room for more of them than there will be is no reason to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.memory import first_items, new_array

_FEWEST = 1 << 16  # records for which there must be room


class Output:
    """Columns being written: longer than needed, until `finish` gives what was filled.

    Untouched memory is never committed, so a generous capacity costs nothing.
    """

    def __init__(
        self,
        types: dict[str, Any],
        capacity: int,
        begun: Mapping[str, NDArray[Any]],
    ) -> None:
        self.count = 0
        self._capacity, self.arrays = _room(types, capacity)
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
            self._grow(max(room.stop, self._capacity * 3 // 2))
        self.count = room.stop
        return room

    def finish(self) -> dict[str, NDArray[Any]]:
        """The columns; from now on the caller owns the arrays."""
        return {name: first_items(array, self.count) for name, array in self.arrays.items()}

    def _grow(self, capacity: int) -> None:
        self._capacity = capacity
        for name, array in self.arrays.items():
            longer = new_array(capacity, np.dtype((array.dtype, array.shape[1:])))
            longer[: self.count] = array[: self.count]
            self.arrays[name] = longer


def _room(types: dict[str, Any], capacity: int) -> tuple[int, dict[str, NDArray[Any]]]:
    """Columns of so many records, or of fewer where the system does not promise that much memory.

    Returns:
        How many, and the columns.

    Raises:
        MemoryError: there is no room for a few.
    """
    while True:
        try:
            columns = {name: new_array(capacity, np.dtype(dtype)) for name, dtype in types.items()}
        except (MemoryError, ValueError):  # more than there is, or than NumPy can count
            if capacity <= _FEWEST:
                raise
            capacity = max(capacity // 4, _FEWEST)
        else:
            return capacity, columns
