"""A store at a URL, read through fsspec: object stores, web servers, and all else it supports.

Guarantees: nothing is ever written; listings are not cached, so additions by others are seen; large
files are read ahead in large blocks, and small ones concurrently. Any exception of a file system's
library becomes a typed error that names the URL. No text shows a password, a token or a key; see
`showable`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import reduce
from itertools import islice
from operator import truediv
from typing import Any, Self
from urllib.parse import quote, unquote_to_bytes

from expstore.errors import (
    ExperimentNotFoundError,
    StoreNotFoundError,
    UnreadableFileError,
)
from expstore.store.files import waiting
from expstore.store.files.connecting import connect
from expstore.store.files.directory import Entry, OpenLog
from expstore.store.files.showable import Secrets

_AHEAD = 8 << 20  # bytes per request: enough to outweigh its latency
_BATCH = 512  # small files requested together; fsspec limits how many run concurrently


class RemotePath:
    """A file or directory at a URL, with the part of pathlib.Path that reading a store needs.

    Attributes:
        name: the last component.
        place: the path within the file system.
        parent: the directory it was reached from; a root is its own parent.
        secrets: what its text, and that of errors, must not show.
    """

    def __init__(
        self,
        file_system: Any,
        path: str,
        url: str,
        secrets: Secrets,
        parent: RemotePath | None = None,
    ) -> None:
        self._file_system = file_system
        self.place = path
        self._url = url
        self.parent = self if parent is None else parent
        self.secrets = secrets
        self._shown = secrets.mask(url) if parent is None else f"{parent}{url[len(parent._url) :]}"
        self.name = self._shown.rpartition("/")[2]

    @classmethod
    def of(cls, url: str, options: Mapping[str, Any] | None = None) -> RemotePath:
        """The root at a URL; arguments and errors as of `connect`."""
        return cls(*connect(url, options))

    def __truediv__(self, name: str) -> RemotePath:
        place = f"{self.place}/{self._quoted(name)}"
        return RemotePath(self._file_system, place, f"{self._url}/{name}", self.secrets, self)

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"RemotePath({self._shown!r})"

    def address(self) -> str:
        """The whole URL, with its secrets: what `of` takes, and nobody else may see."""
        return self._url

    def is_dir(self) -> bool:
        """Whether there is such a directory.

        Raises:
            UnreadableFileError: the directory cannot be listed.
        """
        try:
            self.directory().entries()
        except ExperimentNotFoundError:
            return False
        return True

    def is_symlink(self) -> bool:
        """Always False: no file system at a URL reports links."""
        return False

    def fingerprint(self) -> str:
        """Tells the file from another of the same name and size; empty if not supported."""
        try:
            with _typed(self):
                return str(self._file_system.ukey(self.place))
        except (FileNotFoundError, UnreadableFileError):
            return ""  # if something is wrong, reading the file will report it

    def directory(self, *, is_root: bool = False) -> RemoteDirectory:
        """The directory; it is not checked for existence until it is read."""
        return RemoteDirectory(self, self._file_system, is_root=is_root)

    @property
    def is_http(self) -> bool:
        """Whether a web server has it."""
        return self._speaks("http")

    @property
    def is_shared(self) -> bool:
        """Whether other processes see it, too."""
        return not self._speaks("memory")

    def _speaks(self, protocol: str) -> bool:
        spoken = self._file_system.protocol
        return protocol in ((spoken,) if isinstance(spoken, str) else spoken)

    def _quoted(self, name: str) -> str:
        # As bytes: a name need not be UTF-8.
        return quote(os.fsencode(name)) if self.is_http else name

    def unquoted(self, name: str) -> str:
        """A name from a listing, with URL quoting undone."""
        return os.fsdecode(unquote_to_bytes(name)) if self.is_http else name


class RemoteDirectory:
    """A directory at a URL; see `Directory`."""

    def __init__(self, path: RemotePath, file_system: Any, *, is_root: bool) -> None:
        self.path = path
        self._file_system = file_system
        self._is_root = is_root

    def directories(self) -> list[str]:
        """See `Directory`."""
        return [entry.name for entry in self.entries() if entry.kind == "directory"]

    def entries(self) -> list[Entry]:
        """See `Directory`.

        Raises:
            StoreNotFoundError, ExperimentNotFoundError: no such directory.
            UnreadableFileError: it cannot be listed.
        """
        try:
            with _typed(self.path):
                found = self._file_system.ls(self.path.place, detail=True)
        except FileNotFoundError:
            raise self._missing() from None
        if [(row["name"].rstrip("/"), row["type"]) for row in found] == [(self.path.place, "file")]:
            raise self._missing()  # a file, which some file systems list as itself
        listed = []
        for row in found:
            path, kind = row["name"].rstrip("/"), row["type"]
            name = self.path.unquoted(path.rpartition("/")[2])
            # Object stores may list a directory's own empty marker, and a server's quoting may hide
            # characters that no file name has.
            if path != self.path.place and "/" not in name and "\0" not in name:
                listed.append(Entry(name, kind if kind in ("directory", "file") else "other"))
        return listed

    @contextmanager
    def subdirectory(self, *names: str) -> Iterator[RemoteDirectory]:
        """See `Directory`."""
        yield reduce(truediv, names, self.path).directory() if names else self

    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | None]:
        """See `Directory`; one request per file, many concurrently."""

        def size(name: str) -> int | OSError | None:
            path = self._path_of(name)
            try:
                with _typed(path):
                    row = self._file_system.info(path.place)
                    size = row["size"] if row["type"] == "file" else None
                if size is None and row["type"] == "file":
                    return UnreadableFileError(f"{path}: the server does not report its size")
                return size
            except FileNotFoundError:
                try:
                    self._raise_unless_missing(path)
                except UnreadableFileError as error:
                    return error
                except (StoreNotFoundError, ExperimentNotFoundError):
                    pass
                return None
            except UnreadableFileError as error:
                return error

        return waiting.each(self.path, names, size)

    def modified(self, name: str) -> float | None:
        """See `Directory`; many kinds of file systems do not say."""
        path = self._path_of(name)
        with suppress(FileNotFoundError), _typed(path), suppress(NotImplementedError):
            found: datetime = self._file_system.modified(path.place)
            return found.timestamp()
        return None

    def read_start(self, name: str, limit: int) -> bytes:
        """See `Directory`."""
        (data,) = self.read_starts([name], limit)
        if isinstance(data, FileNotFoundError):
            self._raise_unless_missing(self._path_of(name))
        if isinstance(data, OSError):
            raise data
        return data

    def read_starts(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError]:
        """See `Directory`; many requests run concurrently."""
        names = iter(names)
        while batch := list(islice(names, _BATCH)):
            paths = [self._path_of(name).place for name in batch]
            starts, ends = [0] * len(paths), [limit] * len(paths)
            with _typed(self.path):
                found = self._file_system.cat_ranges(paths, starts, ends, on_error="return")
            for name, data in zip(batch, found, strict=True):
                # A server without range requests sends the whole file.
                yield data[:limit] if isinstance(data, bytes) else self._fallback(name, data)

    def read_short(self, names: Iterable[str], limit: int) -> Iterator[bytes | OSError | None]:
        """See `Directory`."""
        for data in self.read_starts(names, limit):
            yield None if isinstance(data, bytes) and len(data) == limit else data

    def open_log(self, name: str) -> OpenLog:
        """See `Directory`."""
        path = self.path / name
        try:
            with _typed(path):
                file = self._file_system.open(
                    path.place, "rb", block_size=_AHEAD, cache_type="readahead"
                )
        except FileNotFoundError:
            self._raise_unless_missing(path)
            return OpenLog()

        try:
            with _typed(path):
                size = file.seek(0, 2)
        except UnreadableFileError:
            if not self._is_empty(name):
                file.close()
                raise
            size = 0
        return _RemoteLog(path, file, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held open."""

    def _path_of(self, name: str) -> RemotePath:
        return reduce(truediv, name.split("/"), self.path)

    def _fallback(self, name: str, error: BaseException) -> bytes | OSError:
        """The result for a file whose start could not be read."""
        path = self._path_of(name)
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(str(path))
        if self._is_empty(name):
            return b""
        return OSError(path.secrets.mask(str(error)) or type(error).__name__)

    def _is_empty(self, name: str) -> bool:
        """Whether a file is empty, in which case no server can return a range of it."""
        return next(self.sizes([name])) == 0

    def _raise_unless_missing(self, path: RemotePath) -> None:
        """Raise if a file that was not found is listed, or if its directory is missing.

        Over HTTP, fsspec reports any refusal as a missing file.
        """
        parent = path.parent
        is_root = self._is_root and parent is self.path
        listed = RemoteDirectory(parent, self._file_system, is_root=is_root).entries()
        if path.name in (entry.name for entry in listed):
            raise UnreadableFileError(f"{path}: listed by the server, but cannot be read")

    def _missing(self) -> StoreNotFoundError | ExperimentNotFoundError:
        if self._is_root:
            return StoreNotFoundError(f"{self.path}: no store found")
        return ExperimentNotFoundError(f"{self.path}: no such experiment")


class _RemoteLog(OpenLog):
    """A log at a URL."""

    exists = True

    def __init__(self, path: RemotePath, file: Any, size: int) -> None:
        super().__init__(size, file.close)
        self._path = path
        self._file = file

    def _fill(self, buffer: memoryview, offset: int) -> int:
        with _typed(self._path):
            self._file.seek(offset)
            count: int = self._file.readinto(buffer)
        if self._path.is_http and 0 < count < len(buffer):  # it could go on like this for ever
            raise UnreadableFileError(
                f"{self._path}: the server sent {count:,} bytes of {len(buffer):,} that it promised"
            )
        return count


@contextmanager
def _typed(path: RemotePath) -> Iterator[None]:
    """Turn any exception into an UnreadableFileError, except for FileNotFoundError.

    Any, because each fsspec file system passes on the exceptions of its underlying library, which
    have no common base.
    """
    try:
        yield
    except UnreadableFileError:
        raise
    except FileNotFoundError as error:
        path.secrets.translate(error, FileNotFoundError, str(path))
    except Exception as error:
        path.secrets.translate(error, UnreadableFileError, str(path))
