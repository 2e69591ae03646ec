"""ConsoleLog: what a program prints, kept in `files/console.log`.

Guarantees: bytes are kept as they came, colours included, except that of a line that was
overwritten, as by a progress bar, only the last form stays. The file is appended to: a run that is
resumed goes on in it, and it is on disk when `close` returns. No link is followed, and a failure to
write never disturbs the program: it is kept in `error`, and nothing more is written.
"""

from __future__ import annotations

import os
from pathlib import Path

from expstore.errors import ExpStoreError
from expstore.store.files import system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import own

NAME = "console.log"
"""The file's name, below `files/`."""

_LONGEST = 1 << 16  # bytes of a line that wait for its end


class ConsoleLog:
    """A file that console output is appended to.

    Args:
        directory: an experiment's `files/`.
        name: the file's name.

    Attributes:
        name: the file's name.
        error: why nothing more is written; None if all is.

    Raises:
        ExperimentNotFoundError: no such directory.
        UnreadableFileError: it cannot be opened, or is not a regular file.
    """

    def __init__(self, directory: Path, name: str = NAME) -> None:
        self.error: OSError | ExpStoreError | None = None
        self.name = name
        self._directory = directory
        self._rest = b""
        with system.open_experiment(directory) as opened:
            self._file: Descriptor = system.open_regular(directory / name, system.APPEND, opened)

    def write(self, data: bytes) -> None:
        """Append what was printed; a line is in the file once it has ended."""
        *lines, rest = (self._rest + data).split(b"\n")
        whole = b"".join(_last_form(line) + b"\n" for line in lines)
        self._rest = _last_form(rest)
        if len(self._rest) > _LONGEST:
            whole, self._rest = whole + self._rest, b""
        self._append(whole)

    def _append(self, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            while data:
                data = data[os.write(self._file.number, data) :]
        except OSError as error:
            self.error = error

    def close(self) -> None:
        """Append what is left, sync the file and its name to disk, and close it, once."""
        if self._file.number < 0:
            return
        self._append(self._rest)
        self._rest = b""
        try:
            own.sync(self._file.number)
            system.sync_directory(self._directory)
        except OSError as error:
            self.error = self.error or error
        self._file.close()


def _last_form(line: bytes) -> bytes:
    """A line without what a carriage return has overwritten; one at its end has not yet."""
    head = line.rstrip(b"\r")
    return line[head.rfind(b"\r") + 1 :]
