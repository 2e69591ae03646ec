"""Commit ids as users type them: in full, as a unique prefix, or in the short form of a table.

Guarantees: an id that exists always means itself, even if longer ids begin with it; an ambiguous
prefix is an error that lists the candidates, and nothing is done.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from expstore import ExperimentNotFoundError, ExpStoreError
from expstore.cli import roots
from expstore.cli.base import open_readable, tell
from expstore.cli.mistakes import UnknownIdError
from expstore.cli.shortids import is_elided, matches
from expstore.errors import listed, nearest
from expstore.store.files import layout
from expstore.store.reader import StoreReader

ONE_ID = "A commit id, a unique prefix of one, or the short form of a table."
SOME_IDS = "Commit ids, unique prefixes, or short forms of a table."
_SHOWN = 5  # candidates listed in an error


def complete(context: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin with what was typed, for shell completion.

    Shells insert them unquoted, and some evaluate them at once, so only tame ids are offered.
    """
    parent = context.find_root()
    try:
        store = open_readable(context, context.params.get("root") or parent.params.get("root"))
        ids = store.list_experiments()
    except ExpStoreError:
        return []  # shell completion cannot show errors
    return [i for i in ids if i.startswith(incomplete) and layout.is_tame(i)]


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help=ONE_ID,
        autocompletion=complete,
    ),
]

OptionalId = Annotated[
    str | None,
    typer.Argument(
        metavar="ID",
        help=f"{ONE_ID} Default: the newest.",
        autocompletion=complete,
    ),
]

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        help=f"{SOME_IDS} Default: all experiments.",
        autocompletion=complete,
    ),
]


def resolve_all(store: StoreReader, typed: list[str] | None) -> list[str] | None:
    """Each id resolved; None if none was typed, which means all experiments; see `tell_links`.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError: see `resolve`.
    """
    if typed:
        return [resolve(store, one) for one in typed]
    tell_links(store)
    return None


def tell_links(store: StoreReader) -> None:
    """Report on stderr which links to experiments a listing of all experiments leaves out."""
    if links := store.linked_experiments():
        tell(f"left out, since links are not followed: {listed(links)}; move or copy them here")


def resolve(store: StoreReader, typed: str) -> str:
    """The id of the one experiment that is named `typed`, begins with it, or has this path.

    Raises:
        InvalidCommitIdError: it cannot be an id.
        ExperimentNotFoundError: no experiment matches, or more than one.
    """
    if "/" in typed:
        typed = _of_path(store, typed)
    layout.check_commit_id(typed)
    if store.experiment_exists(typed):
        return typed
    ids = store.list_experiments()
    candidates = [i for i in ids if i.startswith(typed)]
    if not candidates and is_elided(typed):
        candidates = [i for i in ids if matches(typed, i)]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates and typed in store.linked_experiments():
        raise ExperimentNotFoundError(
            f"{store.location}/{typed}: is a link, and links are not followed; use the store that "
            "it leads to, or move the directory here"
        )
    if not candidates:
        raise _unknown(store, typed, ids)
    shown = ", ".join(candidates[:_SHOWN]) + (", ..." if len(candidates) > _SHOWN else "")
    if is_elided(typed):
        raise ExperimentNotFoundError(f"{typed} may be {len(candidates)} experiments: {shown}")
    raise ExperimentNotFoundError(f"{typed} is a prefix of {len(candidates)} experiments: {shown}")


def _of_path(store: StoreReader, typed: str) -> str:
    """The id of an experiment of the store that was typed as a path, as shells complete it."""
    path, root = Path(typed), store.location
    if path.name and path.name == typed.rstrip("/"):
        return path.name
    if (
        path.name
        and isinstance(root, Path)
        and path.is_dir()
        and os.path.samefile(path.parent, root)
    ):
        return path.name
    if path.name and roots.is_experiment(path):
        where = shlex.quote(str(path.parent))
        raise ExperimentNotFoundError(
            f"{typed} is an experiment of another store; use {path.name} with --root {where}"
        )
    raise _unknown(store, typed, ())


def _unknown(store: StoreReader, typed: str, ids: Sequence[str]) -> UnknownIdError:
    return UnknownIdError(f"no experiment {typed} in {store.location}", typed, nearest(typed, ids))
