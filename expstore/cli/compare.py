"""Commands that compare experiments: `compare`, `plot` and `report`."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from expstore.cli.base import (
    Jobs,
    Json,
    Root,
    app,
    fail,
    open_store,
    print_json,
    printable,
    progress,
    tell,
)
from expstore.cli.ids import Ids, resolve_all
from formats.errors import counted

if TYPE_CHECKING:
    from expstore.cli.tables import Column, Table
    from expstore.compare.summaries import Summary
    from expstore.store.repository import ExperimentStore

_NUMBERS_WIDTH = 57  # terminal columns: four numbers at their widest, and the gaps
_GAP = 3  # terminal columns between two table columns
AxisName = Literal["step", "time", "relative"]  # as in `axes.AXES`, which would import NumPy
_COLUMNS = ("last", "min", "max", "last_step", "min_step", "max_step", "points")


@app.command("compare")
def compare_command(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", "--metric", help="Only this metric; may be repeated."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="METRIC[:last|min|max]", help="Sort by this, smallest first."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    as_json: Json = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one row per experiment and metric.")
    ] = False,
    jobs: Jobs = 1,
    root: Root = None,
) -> None:
    """Show the last, minimum and maximum value of each metric.

    The last value is the one at the largest step. NaN counts only as a last value.

    What cannot be read is reported on standard error, with exit code 1.

    Example: expstore compare --name val/loss --sort val/loss:min
    """
    if as_json and as_csv:
        raise typer.BadParameter("use one of --json and --csv", param_hint="--csv")
    from expstore.compare.summaries import compare

    store = open_store(context, root)
    summaries = compare(
        store,
        resolve_all(store, commit_ids),
        names or None,
        sort=sort,
        reverse=reverse,
        progress=progress("reading"),
        jobs=jobs,
    )
    if as_json:
        print_json([_plain_data(summary) for summary in summaries])
    elif as_csv:
        _print_csv(summaries)
    else:
        _print_tables(summaries)
    _tell_problems(summaries)


def _plain_data(summary: Summary) -> dict[str, Any]:
    metadata = summary.metadata
    return {
        "commit_id": summary.commit_id,
        "timestamp": metadata.timestamp if metadata else None,
        "job_name": metadata.job_name if metadata else None,
        "user": metadata.user if metadata else None,
        "status": str(summary.status),
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


def _print_tables(summaries: Sequence[Summary]) -> None:
    """A table for each metric, with experiments as rows, so that it fits any terminal."""
    from expstore.cli.render import console
    from expstore.cli.tables import show_all

    having: dict[str, list[Summary]] = {}
    for summary in summaries:
        for name in summary.metrics:
            having.setdefault(name, []).append(summary)
    screen = console()
    columns = _columns(screen.width)
    show_all(screen, (_table(name, rows, columns) for name, rows in having.items()))
    if not having:
        print(f"no metrics in {counted(len(summaries), 'experiment')}")


def _columns(width: int) -> list[Column]:
    """The columns of a metric's table; a narrow terminal cuts ids and jobs, never a number."""
    from expstore.cli.tables import Column

    left = max(width - _NUMBERS_WIDTH, 3)
    with_job = left >= 20
    id_width = (left - _GAP) * 2 // 3 if with_job else left
    return [
        Column("experiment", limit=id_width),
        *([Column("job", limit=left - _GAP - id_width, style="dim")] if with_job else []),
        *(Column(title, right=True) for title in ("last", "min", "max")),
        Column("at step", right=True, style="dim"),
    ]


def _table(name: str, summaries: Sequence[Summary], columns: Sequence[Column]) -> Table:
    """One metric's values."""
    from expstore.cli.tables import Styled, Table

    with_job = columns[1].title == "job"
    table = Table(*columns, title=printable(name), heading="dim")
    metrics = [summary.metrics[name] for summary in summaries]
    minimum = maximum = None
    if len(metrics) > 1:  # otherwise nothing stands out
        minimum = min((m.min for m in metrics if m.min == m.min), default=None)
        maximum = max((m.max for m in metrics if m.max == m.max), default=None)
    for summary, metric in zip(summaries, metrics, strict=True):
        job = printable(summary.metadata.job_name) if summary.metadata else ""
        table.add_row(
            printable(summary.commit_id),
            *([job] if with_job else []),
            f"{metric.last:.5g}",
            Styled(f"{metric.min:.5g}", "bold" if metric.min == minimum else ""),
            Styled(f"{metric.max:.5g}", "bold" if metric.max == maximum else ""),
            f"{metric.last_step:,}",
        )
    return table


def _tell_problems(summaries: Iterable[Summary]) -> None:
    """Report problems and torn tails on stderr; exit with 1 if anything is unreadable."""
    unreadable = 0
    for summary in summaries:
        for problem in summary.problems:
            tell(f"{summary.commit_id}: {problem}")
        if not summary.status:
            tell(f"{summary.commit_id}: {summary.status}; the readable part is shown")
        unreadable += bool(summary.problems)
    if unreadable:
        fail(f"{counted(unreadable, 'experiment')} could not be fully read")


@app.command("plot")
def plot_command(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="The metric; may be repeated. Default: the only one."),
    ] = None,
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
    root: Root = None,
) -> None:
    """Draw curves in the terminal, or into an image file.

    An image has all curves in one plot: one colour per experiment, one line style per name. In the
    terminal, each name has a plot of its own.

    Example: expstore plot 3f2a9c1d --name loss --smooth 0.9 -o loss.png
    """
    from expstore.compare.curves import curves
    from expstore.compare.plot import ON_LIGHT, drawable, save
    from expstore.compare.textplot import COLOURS, text

    store = open_store(context, root)
    chosen = resolve_all(store, commit_ids)
    if not names:
        names = [_only_name(store.select_ids(chosen), store)]
    found = curves(store, chosen, names, x=x)
    present = {curve[:2] for curve in found}
    for commit_id in chosen or ():
        missing = [name for name in names if (commit_id, name) not in present]
        if missing:
            tell(f"{commit_id}: has no {', '.join(map(repr, missing))}, or cannot be read")
    drawn = drawable(found, log, smooth)
    visible = {curve[:2] for curve in drawn}
    for commit_id, name, _ in found:
        if (commit_id, name) not in visible:
            tell(f"{commit_id}: {name!r} has no value that this axis can show; left out")
    if output is not None:
        save(found, output, log=log, smoothing=smooth, x=x)
        tell(f"{counted(len(drawn), 'curve')} in {output}")
        ids = {curve.commit_id for curve in drawn}
        if len(ids) > len(ON_LIGHT) and len({curve.name for curve in drawn}) > 1:
            tell(
                f"{len(ids)} experiments share {len(ON_LIGHT)} colours; a single --name avoids this"
            )
        return
    width, lines = shutil.get_terminal_size()
    from rich.console import Console

    colour = Console().color_system is not None
    height = min(max(lines - 10, 8), 20) if sys.stdout.isatty() else 15
    size = {"width": min(width, 120), "height": height}
    print(text(found, log=log, smoothing=smooth, x=x, colour=colour, **size))
    shown = len({curve.commit_id for curve in found})
    if shown > len(COLOURS):
        tell(f"{shown} experiments share {len(COLOURS)} colours; -o and `report` tell them apart")


def _only_name(ids: Iterable[str], store: ExperimentStore) -> str:
    from expstore.compare.curves import load
    from expstore.errors import listed

    names = dict.fromkeys(name for one in load(store, ids) for name in one.curves)
    if len(names) != 1:
        fail(f"plot needs --name; the metrics are: {listed(names)}", code=2)
    return next(iter(names))


@app.command("report")
def report_command(
    context: typer.Context,
    commit_ids: Ids = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file; replaced if it exists.")
    ] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Default: named after the store.")] = None,
    x: Annotated[AxisName, typer.Option("--x", help="The x axis at first.")] = "step",
    root: Root = None,
) -> None:
    """Write one HTML file with interactive curves, a table, parameters and images.

    The file is self-contained, needs no network, and has at most 15 MB. Long curves are thinned
    without losing spikes. What does not fit is left out, the oldest experiments first, and reported
    on standard error and in the file.

    Example: expstore report -o report.html
    """
    from expstore.report.page import write_report

    store = open_store(context, root)
    count = write_report(
        store,
        output,
        resolve_all(store, commit_ids),
        title=title,
        x=x,
        progress=progress("reading"),
        on_left_out=lambda text: tell(f"left out: {text}"),
    )
    megabytes = output.stat().st_size / 1e6
    tell(f"{counted(count, 'experiment')} in {output} ({megabytes:.1f} MB)")
