"""The columns of few records, by whichever of four ways costs least.

Guarantees: all give the same. Of the repetitions of an order, a number at one of its places is a
strided array, and so are the bytes of a run at one of its places; of any records, the bytes of a
run are gathered. Numbers are then taken from the bytes of the runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.period import Period
from formats.columns.starts import Offsets, RecordWalk
from formats.columns.strands import read_strands

# Measured: from so many repetitions for each place on, reading number by number costs least; below,
# it is reading run by run, but for starts that are at hand, or many places of few repetitions.
_LONG, _FEW_PLACES, _SOME_ROWS, _MANY_ROWS = 400, 4, 100, 300
_MANY = 1 << 12  # records of which reading number by number, strand by strand, costs least


class NumberReader:
    """Reads records whose numbers NumPy converts by itself.

    Args:
        walk: of the records.
        field: the only one that is read; None: all are.
    """

    def __init__(self, walk: RecordWalk, field: str | None = None) -> None:
        self._walk = walk
        self._heads = walk.heads
        self._columns = [one for one in walk.columns if field in (None, one[0])]
        self._is_one_run = len(walk.heads) == 1

    def no_records(self) -> dict[str, NDArray[Any]]:
        """The columns of no records."""
        return {
            name: np.empty(0, np.int32 if is_text else native)
            for name, is_text, _, native, *_ in self._columns
        }

    def of_period(
        self,
        data: bytes,
        period: Period,
        places: list[int] | None,
        codes: list[bytearray],
        origin: int,
        rows: int,
    ) -> dict[str, NDArray[Any]]:
        """The columns of some repetitions of an order.

        Args:
            data: the bytes.
            period: the order.
            places: which of its records are wanted; None: all.
            codes: of the wanted records' texts, as int32; one item for each text.
            origin: byte offset of the first repetition.
            rows: the number of repetitions.
        """
        starts = period.starts if places is None else [period.starts[place] for place in places]
        count = len(starts)
        if self._is_one_run:
            if places is None and rows * count >= _MANY and rows > 1 and period.strands:
                return self._by_strand(data, period, codes, origin, rows)
            if rows >= _LONG * count:
                return self._by_number(data, period.size, starts, codes, origin, rows)
            is_held = period.is_known and rows <= min(_MANY_ROWS, period.rows_held)
            if not is_held and (count <= _FEW_PLACES or rows >= _SOME_ROWS):
                items = self._by_run(data, period.size, starts, origin, rows)
                return self._of_runs([items], [repeated(one, rows) for one in codes])
        begins = period.starts_of(rows)
        if places is not None:
            begins = begins.reshape(rows, -1)[:, places].reshape(-1)
        return self.gathered(data, begins, origin, [repeated(one, rows) for one in codes])

    def _by_number(
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
        for name, is_text, dtype, native, _, offset in self._columns:
            if is_text:  # the only one: a text ends a run
                columns[name] = repeated(codes[0], rows)
                continue
            column = np.empty((rows, len(starts)), native)
            for place, start in enumerate(starts):
                at = origin + start + offset
                column[:, place] = np.ndarray((rows,), dtype, data, at, step)
            columns[name] = column.reshape(-1)
        return columns

    def _by_strand(
        self, data: bytes, period: Period, codes: list[bytearray], origin: int, rows: int
    ) -> dict[str, NDArray[Any]]:
        """Each number by a strided array for each strand of the period."""
        columns = {}
        for name, is_text, dtype, native, _, offset in self._columns:
            if is_text:
                columns[name] = repeated(codes[0], rows)
                continue
            column = np.empty((rows, period.records), native)
            offsets = [origin + offset + start for start in period.starts]
            read_strands(period.strands, data, dtype, offsets, period.size, column)
            columns[name] = column.reshape(-1)
        return columns

    def _by_run(
        self, data: bytes, size: int, starts: list[int], origin: int, rows: int
    ) -> NDArray[Any]:
        """The bytes of the only run, by a strided array for each of the places of its starts."""
        head, shape, step = self._heads[0], (rows,), (size,)
        items = np.empty((rows, len(starts)), head)
        for place, start in enumerate(starts):
            items[:, place] = np.ndarray(shape, head, data, origin + start, step)
        return items.reshape(-1)

    def gathered(
        self, data: bytes, starts: Offsets, origin: int, texts: Sequence[NDArray[np.int32]]
    ) -> dict[str, NDArray[Any]]:
        """Each number out of the bytes of its run, gathered for all records.

        Args:
            data: the bytes.
            starts: of the records, counted from `origin`.
            origin: a byte offset.
            texts: the columns of the texts, in order.
        """
        begins = [starts]
        if not self._is_one_run:
            ahead = np.frombuffer(data, np.uint8, -1, origin)
            begins, _ = self._walk.run_starts(ahead, starts)
        size = len(data) - origin + 1
        runs = [
            np.ndarray((size - head.itemsize,), head, data, origin, (1,))[begin]
            for head, begin in zip(self._heads, begins, strict=True)
        ]
        return self._of_runs(runs, texts)

    def _of_runs(
        self, runs: Sequence[NDArray[Any]], texts: Sequence[NDArray[np.int32]]
    ) -> dict[str, NDArray[Any]]:
        """The columns of records of whose runs the bytes are given."""
        columns, text = {}, iter(texts)
        for name, is_text, dtype, native, run, offset in self._columns:
            if is_text:
                columns[name] = next(text)
            else:
                items = runs[run]
                number = np.ndarray(items.shape, dtype, items, offset, items.strides)
                columns[name] = number.astype(native)
        return columns


def repeated(codes: bytearray, rows: int) -> NDArray[np.int32]:
    """So many repetitions of the codes."""
    return np.frombuffer(codes * rows, np.int32)
