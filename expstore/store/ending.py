"""How a start of a run ended: as an exception says, and as run.json records it.

Guarantees: nothing here opens a file.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace

from expstore.model.runinfo import Outcome, RunInfo, RunStart

_TEXT = 2000  # characters of an exception that are kept


def outcome_of(error: BaseException | None) -> tuple[Outcome, str]:
    """How a run ended that this exception ended, and the exception's type and text."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "finished", ""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", described(error)
    return "failed", described(error)


def last_error() -> BaseException | None:
    """The exception that ends the program, as the program ends; None if none does.

    In an interactive session the last exception was shown long ago, and ended nothing.
    """
    return None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)


def with_error(info: RunInfo, start: RunStart, error: str) -> RunInfo:
    """Note an exception in a start that has not ended; who ends it knows whether it mattered."""
    starts = [
        replace(one, error=error) if error and one.ended is None and same_start(one, start) else one
        for one in info.starts
    ]
    return replace(info, starts=tuple(starts))


def same_start(first: RunStart, second: RunStart) -> bool:
    """Whether two values are of the same start of a run."""
    return (first.started, first.host, first.pid) == (second.started, second.host, second.pid)


def described(error: BaseException) -> str:
    """The exception's type and text, of bounded length."""
    text = "".join(traceback.format_exception_only(error)).strip()
    return text if len(text) <= _TEXT else text[:_TEXT] + "..."
