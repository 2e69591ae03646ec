"""The columns that a parser fills.

Guarantees: records are appended in amortised constant time, and memory that they do not need is
never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.memory import first_items, new_array


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
        self.count, self._capacity = 0, capacity
        self.arrays = {name: new_array(capacity, np.dtype(dtype)) for name, dtype in types.items()}
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
