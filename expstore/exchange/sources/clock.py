"""Times as other programs write them, understood as whole seconds since 1970-01-01 UTC.

Guarantees: a column is one of times only if all that is in it is: ISO dates and times (UTC where
they name no zone), or numbers of seconds, milli-, micro- or nanoseconds since 1970 in one unit.
Fractions of seconds are rounded down. Times are in the years 2001 to 2033; a smaller number counts
seconds from some other start, and is no time of day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from expstore.exchange.sources.columns import BLANKS
from formats.damage.plausible import EARLIEST, LATEST

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_RAY = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)")


class Times:
    """A column of times.

    Attributes:
        seconds: of each row; None where the cell is blank.
        note: how they were understood, if that is not plain.
    """

    def __init__(self, seconds: list[int | None], note: str = "") -> None:
        self.seconds = seconds
        self.note = note


def times_of(cells: Sequence[Any]) -> Times | None:
    """Cells as times; None if some are not, or there are none."""
    filled = [cell for cell in cells if cell is not None and str(cell).strip() not in BLANKS]
    if not filled:
        return None
    try:
        numbers = [_number(cell) for cell in filled]
    except (ValueError, OverflowError):
        return _dates(cells)
    for unit, count in UNITS.items():
        low, high = EARLIEST * count, (LATEST + 1) * count
        if all(low <= number < high for number in numbers):
            found = iter([_floor(number, count) for number in numbers])
            note = "" if count == 1 else f"its times are in {unit}"
            return Times([next(found) if _filled(cell) else None for cell in cells], note)
    return None


def _filled(cell: Any) -> bool:
    return cell is not None and str(cell).strip() not in BLANKS


def _number(cell: Any) -> int | float:
    number = float("nan")
    if isinstance(cell, str):
        try:
            return int(cell)
        except ValueError:
            number = float(cell)
    elif isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    elif isinstance(cell, float):
        number = cell
    if not math.isfinite(number):
        raise ValueError("not a time")
    return number


def _floor(number: int | float, count: int) -> int:
    return number // count if isinstance(number, int) else math.floor(number / count)


def _dates(cells: Sequence[Any]) -> Times | None:
    seconds: list[int | None] = []
    naive = False
    for cell in cells:
        if not _filled(cell):
            seconds.append(None)
            continue
        text = _RAY.sub(r"\1 \2:\3:\4", str(cell).strip())
        if not text[:4].isdigit() or text[4:5] != "-":  # years alone, or digits, are numbers
            return None
        try:
            found = datetime.fromisoformat(text.removesuffix(" UTC"))
        except ValueError:
            return None
        if found.tzinfo is None:
            naive = naive or not text.endswith("UTC")
            found = found.replace(tzinfo=UTC)
        seconds.append(math.floor(found.timestamp()))
    return Times(seconds, "its times name no zone, and are taken as UTC" if naive else "")
