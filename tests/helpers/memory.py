"""Directories of fsspec's in-memory file system, which all tests of a process share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

_numbers = itertools.count()


@contextmanager
def in_memory(source: Path | None = None) -> Iterator[str]:
    """A new directory, removed afterwards, so that no test sees what another left.

    Args:
        source: a directory to copy into it.

    Yields:
        Its URL.
    """
    memory = fsspec.filesystem("memory")
    path = f"/{__name__}-{next(_numbers)}/experiments"
    memory.makedirs(path)
    try:
        if source is not None:
            # With the slash, the content is copied, and not the directory into the other.
            memory.put(f"{source}/", path, recursive=True)
        yield f"memory:/{path}"
    finally:
        memory.rm(path.rpartition("/")[0], recursive=True)
