"""Who uses an experiment: writers share a lock on its directory, a deletion needs it alone.

Guarantees: no lock file is left, and a lock ends with the process that holds it. A writer that has
a `WriterLock` is seen by every deletion that begins later; one that asks while a deletion goes on
gets ExperimentGoneError. The lock is advisory and the kernel's own (`flock` on the directory,
which does not disturb leases on the log); programs that know nothing of it are not held up. Over
NFS it is seen on the same client only, and where the file system has no locks, nowhere.

Why nothing slips through between writers and a deletion: the deletion takes the lock alone, renames
the directory away, and keeps the lock until all is deleted. A writer opens the directory, takes
its lock, and only then looks whether the path still leads to what it has locked. If the writer's
lock comes first, the deletion is refused; if the deletion's comes first, the writer gets the lock
after the rename or never, and sees that the path leads nowhere, or elsewhere. The kernel cannot
rename "this very directory", only what has its name: who renames experiments by hand in that
moment, without the lock, may have another one deleted.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from expstore.errors import ExperimentGoneError, LiveWriterError, UnreadableFileError
from expstore.store.files import layout, system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 10.0  # seconds that a deletion gets, which needs some microseconds
_PAUSE = 0.001  # seconds between two tries for a lock that is held for some microseconds


class WriterLock:
    """A writer's hold on an experiment.

    Args:
        path: the experiment's directory.

    Attributes:
        directory: its descriptor.

    Raises:
        ExperimentNotFoundError: there is no such directory (a link to one is none).
        ExperimentGoneError: it is just being deleted.
        UnreadableFileError: it cannot be opened, or someone else keeps it locked.
    """

    directory = -1

    def __init__(self, path: Path) -> None:
        self.path = path
        # One look-up that succeeds only while the directory has its content (a directory deleted
        # has no `files/`), and its name, and the log: it leads in, out to the parent, and in again.
        self._probe = f"{layout.FILES}/../../{path.name}/{layout.METRICS}"
        self._take(system.open_experiment(path))

    def _take(self, directory: int) -> None:
        """Lock an open directory that the path leads to."""
        self.directory, self._process = directory, os.getpid()
        patience = time.monotonic() + _PATIENCE
        try:
            # A deletion holds the lock alone, but soon renames the directory away.
            while system.try_lock(directory, fcntl.LOCK_SH) is False:
                self._check_path()
                if time.monotonic() > patience:
                    raise UnreadableFileError(
                        f"{self.path}: another program has had it locked for {_PATIENCE:g} seconds"
                    )
                time.sleep(_PAUSE)
            self._check_path()
        except BaseException:
            os.close(directory)
            self.directory = -1
            raise

    def check(self) -> None:
        """Raise ExperimentGoneError where the experiment was deleted or moved away.

        In a process forked meanwhile it takes a lock of its own: the inherited one ends with the
        parent's.
        """
        if os.getpid() != self._process:
            self._check_path()
            shared = self.directory
            try:
                self._take(system.open_experiment(self.path))
            finally:
                os.close(shared)
        if not os.access(self._probe, os.F_OK, dir_fd=self.directory):
            self._check_path()
            if not os.access(layout.METRICS, os.F_OK, dir_fd=self.directory):
                self._let_go()
                raise ExperimentGoneError(f"{self.path}: the log was deleted while it was open")

    def _check_path(self) -> None:
        """The slow way, which misses nothing: whether the path still names this directory."""
        try:
            now = os.stat(self.path, follow_symlinks=False)
            same = os.path.samestat(now, os.fstat(self.directory))
        except OSError:
            same = False
        if not same:
            self._let_go()
            raise ExperimentGoneError(f"{self.path}: deleted, or moved, while it was written to")

    def _let_go(self) -> None:
        """Give the lock back; where the experiment is gone, what is left of it can be swept."""
        system.try_lock(self.directory, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock back, also on behalf of processes forked meanwhile."""
        if self.directory >= 0:
            if os.getpid() == self._process:
                self._let_go()
            os.close(self.directory)
            self.directory = -1

    __del__ = close


@contextmanager
def deletion_lock(root: int, commit_id: str, *, force: bool = False) -> Iterator[int]:
    """A descriptor of an experiment's directory, locked against writers.

    Args:
        root: a descriptor of the store's root.
        commit_id: a checked commit id.
        force: go on without the lock where a writer holds it.

    Raises:
        LiveWriterError: a writer holds it.
        OSError: there is no such directory, or it cannot be opened.
    """
    descriptor = os.open(commit_id, system.DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        if not try_deletion_lock(descriptor) and not force:
            raise LiveWriterError(f"{commit_id}: a writer has it open")
        yield descriptor
    finally:
        os.close(descriptor)


def try_deletion_lock(descriptor: int) -> bool:
    """Lock a directory for as long as its descriptor is open, unless someone else has."""
    return system.try_lock(descriptor, fcntl.LOCK_EX) is not False
