"""Modes and owners of files that replace or copy others.

Guarantees: the new file has the mode and, as far as the system allows, the owner of the old one; at
no moment may anybody read it who may not read the old one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from expstore.store.files.descriptor import Descriptor


def status_of(path: str | Path, directory: int | None = None) -> os.stat_result | None:
    """The status of a regular file or a directory whose access is to be kept; None if missing."""
    try:
        status = os.stat(path, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) else None


def keep_access(descriptor: int, old: os.stat_result) -> None:
    """Give a new file or directory the mode and the owner of the one that it replaces or copies.

    Only root may give a file to another user. Where the group cannot be kept either, the new one's
    group gets no more than everybody had.

    Raises:
        OSError: a system call fails.
    """
    new, mode = os.fstat(descriptor), stat.S_IMODE(old.st_mode)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            try:
                os.fchown(descriptor, -1, old.st_gid)
            except PermissionError:
                everybody = mode & 0o007
                mode &= ~(stat.S_ISGID | 0o070) | (everybody << 3)
    os.fchmod(descriptor, mode)


def new_file(
    path: str | Path, old: os.stat_result | None, directory: int | None = None
) -> Descriptor:
    """Make a file; if it replaces or copies another, nobody else may read it until `keep_access`.

    Raises:
        FileExistsError: there is something already.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return Descriptor(path, flags, directory, 0o666 if old is None else 0o600)
