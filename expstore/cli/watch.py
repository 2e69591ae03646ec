"""`watch`: runs and their curves in the terminal, live."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from expstore.cli.base import Root, app, fail, open_store
from expstore.cli.ids import Ids, resolve
from expstore.cli.selecting import Metrics, Where, complete_name, pointing_at_mistakes
from expstore.extras import require


@app.command()
def watch(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Metrics = None,
    where: Where = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="NAME[:last|min|max]",
            help="Sort by this, smallest first; -NAME: largest first. Default: the newest first.",
            autocompletion=complete_name,
        ),
    ] = "",
    root: Root = None,
) -> None:
    """Watch runs while they train: list, curves and parameters, in the terminal.

    With ids, their curves are on the same charts. The key ? lists all keys.

    Example: expstore watch --where "status == running"
    """
    require("textual", "tui")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("watch needs a terminal; `expstore tail -f ID` prints what comes, also to a pipe")
    from expstore.watch.app import WatchApp
    from expstore.watch.listing import Query
    from expstore.watch.overlay import LETTERS

    store = open_store(context, root)
    if where is not None:
        from expstore.compare.where import parse

        with pointing_at_mistakes():
            parse(where)
    overlay = [resolve(store, one) for one in commit_ids or ()]
    if len(overlay) > len(LETTERS):
        fail(f"at most {len(LETTERS)} runs fit on the charts, not {len(overlay)}; leave some out")
    store.list_experiments()  # which raises if there is no store
    WatchApp(store, Query(where or "", sort), ",".join(names or ()), overlay).run()
