"""What all commands share: the application, the root, errors, JSON, and text made safe to show.

Guarantees: text from files reaches a terminal only through `plain`, which shows control characters
instead of sending them; JSON is valid always, non-finite numbers being the strings "NaN",
"Infinity" and "-Infinity".
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from expstore import ExperimentStore, ExpStoreError, FormatError
from expstore.layout import default_root
from expstore.texts import json_number, plain

Item = TypeVar("Item")

app = typer.Typer(
    name="expstore",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Root = Annotated[
    Path | None,
    typer.Option("--root", help="The store. Default: $EXPSTORE_ROOT, else ./experiments."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]

_THEMES = (
    "experiments",
    "schemas",
    "data",
    "look",
)  # modules of expstore.commands; importing one adds its commands


__all__ = ["Json", "Root", "app", "fail", "open_store", "plain", "print_json", "progress", "run"]


@app.callback()
def _options(context: typer.Context, root: Root = None) -> None:
    """Experiments on a plain file system, in declared binary formats."""
    context.obj = root


def open_store(context: typer.Context, root: Path | None) -> ExperimentStore:
    """The store that the options, the environment or the default name."""
    return ExperimentStore(root or context.obj or default_root())


def run() -> None:
    """Run the application, turning what is expected to go wrong into one line and exit code 1."""
    for theme in _THEMES:
        importlib.import_module(f"expstore.commands.{theme}")
    try:
        app()
    except (ExpStoreError, FormatError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader of a pipe (head, less) has left; Python would complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        fail(str(error))


def fail(message: str, code: int = 1) -> None:
    """End with one line on stderr."""
    print(f"expstore: {plain(message)}", file=sys.stderr)
    sys.exit(code)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(_finite(value), ensure_ascii=True, indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value


def progress(what: str) -> Any:
    """A progress bar on standard error, where that is a terminal."""

    def track(items: Iterable[Item]) -> Iterable[Item]:
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        return track(items, what, console=console, transient=True, disable=not console.is_terminal)

    return track
