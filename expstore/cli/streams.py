"""Standard input, output and error made safe to use, whatever the shell has done to them.

Guarantees: none of the three is missing; characters that the encoding lacks never raise an error:
those that tables and curves are drawn with are written as ASCII that looks like them, all others as
`\\xe9` or `\\u20ac`. Only the standard library is needed.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO, cast

_PLAIN = "expstore-plain"  # the name of a handler of errors in encoding
_DRAWN = str.maketrans("▁▂▃▄▅▆▇█─│·", "_.-:=+*#-| ") | {ord("…"): "...", ord("±"): "+-"}


def prepare() -> None:
    """Replace closed streams by the null device, and write as ASCII what the encoding lacks."""
    codecs.register_error(_PLAIN, _plainly)
    # In this order, each new descriptor gets the number of the one that was closed.
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = sys.stdout or _null("w")
    sys.stderr = sys.stderr or _null("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAIN)


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written for characters that the encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(map(_plain, error.object[error.start : error.end]))
    return text, error.end


def as_ascii(text: str) -> str:
    """A text with ASCII for what tables draw, as it is written where the encoding has no more."""
    return text.translate(_DRAWN)


def _plain(character: str) -> str:
    drawn = as_ascii(character)
    if drawn != character:
        return drawn
    if "\u2500" <= character <= "\u257f":  # the corners and crossings of frames
        return "+"
    if "\u2800" <= character <= "\u28ff":  # Braille patterns, which curves are made of
        return " " if character == "\u2800" else "*"
    return character.encode("ascii", "backslashreplace").decode("ascii")


def flush() -> None:
    """Flush stdout.

    Raises:
        OSError: the write failed; the output is discarded.
    """
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout)
        raise


def discard(stream: TextIO) -> None:
    """Send a stream to the null device; otherwise Python reports an error when it exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _null(mode: str) -> TextIO:
    return cast("TextIO", open(os.devnull, mode, encoding="utf-8"))
