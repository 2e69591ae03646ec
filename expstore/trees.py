"""Deleting directory trees, however deep, without following a link.

Guarantees: only what lies below an open directory is deleted, through descriptors; a link itself,
not what it leads to. A tree of any depth takes two descriptors and no recursion: a directory that
lies deeper is first moved up, right below the open one.
"""

from __future__ import annotations

import os
from contextlib import suppress

from expstore import files
from expstore.layout import temporary_name


def empty(directory: int) -> None:
    """Delete all that is in an open directory.

    Raises:
        OSError: the file system refuses, or something new came in meanwhile.
    """
    while inner := _clear(directory):
        for name in inner:
            with suppress(FileNotFoundError):
                descriptor = os.open(name, files.DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                try:
                    for deeper in _clear(descriptor):
                        moved = temporary_name(".moved-")
                        os.rename(deeper, moved, src_dir_fd=descriptor, dst_dir_fd=directory)
                finally:
                    os.close(descriptor)
                os.rmdir(name, dir_fd=directory)


def _clear(directory: int) -> list[str]:
    """Delete all that is no directory, and empty directories; returns the names of the others."""
    with os.scandir(directory) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    full = []
    for name, is_directory in names:
        with suppress(FileNotFoundError):
            if not is_directory:
                os.unlink(name, dir_fd=directory)
                continue
            try:
                os.rmdir(name, dir_fd=directory)
            except FileNotFoundError:
                pass
            except OSError:
                full.append(name)  # if it is not that it is full, opening it or its rmdir says so
    return full
