"""The command `plot`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from expstore.cli.base import (
    ReadableRoot,
    app,
    fail,
    open_readable,
    print_json,
    tell,
    without_curves,
)
from expstore.cli.ids import Ids
from expstore.cli.selecting import Where, metrics_option, require_some, selected
from expstore.cli.usage import RefusedValue
from expstore.store.files.output import check_output
from formats.errors import counted

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

AxisName = Literal["step", "time", "relative"]  # as in `axes.AXES`, which would import NumPy


def _check_smoothing(weight: float) -> float:
    if not 0 <= weight < 1:
        raise RefusedValue(f"{weight:g} is not a weight of at least 0 and below 1")
    return weight


@app.command("plot")
def plot_command(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Annotated[
        list[str] | None,
        metrics_option(help="The metric, or a pattern; may be repeated. Default: the only one."),
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
            metavar="WEIGHT",
            help="Exponential moving average like TensorBoard's, 0 to 0.99.",
            callback=_check_smoothing,
        ),
    ] = 0.0,
    x: Annotated[AxisName, typer.Option("--x", help="The x axis.")] = "step",
    as_json: Annotated[
        bool, typer.Option("--json", help="With -o, print what was drawn as JSON.")
    ] = False,
    root: ReadableRoot = None,
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
    if wrong := without_curves(store):
        fail(wrong)
    chosen = selected(store, commit_ids, where)
    require_some(store, chosen)
    if output is not None:
        check_output(output, force=True)  # before anything is read
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
