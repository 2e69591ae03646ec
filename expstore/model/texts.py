r"""Names and numbers in a form that other tools accept and that is safe to display.

Guarantees: the result of `printable` has no control character and no bidi override.
`escape` returns valid Unicode for any name that a file may hold, different names give different
results, and `unescape` restores the name. A name in valid UTF-8 is unchanged, unless it contains
what looks like an escape.

A byte that is not UTF-8 (represented as a lone surrogate, see `formats.fields`) becomes `\xff`. To
keep the literal text from being mistaken for the byte, a backslash before `x` and two hex digits
becomes `\x5c`.
"""

from __future__ import annotations

import math
import re
import time

from formats import FieldValueError

_UNSAFE = re.compile(r"[\udc80-\udcff]|\\(?=x[0-9a-f]{2})")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def escape(text: str) -> str:
    """The text as valid Unicode; see the module.

    Raises:
        FieldValueError: a surrogate that represents no byte, which no file can hold.
    """
    if text.isascii() and "\\" not in text:
        return text
    escaped = _UNSAFE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)
    try:
        escaped.encode()
    except UnicodeEncodeError as error:
        raise FieldValueError(f"{text!r} is not valid text: {error.reason}") from error
    return escaped


def escape_loosely(text: str) -> str:
    """As `escape`; a surrogate that no file but run.json can hold becomes `\\ud800`."""
    try:
        return escape(text)
    except FieldValueError:
        return text.encode("utf-8", "backslashreplace").decode()


def unescape(text: str) -> str:
    """Undo `escape`."""

    def byte(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return chr(0xDC00 + code) if code >= 0x80 else chr(code)

    return _ESCAPE.sub(byte, text)


def printable(text: str) -> str:
    """The text with control characters, lone surrogates and bidi overrides escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def json_number(value: float) -> float | str:
    """The number, or "NaN", "Infinity" or "-Infinity", which JSON numbers cannot express."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def shown_time(timestamp: float) -> str:
    """The local date and time; the number, if that is outside the calendar."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))
    except (OverflowError, ValueError, OSError):
        return str(timestamp)


_AGES = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("week", 7 * 86_400),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def amount(seconds: float) -> str:
    """A number of seconds, in the largest unit that fits at least once: `3 hours`."""
    for unit, size in _AGES:
        if count := int(seconds) // size:
            return f"{count:,} {unit}{'s' if count > 1 else ''}"
    return "0 seconds"
