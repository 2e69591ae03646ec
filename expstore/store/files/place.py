"""Where a store lies, a file system or a URL, and opening it there for reading.

Guarantees: below the root no symbolic link is followed, and what is no regular file is refused
without waiting on it; nothing is written, created or locked; each error of the operating system
becomes a typed one that names the file. Only this module asks which kind of place it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from expstore.store.files import system
from expstore.store.files.directory import Directory, Location, OpenLog
from expstore.store.files.local import LocalDirectory

if TYPE_CHECKING:
    from expstore.store.files.remote import RemotePath


_FILE = "file://"


def locate(root: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Location:
    """Where a store lies: a path, or a URL, such as `s3://bucket/experiments`.

    Args:
        root: either; a `file://` URL is a path.
        options: of a URL, what fsspec's file system takes.

    Raises:
        MissingExtraError, StoreNotFoundError: see `remote.RemotePath.of`.
    """
    if not isinstance(root, str) or "://" not in root:
        return Path(root)
    if root.startswith(_FILE):
        return Path(root.removeprefix(_FILE))
    from expstore.store.files.remote import RemotePath

    return RemotePath.of(root, options)


def absolute(location: Location) -> Location:
    """A place as it is called from any working directory."""
    return location.absolute() if isinstance(location, Path) else location


@contextmanager
def open_root(root: Location) -> Iterator[Directory]:
    """A store's root.

    Raises:
        StoreNotFoundError: there is no such directory. At a URL this may be told only by reading.
        UnreadableFileError: it cannot be opened.
    """
    if not isinstance(root, Path):
        yield cast("RemotePath", root).directory(is_root=True)
        return
    with system.root_directory(root) as descriptor:
        yield LocalDirectory(root, descriptor)


@contextmanager
def open_directory(path: Location) -> Iterator[Directory]:
    """An experiment's directory.

    Raises:
        ExperimentNotFoundError: there is no such directory (a link to one is none). At a URL this
            may be told only by reading.
        UnreadableFileError: it cannot be opened.
    """
    if not isinstance(path, Path):
        yield cast("RemotePath", path).directory()
        return
    descriptor = system.open_experiment(path)
    try:
        yield LocalDirectory(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def open_log(path: Location) -> Iterator[OpenLog]:
    """A log's reader; a log that is not there yet is empty.

    Raises:
        ExperimentNotFoundError: its directory is missing.
        UnreadableFileError: no regular file, or no permission.
    """
    # The directory is open no longer than the file is being opened.
    with ExitStack() as stack:
        with open_directory(path.parent) as directory:
            log = stack.enter_context(directory.open_log(path.name))
        yield log
