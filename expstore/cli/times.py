"""Times as users read and write them: `3 hours ago`, `30d`, `2026-01-31`.

Guarantees: a timestamp outside the calendar is shown as a number; text that is not a time is a
usage error that says what is accepted.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import typer

from expstore import Metadata
from expstore.model.texts import amount

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def relative(timestamp: int, now: float) -> str:
    """How long ago, in the largest unit that fits at least once: `3 hours ago`."""
    seconds = int(now) - timestamp
    if seconds == 0:
        return "now"
    return f"{amount(seconds)} ago" if seconds > 0 else f"in {amount(-seconds)}"


def absolute(timestamp: int) -> str:
    """The local time with its offset from UTC, or the number if it is outside the calendar."""
    try:
        created = Metadata("", timestamp).created.astimezone()
    except (OverflowError, ValueError, OSError):
        return str(timestamp)
    return created.isoformat(sep=" ")


def parse_since(text: str, now: float, option: str) -> float:
    """The Unix time that `36h`, `30d`, `2w`, `2026-01-31` or `2026-01-31T12:00` means.

    Raises:
        typer.BadParameter: it is none of these.
    """
    if match := re.fullmatch(r"(\d{1,9})([smhdw])", text.strip()):
        return now - int(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text!r} is not a time; use 36h, 30d, 2w or 2026-01-31", param_hint=option
        ) from None


def parse_duration(text: str, option: str) -> float:
    """The seconds that `90`, `90s`, `1.5h`, `30d` or `0` means.

    Raises:
        typer.BadParameter: it is none of these.
    """
    if match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw]?)", text.strip()):
        return float(match[1]) * _UNITS[match[2] or "s"]
    raise typer.BadParameter(
        f"{text!r} is not a duration; use 90s, 30m, 1h, 2d or 0", param_hint=option
    )


def parse_days(text: str, now: float, option: str) -> int:
    """The number of calendar days that `30`, `30d`, `2w` or a local date in the past means.

    Raises:
        typer.BadParameter: it is none of these, or the date is not in the past.
    """
    if match := re.fullmatch(r"(\d{1,9})([dw]?)", text.strip()):
        return int(match[1]) * (7 if match[2] == "w" else 1)
    try:
        age = date.fromtimestamp(now) - date.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not an age; use 30, 30d, 2w or 2026-01-31", param_hint=option
        ) from None
    if age <= timedelta(0):
        raise typer.BadParameter(f"{text} is not in the past", param_hint=option)
    return age.days
