"""The commands for experiments and their metrics: `init`, `ls`, `show`, `log`, `metrics`."""

from __future__ import annotations

import shutil
import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from expstore import ExpStoreError, FormatError, Metadata, MetricTable, RunFileError, RunInfo
from expstore.cli.base import (
    Json,
    Root,
    app,
    open_store,
    print_json,
    print_json_array,
    printable,
    tell,
)
from expstore.cli.ids import Id, resolve, tell_links
from expstore.cli.times import parse_since
from expstore.store.files import layout
from expstore.store.read.rewind import BackwardSteps, Rewind

_METRIC_WIDTH = 10 + 2 + 2 + 24 + 2 + 19  # columns of a line of `metrics` besides the name
_SHORTEST_NAME = 20


class Order(StrEnum):
    """What `ls` sorts by."""

    CREATED = "created"
    ID = "id"
    JOB = "job"
    USER = "user"


@app.command()
def init(context: typer.Context, root: Root = None) -> None:
    """Create the store's directory, unless it exists.

    Example: expstore init --root experiments
    """
    store = open_store(context, root)
    store.initialize()
    print(f"the store is {printable(str(store.root.resolve()))}")


@app.command()
def ls(
    context: typer.Context,
    order: Annotated[
        Order, typer.Option("--sort", help="`created` lists the newest first.")
    ] = Order.CREATED,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    job: Annotated[str | None, typer.Option(help="Only jobs whose name contains this.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only newer ones: 36h, 30d, 2w or 2026-01-31."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N.")] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """List the experiments; one that cannot be read is listed with its error.

    Example: expstore ls --user alice --since 30d
    """
    now = time.time()
    oldest = None if since is None else parse_since(since, now)
    rows: list[tuple[str, Metadata | FormatError | ExpStoreError]] = []
    store = open_store(context, root)
    for commit_id, metadata in store.iter_metadata():
        if isinstance(metadata, Metadata):
            if user is not None and metadata.user != user:
                continue
            if job is not None and job not in metadata.job_name:
                continue
            if oldest is not None and metadata.timestamp < oldest:
                continue
        elif not (user is None and job is None and oldest is None):
            continue
        rows.append((commit_id, metadata))
    rows.sort(key=lambda row: _rank(order, *row))
    if reverse:
        rows.reverse()
    rows = rows[:limit]
    if as_json:
        print_json_array(describe(*row) for row in rows)
    elif rows:
        from expstore.cli import render, tables

        tables.show(render.console(), render.experiments(rows, now))
    else:
        tell("no experiments; `expstore demo` creates some")
    tell_links(store)


def _rank(order: Order, commit_id: str, metadata: Any) -> tuple[Any, ...]:
    """The sort key: unreadable experiments come last, and ties are sorted by id."""
    if not isinstance(metadata, Metadata):
        return (order is not Order.ID, commit_id if order is Order.ID else "", commit_id)
    ranks: dict[Order, Any] = {
        Order.CREATED: -metadata.timestamp,
        Order.ID: commit_id,
        Order.JOB: metadata.job_name,
        Order.USER: metadata.user,
    }
    return (False, ranks[order], commit_id)


def describe(commit_id: str, metadata: Metadata | Exception) -> dict[str, Any]:
    """An experiment as JSON; `commit_id` is the name of its directory."""
    if not isinstance(metadata, Metadata):
        return {"commit_id": commit_id, "error": str(metadata)}
    return {
        "commit_id": commit_id,
        "timestamp": metadata.timestamp,
        "job_name": metadata.job_name,
        "user": metadata.user,
    }


@app.command()
def show(context: typer.Context, commit_id: Id, root: Root = None, as_json: Json = False) -> None:
    """Show one experiment: its metadata, and the last, minimum and maximum value of each metric.

    Example: expstore show 3f2a
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    metadata: Metadata | Exception
    try:
        metadata = store.read_metadata(commit_id)
    except (FormatError, ExpStoreError) as error:
        metadata = error
    try:
        info = store.read_run(commit_id)
    except RunFileError as error:
        info = RunInfo()
        tell(f"{error}; `expstore check` reports the details")
    whole = store.get_metrics(commit_id)
    table, back = Rewind(info.starts).current(whole), BackwardSteps(info.starts)
    back.look_at(whole)
    if as_json:
        print_json(
            describe(commit_id, metadata)
            | {
                "metrics": _describe_metrics(table),
                "superseded": len(whole) - len(table),
                "steps_back": None if back.first is None else back.first._asdict(),
                "tail": _describe_tail(table),
            }
        )
        return
    from expstore.cli import render

    render.experiment(render.console(), commit_id, metadata, table, len(whole), back)


def _describe_metrics(table: MetricTable) -> list[dict[str, Any]]:
    from expstore.compare.series import extremes, split

    return [{"name": name} | extremes(series)._asdict() for name, series in split(table).items()]


def _describe_tail(table: MetricTable) -> dict[str, Any]:
    return {"kind": table.status.kind, "offset": table.status.offset, "size": table.status.size}


# A value may begin with a minus sign, and must not be taken for an option.
@app.command(context_settings={"ignore_unknown_options": True})
def log(
    context: typer.Context,
    commit_id: Id,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The metric's name.")],
    value: Annotated[float, typer.Argument(metavar="VALUE", help="A number, nan, inf or -inf.")],
    step: Annotated[int, typer.Option("--step", metavar="N", help="The training step.")],
    root: Root = None,
) -> None:
    """Log one metric to an existing experiment, with the current time.

    It is on the disk when the command ends.

    Example: expstore log 3f2a val/loss 0.25 --step 100
    """
    store = open_store(context, root)
    with store.writer(resolve(store, commit_id), durability="power") as writer:
        writer.log(name, value, step)


@app.command()
def metrics(
    context: typer.Context,
    commit_id: Id,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="N", help="Only this metric; may be repeated."),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, metavar="N", help="Only the last N.")
    ] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Print an experiment's metrics in the order they were logged.

    Example: expstore metrics 3f2a --name loss --json
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    table = store.get_metrics(commit_id)
    if not table.status:
        path = store.locate(commit_id, layout.METRICS)
        tell(f"{path}: {table.status}; `expstore check` reports the details")
    if names:
        table = table.select(names)
    if last is not None:
        table = table[-last:]
    if as_json:
        print_json_array(metric._asdict() for metric in table)
        return
    # A longer name, of up to 255 bytes, moves only the rest of its own line.
    room = max(shutil.get_terminal_size().columns - _METRIC_WIDTH, _SHORTEST_NAME)
    width = min(max([len(printable(name)) for name in table.names] + [len("metric")]), room)
    print(f"{'step':>10}  {'metric':<{width}}  {'value':>24}  time")
    for metric in table:
        print(
            f"{metric.step:>10}  {printable(metric.name):<{width}}  {metric.value!r:>24}  "
            f"{_time(metric.timestamp)}"
        )


def _time(timestamp: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))
    except (OverflowError, ValueError, OSError):
        return str(timestamp)
