"""Commands that compare experiments: `compare`, `plot` and `report`."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from expstore.cli.base import (
    Jobs,
    Json,
    Root,
    app,
    fail,
    open_readable,
    print_json,
    printable,
    progress,
    tell,
)
from expstore.cli.cluster_option import Cluster, ClusterCommand, log_reading
from expstore.cli.experiments import describe_tail
from expstore.cli.ids import Ids, resolve_all
from expstore.cli.selecting import (
    Where,
    complete_metric,
    complete_name,
    pointing_at_mistakes,
    selected,
    tell_none,
)
from formats.errors import counted

if TYPE_CHECKING:
    from expstore.compare.summaries import Summary
    from expstore.store.reader import StoreReader

AxisName = Literal["step", "time", "relative"]  # as in `axes.AXES`, which would import NumPy
_COLUMNS = ("last", "min", "max", "last_step", "min_step", "max_step", "points")


@app.command("compare", cls=ClusterCommand)
def compare_command(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            "--metric",
            metavar="NAME[:last|min|max]",
            help="Only this metric, or pattern such as 'val/*'; may be repeated.",
            autocompletion=complete_metric,
        ),
    ] = None,
    where: Where = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:last|min|max]",
            help="Sort by this parameter, metric or field, smallest first.",
            autocompletion=complete_name,
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N.")] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Mean and deviation over experiments with the same value; may be repeated.",
            autocompletion=complete_name,
        ),
    ] = None,
    by_metric: Annotated[
        bool, typer.Option("--by-metric", help="One table for each metric.")
    ] = False,
    as_json: Json = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one row per experiment and metric.")
    ] = False,
    jobs: Jobs = 1,
    cluster: Cluster = None,
    root: Root = None,
) -> None:
    """Compare experiments: the parameters that differ, and the best value of each metric.

    Best is the minimum of a loss or an error, and the maximum of an accuracy or a score, each with
    its step; of other metrics the last value is shown, the one at the largest step. NAME:min,
    NAME:max and NAME:last choose. NaN counts only as a last value.

    What cannot be read is reported on standard error, with exit code 1.

    Example: expstore compare --where 'lr < 0.01' --sort val/loss:min
    """
    if as_json + as_csv + by_metric > 1 or (group_by and (as_csv or by_metric)):
        raise typer.BadParameter(
            "use one of --json, --csv and --by-metric, and --group-by with none or --json",
            param_hint="--json, --csv, --by-metric",
        )
    from expstore.cli.comparing import (
        asked_metrics,
        known_metrics,
        only,
        print_grouped,
        print_rows,
    )
    from expstore.cli.metric_tables import print_tables
    from expstore.compare.summaries import compare

    store = open_readable(context, root)
    chosen = resolve_all(store, commit_ids)
    options: dict[str, Any] = {"where": where, "sort": sort, "reverse": reverse, "limit": limit}
    options |= {"progress": progress("reading"), "jobs": jobs}
    if sort is None and chosen is None and not (group_by or as_json or as_csv or by_metric):
        options |= {"sort": "created", "reverse": not reverse}  # the newest first, as in `ls`
    with pointing_at_mistakes(), log_reading(store, cluster) as options["read"]:
        if group_by:
            groups = compare(store, chosen, group_by=group_by, **options)
            if groups or as_json:
                print_grouped(groups, names, sort, limit, as_json)
            else:
                tell_none(store, {"--where": where})
            return
        summaries = compare(store, chosen, **options)
    asked = asked_metrics(names, known_metrics(summaries))
    chosen_only = only(summaries, asked) if names else summaries
    if as_json:
        print_json([_plain_data(summary) for summary in chosen_only])
    elif as_csv:
        _print_csv(chosen_only)
    elif by_metric:
        print_tables(chosen_only)
    elif not summaries:
        tell_none(store, {"--where": where})
    else:
        print_rows(store, summaries, asked, sort, limit)
    _tell_problems(summaries)


def _plain_data(summary: Summary) -> dict[str, Any]:
    metadata = summary.metadata
    return {
        "commit_id": summary.commit_id,
        "timestamp": metadata.timestamp if metadata else None,
        "job_name": metadata.job_name if metadata else None,
        "user": metadata.user if metadata else None,
        "status": str(summary.status),
        "tail": describe_tail(summary.tail),
        "duration": summary.duration,
        "tags": list(summary.tags),
        "notes": summary.notes,
        "params": dict(summary.params),
        "problems": list(summary.problems),
        "metrics": {
            name: {column: getattr(metric, column) for column in _COLUMNS}
            for name, metric in summary.metrics.items()
        },
    }


def _print_csv(summaries: Iterable[Summary]) -> None:
    from expstore.model.texts import escape

    # A terminal must not get control characters; in a file every name must be recoverable.
    shown = printable if sys.stdout.isatty() else escape
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("commit_id", "name", *_COLUMNS))
    for summary in summaries:
        for name, metric in summary.metrics.items():
            values = (getattr(metric, column) for column in _COLUMNS)
            writer.writerow((shown(summary.commit_id), shown(name), *values))


def _tell_problems(summaries: Iterable[Summary]) -> None:
    """Report problems and torn tails on stderr; exit with 1 if anything is unreadable."""
    unreadable = 0
    for summary in summaries:
        for problem in summary.problems:
            tell(f"{summary.commit_id}: {problem}")
        if not summary.tail:
            tell(f"{summary.commit_id}: {summary.tail}; the readable part is shown")
        unreadable += bool(summary.problems)
    if unreadable:
        fail(f"{counted(unreadable, 'experiment')} could not be fully read")


@app.command("plot")
def plot_command(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="The metric, or a pattern; may be repeated. Default: the only one.",
            autocompletion=complete_metric,
        ),
    ] = None,
    where: Where = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .png, .svg or .pdf file; replaced if it exists."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic value axis.")] = False,
    smooth: Annotated[
        float,
        typer.Option(
            metavar="WEIGHT", help="Exponential moving average like TensorBoard's, 0 to 0.99."
        ),
    ] = 0.0,
    x: Annotated[AxisName, typer.Option("--x", help="The x axis.")] = "step",
    as_json: Annotated[
        bool, typer.Option("--json", help="With -o, print what was drawn as JSON.")
    ] = False,
    root: Root = None,
) -> None:
    """Draw curves in the terminal, or into an image file.

    An image has all curves in one plot: one colour per experiment, one line style per name. In the
    terminal, each name has a plot of its own.

    Example: expstore plot 3f2a9c1d --name loss --smooth 0.9 -o loss.png
    """
    if as_json and output is None:
        raise typer.BadParameter("needs -o; `metrics --json` prints points", param_hint="--json")
    from expstore.compare.conditions import is_pattern
    from expstore.compare.curves import curves
    from expstore.compare.plot import drawable, save
    from expstore.compare.styles import ON_LIGHT
    from expstore.compare.textplot import COLOURS, text

    store = open_readable(context, root)
    chosen = selected(store, commit_ids, where)
    if not names:
        names = [_only_name(store.select_ids(chosen), store)]
    found = curves(store, chosen, names, x=x)
    present = {curve[:2] for curve in found}
    for commit_id in chosen or ():
        missing = [
            name for name in names if not is_pattern(name) and (commit_id, name) not in present
        ]
        if missing:
            tell(f"{commit_id}: has no {', '.join(map(repr, missing))}, or cannot be read")
    drawn = drawable(found, log, smooth)
    visible = {curve[:2] for curve in drawn}
    for commit_id, name, _ in found:
        if (commit_id, name) not in visible:
            tell(f"{commit_id}: {name!r} has no value that this axis can show; left out")
    if output is not None:
        save(found, output, log=log, smoothing=smooth, x=x)
        if as_json:
            rows = [{"commit_id": one.commit_id, "name": one.name} for one in drawn]
            print_json({"output": str(output), "curves": rows})
        tell(f"{counted(len(drawn), 'curve')} in {output}")
        ids = {curve.commit_id for curve in drawn}
        if len(ids) > len(ON_LIGHT) and len({curve.name for curve in drawn}) > 1:
            tell(
                f"{len(ids)} experiments share {len(ON_LIGHT)} colours; a single --name avoids this"
            )
        return
    width, lines = shutil.get_terminal_size()
    from rich.console import Console

    console = Console()
    colour = console.color_system is not None and not console.no_color
    height = min(max(lines - 10, 8), 20) if sys.stdout.isatty() else 15
    size = {"width": min(width, 120), "height": height}
    print(text(found, log=log, smoothing=smooth, x=x, colour=colour, **size))
    shown = len({curve.commit_id for curve in found})
    if shown > len(COLOURS):
        tell(f"{shown} experiments share {len(COLOURS)} colours; -o and `report` tell them apart")


def _only_name(ids: Iterable[str], store: StoreReader) -> str:
    from expstore.compare.curves import load
    from expstore.errors import listed

    names = dict.fromkeys(name for one in load(store, ids) for name in one.curves)
    if not names:
        fail(f"nothing to plot: no experiment in {store.location} has metrics")
    if len(names) != 1:
        fail(f"plot needs --name; the metrics are: {listed(names)}", code=2)
    return next(iter(names))


@app.command("report", cls=ClusterCommand)
def report_command(
    context: typer.Context,
    commit_ids: Ids = None,
    where: Where = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file; replaced if it exists.")
    ] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Default: named after the store.")] = None,
    x: Annotated[AxisName, typer.Option("--x", help="The x axis at first.")] = "step",
    cluster: Cluster = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Write one HTML file with interactive curves, a table, parameters and images.

    The file is self-contained, needs no network, and has at most 15 MB. Long curves are thinned
    without losing spikes. What does not fit is left out, the oldest experiments first, and reported
    on standard error and in the file. --cluster evaluates --where by Dask workers.

    Example: expstore report -o report.html
    """
    from expstore.report.page import write_report

    store = open_readable(context, root)
    if cluster is not None and where is None:
        raise typer.BadParameter("it is for --where; add an expression", param_hint="--cluster")
    with log_reading(store, cluster) as read:
        chosen = selected(store, commit_ids, where, read)
    if chosen is None and not store.list_experiments():
        tell_none(store, {})
        sys.exit(1)
    left_out: list[str] = []
    count = write_report(
        store,
        output,
        chosen,
        title=title,
        x=x,
        progress=progress("reading"),
        on_left_out=left_out.append,
    )
    for text in left_out:
        tell(f"left out: {text}")
    if as_json:
        print_json({"output": str(output), "experiments": count, "left_out": left_out})
    megabytes = output.stat().st_size / 1e6
    tell(f"{counted(count, 'experiment')} in {output} ({megabytes:.1f} MB)")
