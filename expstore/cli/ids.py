"""Commit ids as people type them: whole, or by a prefix that only one experiment has.

Guarantees: an id that exists is itself, whatever longer ids begin with it; an ambiguous prefix is
an error that lists what it could mean, and nothing is done.
"""

from __future__ import annotations

from typing import Annotated

import typer

from expstore import ExperimentNotFoundError, ExperimentStore, ExpStoreError
from expstore.cli.base import open_store
from expstore.store.files import layout

_SHOWN = 5  # candidates that an error lists


def complete(context: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin with what was typed, for the shell."""
    parent = context.find_root()
    store = open_store(context, context.params.get("root") or parent.params.get("root"))
    try:
        return [i for i in store.list_experiments() if i.startswith(incomplete)]
    except ExpStoreError:
        return []  # a shell that completes has no place for errors


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A commit id, or the beginning of one.", autocompletion=complete
    ),
]

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...",
        help="Commit ids, or the beginnings of some. Default: all experiments.",
        autocompletion=complete,
    ),
]


def resolve_all(store: ExperimentStore, typed: list[str] | None) -> list[str] | None:
    """Each as `resolve`; None where none was typed, which means all.

    Raises:
        As `resolve`.
    """
    return [resolve(store, one) for one in typed] if typed else None


def resolve(store: ExperimentStore, typed: str) -> str:
    """The one experiment's id that `typed` is, or begins.

    Raises:
        InvalidCommitIdError: it can be no id.
        ExperimentNotFoundError: none, or more than one.
    """
    layout.check_commit_id(typed)
    if store.experiment_exists(typed):
        return typed
    candidates = [i for i in store.list_experiments() if i.startswith(typed)]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise ExperimentNotFoundError(
            f"no experiment {typed} in {store.location}; `expstore ls` lists them"
        )
    shown = ", ".join(candidates[:_SHOWN]) + (", ..." if len(candidates) > _SHOWN else "")
    raise ExperimentNotFoundError(f"{typed} begins {len(candidates)} experiments: {shown}")
