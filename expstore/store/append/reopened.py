"""Appending to a log that is open only during each append.

Guarantees: as `log`, in as few system calls as possible. Nothing keeps the log open between two
appends, so that others may repair it; what has taken its place in the meantime is appended to as to
any other log.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from expstore.model.values import METRICS_FORMAT
from expstore.store.append.boundary import is_known
from expstore.store.append.log import NO_ANCHOR, AppendLog
from expstore.store.files import system
from expstore.store.files.descriptor import ReopenedFile
from formats import Format

# Seconds in which no program can replace a log: for so long, its size suffices to recognise it.
_MOMENT = 5e-5


class ReopenedLog(AppendLog):
    """A log that is closed between appends; not to be shared among threads.

    Args:
        path: the log, in an existing directory.
        format: of the log.
        header: what an empty log begins with, if the format has a header.

    Raises:
        As AppendLog.
    """

    def __init__(self, path: Path, format: Format = METRICS_FORMAT, *, header: bytes = b"") -> None:
        self._by_path = ReopenedFile(os.fsencode(path), system.MEND)
        self._unproved = False  # opened by its path alone, which may have led through a link
        self._recalled = 0.0  # when it was last opened so, and recognised
        super().__init__(path, format, header=header)

    def after_fork(self) -> None:
        """In a forked child: an append that another thread of the parent was making is not ours."""
        self._bad = None  # what the parent has to cut, it cuts
        self.close()

    def close(self) -> None:
        """Close the file; see `LogFile`."""
        self._descriptor = -1
        with system.typed_errors(self.path):
            self._by_path.close()
        super().close()

    def append_once(self, data: bytes) -> None:
        """Open the log, unless it is open, append and close.

        Raises:
            As the constructor and `append`.
        """
        by_path = self._by_path
        try:
            if self._descriptor < 0:
                # The path may lead elsewhere by now, even through a link. Only a log that ends
                # as it was left is taken for the same; any other is opened with care.
                self._unproved = False
                if self.boundary:
                    if by_path.held:  # interrupted twice, so that it was not closed
                        by_path.close()
                    try:
                        next(by_path.opening)
                        self._descriptor = by_path.held[0]
                        now = time.monotonic()
                        if now - self._recalled > _MOMENT:
                            self.recall()
                        self._recalled = now
                        self._unproved = self.boundary > 0
                    except OSError:
                        self._unproved = False  # `_open` says why
                if not self._unproved:
                    self.close()
                    self._open(-1, system.APPEND)
            self.append(data)
        finally:
            self._descriptor = -1
            try:  # at once, since the log stays in memory
                if by_path.held:
                    next(by_path.closing)
                else:
                    self._file.number = -1
                    next(self._file.closing, None)
            except OSError as error:
                raise system.unwritable(self.path, error) from error

    def _reconcile(self) -> int:
        if self._unproved:
            self.close()
            self._open(-1, system.APPEND)
            self._unproved = False
        return super()._reconcile()

    def recall(self) -> None:
        """Forget the boundary if it is no longer in the log, which then is parsed anew."""
        if self.size < self.boundary or not is_known(self._descriptor, *self._anchor):
            self._anchor, self.boundary, self._room.end = NO_ANCHOR, 0, 0
