"""The kinds of sources, in the order in which a path is compared with them.

Guarantees: a new kind is a module, and a row in SOURCES. Modules are loaded when they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Literal, cast, get_args

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import Source, reading_file

Kind = Literal["mlflow", "wandb", "tensorboard", "huggingface", "csv", "keras", "jsonl"]
"""The names of the kinds, as `--from` takes them."""

_PACKAGE = "expstore.exchange.sources"


def _module(name: str) -> Callable[[], Source]:
    return lambda: cast("Source", import_module(f"{_PACKAGE}.{name}"))


def _history(name: str) -> Callable[[], Source]:
    return lambda: cast("Source", getattr(import_module(f"{_PACKAGE}.history"), name)())


SOURCES: dict[Kind, tuple[str, Callable[[], Source]]] = {
    "mlflow": ("mlflow's database or file store", _module("mlflow")),
    "wandb": ("W&B's run folders and run-*.wandb", _module("wandb")),
    "tensorboard": ("TensorBoard's event files", _module("tensorboard")),
    "huggingface": ("Hugging Face's trainer_state.json", _history("TrainerState")),
    "csv": ("CSV or TSV", _module("csvfile")),
    "keras": ("Keras' history as JSON", _history("KerasHistory")),
    "jsonl": ("JSON lines", _module("jsonlines")),
}
"""By kind: what it is, and what gives the module or object that reads it."""


TABLES: frozenset[Kind] = frozenset({"huggingface", "csv", "keras", "jsonl"})
"""The kinds with columns, of which the user may choose those of steps and times."""


def source_of(kind: Kind) -> Source:
    """What reads a kind of source."""
    return SOURCES[kind][1]()


def recognised(path: Path) -> list[Kind]:
    """The kinds that a path may be, the most likely first.

    Raises:
        ImportSourceError: there is nothing at the path, or it cannot be read.
    """
    with reading_file(path):
        if not path.exists():
            raise ImportSourceError(f"{path}: no such file or directory")
        if not (path.is_file() or path.is_dir()):
            raise ImportSourceError(f"{path}: not a regular file or directory")
        return [kind for kind in get_args(Kind) if source_of(kind).recognise(path)]


def check_kind(path: Path, kind: Kind) -> None:
    """Raise ImportSourceError if a path is not of a kind, but of another."""
    found = recognised(path)
    if found and kind not in found:
        raise ImportSourceError(
            f"{path}: --from {kind} takes {SOURCES[kind][0]}, and this is {SOURCES[found[0]][0]}: "
            f"use --from {found[0]}"
        )


def only_kind(path: Path, notes: list[str]) -> Kind:
    """The kind that a path is taken for; others that it may be are noted.

    Raises:
        ImportSourceError: it is of no kind.
    """
    kinds = recognised(path)
    if not kinds:
        known = ", ".join(what for what, _ in SOURCES.values())
        raise ImportSourceError(
            f"{path}: not recognised as any of: {known}; if it is one, name it with --from"
        )
    if path.is_dir() and len(kinds) > 1:
        others = " and ".join(f"--from {kind}" for kind in kinds[1:])
        notes.append(f"{path} is read as {SOURCES[kinds[0]][0]}; it also has files for {others}")
    return kinds[0]
