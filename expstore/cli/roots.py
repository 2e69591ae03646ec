"""The store that a command works on, and what may be wrong with it: missing, or another directory.

Guarantees: what is no store is refused before anything is read or written, and the message says
where the path came from, and what to give instead. A store of any size is examined in no time.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from expstore import ExperimentStore, StoreNotFoundError
from expstore.model.texts import printable
from expstore.store.defaults import default_root, expand
from expstore.store.files import layout
from expstore.store.files.taken import not_a_directory
from expstore.store.reader import StoreReader

_PARQUET = ".parquet"
_EXAMINED = 64  # entries of a directory


def open_readable(typed: str | None) -> StoreReader:
    """The store at a root, as `open_root` gives it; or the export to Parquet that is there.

    Raises:
        StoreNotFoundError: see `open_root`.
    """
    place = expand(typed) if typed else default_root()
    if isinstance(place, str | os.PathLike) and _is_export(place):
        from expstore.compare.exportreader import ExportReader

        return ExportReader(place)
    return open_root(typed)


def open_root(typed: str | None, *, new: bool = False) -> ExperimentStore:
    """The store at a root that was typed, or the default one.

    Args:
        typed: as `--root` gives it; None: the environment's, or the default.
        new: whether it need not exist yet.

    Raises:
        StoreNotFoundError: there is none, and it is needed; or it is an experiment, or a directory
            above a store; or the root has a `~` or a variable that does not exist.
    """
    store = ExperimentStore(expand(typed) if typed else default_root())
    if not isinstance(store.location, Path):
        return store
    root = store.root
    shown = printable(str(root))
    if is_experiment(root):
        raise StoreNotFoundError(
            f"{shown} is an experiment, not a store; use --root {_quoted(root.parent)}"
        )
    if _is_export(root):
        raise StoreNotFoundError(
            f"{shown} is an export, not a store; `compare`, `ls`, `plot` and `report` read it"
        )
    if new:
        return store
    if not root.is_dir():
        if os.path.lexists(root):
            raise StoreNotFoundError(f"{not_a_directory(root)}{_origin(typed)}")
        remedy = "`expstore init` creates one here, --root DIR names another"
        raise StoreNotFoundError(f"no store at {shown}{_origin(typed)}; {remedy}")
    if below := _stores_below(root):
        raise StoreNotFoundError(
            f"{shown} is no store, but has one in it; use --root {_quoted(below[0])}"
        )
    return store


def _origin(typed: str | None) -> str:
    """Where a root came from that nobody typed."""
    if typed:
        return ""
    if os.environ.get("EXPSTORE_ROOT"):
        return ", which EXPSTORE_ROOT names"
    return "; it comes from ./experiments, since neither --root nor EXPSTORE_ROOT is set"


def _quoted(path: Path) -> str:
    return shlex.quote(printable(str(path)))


def _is_export(place: str | os.PathLike[str]) -> bool:
    """Whether a path is a Parquet file, or has one among its first entries, and no directory."""
    path = Path(place)
    try:
        if path.is_file():
            return path.suffix == _PARQUET
        with os.scandir(path) as entries:
            found = list(islice(entries, _EXAMINED))
        return any(entry.name.endswith(_PARQUET) for entry in found) and not any(
            entry.is_dir() for entry in found
        )
    except (OSError, ValueError):
        return False


def is_experiment(path: Path) -> bool:
    """Whether it has an experiment's files, as far as this user may see them.

    A directory that others may not look into is no reason to refuse the store that it is in.
    """
    return any(os.path.isfile(path / name) for name in (layout.METADATA, layout.METRICS))


def likely_root(word: str, *, exports: bool) -> str | None:
    """The store that a path is or has in it, also if it is empty; None if it is something else.

    Args:
        word: as it was typed.
        exports: whether an export to Parquet is as good.
    """
    path = Path(word)
    if exports and path.exists() and _is_export(path):
        return word
    if not path.is_dir() or is_experiment(path):
        return None
    if any(map(is_experiment, _directories(path))) or _is_empty(path):
        return word
    return next(map(str, _stores_below(path)), None)


def _is_empty(path: Path) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _stores_below(root: Path) -> list[Path]:
    """The directories in a small root that have experiments, if the root itself has none."""
    directories = list(_directories(root))
    if len(directories) == _EXAMINED or any(map(is_experiment, directories)):
        return []
    return [path for path in directories if any(map(is_experiment, _directories(path)))]


def _directories(path: Path) -> Iterator[Path]:
    """The first visible directories in one, without links; none if it cannot be read."""
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, _EXAMINED):
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    yield Path(entry.path)
    except OSError:
        return
