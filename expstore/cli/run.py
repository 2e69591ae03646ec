"""Runs the application: loads the commands, and reports expected errors in one line.

Guarantees: an expected error gives one line on stderr and exit code 1 (2 for wrong usage, 130 if
the user interrupts), never a traceback; a closed pipe is not an error.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from typing import Any, NoReturn, TextIO

import typer

from expstore import ExpStoreError, FormatError, NameTruncatedWarning, NoCommitWarning
from expstore.cli import streams
from expstore.cli.base import app, fail, tell
from expstore.cli.groups import arrange
from expstore.cli.usage import explain

# Click's class, whether Typer depends on Click or vendors it.
_UsageError: Any = typer.BadParameter.__base__

_INTERRUPTED = 130  # as in shells; no command exits with it for another reason
_show_other_warning = warnings.showwarning

# Importing a module registers its commands.
_THEMES = (
    "experiments",
    "launch",
    "prune",
    "files",
    "schema",
    "exchange",
    "imports",
    "care",
    "seal",
    "compare",
    "plot",
    "report",
    "diff",
    "watch",
    "serve",
    "demo",
)


def run() -> None:
    """Run the application; expected errors become one line on stderr.

    Exit codes: 1 for an error, 2 for wrong usage, 130 if the user interrupts.
    """
    warnings.showwarning = _show_warning
    # A list of many experiments is no garbage, but the usual thresholds have Python search it for
    # some again and again: half of the time of `ls` of 200,000.
    gc.set_threshold(100_000, 20, 100)
    try:
        _run()
    except BrokenPipeError:  # the reader of the pipe (head, less) has exited
        streams.discard(sys.stdout)
        streams.discard(sys.stderr)
        sys.exit(0)


def _run() -> NoReturn:
    try:
        code = _call()
    except _UsageError as error:
        if not (message := explain(error)):  # no command given: the message is the whole help
            error.show()
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "expstore"
        fail(f"{message}; see `{command} --help`", 2)
    except (typer.Abort, KeyboardInterrupt):
        fail("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        raise
    except MemoryError as error:
        # Even a log with few records can be huge, since a file can have holes.
        reason = f" ({error})" if str(error) else ""
        fail(f"not enough memory{reason}; the library's `iter_metrics` reads a log in parts")
    except (ExpStoreError, FormatError) as error:
        fail(str(error))
    except OSError as error:
        fail(_of_system(error))
    sys.exit(code)


def _of_system(error: OSError) -> str:
    """An error of the operating system: where, and what, without its number."""
    if not error.strerror:
        return str(error)
    places = [os.fsdecode(one) for one in (error.filename, error.filename2) if isinstance(one, str)]
    reason = error.strerror[0].lower() + error.strerror[1:]
    return f"{' to '.join(places)}: {reason}" if places else error.strerror


def _call() -> int:
    """Load the commands, and call the one given on the command line; returns the exit code.

    Typer exits if a pipe breaks, and returns a code if the user interrupts. Both are turned into
    exceptions here, to be handled like all others.
    """
    try:
        for theme in _THEMES:
            importlib.import_module(f"expstore.cli.{theme}")
        arrange(app)
        code: int = app(prog_name="expstore", standalone_mode=False) or 0
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    finally:
        streams.flush()
    if code == _INTERRUPTED:
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
    """Print the library's own warning as one line, without the source line it came from."""
    if issubclass(category, NameTruncatedWarning):
        tell(str(message))
    elif issubclass(category, NoCommitWarning):
        tell(str(message).partition(";")[0])  # the rest is about Python's argument
    else:
        _show_other_warning(message, category, filename, lineno, file, line)
