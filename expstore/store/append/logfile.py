"""The file of a log that is appended to: opening, syncing and closing it, also after a fork.

Guarantees: no link below the log's directory is followed; a forked child never writes through its
parent's descriptor. What the bytes mean is for `log`, which appends them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from expstore.errors import ExperimentGoneError, ExperimentNotFoundError
from expstore.store.append import forks
from expstore.store.files import system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.identity import FileIdentity
from expstore.store.files.systems.native import own


class LogFile:
    """An open log; not to be shared among threads.

    Args:
        path: the log, in an existing directory.
        directory: a descriptor of its directory, or -1.
        create: whether to create the log where it is missing.

    Raises:
        ExperimentNotFoundError: the directory is missing (or, without `create`, the log).
        UnreadableFileError: not a regular file, or no permission.
    """

    _descriptor = -1
    _file = Descriptor()  # a closed one

    def __init__(self, path: Path, directory: int, *, create: bool) -> None:
        self.path = path
        self._inherited = False  # from the parent of a forked process, with its position
        forks.watch(self)
        self._open(directory, system.APPEND if create else system.MEND)

    def _open(self, directory: int, flags: int) -> None:
        try:
            given = directory >= 0
            with Descriptor() if given else system.open_experiment(self.path.parent) as own:
                self._file = system.open_regular(self.path, flags, max(directory, own))
            self._descriptor = self._file.number
        except BaseException as error:  # also an interrupt
            self.close()
            if isinstance(error, FileNotFoundError):
                raise ExperimentNotFoundError(f"{self.path}: no such experiment or log") from None
            raise

    @property
    def closed(self) -> bool:
        """Whether it is not open now."""
        return self._descriptor < 0

    def sync(self) -> None:
        """Write all that was appended to the disk before returning.

        Raises:
            OSError: as the system call does; what was written since the last call is in doubt.
        """
        own.sync_data(self._descriptor)

    def close(self) -> None:
        """Close the file.

        Raises:
            UnreadableFileError: the file system says only now that a write failed.
        """
        self._descriptor = -1
        try:
            self._file.close()
        except OSError as error:
            raise system.unwritable(self.path, error) from error

    __del__ = close

    def identity(self) -> FileIdentity:
        """What tells the log, as it is open, from a file that takes its place."""
        return FileIdentity(self.path, self._descriptor)

    @property
    def size(self) -> int:
        """The open log's size in bytes."""
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    @property
    def is_linked(self) -> bool:
        """Whether the open log has a name still, whichever it is."""
        return os.fstat(self._descriptor).st_nlink > 0

    def after_fork(self) -> None:
        """In a forked child: the position is the parent's too."""
        self._inherited = True

    def _part(self) -> None:
        """After a fork: open the log anew, and let go of what is shared with the parent.

        A position that two processes share tells neither of them where its own write went.
        """
        identity = self.identity()
        with self._file:  # closed once there is another
            with suppress(ExperimentNotFoundError):
                self._open(-1, system.MEND)
            if self.closed or not identity.is_of(self._descriptor):
                self.close()
                raise ExperimentGoneError(f"{self.path}: deleted, moved or replaced since the fork")
        self._inherited = False
