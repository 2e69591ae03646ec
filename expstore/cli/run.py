"""Running the application: the commands loaded, and what goes wrong told in one line.

Guarantees: an error is one line on stderr and exit code 1 (2 for wrong usage, 130 where the user
interrupts), never a traceback; a pipe whose reader has left is no error.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any, NoReturn, TextIO

import typer

from expstore import ExpStoreError, FormatError, NameTruncatedWarning
from expstore.cli import streams
from expstore.cli.base import app, fail, tell

# Click's class, whether Typer depends on Click or carries it along.
_UsageError: Any = typer.BadParameter.__base__

_BROKEN_OFF = 130  # as shells have it; no command ends with it otherwise
_show_other_warning = warnings.showwarning

# Importing a module adds its commands, in the order in which help lists them.
_THEMES = (
    "experiments",
    "prune",
    "schema",
    "exchange",
    "care",
    "compare",
    "demo",
)


def run() -> None:
    """Run the application; what is expected to go wrong becomes one line on stderr.

    Exit codes: 1 for an error, 2 for wrong usage, 130 where the user breaks off.
    """
    warnings.showwarning = _show_warning
    try:
        _run()
    except BrokenPipeError:  # the reader of a pipe (head, less) has left
        streams.discard(sys.stdout)
        streams.discard(sys.stderr)
        sys.exit(0)


def _run() -> NoReturn:
    try:
        code = _call()
    except _UsageError as error:
        message = error.format_message()
        if "\n" in message or not message:  # no command given: the message is the whole help
            error.show()
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "expstore"
        fail(f"{message.rstrip('.')}; see `{command} --help`", 2)
    except (typer.Abort, KeyboardInterrupt):
        fail("broken off", _BROKEN_OFF)
    except BrokenPipeError:
        raise
    except MemoryError as error:
        # A log's size says nothing of its worth: a file with a hole has any.
        reason = f" ({error})" if str(error) else ""
        fail(f"not enough memory{reason}; the library's `iter_metrics` reads a log in parts")
    except (ExpStoreError, FormatError, OSError) as error:
        fail(str(error))
    sys.exit(code)


def _call() -> int:
    """Load the commands and call the one that is meant; returns the exit code.

    Typer ends the process itself where a pipe breaks, and returns a code where the user breaks
    off; both are errors here, as everything else is.
    """
    try:
        for theme in _THEMES:
            importlib.import_module(f"expstore.cli.{theme}")
        code: int = app(prog_name="expstore", standalone_mode=False) or 0
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    finally:
        streams.flush()
    if code == _BROKEN_OFF:
        raise KeyboardInterrupt
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """The library's own warning is for the user, and the line of code it came from is not."""
    if issubclass(category, NameTruncatedWarning):
        tell(str(message))
    else:
        _show_other_warning(message, category, filename, lineno, file, line)
