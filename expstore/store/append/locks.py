"""Locks on an experiment's directory: shared by its writers, exclusive for a deletion.

Guarantees: no lock file is left behind, and a lock ends with the process that holds it. Every
deletion that starts later sees a writer's `WriterLock`; a writer that asks for the lock during a
deletion gets ExperimentGoneError. The lock is an advisory `flock` on the directory, which does not
interfere with leases on the log; programs that do not use it are not blocked. Over NFS it works
only among processes of one client, and not at all if the file system has no locks.

Why writers and deletions do not race: a deletion takes the lock exclusively, renames the directory
away, and keeps the lock until everything is deleted. A writer opens the directory, takes the lock,
and only then checks that the path still leads to the directory that it locked. If the writer locks
first, the deletion is refused; if the deletion locks first, the writer gets the lock only after the
rename, and finds that the path leads nowhere or elsewhere. The kernel renames a name, not an open
directory, so renaming experiments by hand at that moment, without the lock, may cause the wrong one
to be deleted.
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

_PATIENCE = 10.0  # seconds to wait for a deletion's rename, which takes microseconds
_PAUSE = 0.001  # seconds between two tries


class WriterLock:
    """A writer's shared lock on an experiment.

    Args:
        path: the experiment's directory.

    Attributes:
        directory: the directory's descriptor.

    Raises:
        ExperimentNotFoundError: no such directory (a link to one does not count).
        ExperimentGoneError: it is being deleted.
        UnreadableFileError: it cannot be opened, or another program keeps it locked.
    """

    directory = -1

    def __init__(self, path: Path) -> None:
        self.path = path
        # One lookup that succeeds only while the directory has its content (a deleted one has no
        # `files/`), its name and the log: the path goes in, up to the parent, and in again.
        self._probe = f"{layout.FILES}/../../{path.name}/{layout.METRICS}"
        self._take(system.open_experiment(path))

    def _take(self, directory: int) -> None:
        """Lock an open directory, if the path still leads to it."""
        self.directory, self._process = directory, os.getpid()
        deadline = time.monotonic() + _PATIENCE
        try:
            # A deletion holds the lock exclusively, but soon renames the directory away.
            while system.try_lock(directory, fcntl.LOCK_SH) is False:
                self._check_path()
                if time.monotonic() > deadline:
                    raise UnreadableFileError(
                        f"{self.path}: locked by another program for over {_PATIENCE:g} seconds"
                    )
                time.sleep(_PAUSE)
            self._check_path()
        except BaseException:
            os.close(directory)
            self.directory = -1
            raise

    def check(self) -> None:
        """Raise ExperimentGoneError if the experiment was deleted or moved.

        In a forked child, take a lock of its own: the inherited one ends with the parent's.
        """
        if os.getpid() != self._process:
            self._check_path()
            shared, self.directory = self.directory, -1
            try:
                self._take(system.open_experiment(self.path))
            finally:
                os.close(shared)
        if not os.access(self._probe, os.F_OK, dir_fd=self.directory):
            self._check_path()
            if not os.access(layout.METRICS, os.F_OK, dir_fd=self.directory):
                self._release()
                raise ExperimentGoneError(f"{self.path}: the log was deleted while it was open")

    def _check_path(self) -> None:
        """Raise ExperimentGoneError unless the path leads to this directory; slow but exact."""
        try:
            now = os.stat(self.path, follow_symlinks=False)
            same = os.path.samestat(now, os.fstat(self.directory))
        except OSError:
            same = False
        if not same:
            self._release()
            raise ExperimentGoneError(f"{self.path}: deleted or moved while a writer had it open")

    def _release(self) -> None:
        """Release the lock, so that the remains of a deleted experiment can be removed."""
        if self.directory >= 0:
            system.try_lock(self.directory, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the lock, also for forked children that have not taken their own."""
        if self.directory >= 0:
            if os.getpid() == self._process:
                self._release()
            os.close(self.directory)
            self.directory = -1

    __del__ = close


@contextmanager
def deletion_lock(root: int, commit_id: str, *, force: bool = False) -> Iterator[int]:
    """Open an experiment's directory and lock it against writers.

    Args:
        root: a descriptor of the store's root.
        commit_id: a checked commit id.
        force: go on without the lock if a writer holds it.

    Yields:
        The directory's descriptor.

    Raises:
        LiveWriterError: a writer holds the lock.
        OSError: no such directory, or it cannot be opened.
    """
    descriptor = os.open(commit_id, system.DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        if not try_deletion_lock(descriptor) and not force:
            raise LiveWriterError(f"{commit_id}: a writer has it open")
        yield descriptor
    finally:
        os.close(descriptor)


def try_deletion_lock(descriptor: int) -> bool:
    """Lock a directory for as long as its descriptor is open; False if it is already locked."""
    return system.try_lock(descriptor, fcntl.LOCK_EX) is not False
