"""The columns that a parser fills.

Guarantees: records are appended in amortised constant time, and memory that they did not need is
given back at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Output:
    """Columns being written: longer than needed, until `finish` shrinks them in place.

    Untouched memory is never committed, so a generous capacity costs nothing.
    """

    def __init__(
        self,
        types: dict[str, Any],
        texts: dict[str, Any],
        capacity: int,
        begun: Mapping[str, NDArray[Any]],
    ) -> None:
        self.count, self._capacity, self._texts = 0, capacity, texts
        self.arrays = {name: np.empty(capacity, dtype) for name, dtype in types.items()}
        if begun:
            room = self.extend(len(next(iter(begun.values()))))
            for name, column in begun.items():
                self.arrays[name][room] = column

    def extend(self, count: int) -> slice:
        """Make room for further records."""
        room = slice(self.count, self.count + count)
        if room.stop > self._capacity:
            self._resize(max(room.stop, self._capacity * 3 // 2))
        self.count = room.stop
        return room

    def last(self, count: int) -> dict[str, NDArray[np.int32]]:
        """The text codes of the last records."""
        return {name: self.arrays[name][self.count - count : self.count] for name in self._texts}

    def finish(self) -> dict[str, NDArray[Any]]:
        """The columns; from now on the caller owns the arrays."""
        self._resize(self.count)
        return self.arrays

    def _resize(self, capacity: int) -> None:
        self._capacity = capacity
        for array in self.arrays.values():
            shape = (capacity, *array.shape[1:])
            array.resize(shape, refcheck=False)  # no view of it outlives a call
