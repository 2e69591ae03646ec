"""Reading a store's files, whether they lie on a file system or at a URL.

Guarantees: below the root no symbolic link is followed, and what is no regular file is refused
without waiting on it; nothing is written, created or locked; each error of the operating system
becomes a typed one that names the file. Nothing here knows what the bytes mean.

`open_directory` is the one place that asks where a store lies. All else reads through a `Directory`
and a `LogReader`, which `remote` has for URLs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from expstore import files
from expstore.logreader import LogReader

if TYPE_CHECKING:
    from expstore.remote import RemotePath

Location: TypeAlias = "Path | RemotePath"
"""Where a file or a directory lies: both have `name`, `parent`, `/` and a text."""

_FILE = "file://"


class Entry(NamedTuple):
    """What stands in a directory under one name; a link is never followed."""

    name: str
    kind: Literal["directory", "file", "link", "other"]


class Directory(Protocol):
    """A directory open for reading: a store's root, or an experiment's.

    Names are of files in it, or below it, as in `3f2a9c1d/meta.bin`.

    Attributes:
        path: where it lies, for messages.
    """

    @property
    def path(self) -> Location:
        """Where it lies."""

    def directories(self) -> list[str]:
        """The names of the directories in it, in no order."""

    def entries(self) -> list[Entry]:
        """All that is in it, in no order."""

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | None]:
        """The files' sizes in bytes; None for what is not there or is no regular file.

        Where that cannot be told, the error.
        """

    def read_start(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file.

        Raises:
            FileNotFoundError: no such file.
            ExperimentNotFoundError: no such directory, where opening it could not tell.
            OSError: as the system calls do.
        """

    def read_starts(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError]:
        """The first `limit` bytes of many files, or the error that `read_start` would raise."""

    def open_log(self, name: str) -> AbstractContextManager[LogReader]:
        """A log's reader; a log that is not there yet is empty.

        Raises:
            ExperimentNotFoundError: no such directory, where opening it could not tell.
            UnreadableFileError: no regular file, or no permission.
        """


class LocalDirectory:
    """A directory of a file system, by its descriptor, which the caller closes; see `Directory`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def directories(self) -> list[str]:
        """See `Directory`."""
        # os.scandir takes a descriptor, and so follows no link that takes the directory's place.
        with os.scandir(self._descriptor) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def entries(self) -> list[Entry]:
        """See `Directory`."""
        with os.scandir(self._descriptor) as entries:
            return [Entry(entry.name, _kind(entry)) for entry in entries]

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | None]:
        """See `Directory`."""
        for name in names:
            try:
                status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                yield None
            except OSError as error:
                yield error
            else:
                yield status.st_size if stat.S_ISREG(status.st_mode) else None

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Directory`; three system calls."""
        (data,) = self.read_starts([name], limit)
        if isinstance(data, OSError):
            raise data
        return data

    def read_starts(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError]:
        """See `Directory`."""
        directory, flags = self._descriptor, files.READ
        data: bytes | OSError
        for name in names:
            try:
                descriptor = os.open(name, flags, dir_fd=directory)
                try:
                    # It refuses what has no position (FIFOs, sockets, terminals): no fstat needed.
                    data = os.pread(descriptor, limit, 0)
                finally:
                    os.close(descriptor)
            except OSError as error:
                data = error
            yield data

    @contextmanager
    def open_log(self, name: str) -> Iterator[LogReader]:
        """See `Directory`."""
        try:
            descriptor = files.open_regular(self.path / name, files.READ, self._descriptor)
        except FileNotFoundError:
            yield LogReader.missing()
            return
        try:
            yield LogReader.of(descriptor)
        finally:
            os.close(descriptor)


def _kind(entry: os.DirEntry[str]) -> Literal["directory", "file", "link", "other"]:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


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
    from expstore.remote import RemotePath

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
        yield root.directory(is_root=True)
        return
    with files.root_directory(root) as descriptor:
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
        yield path.directory()
        return
    descriptor = files.open_experiment(path)
    try:
        yield LocalDirectory(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def open_log(path: Location) -> Iterator[LogReader]:
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
