"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expstore.cli.base import (
    Jobs,
    Json,
    ReadableRoot,
    app,
    open_readable,
    print_json,
    progress,
    tell,
    without_curves,
)
from expstore.cli.cluster_option import Cluster, ClusterCommand, log_reading
from expstore.cli.ids import Ids
from expstore.cli.plot import AxisName
from expstore.cli.selecting import Where, require_some, selected
from formats.errors import counted


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
    jobs: Jobs = 1,
    cluster: Cluster = None,
    as_json: Json = False,
    root: ReadableRoot = None,
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
    require_some(store, chosen)
    left_out: list[str] = []
    count = write_report(
        store,
        output,
        chosen,
        title=title,
        x=x,
        progress=progress("reading"),
        on_left_out=left_out.append,
        jobs=jobs,
    )
    if missing := without_curves(store):
        tell(missing)
    for text in left_out:
        tell(f"left out: {text}")
    if as_json:
        print_json({"output": str(output), "experiments": count, "left_out": left_out})
    megabytes = output.stat().st_size / 1e6
    tell(f"{counted(count, 'experiment')} in {output} ({megabytes:.1f} MB)")
