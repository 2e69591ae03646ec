"""Ticks of an axis, and numbers as short as its labels may be.

Guarantees: labels of different ticks are different, and none is longer than `WIDEST` characters,
except where that would make two the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from expstore.compare.axes import Axis

WIDEST = 8
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SECONDS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def number(value: float, digits: int = 4) -> str:
    """A number with so many significant digits: `0.1235`, `12.35k`, `1.2e-05`."""
    if not math.isfinite(value):
        return str(value)
    for unit, suffix in _UNITS:
        if unit <= abs(value) < 1e15:
            return f"{_plain(value / unit, digits)}{suffix}"
    return _plain(value, digits)


def _plain(value: float, digits: int) -> str:
    """With an exponent only where it would be much shorter."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e3 else text


def labels(values: Sequence[float], least: int = 2) -> list[str]:
    """The numbers with as few digits as tell them apart, but at least so many."""
    distinct = len(set(values))
    for digits in range(least, 17):
        texts = [number(value, digits) for value in values]
        if len(set(texts)) == distinct:
            return texts
    return [repr(value) for value in values]


def positions(values: Sequence[float], x: Axis) -> list[str]:
    """Positions on an x axis as text: steps, local times, or durations."""
    if x == "step":
        return labels(values, 3)
    if x == "relative":
        return [duration(value) for value in values]
    near = max(values) - min(values) < 86400
    return [_clock(value, "%H:%M:%S" if near else "%m-%d %H:%M") for value in values]


def _clock(seconds: float, form: str) -> str:
    try:
        return time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # of a damaged record
        return number(seconds)


def duration(seconds: float) -> str:
    """A duration in its two largest units: `2d3h`, `5m10s`, `0s`."""
    rest, texts = round(seconds), []
    for size, unit in _SECONDS:
        count, rest = divmod(rest, size)
        if count:
            texts.append(f"{count}{unit}")
        elif texts:
            break
    return "".join(texts[:2]) or "0s"


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from low to high, at most `count` of them, but one at least if there is room.

    Args:
        low, high: finite, low < high.
        count: at least 2.
    """
    span = high / count - low / count  # divided first: the difference may overflow
    if not 0 < span < math.inf:
        return []
    size = 10.0 ** math.floor(math.log10(span))
    for step in (size, 2 * size, 5 * size, 10 * size, 20 * size):
        first = math.ceil(low / step)
        last = math.floor(high / step)
        if not step or last - first < count:
            break
    found = [place * step for place in range(first, min(last, first + count) + 1)]
    return [mark for mark in found if low <= mark <= high]  # not what overflowed


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Likewise for exponents of ten: whole ones, else those of round numbers.

    Args:
        low, high: exponents of ten.
        count: see `ticks`.
    """
    first, last = math.ceil(low), math.floor(high)
    if last - first >= 1:
        step = max(math.ceil((last - first + 1) / count), 1)
        return [float(place) for place in range(first, last + 1, step)]
    found = ticks(10.0**low, 10.0**high, count) if low > -300 and high < 300 else []
    return [math.log10(value) for value in found if value > 0]
