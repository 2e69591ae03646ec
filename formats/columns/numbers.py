"""The columns of few records, by whichever of two ways costs less.

Guarantees: both give the same. A number of each record of a repeated order is a strided array; of
any records, the bytes of a run are gathered and its numbers taken from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.period import Period
from formats.columns.starts import Offsets, RecordWalk

_PLACE, _GATHER, _ROW = 620, 3500, 2.5  # ns: a strided place, a gather, and a record of it


class NumberReader:
    """Reads records whose numbers NumPy converts by itself."""

    def __init__(self, walk: RecordWalk) -> None:
        self._walk = walk

    def is_strided(self, period: Period, places: int, rows: int) -> bool:
        """Whether one strided array for each number of some records of a period costs less than a
        gather.
        """
        if len(self._walk.heads) > 1:
            return False
        # Starts that are not held with the period cost as much as the gather.
        gathered = _GATHER if period.is_known and rows <= period.rows_held else 2 * _GATHER
        strided = places * (len(self._walk.columns) - 1) * _PLACE
        return strided < gathered + rows * places * _ROW

    def strided(
        self,
        data: bytes,
        size: int,
        starts: list[int],
        codes: list[bytearray],
        origin: int,
        rows: int,
    ) -> dict[str, NDArray[Any]]:
        """Each number by a strided array for each of the places where records start in a period."""
        step, columns = (size,), {}
        for name, is_text, dtype, native, _, offset in self._walk.columns:
            if is_text:  # the only one: a text ends a run
                columns[name] = repeated(codes[0], rows)
                continue
            column = np.empty((rows, len(starts)), native)
            for place, start in enumerate(starts):
                at = origin + start + offset
                column[:, place] = np.ndarray((rows,), dtype, data, at, step)
            columns[name] = column.reshape(-1)
        return columns

    def gathered(
        self, data: bytes, starts: Offsets, origin: int, texts: Iterator[NDArray[np.int32]]
    ) -> dict[str, NDArray[Any]]:
        """Each number out of the bytes of its run, gathered for all records.

        Args:
            starts: of the records, counted from `origin`.
            texts: the columns of the texts, in order.
        """
        begins, heads = [starts], self._walk.heads
        if len(heads) > 1:
            ahead = np.frombuffer(data, np.uint8, -1, origin)
            begins, _ = self._walk.run_starts(ahead, starts)
        size = len(data) - origin + 1
        runs = [
            np.ndarray((size - head.itemsize,), head, data, origin, (1,))[begin]
            for head, begin in zip(heads, begins, strict=True)
        ]
        columns = {}
        for name, is_text, dtype, native, run, offset in self._walk.columns:
            if is_text:
                columns[name] = next(texts)
            else:
                items = runs[run]
                number = np.ndarray(items.shape, dtype, items, offset, items.strides)
                columns[name] = number.astype(native)
        return columns


@lru_cache(maxsize=64)
def number_reader(walk: RecordWalk) -> NumberReader:
    """Its NumberReader, which holds no state."""
    return NumberReader(walk)


def repeated(codes: bytearray, rows: int) -> NDArray[np.int32]:
    """So many repetitions of the codes."""
    return np.frombuffer(codes * rows, np.int32)
