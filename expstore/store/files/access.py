"""Modes and owners of files that replace or copy others.

Guarantees: the new file has the mode and, as far as the system allows, the owner of the old one; at
no moment may anybody read it who may not read the old one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import fs, own


def status_of(path: str | Path, directory: int | None = None) -> os.stat_result | None:
    """The status of a regular file or a directory whose access is to be kept; None if missing."""
    try:
        status = fs.stat(path, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) else None


def new_file(
    path: str | Path, old: os.stat_result | None, directory: int | None = None
) -> Descriptor:
    """Make a file; if it replaces or copies another, nobody else may read it.

    It is to get the access of the other one by `own.keep_access`.

    Raises:
        FileExistsError: there is something already.
    """
    return Descriptor(path, own.CREATE, directory, 0o666 if old is None else 0o600)
