"""Curves as braille dots: two columns and four rows of dots in each character.

Guarantees: the cost of a curve is a few NumPy calls, however many points it has. No point is
invented or hidden: in each column of dots the curve covers all values that it has there, so a spike
of one point is seen, and it is broken where a value is not finite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOBODY = -1
"""The owner of a character without dots."""

_BLANK = 0x2800
_WEIGHTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)


class Canvas:
    """A field of characters on which curves are drawn.

    Args:
        columns, rows: its size in characters, both at least 1.

    Attributes:
        width, height: its size in dots.
        owners: int16, rows by columns: the curve that was drawn last in each character.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.width, self.height = 2 * columns, 4 * rows
        self.owners: NDArray[np.int16] = np.full((rows, columns), NOBODY, np.int16)
        self._dots = np.zeros((self.height, self.width), np.bool_)

    def draw(self, x: NDArray[np.float64], y: NDArray[np.float64], owner: int) -> None:
        """Draw a curve; what is outside the canvas is cut off.

        Args:
            x: ascending and finite; 0 is the centre of the first column of dots, and `width - 1`
                that of the last.
            y: same length, 0 for the lowest row of dots; the curve is broken where it is not
                finite.
            owner: the number of the curve.
        """
        known = np.isfinite(y)
        gaps = np.cumsum(~known)[known]  # how many breaks come before each point
        x, y = x[known], np.clip(y[known], -1e6, 1e6)
        if not len(x):
            return
        place = np.floor(np.clip(x, -1e6, 1e6) + 0.5).astype(np.int64)
        starts = np.flatnonzero(np.diff(place, prepend=place[0] - 1))
        ends = np.append(starts[1:], len(place)) - 1
        low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
        self._fill(place[starts], np.floor(low + 0.5), np.floor(high + 0.5), owner)
        joined = gaps[starts[1:]] == gaps[ends[:-1]]
        left, right = ends[:-1][joined], starts[1:][joined]
        self._connect(place[left], y[left], place[right], y[right], owner)

    def _connect(
        self,
        x1: NDArray[np.int64],
        y1: NDArray[np.float64],
        x2: NDArray[np.int64],
        y2: NDArray[np.float64],
        owner: int,
    ) -> None:
        """Draw a line from each (x1, y1) to (x2, y2), where x1 < x2 <= the next x1."""
        seen = (x2 >= 0) & (x1 < self.width)
        if not seen.any():
            return
        x1, y1, x2, y2 = x1[seen], y1[seen], x2[seen], y2[seen]
        first, last = max(int(x1[0]), -1), min(int(x2[-1]), self.width)
        columns = np.arange(first, last + 1)
        line = np.clip(np.searchsorted(x1, columns, side="right") - 1, 0, len(x1) - 1)
        inside = (columns >= x1[line]) & (columns <= x2[line])
        slope = (y2 - y1) / (x2 - x1)

        def at(position: NDArray[Any]) -> NDArray[np.float64]:
            shares = np.clip(position - x1[line], 0, (x2 - x1)[line])
            return np.asarray(y1[line] + slope[line] * shares)

        # Half a column to either side, so that steep lines have no holes.
        one, other = at(columns - 0.5), at(columns + 0.5)
        low, high = np.minimum(one, other), np.maximum(one, other)
        self._fill_between(columns[inside], low[inside], high[inside], owner)
        self._join_from_left(x1, x2, y2, slope, owner)

    def _join_from_left(
        self,
        x1: NDArray[np.int64],
        x2: NDArray[np.int64],
        y2: NDArray[np.float64],
        slope: NDArray[np.float64],
        owner: int,
    ) -> None:
        """Draw the last half column of each line, in which the next one begins."""
        before = y2 - slope * 0.5
        self._fill_between(x2, np.minimum(before, y2), np.maximum(before, y2), owner)

    def _fill_between(
        self,
        columns: NDArray[np.int64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        owner: int,
    ) -> None:
        """Set the dots that a line crosses; where two columns meet, the corner counts for one."""
        bottom = np.floor(low + 0.5)
        self._fill(columns, bottom, np.maximum(bottom, np.ceil(high - 0.5)), owner)

    def _fill(
        self,
        columns: NDArray[np.int64],
        bottom: NDArray[np.float64],
        top: NDArray[np.float64],
        owner: int,
    ) -> None:
        """Set the dots in the rows from `bottom` to `top` of these columns, each given once."""
        seen = (columns >= 0) & (columns < self.width)
        columns, bottom, top = columns[seen], bottom[seen], top[seen]
        row = np.arange(self.height - 1, -1, -1)[:, None]
        dots = (row >= bottom) & (row <= top)
        self._dots[:, columns] |= dots
        rows, places = np.nonzero(dots)
        self.owners[rows // 4, columns[places] // 2] = owner

    def lines(self) -> list[str]:
        """The characters, one text for each row; a space where there is no dot."""
        cells = self._dots.reshape(self.rows, 4, self.columns, 2)
        codes = (cells * _WEIGHTS[None, :, None, :]).sum(axis=(1, 3)).astype(np.int64)
        return [
            "".join(chr(_BLANK + code) if code else " " for code in row) for row in codes.tolist()
        ]
