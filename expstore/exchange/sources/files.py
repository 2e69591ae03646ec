"""Finding and opening the files of a source.

Guarantees: no symbolic link below the source is followed, so nothing outside of it is read; a file
that is not regular is refused without waiting for it; a document is read up to a limit; gzip is
unpacked as it is read, and a small file that becomes a huge one is refused; what cannot be read is
an ImportSourceError.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import brief, reading_file
from expstore.exchange.sources.jsontext import loads
from expstore.store.files import layout
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import own

DOCUMENT = 1 << 28
"""The largest JSON document that is read whole, in bytes."""

_PACKED = b"\x1f\x8b"  # what gzip begins with
_UNPACKED = 1 << 26  # bytes that any packed file may have
_RATIO = 200  # how often the packed size a larger one may have; that of texts is below 30
_ENTRIES = 1 << 21  # files that are looked at below one path
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def files_below(top: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """The regular files below a directory whose names are wanted, sorted; `top` itself if a file.

    The experiments of a store are not searched, so that a store beside the logs is no source.

    Raises:
        ImportSourceError: there are too many files to look at, or a directory cannot be read.
    """
    if top.is_file():
        return [top] if wanted(top.name) else []
    found: list[Path] = []
    seen = 0
    with reading_file(top):
        for directory, folders, names in os.walk(top, onerror=_fail):
            if {layout.METADATA, layout.METRICS} & {*names} and layout.FILES in folders:
                folders.clear()
                continue
            folders.sort()
            seen += len(names) + len(folders)
            if seen > _ENTRIES:
                raise ImportSourceError(
                    f"{top}: more than {_ENTRIES:,} files; give the directory of the runs itself"
                )
            found += [Path(directory, name) for name in names if wanted(name)]
    return sorted(path for path in found if is_regular(path))


def _fail(error: OSError) -> None:
    raise error


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file, and not a link to one.

    Raises:
        ImportSourceError: it cannot be known, so that it is not taken for nothing.
    """
    with reading_file(path):
        try:
            return stat.S_ISREG(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A regular file, open for reading.

    Raises:
        ImportSourceError: it is missing, cannot be read, or is not a regular file.
    """
    with (
        reading_file(path),
        Descriptor(path, own.FOREIGN) as descriptor,
        open(descriptor, "rb", closefd=False) as file,
    ):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ImportSourceError(f"{path}: not a regular file")
        yield file


def encoding_of(start: bytes) -> str:
    """The encoding that the first bytes of a text name; UTF-8 without a byte order mark."""
    return next((name for bom, name in _BOMS.items() if start.startswith(bom)), "utf-8")


def bare(path: Path) -> Path:
    """A path without the suffix of gzip."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


class _Unpacked(io.RawIOBase):
    """The bytes in a gzip file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._gzip = gzip.GzipFile(fileobj=file)
        self._limit = max(_UNPACKED, _RATIO * os.fstat(file.fileno()).st_size)
        self._count = 0

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        try:
            count = self._gzip.readinto(buffer)
        except (EOFError, zlib.error, OSError) as error:
            raise ImportSourceError(
                f"{self._path}: not a whole gzip file: {brief(error)}"
            ) from error
        self._count += count
        if self._count > self._limit:
            raise ImportSourceError(
                f"{self._path}: becomes more than {self._limit:,} bytes, too many for its size; "
                "unpack it, and import that"
            )
        return count


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A regular file open for reading, or what is in it if it is of gzip.

    Raises:
        ImportSourceError: as `opened`; also while it is read, if it is torn or grows too large.
    """
    with opened(path) as file:
        start = file.read(len(_PACKED))
        file.seek(0)
        yield io.BufferedReader(_Unpacked(path, file)) if start == _PACKED else file


@contextmanager
def opened_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """A text file, with its line ends as they are, in the encoding that its first bytes name.

    Bytes that are not UTF-8 become lone surrogates, as in `formats.fields`.
    """
    encoding = encoding_of(first_unpacked(path, 4))
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    with unpacked(path) as file, io.TextIOWrapper(file, encoding, errors, newline="") as text:
        yield text


def first_bytes(path: Path, count: int = 1 << 12) -> bytes:
    """The first bytes of a regular file.

    Raises:
        ImportSourceError: it is missing, cannot be read, or is not a regular file.
    """
    with opened(path) as file:
        return file.read(count)


def first_unpacked(path: Path, count: int = 1 << 12) -> bytes:
    """The first bytes of a file, unpacked if it is of gzip; otherwise as `first_bytes`."""
    with unpacked(path) as file:
        return file.read(count)


def modified(path: Path) -> int:
    """When a file was last changed, in seconds since 1970-01-01 UTC."""
    with reading_file(path):
        return int(path.stat().st_mtime)


def read_document(path: Path, limit: int = DOCUMENT) -> bytes:
    """A file's bytes, unpacked.

    Raises:
        ImportSourceError: it cannot be read, or is larger than the limit.
    """
    with unpacked(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ImportSourceError(f"{path}: more than {limit:,} bytes, which is too large")
    return data


def read_json(path: Path, limit: int = DOCUMENT) -> Any:
    """The JSON document in a file; NaN and Infinity are numbers.

    Raises:
        ImportSourceError: it cannot be read or parsed, or is larger than the limit.
    """
    data = read_document(path, limit)
    with reading_file(path):
        try:
            return loads(data)
        except ValueError as error:
            raise ImportSourceError(f"{path}: not JSON: {brief(error)}") from error
