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

import os
import random
import time
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from expstore.errors import ExperimentGoneError, LiveWriterError, UnreadableFileError
from expstore.store.append import forks
from expstore.store.files import layout, mounts, system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import fs, own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from expstore.store.files.identity import FileIdentity

_PATIENCE = 10.0  # seconds to wait for a deletion's rename, which takes microseconds
_PAUSE = 0.001  # seconds between two tries
_LOCKS, _NAMESPACE = "/proc/locks", "/proc/self/ns/pid"
_FIRST_NAMESPACE = "pid:[4026531836]"  # that of no container; it sees the processes of all
_TRIES, _INSTANT = 8, 0.001  # for a lock that may be held for an instant only; seconds
# Seconds between two checks that the path leads to the directory without a link: a link in its
# place leads to the same log, so nothing logged is lost, but the store's readers do not follow it.
_LINK_INTERVAL = 1.0


class WriterLock:
    """A writer's shared lock on an experiment.

    Args:
        path: the experiment's directory.

    Raises:
        ExperimentNotFoundError: no such directory (a link to one does not count).
        ExperimentGoneError: it is being deleted.
        UnreadableFileError: it cannot be opened, or another program keeps it locked.
    """

    _opened = Descriptor()  # a closed one

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._held = False  # not so in a forked child: the lock is its parent's
        self._log: FileIdentity | None = None
        forks.watch(self)
        self._take()

    @property
    def directory(self) -> int:
        """The directory's descriptor."""
        return self._opened.number

    def watch(self, log: FileIdentity) -> None:
        """Have `check` also find out whether the experiment's log is still this one."""
        self._log = log

    def after_fork(self) -> None:
        """In a forked child: the lock is the parent's."""
        self._held = False

    def _take(self) -> None:
        """Open the directory and lock it, if the path still leads to it then."""
        self._opened = system.open_experiment(self.path)
        deadline = time.monotonic() + _PATIENCE
        self._check_link = deadline - _PATIENCE + _LINK_INTERVAL
        try:
            # A deletion holds the lock exclusively, but soon renames the directory away.
            while system.try_lock(self.directory, system.LOCK_SH) is False:
                self._check_path()
                if time.monotonic() > deadline:
                    raise UnreadableFileError(
                        f"{self.path}: locked by another program for over {_PATIENCE:g} seconds"
                    )
                time.sleep(_PAUSE)
            self._held = True
            self._check_path()
        except BaseException:
            self._held = False
            self._opened.close()
            raise

    def check(self) -> None:
        """Raise ExperimentGoneError if the experiment or its log was deleted, moved or replaced.

        In a forked child, take a lock of its own: the inherited one ends with the parent's. What
        was moved, and so released, and is back in its place is locked again.
        """
        if not self._held:
            self._check_path()
            with self._opened:  # closed once there is another
                self._take()
        if self._log is None:
            return
        now = time.monotonic()
        if now > self._check_link:
            self._check_path()
            self._check_link = now + _LINK_INTERVAL
        if not self._log.is_at_path():
            self._check_path()
            self._release()
            found = fs.access(layout.METRICS, os.F_OK, dir_fd=self.directory)
            fault = "replaced by another file" if found else "deleted"
            raise ExperimentGoneError(
                f"{self.path}: the log was {fault} while a writer had it open"
            )

    def _check_path(self) -> None:
        """Raise ExperimentGoneError unless the path leads to this directory; slow but exact."""
        try:
            now = os.stat(self.path, follow_symlinks=False)
            same = os.path.samestat(now, fs.fstat(self.directory))
        except OSError:
            same = False
        if not same:
            self._release()
            raise ExperimentGoneError(f"{self.path}: deleted or moved while a writer had it open")

    def _release(self) -> None:
        """Release the lock, so that the remains of a deleted experiment can be removed."""
        if self._held:
            self._held = False
            system.try_lock(self.directory, system.LOCK_UN)

    def close(self) -> None:
        """Release the lock, also for forked children that have not taken their own."""
        if self.directory >= 0:
            self._release()
            self._opened.close()

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
    with Descriptor(commit_id, system.REAL_DIRECTORY, root) as descriptor:
        if not try_deletion_lock(descriptor) and not force:
            raise LiveWriterError(f"{commit_id}: a writer has it open")
        yield descriptor


def try_deletion_lock(descriptor: int) -> bool:
    """Lock a directory for as long as its descriptor is open; False if it is already locked."""
    return _try_exclusive(descriptor) is not False


def has_writer(descriptor: int) -> bool | None:
    """Whether a writer has an open experiment's directory locked; None if that cannot be seen.

    The lock is taken for an instant. A writer that comes just then tries again, and so does a
    deletion.
    """
    locked = _try_exclusive(descriptor)
    if locked:
        system.unlock(descriptor)
    if locked is False:
        return True
    return False if locked and own.LOCKS_ARE_SEEN else None


def _try_exclusive(descriptor: int) -> bool | None:
    """Lock a directory exclusively; see `system.try_lock`.

    Where only `has_writer` of another program, or a deletion, holds the lock, this waits for it.
    """
    locked = system.try_lock(descriptor, system.LOCK_EX)
    if locked is not False:
        return locked
    deadline = time.monotonic() + _PATIENCE / 10
    for tries in count():
        locked = system.try_lock(descriptor, system.LOCK_EX)
        if locked is not False:
            break
        shared = _is_shared(descriptor)
        if shared or (shared is None and tries >= _TRIES) or time.monotonic() > deadline:
            break
        time.sleep(random.uniform(0, _INSTANT))
    return locked


def _is_shared(descriptor: int) -> bool | None:
    """Whether a lock on a directory is a shared one, as a writer's; None if the system hides it.

    A lock that is not listed, where all would be, was released meanwhile.
    """
    try:
        with open(_LOCKS, encoding="ascii") as file:
            lines = [line.split() for line in file]
        inode = str(fs.fstat(descriptor).st_ino)
        namespace = os.readlink(_NAMESPACE)
    except OSError:
        return None
    on = mounts.mounted(descriptor)
    major, _, minor = on.device.partition(":")
    # Two file systems may have files of one number.
    device = f"{int(major):02x}:{int(minor):02x}" if minor else ""
    locked = f"{device}:{on.inode or inode}"
    # Such as `1: FLOCK ADVISORY READ 4711 08:01:123456 0 EOF`.
    kinds = [w[3] for w in lines if w[1] == "FLOCK" and len(w) > 5 and w[5].endswith(locked)]
    if kinds:
        return "READ" in kinds
    # A container sees its own locks only; no machine sees those that another has over a network.
    all_seen = bool(device) and namespace == _FIRST_NAMESPACE and mounts.is_local(on.kind)
    return False if all_seen else None
