"""Whether a worker sees the store that a task is about.

Guarantees: what a worker does not find is never taken for deleted if the reason is that it sees
another directory, or none, under the store's name.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expstore.errors import ClusterError
from expstore.store.reader import StoreReader


def as_reader(store: StoreReader | str | os.PathLike[str]) -> StoreReader:
    """The store itself, or that at a path or URL."""
    return store if isinstance(store, StoreReader) else StoreReader(store)


@dataclass(frozen=True)
class Sight:
    """What identifies the root of a store on every machine that sees it.

    Attributes:
        inode: of the root: the same on all machines that share a file system; None at a URL.
    """

    inode: int | None = None

    @classmethod
    def of(cls, store: StoreReader) -> Sight:
        """That of a store, as this process sees it."""
        root = store.location
        with suppress(OSError):  # no root: then planning reports that, or there is nothing to read
            return cls(os.stat(root).st_ino if isinstance(root, Path) else None)
        return cls()

    def check(self, store: StoreReader) -> None:
        """Raise ClusterError unless this process sees the same root.

        To be called where an experiment is missing, before that is taken for a deletion.
        """
        root = store.location
        try:
            seen = os.stat(root).st_ino == self.inode if isinstance(root, Path) else root.is_dir()
        except OSError:
            seen = False
        if not seen:
            raise ClusterError(
                f"{root}: the worker on {socket.gethostname()} does not see this store; it must be "
                "where all workers reach it under the same name"
            )

    # Equal stores give equal keys in Dask's graph, whatever their inode is.
    def __dask_tokenize__(self) -> str:
        return type(self).__name__


def must_be_gone(store: StoreReader, unseen: set[str]) -> None:
    """Raise ClusterError if an experiment that a worker did not find exists."""
    for commit_id in sorted(unseen):
        if store.experiment_exists(commit_id):
            raise ClusterError(
                f"{store.locate(commit_id)}: a worker does not see it; the store must be where "
                "all workers reach it under the same name"
            )
