"""The command `seal`.

Exit codes: 1 if an experiment could not be sealed; the others are.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from expstore import ExpStoreError
from expstore.cli.base import (
    Json,
    Root,
    app,
    byte_progress,
    open_store,
    print_json,
    printable,
    tell,
)
from expstore.cli.ids import SOME_IDS, complete, resolve


@app.command()
def seal(
    context: typer.Context,
    commit_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID",
            help=SOME_IDS,
            autocompletion=complete,
        ),
    ],
    force: Annotated[
        bool,
        typer.Option("--force", help="Even if files are damaged or differ from an older seal."),
    ] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Write SHA-256 sums of experiments' files, so that `check` notices any later change.

    `sha256sum -c SHA256SUMS` verifies them too. A log may still grow.

    Example: expstore seal 3f2a9c1d
    """
    store = open_store(context, root)
    commit_ids = [resolve(store, typed) for typed in commit_ids]
    rows: list[dict[str, Any]] = []
    failed = False
    for commit_id in dict.fromkeys(commit_ids):
        try:
            with byte_progress(f"sealing {commit_id}") as advance:
                report = store.seal(commit_id, force=force, progress=advance)
        except ExpStoreError as error:
            failed = True
            tell(str(error))
            rows.append({"commit_id": commit_id, "error": str(error)})
            continue
        rows.append(
            {
                "commit_id": commit_id,
                "path": str(report.path),
                "files": report.files,
                "size": report.size,
                "skipped": report.skipped,
            }
        )
        if not as_json:
            print(printable(str(report)))
    if as_json:
        print_json(rows)
    if failed:
        raise typer.Exit(1)
