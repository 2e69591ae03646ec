"""What all commands share: the application, the root, errors, JSON, and text made safe to show.

Guarantees: text from files reaches a terminal only through `plain`, which shows control characters
instead of sending them; JSON is valid always, non-finite numbers being the strings "NaN",
"Infinity" and "-Infinity".
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NoReturn, TextIO, TypeVar

import typer

from expstore import (
    ExperimentStore,
    ExpStoreError,
    FormatError,
    NameTruncatedWarning,
    __version__,
)
from expstore.commands import streams
from expstore.layout import default_root
from expstore.texts import json_number, plain

Item = TypeVar("Item")

# Click's class, whether Typer depends on Click or carries it along.
_UsageError: Any = typer.BadParameter.__base__

_BROKEN_OFF = 130  # as shells have it; no command ends with it otherwise
_show_other_warning = warnings.showwarning

app = typer.Typer(
    name="expstore",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        help="The store, or its URL. Default: $EXPSTORE_ROOT, else ./experiments.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]

# Modules of expstore.commands; importing one adds its commands, in the order in which help lists.
_THEMES = (
    "experiments",
    "pruning",
    "schemas",
    "data",
    "care",
    "look",
    "demonstration",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"expstore {__version__}")
        raise typer.Exit


__all__ = [
    "Json",
    "Root",
    "app",
    "fail",
    "open_store",
    "plain",
    "print_json",
    "print_json_array",
    "print_json_line",
    "progress",
    "run",
    "tell",
]


@app.callback()
def _options(
    context: typer.Context,
    root: Root = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Experiments on a plain file system, in declared binary formats."""
    del version
    context.obj = root


def open_store(context: typer.Context, root: str | None) -> ExperimentStore:
    """The store that the options, the environment or the default name."""
    return ExperimentStore(root or context.obj or default_root())


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
            importlib.import_module(f"expstore.commands.{theme}")
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


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one line on stderr."""
    tell(message)
    sys.exit(code)


def tell(message: str) -> None:
    """One line on stderr, beside the result."""
    print(f"expstore: {plain(message)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(_finite(value), ensure_ascii=True, indent=2))


def print_json_line(value: Any) -> None:
    """One JSON document on one line of stdout, at once, so that a stream can be followed."""
    print(json.dumps(_finite(value), ensure_ascii=True), flush=True)


def print_json_array(rows: Iterable[dict[str, Any]]) -> None:
    """A JSON array on stdout, a row a line, written as the rows come."""
    between = "[\n"
    for row in rows:
        print(between + json.dumps(_finite(row), ensure_ascii=True), end="")
        between = ",\n"
    print("[]" if between == "[\n" else "\n]")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value


def progress(
    what: str, *, total: int | None = None, stays: bool = False
) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """What hands items on under a progress bar on stderr, where that is a terminal.

    Args:
        what: is done with the items.
        total: how many there are, where they have no length.
        stays: the bar stays when all is done; off a terminal, one line says what is done.
    """

    def hand_on(items: Iterable[Item]) -> Iterable[Item]:
        if not sys.stderr.isatty():
            if stays:
                print(what, file=sys.stderr)
            return items
        from rich.console import Console
        from rich.progress import track

        return track(items, what, total, console=Console(stderr=True), transient=not stays)

    return hand_on
