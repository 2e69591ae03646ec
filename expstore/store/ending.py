"""How a start of a run ended: as an exception says, and as run.json records it.

Guarantees: nothing here opens a file. Where nobody could catch an error, as when a program exits,
one line on standard error tells it.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from expstore.errors import ExpStoreError
from expstore.model.runinfo import Outcome, RunInfo, RunStart
from expstore.model.texts import printable

_TEXT = 2000  # characters of an exception that are kept


class Ending(Protocol):
    """A run that ends; see `Run`."""

    path: Path

    @property
    def commit_id(self) -> str:
        """Its id."""

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Stop logging."""


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


def end_unheard(run: Ending, outcome: Outcome, error: str = "") -> None:
    """End a run where no caller could catch an error, as when a program exits: it goes to stderr.

    Args:
        run: ended by its `end`.
        outcome, error: how it ended.
    """
    try:
        run.end(outcome, error)
    except (ExpStoreError, OSError) as fault:
        import shlex  # for this message only

        root, commit_id = shlex.quote(str(run.path.parent)), shlex.quote(run.commit_id)
        text = (
            f"expstore: run {run.commit_id} could not be closed: {fault}; `expstore end "
            f"--status {outcome} --root {root} {commit_id}` says later how it ended"
        )
        with suppress(OSError, ValueError):  # stderr is full, too, or closed
            if sys.stderr is not None:
                print(printable(text), file=sys.stderr)


def with_end(info: RunInfo, start: RunStart, ended: RunStart) -> RunInfo:
    """The end of a start noted, which is the last that is the same; one that is missing is added.

    Args:
        info: what run.json says.
        start: as the run has it.
        ended: the same, with its end.
    """
    mine = [same_start(one, start) for one in info.starts]
    if not any(mine):
        return replace(info, starts=(*info.starts, ended))
    at = len(mine) - 1 - mine[::-1].index(True)
    end = replace(info.starts[at], ended=ended.ended, outcome=ended.outcome, error=ended.error)
    return replace(info, starts=(*info.starts[:at], end, *info.starts[at + 1 :]))


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
