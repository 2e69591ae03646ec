"""Standard input, output and error made safe to use, whatever the shell has done to them.

Guarantees: none of the three is missing; characters that the encoding lacks are written as `\\xe9`
or `\\u2581` and never raise an error. Only the standard library is needed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO, cast


def prepare() -> None:
    """Replace closed streams by the null device, and escape what the encoding lacks."""
    # In this order, each new descriptor gets the number of the one that was closed.
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = sys.stdout or _null("w")
    sys.stderr = sys.stderr or _null("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
