"""Appending whole records to a log that others append to at the same time.

Guarantees: each append is one write at the end of the file (O_APPEND), so records of several
processes never mix; before each, whatever was added since the last known record boundary is parsed,
so nothing is appended behind a torn tail: the tear is first set aside into a file beside the log
and cut, under a lease that excludes every other writer. A write that the file system takes only in
part is cut off again and raised.

This module knows files; where a record ends, `formats` tells it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

from expstore import files
from expstore.errors import (
    ExperimentGoneError,
    ExperimentNotFoundError,
    ShortWriteError,
    TornTailError,
    UnreadableFileError,
)
from formats.schema import Schema

_BLOCK = 1 << 22  # bytes read at a time while looking for the last boundary
_PATIENCE = 0.05  # seconds that another writer gets to complete what looks torn


class AppendLog:
    """A log open for appending.

    Args:
        path: the log, in an existing directory; created where missing.
        schema: the declaration of one record.
        boundary: an offset known to end a record, so that less must be read; 0 always is one.

    Attributes:
        boundary: the offset behind the last record known to be whole.

    Raises:
        ExperimentNotFoundError: the directory is missing.
        UnreadableFileError: no regular file, or no permission.
    """

    def __init__(self, path: Path, schema: Schema, boundary: int = 0) -> None:
        self.path = path
        self.boundary = boundary
        self._schema = schema
        directory = files.open_experiment(path.parent)
        try:
            self._descriptor = files.open_regular(path, files.APPEND, directory)
        except FileNotFoundError:
            raise ExperimentNotFoundError(f"{path.parent}: no such experiment") from None
        finally:
            os.close(directory)

    def append(self, data: bytes) -> None:
        """Append whole records by one write.

        Raises:
            TornTailError: the log ends in a tear that cannot be cut while others have it open.
            ShortWriteError: the file system is full; nothing of `data` is left in the file.
            ExperimentGoneError: the log was deleted.
        """
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        if end != self.boundary:
            end = self._reconcile(end)
        if not os.access(self.path, os.F_OK):
            raise ExperimentGoneError(f"{self.path.parent}: deleted while it was written to")
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise files.unreadable(self.path, error) from error
        if written != len(data):
            self._cut_short_write(written, len(data))
        self.boundary = end + written

    def close(self) -> None:
        """Close the file; appending is over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _reconcile(self, end: int) -> int:
        """Parse what others added; returns the end of the file, which then is a boundary."""
        if end < self.boundary:
            self.boundary = 0  # cut or replaced: nothing is known of it any more
        patience = time.monotonic() + _PATIENCE
        while True:
            self.boundary = self._last_boundary(self.boundary)
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            if self.boundary == end:
                return end
            if time.monotonic() > patience:
                return self._cut_tear()
            time.sleep(_PATIENCE / 20)

    def _last_boundary(self, start: int) -> int:
        """The offset behind the last whole record, by parsing from the boundary `start`."""
        from formats.columns import record_starts

        while True:
            block = os.pread(self._descriptor, _BLOCK, start)
            used = record_starts(self._schema, block)[1]
            start += used
            if used == 0 or len(block) < _BLOCK:
                return start

    def _cut_tear(self) -> int:
        """Set the torn tail aside and cut it; returns the new end."""
        with _Lease(self._descriptor, self.path):
            # Only now is the file still: what looked torn may have been completed meanwhile.
            self.boundary = self._last_boundary(self.boundary)
            tear = os.pread(self._descriptor, _BLOCK, self.boundary)
            if tear:
                set_aside(self.path, self.boundary, tear)
                os.ftruncate(self._descriptor, self.boundary)
        return self.boundary

    def _cut_short_write(self, written: int, wanted: int) -> None:
        end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        with _Lease(self._descriptor, self.path):
            if os.lseek(self._descriptor, 0, os.SEEK_END) == end:
                os.ftruncate(self._descriptor, end - written)
        raise ShortWriteError(
            f"{self.path}: only {written} of {wanted} bytes could be written (file system full?); "
            "they were cut off again"
        )


def set_aside(path: Path, offset: int, data: bytes) -> Path:
    """Keep cut bytes in a file beside the log, named by where they stood."""
    base = f"{path.name}.torn-{offset}"
    for number in range(1000):
        kept = path.with_name(base if not number else f"{base}.{number}")
        try:
            with open(kept, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            continue
        return kept
    raise UnreadableFileError(f"{path}: a thousand torn tails are kept beside it already")


class _Lease:
    """A write lease on an open file: while it is held, nobody else has the file open.

    The kernel refuses it while another descriptor is open anywhere, and holds up whoever opens the
    file meanwhile (at most /proc/sys/fs/lease-break-time, 45 s by default) until it is given back.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def __enter__(self) -> None:
        try:
            # Someone who opens the file sends a signal to the holder: SIGIO, which kills, unless
            # another is named. SIGURG is ignored by default.
            fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            raise TornTailError(
                f"{self._path}: ends inside a record, and cannot be mended while others have it "
                "open; close them, or run `expstore repair --force`"
            ) from error

    def __exit__(self, *exc: object) -> None:
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
