"""The commands for experiments and their metrics: `init`, `ls`, `show`, `log`, `metrics`."""

from __future__ import annotations

import shutil
import time
from typing import Annotated, Any

import typer

from expstore import Metadata, TailStatus
from expstore.cli.base import (
    Json,
    ReadableRoot,
    Root,
    app,
    open_readable,
    open_store,
    print_json,
    print_json_array,
    printable,
    tell,
)
from expstore.cli.cluster_option import Cluster, ClusterCommand, log_reading
from expstore.cli.ids import Id, OptionalId, resolve, tell_links
from expstore.cli.numbers import parse_number
from expstore.cli.selecting import (
    Metrics,
    Where,
    complete_name,
    direction,
    pointing_at_mistakes,
    tell_none,
)
from expstore.cli.times import parse_since
from expstore.model.texts import shown_time
from expstore.store.files import layout

_METRIC_WIDTH = 10 + 2 + 2 + 24 + 2 + 19  # columns of a line of `metrics` besides the name
_SHORTEST_NAME = 20


@app.command()
def init(context: typer.Context, root: Root = None, as_json: Json = False) -> None:
    """Create the store's directory, unless it exists.

    Example: expstore init --root experiments
    """
    store = open_store(context, root, new=True)
    store.initialize()
    if as_json:
        print_json({"root": str(store.root.resolve())})
    else:
        print(f"the store is {printable(str(store.root.resolve()))}")


@app.command(cls=ClusterCommand)
def ls(
    context: typer.Context,
    sort: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="A field such as id, job or user, a parameter, or a metric, smallest first; "
            "-NAME: largest first. `created` lists the newest first.",
            autocompletion=complete_name,
        ),
    ] = "created",
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    where: Where = None,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    job: Annotated[str | None, typer.Option(help="Only jobs whose name contains this.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only newer ones: 36h, 30d, 2w or 2026-01-31."),
    ] = None,
    params: Annotated[
        bool, typer.Option("--params", help="Show the parameters that differ.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N.")] = None,
    cluster: Cluster = None,
    root: ReadableRoot = None,
    as_json: Json = False,
) -> None:
    """List the experiments; one that cannot be read is listed with its error.

    A terminal shows the first 40, unless --limit is given; a pipe gets all.

    Example: expstore ls --where 'status == running and lr < 0.01' --params
    """
    from expstore.cli.listing import describe_all, list_experiments, print_experiments
    from expstore.cli.tables import room, see_all

    now = time.time()
    oldest = None if since is None else parse_since(since, now, "--since")
    store = open_readable(context, root)

    def wanted(metadata: Metadata | None) -> bool:
        if metadata is None:
            return user is None and job is None and oldest is None
        return (
            (user is None or metadata.user == user)
            and (job is None or job in metadata.job_name)
            and (oldest is None or metadata.timestamp >= oldest)
        )

    with pointing_at_mistakes(), log_reading(store, cluster) as read:
        by, largest_first = direction(sort, reverse)
        largest_first = largest_first != (sort == "created")
        rows = list_experiments(store, wanted, where, by, largest_first, read)[:limit]
    if as_json:
        print_json_array(describe_all(store, rows))
    elif rows:
        shown = rows[: limit or room()]
        print_experiments(store, shown, by, params, now)
        if left := len(rows) - len(shown):
            tell(f"{left:,} more; {see_all(f'--limit {len(rows)}')}")
    else:
        tell_none(store, {"--user": user, "--job": job, "--since": since, "--where": where})
    tell_links(store)


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
def show(
    context: typer.Context, commit_id: OptionalId = None, root: Root = None, as_json: Json = False
) -> None:
    """Show one experiment: what it is, how it ran, and each metric's best and last value.

    Without an id, the newest is shown. Superseded metrics are left out.

    Example: expstore show 3f2a
    """
    from expstore.cli.showing import describe_experiment, newest, print_experiment
    from expstore.compare.experiments import experiments

    store = open_store(context, root)
    commit_id = newest(store) if commit_id is None else resolve(store, commit_id)
    (one,) = experiments(store, [commit_id])
    for problem in one.problems[one.metadata is None :]:  # the first is shown in its place
        tell(f"{problem}; `expstore check` reports the details")
    whole = store.get_metrics(commit_id)
    if as_json:
        print_json(describe_experiment(one, whole) | {"tail": describe_tail(whole.status)})
    else:
        print_experiment(one, whole)


def describe_tail(tail: TailStatus) -> dict[str, Any]:
    """The state of a log's end as JSON."""
    return {"kind": tail.kind, "offset": tail.offset, "size": tail.size}


# A value may begin with a minus sign, and must not be taken for an option.
@app.command(context_settings={"ignore_unknown_options": True})
def log(
    context: typer.Context,
    commit_id: Id,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The metric's name.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A number, nan, inf or -inf.")],
    step: Annotated[
        int | None,
        typer.Option(
            "--step",
            metavar="N",
            help="The training step. Default: the one after this metric's highest, or 0.",
        ),
    ] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Log one metric to an existing experiment, with the current time.

    It is on the disk when the command ends. `expstore new` creates an experiment for it.

    Example: expstore log 3f2a val/loss 0.25 --step 100
    """
    from expstore.store.joining import last_step

    number = parse_number(value, "VALUE")
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    if step is None:
        found = last_step(store, commit_id, [name])
        step = 0 if found is None else found + 1
    with store.writer(commit_id, durability="power") as writer:
        writer.log(name, number, step)
    if as_json:
        print_json({"commit_id": commit_id, "name": name, "value": number, "step": step})


@app.command()
def metrics(
    context: typer.Context,
    commit_id: Id,
    names: Metrics = None,
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
        from expstore.compare.patterns import expand

        expanded = (expand([name], table.names, strict=False) or [name] for name in names)
        table = table.select([one for found in expanded for one in found])
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
            f"{shown_time(metric.timestamp)}"
        )
