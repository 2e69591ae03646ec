"""The commands for artifacts: `files` lists them, and `cp` copies them out."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from expstore import ExperimentStore, ExpStoreError
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
from expstore.cli.ids import Id, resolve
from expstore.cli.usage import RefusedValue
from expstore.store.artifacts import Artifact, selected_files
from expstore.store.files import layout
from formats.errors import counted


def complete_file(context: typer.Context, incomplete: str) -> list[str]:
    """The files of the experiment that was typed that begin with what was typed."""
    try:
        store = open_store(context, context.params.get("root") or context.find_root().obj)
        # What was typed before an option without a value is not parsed yet.
        typed = [context.params.get("commit_id"), *context.args]
        commit_id = resolve(store, next(filter(None, typed), ""))
        names = [one.name for one in store.iter_files(commit_id)]
    except ExpStoreError:
        return []  # shell completion cannot show errors
    tame = [name for name in names if all(map(layout.is_tame, name.split("/")))]
    return [name for name in tame if name.startswith(incomplete)]


Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Only this file, directory, or pattern such as 'ckpt/*.pt'; may be repeated.",
        autocompletion=complete_file,
    ),
]


@app.command()
def files(
    context: typer.Context,
    commit_id: Id,
    names: Names = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """List the files that an experiment keeps in files/.

    Example: expstore files 3f2a --name 'ckpt/*'
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    faults: list[ExpStoreError] = []
    chosen = selected_files(store.iter_files(commit_id, faults.append), names)
    if as_json:
        print_json([{"name": one.name, "size": one.size} for one in chosen])
    elif chosen:
        _print(chosen)
    else:
        tell(f"{commit_id} has no files" + (" that can be listed" if faults else ""))
    for fault in faults:
        tell(str(fault))
    if faults:
        sys.exit(1)


def _print(chosen: Sequence[Artifact]) -> None:
    from expstore.cli.render import console
    from expstore.cli.tables import Table, show

    table = Table("file", ">size")
    for one in chosen:
        table.add_row(printable(one.name), "?" if one.size is None else f"{one.size:,} B")
    show(console(), table)


def _check_is_no_file(store: ExperimentStore, commit_id: str, directory: Path) -> None:
    """Refuse the name of one of the files: it was meant as what to copy, not as where to."""
    names = {one.name for one in store.iter_files(commit_id, lambda _: None)}
    if (name := directory.as_posix()) in names:
        raise RefusedValue(
            f"{name} is one of the files; to copy it here, use . --name {shlex.quote(name)}",
            param_hint="DIR",
        )


@app.command()
def cp(
    context: typer.Context,
    commit_id: Id,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to; it is created if it is missing.")
    ],
    names: Names = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Copy the files that an experiment keeps out of the store.

    Each keeps its path below files/. Links are not followed, and nothing is overwritten.

    Example: expstore cp 3f2a restored --name ckpt/last.pt
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    if names is None and not os.path.lexists(directory):
        _check_is_no_file(store, commit_id, directory)
    with byte_progress("copying") as progress:
        written = store.copy_files(commit_id, directory, names, force=force, progress=progress)
    if as_json:
        print_json([str(path) for path in written])
    else:
        print(f"{counted(len(written), 'file', ',')} in {printable(str(directory))}")
