"""Repeating records: predicts the layout of the bytes ahead and checks it in bulk.

Guarantees: `Repetition.match` accepts only whole records in which every byte that determines the
layout (length prefixes, texts, constants) was compared; numbers may vary. A wrong prediction costs
one comparison up to its first wrong byte, never a wrong record.

Programs log the same names in the same order, step after step. Once an order has repeated, the
bytes ahead are expected to continue it: a template of one period, repeated over a whole block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.starts import Bytes, Offsets, RecordWalk

Codes = dict[str, NDArray[np.int32]]
"""Text codes, by field name."""

_CONTEXT = 1024  # maximum of records whose order must have occurred before
_MIN_RECORDS = 1024  # records needed to learn from; with fewer it does not pay

# Consecutive periods needed to read each position of the period as one strided array: with fewer,
# one call per field and position costs more than gathering all records.
_DENSE = 2048

_SLICE = 1 << 17  # bytes compared at once; with template and mask they fit in a core's cache


@dataclass(frozen=True)
class _Layout:
    """A repeated period: the expected bytes, which of them matter, and what they mean."""

    period: int  # in records
    size: int  # bytes per period
    template: Bytes
    mask: Bytes
    bounds: Offsets
    codes: Codes
    offsets: dict[str, list[int]]  # by field name: the offsets of a number in a period


@dataclass(frozen=True)
class Match:
    """Whole records that match the prediction.

    Attributes:
        count: how many.
        end: the offset after the last one.
    """

    count: int
    end: int
    _layout: _Layout | None = None
    _phase: int = 0  # the first record's position in the period
    _origin: int = 0  # the offset in the data at which the layout begins

    @property
    def is_dense(self) -> bool:
        """Whether the period repeated so often that `strides` is the cheapest way to read."""
        return self._layout is not None and self.count >= _DENSE * self._layout.period

    def bounds(self) -> Offsets:
        """The records' starts, and the end of the last one."""
        assert self._layout is not None
        return self._layout.bounds[self._phase : self._phase + self.count + 1] + self._origin

    def codes(self, name: str) -> NDArray[np.int32]:
        """The codes of a text."""
        assert self._layout is not None
        return self._layout.codes[name][self._phase : self._phase + self.count]

    def strides(self, name: str, dtype: np.dtype[Any], data: Bytes) -> Iterator[tuple[slice, Any]]:
        """A number of all records: for each position in the period, the records and values."""
        layout = self._layout
        assert layout is not None
        period = layout.period
        for first in range(min(period, self.count)):
            turn, place = divmod(self._phase + first, period)
            offset = self._origin + turn * layout.size + layout.offsets[name][place]
            count = -(-(self.count - first) // period)
            values = np.ndarray((count,), dtype, data, offset, (layout.size,))
            yield slice(first, None, period), values


class Repetition:
    """The prediction for one stream of records; alternates between learning and matching."""

    def __init__(self, walk: RecordWalk) -> None:
        self._walk = walk
        self._layout: _Layout | None = None
        self._phase = 0  # the position in the period of the next record

    def match(self, data: Bytes, begin: int, end: int) -> Match:
        """The whole records at `begin` that match the prediction.

        The match may end early; only an empty one means that the next record does not match.
        """
        layout, phase = self._layout, self._phase
        if layout is None:
            return Match(0, begin)
        base = int(layout.bounds[phase])
        agreed = self._agreed(layout, base, data[begin:end])
        last = int(layout.bounds.searchsorted(base + agreed, "right")) - 1
        self._phase = last % layout.period
        match_end = begin - base + int(layout.bounds[last])
        return Match(last - phase, match_end, layout, phase, begin - base)

    def learn(self, data: Bytes, bounds: Offsets, codes: Codes, ahead: int) -> None:
        """Predict the shortest order that the last records have repeated, or nothing.

        Args:
            ahead: bytes to lay out, about as many as will be matched at once.
        """
        self._layout, self._phase = None, 0
        if not codes or bounds.size <= _MIN_RECORDS:
            return
        period = _period(np.stack(list(codes.values()), axis=1))
        size = int(bounds[-1] - bounds[-1 - period])
        if not period or size > ahead:
            return
        starts = bounds[-1 - period : -1]
        times = ahead // size + 2
        mask, offsets = self._mask(data, starts, int(bounds[-1]))
        repeated = (starts - starts[0]) + size * np.arange(times)[:, None]
        self._layout = _Layout(
            period,
            size,
            np.tile(data[starts[0] : bounds[-1]] & mask, times),
            np.tile(mask, times),
            np.append(repeated.ravel(), size * times),
            {name: np.tile(column[-period:], times) for name, column in codes.items()},
            offsets,
        )

    def _agreed(self, layout: _Layout, base: int, data: Bytes) -> int:
        """How many bytes match the prediction."""
        size = min(data.size, layout.template.size - base)
        for low in range(0, size, _SLICE):
            high = min(low + _SLICE, size)
            ahead = slice(base + low, base + high)
            differ = (data[low:high] & layout.mask[ahead]) != layout.template[ahead]
            if differ.any():
                return low + int(differ.argmax())
        return size

    def _mask(self, data: Bytes, starts: Offsets, end: int) -> tuple[Bytes, dict[str, list[int]]]:
        """A mask (255: must repeat, 0: may vary), and the offsets of each number."""
        mask = np.full(end - int(starts[0]), 255, np.uint8)
        offsets: dict[str, list[int]] = {}
        begins, _ = self._walk.run_starts(data, starts)
        for field, _, run, offset in self._walk.places:
            if field.is_variable:
                continue
            at = begins[run] - starts[0] + offset
            offsets[field.name] = at.tolist()
            if field.constant is None or not field.kind.is_raw:
                mask[at[:, None] + np.arange(field.width)] = 0
        return mask, offsets


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
