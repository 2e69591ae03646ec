"""The command `serve`: a web page that follows a store."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from expstore.cli.base import Json, Root, app, open_store, print_json_line


@app.command("serve")
def serve_command(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at; one of another than this machine needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any free one.")] = 8267,
    token: Annotated[
        bool | None,
        typer.Option(
            "--token/--no-token",
            help="Ask for a token, which is part of the address that is printed. Default: only "
            "where other machines can connect.",
            show_default=False,
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show the store as a web page that follows it while runs log.

    It reads and never writes, also a store at a URL. The page has all that a report has, and saves
    one. Press Ctrl-C to end.

    Example: expstore serve --open
    """
    from expstore.live.server import is_local, new_token, serve

    store = open_store(context, root)
    store.list_experiments()  # a mistyped root is refused here, and not in the browser
    wanted = not is_local(host) if token is None else token

    def started(address: str) -> None:
        if as_json:
            print_json_line({"address": address})
        else:
            print(f"{store.location}: {address}", flush=True)
            print("Press Ctrl-C to end.", file=sys.stderr)
        if open_page:
            typer.launch(address)

    serve(store, host, port, token=new_token() if wanted else None, started=started)
