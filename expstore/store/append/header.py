"""Writing the header that a log begins with, if its format has one.

Guarantees: of several programs that write it through this module, exactly one does, and no record
of theirs comes before it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from expstore.errors import ShortWriteError, UnreadableFileError
from expstore.store.files import system
from formats import FieldValueError

_PATIENCE = 10.0  # seconds to wait for another program, which writes the header in microseconds
_PAUSE = 0.001  # seconds between two tries


def write_header(descriptor: int, path: Path, header: bytes) -> None:
    """Write the header, unless the log has begun.

    Args:
        descriptor: the log, open for reading and appending.
        path: the same, for messages.
        header: its bytes.

    Raises:
        FieldValueError: nobody knows the values of the header.
        UnreadableFileError: another program keeps the log locked.
        ShortWriteError: there is no room; the log is empty again.
        OSError: a system call fails.
    """
    if not header:
        raise FieldValueError("the log is empty, and its header needs values", source=str(path))
    deadline = time.monotonic() + _PATIENCE
    while system.try_lock(descriptor, system.LOCK_EX) is False:
        if time.monotonic() > deadline:
            raise UnreadableFileError(
                f"{path}: locked by another program for over {_PATIENCE:g} seconds"
            )
        time.sleep(_PAUSE)
    try:
        if os.lseek(descriptor, 0, os.SEEK_END):
            return
        if os.write(descriptor, header) != len(header):
            os.ftruncate(descriptor, 0)
            raise ShortWriteError(f"{path}: no room for the header; nothing was written")
    finally:
        system.try_lock(descriptor, system.LOCK_UN)
