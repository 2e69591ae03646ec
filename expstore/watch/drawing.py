"""One chart as text: curves of one metric, their axes, and letters that name the runs.

Guarantees: numbers of any size can be drawn. Each curve's letter is at its end, so that runs can be
told apart without colours; with `spread`, it is also along the curve. Drawing knows no terminal:
the result is text in parts, each with the number of the curve that it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from expstore.compare.axes import Axis, TimedSeries
from expstore.compare.series import smooth
from expstore.watch.canvas import NOBODY, Canvas
from expstore.watch.ticks import labels, log_ticks, number, positions, ticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXIS = NOBODY
"""The owner of what belongs to no curve."""

_LARGEST = 308.25  # an exponent of ten that a double surely has
_LABEL = 8  # columns for the labels of the y axis, at most
_SMALLEST = 12, 3  # columns and rows below which nothing is drawn


@dataclass(frozen=True)
class View:
    """How curves are shown.

    Attributes:
        x: the axis.
        log: whether the y axis is logarithmic.
        smoothing: the weight for `series.smooth`.
        span: the part of the x axis that is shown; None: all.
    """

    x: Axis = "step"
    log: bool = False
    smoothing: float = 0.0
    span: tuple[float, float] | None = None


class Line(NamedTuple):
    """A curve to draw.

    Attributes:
        letter: one character that names its run.
        series: its points.
        first: the time of the run's first record, from which `relative` is counted.
    """

    letter: str
    series: TimedSeries
    first: int = 0


Part = tuple[str, int]
"""Text, and the curve that it belongs to, or `AXIS`."""


class Drawing(NamedTuple):
    """A drawn chart.

    Attributes:
        rows: as many as were asked for, of parts that are together as wide as asked for.
        span: the part of the x axis that is shown; None if nothing is.
    """

    rows: list[list[Part]]
    span: tuple[float, float] | None


class _Placed(NamedTuple):
    """A curve on the axes of a chart: positions and (for log: exponents of) values."""

    line: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def draw(
    lines: Sequence[Line], view: View, columns: int, rows: int, *, spread: bool = False
) -> Drawing:
    """Draw curves.

    Args:
        lines: the curves; later ones cover earlier ones.
        view: how.
        columns, rows: the size in characters, with the axes.
        spread: put letters along the curves, for terminals without colours.
    """
    if columns < _SMALLEST[0] or rows < _SMALLEST[1]:
        return _message("", columns, rows)
    placed = [_place(number, line, view) for number, line in enumerate(lines)]
    placed = [one for one in placed if len(one.x)]
    if not placed:
        return _message("no points", columns, rows)
    low = min(float(one.x[0]) for one in placed)
    high = max(float(one.x[-1]) for one in placed)
    low, high = view.span or (low, high)
    if not low < high:
        room = max(0.5, 2 * float(np.spacing(abs(low))))  # great steps have no halves
        low, high = low - room, high + room
    placed = [_visible(one, low, high) for one in placed]
    values = np.concatenate([one.y[_within(one.x, low, high)] for one in placed])
    values = values[np.isfinite(values)]
    if not len(values):
        reason = "no value above zero here" if view.log else "no finite value here"
        return Drawing(_message(reason, columns, rows).rows, (low, high))
    bottom, top = _reach(float(values.min()), float(values.max()), view.log)
    marks = (log_ticks if view.log else ticks)(bottom, top, min(rows // 3 + 1, 6))
    if len(marks) < 2:  # no two round numbers are in reach
        marks = [bottom, top]
    names = labels([10.0 ** min(mark, _LARGEST) for mark in marks] if view.log else marks)
    left = min(max(map(len, names), default=1), _LABEL) + 1
    canvas = Canvas(columns - left, rows - 1)
    for one in placed:
        x = (one.x - low) / (high - low) * (canvas.width - 1)
        canvas.draw(x, _height(one.y, bottom, top, canvas), one.line)
    cells = [list(line) for line in canvas.lines()]
    if len(lines) > 1:
        _put_letters(cells, canvas, lines, placed, (low, high), (bottom, top), spread)
    margin = [" " * left] * canvas.rows
    for mark, name in zip(marks, names, strict=True):
        row = canvas.rows - 1 - int(_height(np.array([mark]), bottom, top, canvas)[0] + 0.5) // 4
        margin[row] = f"{name[:_LABEL]:>{left - 1}}┤"
    drawn = [
        [(text, AXIS), *_parts(line, owners)]
        for text, line, owners in zip(margin, cells, canvas.owners, strict=True)
    ]
    return Drawing([*drawn, [(_x_axis(view, low, high, left, columns), AXIS)]], (low, high))


def _place(number: int, line: Line, view: View) -> _Placed:
    steps, values, times = line.series
    y = smooth(values, view.smoothing) if view.smoothing else values
    if view.x == "step":
        x = steps.astype(np.float64)
    else:
        x = times.astype(np.float64) - (line.first if view.x == "relative" else 0)
        if (x[1:] < x[:-1]).any():
            order = x.argsort(kind="stable")
            x, y = x[order], y[order]
    if view.log:
        with np.errstate(divide="ignore", invalid="ignore"):
            y = np.where(y > 0, np.log10(y), np.nan)
    return _Placed(number, x, y)


def _visible(one: _Placed, low: float, high: float) -> _Placed:
    """The points in this range, and the next one to either side."""
    first, last = np.searchsorted(one.x, low), np.searchsorted(one.x, high, "right")
    part = slice(max(int(first) - 1, 0), int(last) + 1)
    return _Placed(one.line, one.x[part], one.y[part])


def _within(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    return (x >= low) & (x <= high)


def _reach(low: float, high: float, log: bool) -> tuple[float, float]:
    """A range of values, or of exponents of ten, that is not empty."""
    if low < high:
        return low, high
    largest = float(np.finfo(np.float64).max)
    room, limit = (0.5, _LARGEST) if log else (abs(low) / 2 or 1.0, largest)
    return low - room, high + min(room, limit - high)


def _height(
    y: NDArray[np.float64], bottom: float, top: float, canvas: Canvas
) -> NDArray[np.float64]:
    """The rows of dots of some values; halved before they are subtracted, which may overflow."""
    with np.errstate(invalid="ignore", over="ignore"):
        share = (y / 2 - bottom / 2) / (top / 2 - bottom / 2)
    return np.asarray(share * (canvas.height - 1))


def _put_letters(
    cells: list[list[str]],
    canvas: Canvas,
    lines: Sequence[Line],
    placed: Sequence[_Placed],
    span: tuple[float, float],
    reach: tuple[float, float],
    spread: bool,
) -> None:
    """Write each curve's letter at its last point, and with `spread` at others."""
    taken: set[tuple[int, int]] = set()
    for one in placed:
        seen = np.flatnonzero(np.isfinite(one.y) & _within(one.x, *span))
        if not len(seen):
            continue
        chosen = [int(seen[-1])]
        if spread:  # at other places for each curve, so that they are not all covered by the last
            shares = (np.arange(3) + (one.line + 1) / (len(lines) + 1)) / 3
            x = span[0] + shares * (span[1] - span[0])
            x = x[_within(x, one.x[seen[0]], one.x[seen[-1]])]
            chosen += seen[np.searchsorted(one.x[seen], x)].tolist()
        for place in chosen:
            column = int((one.x[place] - span[0]) / (span[1] - span[0]) * (canvas.columns - 1))
            dots = float(_height(one.y[place : place + 1], *reach, canvas)[0])
            row = canvas.rows - 1 - int(dots + 0.5) // 4
            spot = _free(taken, row, column, canvas.rows)
            if spot is not None:
                taken.add(spot)
                cells[spot[0]][spot[1]] = lines[one.line].letter
                canvas.owners[spot] = one.line


def _free(taken: set[tuple[int, int]], row: int, column: int, rows: int) -> tuple[int, int] | None:
    """A character near this one that has no letter yet."""
    for other in (row, row - 1, row + 1, row - 2, row + 2):
        if 0 <= other < rows and (other, column) not in taken:
            return other, column
    return None


def _parts(cells: list[str], owners: NDArray[np.int16]) -> list[Part]:
    """Neighbours with one owner, as one text."""
    parts: list[Part] = []
    starts = np.flatnonzero(np.diff(owners, prepend=owners[0] - 1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(cells)], strict=True):
        parts.append(("".join(cells[start:end]), int(owners[start])))
    return parts


def _x_axis(view: View, low: float, high: float, left: int, columns: int) -> str:
    """The last row: where the axis begins and ends, and its name if there is room."""
    first, last = positions([low, high], view.x)
    if left + len(first) + len(last) >= columns:
        first, last = number(low), number(high)
    room = columns - left - len(first) - len(last) - 2
    name = view.x if room >= len(view.x) else ""
    return (" " * left + first + f" {name:^{max(room, 0)}} " + last)[:columns].ljust(columns)


def _message(text: str, columns: int, rows: int) -> Drawing:
    """A chart that says why it is empty."""
    blank = [[(" " * columns, AXIS)] for _ in range(rows)]
    if rows > 0 and columns > 0:
        blank[(rows - 1) // 2] = [(text[:columns].center(columns), AXIS)]
    return Drawing(blank, None)
