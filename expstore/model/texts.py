r"""Names and numbers as other tools can take them, and as people can safely look at them.

Guarantees: what `printable` gives changes nothing on a terminal or a page but its own place.
`escape` gives valid Unicode for any name that a file may hold, no two names give the
same text, and `unescape` gives the name back. A name of valid UTF-8 stays as it is, unless it holds
what looks like an escape itself.

A byte that is no UTF-8 (it travels as a lone surrogate, see `formats.fields`) becomes `\xff`; to
keep that text from being taken for the byte, a backslash before `x` and two hex digits becomes
`\x5c`.
"""

from __future__ import annotations

import math
import re

from formats import FieldValueError

_UNSAFE = re.compile(r"[\udc80-\udcff]|\\(?=x[0-9a-f]{2})")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def escape(text: str) -> str:
    """The text as valid Unicode; see the module.

    Raises:
        FieldValueError: a surrogate that stands for no byte; no file can hold it.
    """
    if text.isascii() and "\\" not in text:
        return text
    escaped = _UNSAFE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)
    try:
        escaped.encode()
    except UnicodeEncodeError as error:
        raise FieldValueError(f"{text!r} is no text: {error.reason}") from error
    return escaped


def unescape(text: str) -> str:
    """What `escape` made this text of."""

    def byte(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return chr(0xDC00 + code) if code >= 0x80 else chr(code)

    return _ESCAPE.sub(byte, text)


def printable(text: str) -> str:
    """The text to look at: control characters, lone surrogates and bidi overrides as escapes."""
    return "".join(c if c.isprintable() else _shown(c) for c in text)


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def json_number(value: float) -> float | str:
    """The number; where it is not finite, "NaN", "Infinity" or "-Infinity", since JSON has none."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
