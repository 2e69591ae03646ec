"""Locating a store, on a file system or at a URL, and opening it for reading.

Guarantees: below the root no symbolic link is followed; a file that is not regular is refused
without blocking on it; nothing is written, created or locked; an error of the operating system
becomes a typed one that names the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from expstore.errors import StoreNotFoundError
from expstore.store.files import local, system
from expstore.store.files.directory import Directory, Location, OpenLog
from expstore.store.files.layout import METRICS

if TYPE_CHECKING:
    from expstore.store.files.remote import RemotePath


_FILES = ("file://", "local://")


def locate(root: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Location:
    """The location of a store: an absolute path, or a URL such as `s3://bucket/experiments`.

    It stays the same if the working directory changes afterwards.

    Args:
        root: a path or a URL; a `file://` or `local://` URL is a path.
        options: for a URL, the options of its fsspec file system.

    Raises:
        MissingExtraError, StoreNotFoundError: see `connecting.connect`.
        StoreNotFoundError: the path is relative, and the working directory no longer exists; or no
            path can be like that: it has NUL, or a character that the file system's encoding lacks.
    """
    if isinstance(root, str):
        for prefix in _FILES:
            root = root.removeprefix(prefix)
    if not isinstance(root, str) or "://" not in root:
        path = Path(root)
        try:
            named = os.fsencode(path)
        except UnicodeEncodeError:
            named = b"\0"
        if b"\0" in named:
            raise StoreNotFoundError(f"root {str(path)!r}: no path can be spelled like that")
        try:
            return path.absolute()
        except FileNotFoundError:
            raise StoreNotFoundError(
                f"{path}: the working directory no longer exists; give an absolute path"
            ) from None
    from expstore.store.files.remote import RemotePath

    return RemotePath.of(root, options)


def address(location: Location) -> str:
    """What `locate` makes the location of in another process; with secrets, so not to be shown."""
    return str(location) if isinstance(location, Path) else cast("RemotePath", location).address()


def is_shared(location: Location) -> bool:
    """Whether other processes see the same files, unlike those in this one's memory."""
    return isinstance(location, Path) or cast("RemotePath", location).is_shared


@contextmanager
def open_root(root: Location) -> Iterator[Directory]:
    """Open a store's root.

    Raises:
        StoreNotFoundError: no such directory. At a URL, reading may be the first to raise it.
        UnreadableFileError: it cannot be opened.
    """
    if not isinstance(root, Path):
        yield cast("RemotePath", root).directory(is_root=True)
        return
    with system.root_directory(root) as descriptor:
        yield local.LocalDirectory(root, descriptor)


def open_directory(path: Location) -> Directory:
    """Open an experiment's directory; a context manager, which closes it.

    Raises:
        ExperimentNotFoundError: no such directory (a link to one does not count). At a URL, reading
            may be the first to raise it.
        UnreadableFileError: it cannot be opened.
    """
    if not isinstance(path, Path):
        return cast("RemotePath", path).directory()
    opened = system.open_experiment(path)
    return local.LocalDirectory(path, opened.number, opened.close)


def log_of(root: Location, commit_id: str) -> Location | str:
    """The log of an experiment, for `open_log`; the id is already checked.

    A path is a text: making it a Path takes half as long as opening the log.
    """
    if isinstance(root, Path):
        return f"{root}/{commit_id}/{METRICS}"
    return root / commit_id / METRICS


def open_log(path: Location | str) -> OpenLog:
    """Open a log for reading; a context manager, which closes it. A missing log is empty.

    Raises:
        ExperimentNotFoundError: its directory is missing.
        UnreadableFileError: not a regular file, or no permission.
    """
    if isinstance(path, str | Path):
        return local.open_log(path)
    with open_directory(path.parent) as directory:
        return directory.open_log(path.name)


def read_log(path: Location | str, limit: int) -> bytes | None:
    """All bytes of a log, sooner than by opening it.

    Returns:
        None: it has more than `limit` bytes, is at a URL, or only `open_log` shows what it is.
    """
    return local.read_log(path, limit) if isinstance(path, str) else None
