"""Timestamps, which count whole seconds since 1970-01-01 UTC, and those that count something else.

Guarantees: a number is taken for milli-, micro- or nanoseconds only if it is a time in 2001 to 2033
then. As seconds, it would be tens of thousands of years away, or more. Every other number is taken
as it is, since a clock may be wrong in any other way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from formats import FieldValueError
from formats.damage.plausible import EARLIEST, LATEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_SMALLEST = EARLIEST * 10**3


def unit_fault(timestamp: int) -> str:
    """What is wrong with a timestamp, and what to do; empty if it may be in seconds."""
    for unit, count in _UNITS.items():
        if EARLIEST * count <= timestamp < (LATEST + 1) * count:
            return f"{timestamp} is a time in {unit}, not in seconds; divide it by {count:,}"
    return ""


def check_seconds(timestamp: int, field: str = "timestamp") -> None:
    """Raise FieldValueError if a timestamp is in a smaller unit than seconds."""
    if timestamp >= _SMALLEST and (reason := unit_fault(timestamp)):
        raise FieldValueError(reason, field=field)


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """The clock, with each of its times checked; the system's is believed.

    It raises FieldValueError for what is no finite number, or in a smaller unit than seconds.
    """
    if clock is time.time:
        return clock

    def checked() -> float:
        now = clock()
        try:
            is_finite = math.isfinite(now)
        except (TypeError, OverflowError):
            is_finite = False
        if not is_finite:
            raise FieldValueError(
                f"the clock gave {now!r}; it must give seconds since 1970-01-01 UTC",
                field="timestamp",
            )
        check_seconds(int(now))
        return now

    return checked


def in_smaller_units(timestamps: NDArray[Any]) -> NDArray[Any]:
    """The indices of the timestamps that are in a smaller unit than seconds."""
    import numpy as np

    if not len(timestamps) or timestamps.max() < _SMALLEST:
        return np.zeros(0, np.int64)
    found = np.zeros(len(timestamps), np.bool_)
    for count in _UNITS.values():
        found |= (timestamps >= EARLIEST * count) & (timestamps < (LATEST + 1) * count)
    return np.flatnonzero(found)
