"""The command `diff`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from expstore.cli.base import Json, Root, app, open_store, print_json, printable, tell
from expstore.cli.ids import ONE_ID, complete, resolve


@app.command("diff")
def diff_command(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="A", help=ONE_ID, autocompletion=complete)],
    second: Annotated[str, typer.Argument(metavar="B", help=ONE_ID, autocompletion=complete)],
    patch: Annotated[
        bool, typer.Option("--patch", "-p", help="Also show by which lines the code differs.")
    ] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Show what differs between two experiments: parameters, tags, git's commits and metrics.

    Of a metric the best value is shown with its step, or the last, as its name suggests.

    --patch needs the repository in the working directory, and changes that --save-patch kept.

    Example: expstore diff 3f2a 9b1c
    """
    from expstore.cli.diffing import describe_difference, print_difference
    from expstore.cli.overview import screen_width
    from expstore.cli.shortids import shown_ids
    from expstore.compare.differences import diff, diff_patch

    store = open_store(context, root)
    first, second = resolve(store, first), resolve(store, second)
    found = diff(store, first, second)
    lines = list(diff_patch(store, first, second)) if patch else []
    if as_json:
        print_json(describe_difference(found) | ({"patch": lines} if patch else {}))
    else:
        ids = {one: one for one in (first, second)}
        if sys.stdout.isatty():
            ids |= shown_ids(store.list_experiments(), screen_width() // 4)
        print_difference(found, ids[first], ids[second])
        if lines:
            print()
        shown = printable if sys.stdout.isatty() else str
        for line in lines:
            print(shown(line.replace("\t", "    ") if sys.stdout.isatty() else line))
    for problem in found.problems:
        tell(problem)
