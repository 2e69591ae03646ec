"""The command `import`."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from expstore.cli.base import Json, Root, app, fail, open_store, print_json, printable, tell
from expstore.errors import ImportSourceError
from formats.errors import counted

if TYPE_CHECKING:
    from expstore.exchange.imports import ImportReport

Item = TypeVar("Item")

STDIN = "standard input"  # what messages call it
_NAMED = 3  # runs that a message names; of more, it gives the number
_EVERY = 10.0  # seconds between two lines of progress, where there is no terminal


class Source(StrEnum):
    """What `import` reads."""

    MLFLOW = "mlflow"
    WANDB = "wandb"
    TENSORBOARD = "tensorboard"
    HUGGINGFACE = "huggingface"
    CSV = "csv"
    JSONL = "jsonl"
    KERAS = "keras"


@app.command("import")
def import_command(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A file or a directory; - is standard input.")
    ],
    source: Annotated[
        Source | None,
        typer.Option("--from", help="What PATH is, as listed above. Default: it is recognised."),
    ] = None,
    to_id: Annotated[
        str | None, typer.Option("--to-id", help="The commit id, if there is only one run.")
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", help="Prepended to each run's name to make its commit id.")
    ] = "",
    user: Annotated[
        str | None, typer.Option("--user", help="The user, if PATH does not record one.")
    ] = None,
    step_column: Annotated[
        str | None, typer.Option("--step-column", help="The column of steps (csv, jsonl).")
    ] = None,
    time_column: Annotated[
        str | None, typer.Option("--time-column", help="The column of times (csv, jsonl).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would come in, and write nothing.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave bad values out, instead of the run they are in.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Add what is new since the last import, runs and metrics."),
    ] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Create new experiments from other tools' runs.

    csv: CSV or TSV of trainers and downloads, a row per step; or a row per metric, as exported.

    mlflow: its database (mlflow.db) or file store (mlruns), one experiment, or one run.

    tensorboard: a log directory, or one event file. wandb: run folders, without an account.

    huggingface: trainer_state.json. jsonl: JSON lines with a step. keras: a history as JSON.

    A run with a bad value, or whose id is taken, is reported and stays out; the others come in.

    Run an interrupted import again: it goes on, and says what is there already.

    Example: expstore import runs/ --prefix tb-
    """
    if to_id is not None and prefix:
        raise typer.BadParameter("use one of --to-id and --prefix", param_hint="--prefix")
    from expstore.exchange.imports import ImportOptions, import_source
    from expstore.exchange.sources.base import BadValueError

    store = open_store(context, root, new=True)
    options = ImportOptions(
        to_id, prefix, user, skip, update, step_column, time_column, dry_run=dry_run
    )
    new_store = not Path(str(store.root)).exists()
    name = STDIN if str(path) == "-" else str(path)
    with ExitStack() as stack:
        source_path = stack.enter_context(_standard_input()) if str(path) == "-" else path
        count = stack.enter_context(_counting())
        report = import_source(
            store,
            source_path,
            source.value if source else None,
            options,
            progress=count.runs,
            advance=count.points,
        )
        report = _called(report, str(source_path), name)
    if as_json:
        print_json(_described(report, dry_run))
    else:
        _print_report(report)
    if new_store and Path(str(store.root)).exists():
        tell(f"created the store {store.root}")
    if report.refused:
        whole = len(report.refused) + len(report.imported)
        bad = any(isinstance(run.error, BadValueError) for run in report.refused)
        remedy = "; --skip leaves out bad values instead" if bad and not skip else ""
        fail(f"{len(report.refused)} of {counted(whole, 'run')} not imported{remedy}")
    if not report.imported:
        fail(f"{name}: there is nothing to import")


@contextmanager
def _standard_input() -> Iterator[Path]:
    """A file with what comes in on standard input, which is read once."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "stdin", "stdin")  # some sources are named after their directory
        path.parent.mkdir()
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield path
        except ImportSourceError as error:
            _rename(error, str(path), STDIN)
            raise


def _called(report: ImportReport, path: str, name: str) -> ImportReport:
    """A report whose messages call the source by a name instead of its path."""
    for run in report.refused:
        _rename(run.error, path, name)
    return replace(report, notes=tuple(note.replace(path, name) for note in report.notes))


def _rename(error: Exception, path: str, name: str) -> None:
    if isinstance(error, ImportSourceError):
        error.args = (str(error).replace(path, name),)


class _Count:
    """Counts runs and points, and shows them now and then."""

    def __init__(self) -> None:
        self.done = 0
        self.read = 0
        self._start = self._last = time.monotonic()

    def runs(self, runs: Iterable[Item]) -> Iterator[Item]:
        """Pass runs through."""
        for run in runs:
            yield run
            self.done += 1
            self._show()

    def points(self, count: int) -> None:
        """Count points that were read."""
        self.read += count
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            tell(str(self))

    def __str__(self) -> str:
        rate = self.read / max(time.monotonic() - self._start, 1e-3)
        return f"importing: {self.done:,} runs, {self.read:,} metrics, {rate:,.0f} a second"


class _Bar(_Count):
    """The same, on a terminal."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar = bar

    def _show(self) -> None:
        self._bar.update(str(self))


@contextmanager
def _counting() -> Iterator[_Count]:
    """What shows how far an import is, on stderr."""
    if not sys.stderr.isatty():
        yield _Count()
        return
    from rich.console import Console

    with Console(stderr=True).status("importing") as bar:
        yield _Bar(bar)


def _described(report: ImportReport, dry_run: bool) -> dict[str, Any]:
    return {
        "kind": report.kind,
        "dry_run": dry_run,
        "experiments": [
            {
                "commit_id": row.commit_id,
                "name": row.name,
                "metrics": row.metrics,
                "added": row.added,
                "params": row.params,
                "left_out": dict(row.left_out),
                "notes": row.notes,
                "already_there": row.already_there,
            }
            for row in report.imported
        ],
        "refused": [{"name": run.name, "reason": str(run.error)} for run in report.refused],
        "left_out": dict(report.left_out),
        "notes": report.notes,
    }


def _print_report(report: ImportReport) -> None:
    said: dict[str, list[str]] = {}  # what is the same of many runs is said once
    for row in report.imported:
        more = f", {counted(row.params, 'param', ',')}" if row.params else ""
        if row.already_there:
            more += ", already there"
        elif row.added != row.metrics:
            more += f", {row.added:,} of them new"
        print(f"{printable(row.commit_id)}  {counted(row.metrics, 'metric', ',')}{more}")
        for what, count in row.left_out.items():
            said.setdefault(f"left out {what}: {count:,}", []).append(row.commit_id)
        for note in row.notes:
            said.setdefault(note, []).append(row.commit_id)
    for message, ids in said.items():
        runs = ", ".join(ids) if len(ids) <= _NAMED else counted(len(ids), "run")
        tell(f"{runs}: {message}")
    for what, count in report.left_out.items():
        tell(f"left out {what}: {count:,}")
    for note in report.notes:
        tell(note)
    for run in report.refused:
        tell(f"{run.name}: not imported: {run.error}")
