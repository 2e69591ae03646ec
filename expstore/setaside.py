"""Keeping what is cut from a log.

Guarantees: the bytes are on disk, in a file beside the log that is named by where they stood,
before anything is cut; a file that is already there is never changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from expstore import files
from expstore.errors import UnreadableFileError

_BLOCK = 1 << 20


def set_aside(path: Path, offset: int, descriptor: int) -> Path:
    """Keep a log's bytes from `offset` on in a file beside it, named by where they stood.

    Returns:
        The file; the same one, where an earlier try kept the same bytes and went no further.

    Raises:
        UnreadableFileError, NoSpaceError: they cannot be kept.
    """
    base = f"{path.name}.torn-{offset}"
    for number in range(1000):
        kept = path.with_name(base if not number else f"{base}.{number}")
        try:
            with open(kept, "x+b") as file:
                try:
                    for block in _blocks(descriptor, offset):
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                except BaseException:
                    kept.unlink()
                    raise
            files.sync_directory(path.parent)
        except FileExistsError:
            if _same(kept, descriptor, offset):
                return kept
        except OSError as error:
            raise files.unwritable(kept, error) from error
        else:
            return kept
    raise UnreadableFileError(f"{path}: a thousand torn tails are kept beside it already")


def _blocks(descriptor: int, offset: int) -> Iterator[bytes]:
    while block := os.pread(descriptor, _BLOCK, offset):
        yield block
        offset += len(block)


def _same(kept: Path, descriptor: int, offset: int) -> bool:
    """Whether a file has the same bytes as the log from `offset` on."""
    try:
        # Whatever stands there: nothing is waited for, and no link is followed.
        with open(os.open(kept, files.READ), "rb") as file:
            same = all(file.read(len(block)) == block for block in _blocks(descriptor, offset))
            return same and not file.read(1)
    except OSError:
        return False
