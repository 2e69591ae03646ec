"""Records that repeat: the layout expected of the bytes ahead, checked against them at once.

Guarantees: `Repetition.match` accepts only whole records of which every byte that shapes the
layout (length prefixes, texts, constants) was compared; numbers are free. A wrong expectation
costs one comparison up to its first wrong byte, never a wrong record.

Programs log the same names in the same order, step after step. Once some order came back, the
bytes ahead are expected to go on with it: a template of one period, repeated over a whole block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.starts import Bytes, Offsets, RecordWalk

Codes = dict[str, NDArray[np.int32]]
"""Texts' codes, by field name."""

_CONTEXT = 1024  # records that must have come before in the same order, at most
_LEAST = 1024  # records to look back on; for fewer it does not pay

# Periods in a row for which the records of one place in the period are read as one strided array:
# for fewer, a call for each field and place costs more than gathering all records.
_DENSE = 256

_SLICE = 1 << 17  # bytes compared at once: with template and mask they fit into a core's cache


@dataclass(frozen=True)
class _Layout:
    """One period, repeated: what bytes are expected, which of them matter, and what they mean."""

    period: int  # records
    size: int  # bytes of a period
    template: Bytes
    mask: Bytes
    bounds: Offsets
    codes: Codes
    offsets: dict[str, list[int]]  # where in a period each record has the number of this name


@dataclass(frozen=True)
class Match:
    """Whole records that are as expected.

    Attributes:
        count: how many.
        end: the offset behind the last one.
    """

    count: int
    end: int
    _layout: _Layout | None = None
    _phase: int = 0  # the first one's place in the period
    _origin: int = 0  # the offset at which a period that began with it would have begun

    @property
    def is_dense(self) -> bool:
        """Whether the period came back so often that `strides` is the cheapest way to read."""
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
        """A number of all records: for each place in the period which records, and their values."""
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
    """The expectation of one stream of records; learns and matches by turns."""

    def __init__(self, walk: RecordWalk) -> None:
        self._walk = walk
        self._layout: _Layout | None = None
        self._phase = 0  # the record of the period that comes next

    def match(self, data: Bytes, begin: int, end: int) -> Match:
        """The whole records at `begin` that are as expected.

        They may end before the first unexpected one; only no record at all means that none is.
        """
        layout, phase = self._layout, self._phase
        if layout is None:
            return Match(0, begin)
        base = int(layout.bounds[phase])
        agreed = self._agreed(layout, base, data[begin:end])
        last = int(layout.bounds.searchsorted(base + agreed, "right")) - 1
        self._phase = last % layout.period
        behind = begin - base + int(layout.bounds[last])
        return Match(last - phase, behind, layout, phase, begin - base)

    def learn(self, data: Bytes, bounds: Offsets, codes: Codes, ahead: int) -> None:
        """Expect the shortest order that the last records have repeated, or none.

        Args:
            ahead: bytes to lay out, about as many as will be matched at once.
        """
        self._layout, self._phase = None, 0
        if not codes or bounds.size <= _LEAST:
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
        """How many bytes are as expected."""
        size = min(data.size, layout.template.size - base)
        for low in range(0, size, _SLICE):
            high = min(low + _SLICE, size)
            ahead = slice(base + low, base + high)
            differ = (data[low:high] & layout.mask[ahead]) != layout.template[ahead]
            if differ.any():
                return low + int(differ.argmax())
        return size

    def _mask(self, data: Bytes, starts: Offsets, end: int) -> tuple[Bytes, dict[str, list[int]]]:
        """255 for each byte that must come back, 0 for the numbers that are free.

        And where each number stands.
        """
        mask = np.full(end - int(starts[0]), 255, np.uint8)
        offsets: dict[str, list[int]] = {}
        begins, _ = self._walk.run_starts(data, starts)
        for field, _, run, offset in self._walk.places:
            if field.is_text:
                continue
            at = begins[run] - starts[0] + offset
            offsets[field.name] = at.tolist()
            if field.constant is None:
                mask[at[:, None] + np.arange(field.width)] = 0
        return mask, offsets


def _period(rows: NDArray[np.int32]) -> int:
    """After how many records the last ones had come before, in this order; 0 where they had not."""
    # Backwards, so that the needle is a prefix and `find` meets the shortest period first.
    rows = np.ascontiguousarray(rows[: -16 * _CONTEXT : -1])
    size = rows.strides[0]
    context = min(len(rows) // 2, _CONTEXT)
    hay, needle = rows.tobytes(), rows[:context].tobytes()
    at = hay.find(needle, 1)
    while at % size and at >= 0:
        at = hay.find(needle, at + 1)
    return at // size if at > 0 else 0
