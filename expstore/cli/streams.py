"""Standard input, output and error made fit for use: whatever the shell has done to them.

Guarantees: none of the three is missing; what an encoding lacks is written as `\\xe9` or `\\u2581`
and is never an error. Nothing but the standard library is needed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO, cast


def mend() -> None:
    """Put the null device where a stream was closed, and escapes where an encoding has no sign."""
    # In this order, a new descriptor gets the number that the closed one had.
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = sys.stdout or _null("w")
    sys.stderr = sys.stderr or _null("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what stdout still holds.

    Raises:
        OSError: stdout does not take it; it is thrown away.
    """
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout)
        raise


def discard(stream: TextIO) -> None:
    """Have what a stream holds, and still gets, go nowhere; Python would complain at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _null(mode: str) -> TextIO:
    return cast("TextIO", open(os.devnull, mode, encoding="utf-8"))
