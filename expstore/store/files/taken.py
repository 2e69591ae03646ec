"""What has the name of a directory that is needed, and is none.

Guarantees: the error says what it is, and what to do.
"""

from __future__ import annotations

import os
from pathlib import Path

from expstore.errors import ExpStoreError, UnreadableFileError


def not_a_directory(path: Path) -> ExpStoreError:
    """The error for what has the name of a directory that is needed, and what to do about it."""
    if not path.is_symlink():
        return UnreadableFileError(
            f"{path}: is a file, not a directory; move it away, or name another"
        )
    target = os.readlink(path)
    if os.path.exists(path):
        return UnreadableFileError(
            f"{path}: is a link to {target}, which is no directory; correct it, or name another"
        )
    return UnreadableFileError(
        f"{path}: is a link to {target}, which does not exist; create that directory, or correct "
        "the link"
    )
