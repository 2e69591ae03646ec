"""Records that repeat: the layout expected of the bytes ahead, checked against them at once.

Guarantees: `Repetition.match` accepts only whole records of which every byte that shapes the
layout (length prefixes, texts, constants) was compared; numbers are free. A wrong expectation
costs one comparison up to its first wrong byte, never a wrong record.

Programs log the same names in the same order, step after step. Once some order came back, the
bytes ahead are expected to go on with it: a template of one period, repeated over a whole block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from formats.starts import Bytes, Offsets, Walk

Codes = dict[str, NDArray[np.int32]]
"""The texts' codes, by field name."""

_CONTEXT = 1024  # records that must have come before in the same order, at most
_LEAST = 1024  # records to look back on; for fewer it does not pay

_SLICE = 1 << 17  # bytes compared at once: with template and mask they fit into a core's cache


@dataclass(frozen=True)
class _Layout:
    """One period, repeated: what bytes are expected, which of them matter, and what they mean."""

    period: int  # records
    template: Bytes
    mask: Bytes
    bounds: Offsets
    codes: Codes


class Repetition:
    """The expectation of one stream of records; learns and matches by turns."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._layout: _Layout | None = None
        self._phase = 0  # the record of the period that comes next

    def match(self, data: Bytes, begin: int, end: int) -> tuple[Offsets, Codes]:
        """Bounds and texts' codes of the whole records at `begin` that are as expected.

        They may end before the first unexpected one; only no record at all means that none is.
        """
        layout = self._layout
        if layout is None:
            return np.array([begin]), {}
        base = int(layout.bounds[self._phase])
        agreed = self._agreed(layout, base, data[begin:end])
        last = int(layout.bounds.searchsorted(base + agreed, "right")) - 1
        seen = slice(self._phase, last)
        bounds = layout.bounds[self._phase : last + 1] + (begin - base)
        self._phase = last % layout.period
        return bounds, {name: codes[seen] for name, codes in layout.codes.items()}

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
        mask = self._mask(data, starts, int(bounds[-1]))
        repeated = (starts - starts[0]) + size * np.arange(times)[:, None]
        self._layout = _Layout(
            period,
            np.tile(data[starts[0] : bounds[-1]] & mask, times),
            np.tile(mask, times),
            np.append(repeated.ravel(), size * times),
            {name: np.tile(column[-period:], times) for name, column in codes.items()},
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

    def _mask(self, data: Bytes, starts: Offsets, end: int) -> Bytes:
        """255 for each byte that must come back, 0 for the numbers that are free."""
        mask = np.full(end - int(starts[0]), 255, np.uint8)
        begins, _ = self._walk.run_starts(data, starts)
        for field, _, run, offset in self._walk.places:
            if not field.is_text and field.constant is None:
                at = begins[run] - starts[0] + offset
                mask[at[:, None] + np.arange(field.width)] = 0
        return mask


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
