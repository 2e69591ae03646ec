"""Shared by all commands: the application, the root option, messages, JSON and progress bars.

Guarantees: text from files reaches a terminal only through `printable`, which escapes control
characters; JSON is always valid: non-finite numbers are the strings "NaN", "Infinity" and
"-Infinity".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from expstore import (
    ExperimentStore,
    __version__,
)
from expstore.cli import roots
from expstore.cli.helping import Group
from expstore.model.texts import json_number, printable
from expstore.store.reader import StoreReader

Item = TypeVar("Item")


app = typer.Typer(
    name="expstore",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DEFAULT = "Default: $EXPSTORE_ROOT, else ./experiments."
Root = Annotated[str | None, typer.Option("--root", help=f"The store, or its URL. {_DEFAULT}")]
ReadableRoot = Annotated[
    str | None,
    typer.Option("--root", help=f"The store, its URL, or an export to Parquet. {_DEFAULT}"),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=0,
        metavar="N",
        help="Read with N processes; 0: one for each processor. Pays for long logs, or many.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"expstore {__version__}")
        raise typer.Exit


__all__ = [
    "Jobs",
    "Json",
    "ReadableRoot",
    "Root",
    "app",
    "byte_progress",
    "fail",
    "open_readable",
    "open_store",
    "print_json",
    "print_json_array",
    "print_json_line",
    "printable",
    "progress",
    "tell",
    "without_curves",
]


@app.callback()
def _options(
    context: typer.Context,
    root: Annotated[
        str | None,
        typer.Option(
            "--root",
            help="The store, or its URL; `compare`, `ls`, `plot` and `report` also take an export "
            f"to Parquet. {_DEFAULT}",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Log what machine-learning runs tried and measured to plain files, and look at it."""
    del version
    context.obj = root


def open_store(context: typer.Context, root: str | None, *, new: bool = False) -> ExperimentStore:
    """The store named by the options, the environment or the default; see `roots.open_root`."""
    return roots.open_root(root or context.obj, new=new)


def open_readable(context: typer.Context, root: str | None) -> StoreReader:
    """The store, or an export to Parquet in its place; see `roots.open_readable`."""
    return roots.open_readable(root or context.obj)


def without_curves(store: StoreReader) -> str | None:
    """What to say of an export that has no curves to draw; None of anything else."""
    if getattr(store, "has_curves", True):
        return None
    return (
        f"{store.location} has one row per experiment, and no curves; those are in the store, and "
        "in an export without --experiments"
    )


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one line to stderr, and exit."""
    tell(message)
    sys.exit(code)


def tell(message: str) -> None:
    """Print one line to stderr, to keep stdout for the result."""
    print(f"expstore: {printable(message)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a JSON document to stdout; a list as `print_json_array` does."""
    if isinstance(value, list):
        print_json_array(value)
    else:
        print(_json(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print a JSON document on one line of stdout, and flush, so that output can be followed."""
    print(_json(value), flush=True)


def print_json_array(rows: Iterable[dict[str, Any]]) -> None:
    """Print a JSON array to stdout, one row per line, as the rows arrive."""
    between = "[\n"
    for row in rows:
        print(between + _json(row), end="")
        between = ",\n"
    print("[]" if between == "[\n" else "\n]")


def _json(value: Any, indent: int | None = None) -> str:
    try:  # at first as it is, since `_finite` takes longer than the rest
        return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)
    except (ValueError, TypeError):
        return json.dumps(_finite(value), ensure_ascii=True, indent=indent)


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
    """A function that wraps items in a progress bar on stderr, if that is a terminal.

    Args:
        what: what is being done, as the label of the bar.
        total: the number of items, if they have no length.
        stays: keep the bar at the end; without a terminal, print the label instead.
    """

    def wrap(items: Iterable[Item]) -> Iterable[Item]:
        if not sys.stderr.isatty():
            if stays:
                print(what, file=sys.stderr)
            return items
        from rich.console import Console
        from rich.progress import track

        return track(items, what, total, console=Console(stderr=True), transient=not stays)

    return wrap


@contextmanager
def byte_progress(what: str) -> Iterator[Callable[[int, int], object]]:
    """A function that shows the bytes done, of a total, on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = "{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(what))
        yield lambda done, total: bar.update(task, completed=done, total=total)
