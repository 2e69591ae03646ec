"""Repeating records: predicts the layout of the bytes ahead and checks it in bulk.

Guarantees: `Repetition.match` accepts only whole records in which every byte that determines the
layout (length prefixes, texts, constants) was compared; numbers may vary. A wrong prediction costs
one comparison up to its first wrong byte, never a wrong record.

Programs log the same names in the same order, step after step. Once an order has repeated, the
bytes ahead are expected to continue it: a template of one period, repeated over what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.agreement import agreed
from formats.columns.clock import UNKNOWN, Range, Windows
from formats.columns.starts import Bytes, Offsets, RecordWalk, gather, items
from formats.columns.strands import Strand, read_strands, strands_of

Codes = dict[str, NDArray[np.int32]]
"""Text codes, by field name."""

_CONTEXT = 1024  # maximum of records whose order must have occurred before
_MIN_RECORDS = 1024  # records needed to learn from; with fewer it does not pay

# Consecutive periods needed to read each position of the period as one strided array: with fewer,
# one call per field and position costs more than gathering all records. Of few positions it costs
# less at any number, since a gather has a cost of its own, too.
_DENSE, _FEW = 1536, 4

_CODES = 1 << 12  # of a text that are repeated over a column

_ROWS = 4  # periods needed to read each strand as one array

# Bytes compared at once, and of the mask, which is repeated over them: with the template and a copy
# they fit in a core's cache.
_SLICE, _UNIT = 1 << 17, 1 << 14


@dataclass(frozen=True)
class _Layout:
    """A repeated period: the expected bytes, which of them matter, and what they mean.

    The template and the mask begin anew after each period; both are a period longer than what is
    compared with them at once, so that this may begin anywhere in a period.
    """

    period: int  # in records
    size: int  # bytes per period
    template: bytes
    mask: Bytes
    unit: int  # bytes of the mask, in whole periods, that are repeated over what is compared
    held: bytearray  # for the bytes that matter of what is compared
    starts: Offsets  # of the records of two periods, since a match begins anywhere in one
    codes: Codes  # of the same records
    offsets: dict[str, list[int]]  # by field name: the offsets of a number in a period
    strands: list[Strand]
    clocks: Range  # which the expected bytes prove

    def agreed(self, data: Bytes, base: int) -> int:
        """How many bytes are as expected, which begin at `base` in a period."""
        mask = self.mask[base : base + self.unit]
        return agreed(data, mask, memoryview(self.template)[base:], self.held)


@dataclass(frozen=True)
class Match:
    """Whole records that match the prediction.

    `places` below are some of a period's records, counted from the first that matched.

    Attributes:
        count: how many.
        end: the offset after the last one.
        waits: whether all data agree, and what is left is to wait for more of them.
    """

    count: int
    end: int
    waits: bool = False
    _layout: _Layout | None = None
    _phase: int = 0  # the first record's position in the period
    _origin: int = 0  # the offset in the data at which the layout begins

    @property
    def clocks(self) -> Range:
        """The range of the records' clocks."""
        return self._known.clocks

    @property
    def _known(self) -> _Layout:
        assert self._layout is not None
        return self._layout

    def places(self, name: str, wanted: NDArray[np.bool_] | None) -> Offsets:
        """The places of the records that are wanted.

        Args:
            name: of a text.
            wanted: by its code; None: all.
        """
        every = np.arange(min(self._known.period, self.count))
        return every if wanted is None else every[wanted[self._codes(name, every)]]

    def chosen(self, places: Offsets) -> int:
        """How many records there are at some places of each period."""
        turns, rest = divmod(self.count, self._known.period)
        return turns * len(places) + int(places.searchsorted(rest))

    def is_dense(self, places: Offsets) -> bool:
        """Whether `strides` is the cheapest way to read these records of each period."""
        return len(places) <= _FEW or self.count >= _DENSE * self._known.period

    def starts(self, places: Offsets) -> Offsets:
        """Where the records at some places of each period begin."""
        layout = self._known
        firsts = layout.starts[self._phase + places]
        end = self._origin - (-self.count // layout.period) * layout.size
        periods = np.arange(self._origin, end, layout.size)
        found: Offsets = (periods[:, None] + firsts).ravel()
        return found[: self.chosen(places)]

    def write_codes(self, name: str, places: Offsets, column: NDArray[np.int32]) -> None:
        """Write the codes of a text of the records at some places, of which there are."""
        codes = self._codes(name, places)
        times = -(-min(_CODES, column.size) // codes.size)
        unit = np.frombuffer(codes.tobytes() * times, np.int32)  # takes a third of `np.tile`
        whole = column.size // unit.size * unit.size
        column[:whole].reshape(-1, unit.size)[...] = unit
        column[whole:] = unit[: column.size - whole]

    def _codes(self, name: str, places: Offsets) -> NDArray[np.int32]:
        return self._known.codes[name][self._phase + places]

    def strides(
        self, name: str, dtype: np.dtype[Any], data: Bytes, places: Offsets
    ) -> Iterator[tuple[slice, Any]]:
        """A number of the records at some places of each period.

        Yields, for each of the places, which of these records are there, and their values.
        """
        layout = self._known
        period = layout.period
        for index, first in enumerate(places.tolist()):
            turn, place = divmod(self._phase + first, period)
            offset = self._origin + turn * layout.size + layout.offsets[name][place]
            count = -(-(self.count - first) // period)
            values = np.ndarray((count,), dtype, data, offset, (layout.size,))
            yield slice(index, None, len(places)), values

    @property
    def turns(self) -> int:
        """The number of periods, if `read_blocks` can read them: they are whole, and have strands;
        otherwise 0.
        """
        turns, rest = divmod(self.count, self._known.period)
        return 0 if rest or self._phase or not self._known.strands else turns

    def read_blocks(
        self, name: str, dtype: np.dtype[Any], data: Bytes, column: NDArray[Any]
    ) -> None:
        """Read a number of all records, strand by strand, into a column."""
        layout, rows = self._known, column.reshape(self.turns, -1)
        offsets = layout.offsets[name]
        read_strands(layout.strands, data[self._origin :], dtype, offsets, layout.size, rows)


class Repetition:
    """The prediction for one stream of records; alternates between learning and matching."""

    def __init__(
        self, walk: RecordWalk, windows: Windows | None = None, *, in_strands: bool = True
    ) -> None:
        self._walk = walk
        self._in_strands = in_strands  # whole periods are read by their strands, where that pays
        self._windows = windows or Windows(walk, None)
        self._layout: _Layout | None = None
        self._phase = 0  # the position in the period of the next record

    def match(self, data: Bytes, begin: int, end: int, *, more: bool = False) -> Match:
        """The whole records at `begin` that match the prediction.

        The match may end early; only an empty one means that the next record does not match.

        Args:
            data: a part of the stream, from `begin` to `end`.
            begin, end: offsets.
            more: whether the rest of a period may be left until more data are there.
        """
        layout, phase = self._layout, self._phase
        if layout is None:
            return Match(0, begin)
        base = int(layout.starts[phase])
        stop = end
        if layout.strands and phase:  # to the next period
            stop = min(end, begin + layout.size - base)
        size = layout.agreed(data[begin:stop], base)
        waits = more and size == end - begin
        last = self._records(layout, base + size)
        if layout.strands and not phase:
            if waits and size < layout.size:
                return Match(0, begin, True)
            if last >= layout.period * _ROWS:
                last -= last % layout.period  # whole periods, which are read by their strands
        turns, self._phase = divmod(last, layout.period)
        match_end = begin - base + turns * layout.size + int(layout.starts[self._phase])
        return Match(last - phase, match_end, waits, layout, phase, begin - base)

    @staticmethod
    def _records(layout: _Layout, size: int) -> int:
        """How many whole records so many bytes of the prediction hold."""
        turns, rest = divmod(size, layout.size)
        return turns * layout.period + int(layout.starts.searchsorted(rest, "right")) - 1

    def learn(self, data: Bytes, bounds: Offsets, codes: Codes, ahead: int) -> bool:
        """Predict the shortest order that the last records have repeated, or nothing.

        Args:
            ahead: see `expect`.

        Returns:
            Whether there is a prediction.
        """
        self._layout, self._phase = None, 0
        if not codes or bounds.size <= _MIN_RECORDS:
            return False
        period = _period(np.stack(list(codes.values()), axis=1))
        if period:
            last = {name: column[-period:] for name, column in codes.items()}
            self.expect(data, bounds[-1 - period :], last, ahead)
        return self._layout is not None

    def expect(self, data: Bytes, bounds: Offsets, codes: Codes, ahead: int) -> None:
        """Predict repetitions of a period, which are to begin where it ends.

        Args:
            bounds: the starts of its records, and the end of the last one.
            codes: of its texts.
            ahead: bytes that are compared at once; nothing is predicted if the period is longer.
        """
        self._layout, self._phase = None, 0
        period, begin, end = bounds.size - 1, int(bounds[0]), int(bounds[-1])
        size = end - begin
        if size > ahead:
            return
        starts = bounds[:-1]
        mask, offsets, strands = self._mask(data, starts, end)
        clocks = self._compare_clocks(data, starts, mask)
        unit = max(_UNIT // size, 1) * size
        compared = max(_SLICE // unit, 1) * unit
        self._layout = _Layout(
            period,
            size,
            (data[begin:end] & mask).tobytes() * (compared // size + 1),
            np.tile(mask, unit // size + 1),
            unit,
            bytearray(compared),
            np.append(starts, starts + size) - begin,
            {name: np.append(column, column) for name, column in codes.items()},
            offsets,
            strands,
            clocks,
        )

    def _compare_clocks(self, data: Bytes, starts: Offsets, mask: Bytes) -> Range:
        """Have the high bytes of the clocks compared, if that proves a range, which is returned."""
        if self._windows.place is None:
            return UNKNOWN
        first, last = self._windows.place
        high = gather(data, starts + first, last - first)
        clocks = self._windows.of(high[0].tobytes())
        if clocks is None or (high != high[0]).any():
            return UNKNOWN
        _write(mask, starts - starts[0] + first, 255, last - first)
        return clocks

    def _mask(
        self, data: Bytes, starts: Offsets, end: int
    ) -> tuple[Bytes, dict[str, list[int]], list[Strand]]:
        """A mask (255: must repeat, 0: may vary), the offsets of each number, and the strands."""
        mask = np.full(end - int(starts[0]), 255, np.uint8)
        offsets: dict[str, list[int]] = {}
        begins, lengths = self._walk.run_starts(data, starts)
        for field, _, run, offset in self._walk.places:
            if field.is_variable:
                continue
            at = begins[run] - starts[0] + offset
            offsets[field.name] = at.tolist()
            if field.constant is None or not field.kind.is_raw:
                _write(mask, at, 0, field.width)
        return mask, offsets, strands_of(lengths, starts) if self._in_strands else []


def _write(mask: Bytes, at: Offsets, value: int, width: int) -> None:
    """Write one byte `width` times at each offset."""
    items(mask, width)[at] = np.void(bytes([value]) * width)


def _period(rows: NDArray[np.int32]) -> int:
    """The shortest period, in records, with which the last records repeat; 0 if they do not."""
    # Backwards, so that the needle is a prefix and `find` returns the shortest period first.
    rows = np.ascontiguousarray(rows[: -16 * _CONTEXT : -1])
    size = rows.strides[0]
    context = min(len(rows) // 2, _CONTEXT)
    hay, needle = rows.tobytes(), rows[:context].tobytes()
    at = hay.find(needle, 1)
    while at % size and at >= 0:
        at = hay.find(needle, at + 1)
    return at // size if at > 0 else 0
