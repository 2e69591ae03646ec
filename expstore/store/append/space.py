"""Reserving disk space for a log before it is needed.

Guarantees: a lack of space is found before a byte is written, not in the middle of a record; the
file's size and content do not change. If the system or the file system cannot reserve space,
nothing is reserved and no error is raised.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from expstore.errors import NoSpaceError
from expstore.store.files import system
from expstore.store.files.systems.native import own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BLOCK = 4096  # bytes: file systems allocate blocks of this size or a multiple
_AHEAD = 1 << 20  # maximum bytes reserved beyond what is needed
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: do not change the file's size


class ReservedSpace:
    """The space reserved for one log.

    Up to an eighth of the log's size is reserved ahead, which wastes little and spreads the cost
    over many appends. Another program can use it up only by appending to the same log.

    Args:
        path: the log's path, for errors.

    Attributes:
        end: the offset up to which space is reserved.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.end = 0

    def reserve(self, descriptor: int, offset: int, size: int) -> None:
        """Reserve space for `size` bytes at `offset`, and some more.

        Raises:
            NoSpaceError: the file system is full, or a quota or the process's limit is reached.
            UnreadableFileError: the file system fails.
        """
        need = offset + size
        limit = own.file_size_limit()
        if need > limit:
            raise NoSpaceError(
                f"{self._path}: file size limit of {limit} bytes reached; nothing was written"
            )
        ahead = -(-(need + min(offset // 8, _AHEAD)) // _BLOCK) * _BLOCK
        try:
            try:
                done = _reserve(descriptor, offset, ahead - offset)
            except OSError as error:
                if error.errno not in system.NO_SPACE:
                    raise
                ahead = need
                done = _reserve(descriptor, offset, size)
        except OSError as error:
            raise system.unwritable(self._path, error) from error
        if not done:
            ahead = need + _AHEAD  # come back after so many bytes, to check the limit
        self.end = min(ahead, limit)


@cache
def _fallocate() -> Callable[[int, int, int, int], int] | None:
    """The system's fallocate; Python's posix_fallocate would change the file's size."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    function = own.library_function("fallocate64")
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return lambda *arguments: ctypes.get_errno() if function(*arguments) else 0


def _reserve(descriptor: int, offset: int, size: int) -> bool:
    """Have the file system reserve space, even past the file's end, without changing its size.

    Returns:
        Whether it did; False if it cannot reserve space.

    Raises:
        OSError: there is no space (ENOSPC, EDQUOT, EFBIG), or the disk fails.
    """
    fallocate = _fallocate()
    code = errno.ENOSYS if fallocate is None else fallocate(descriptor, _KEEP_SIZE, offset, size)
    if code in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINTR):
        return False
    if code:
        raise OSError(code, os.strerror(code))
    return True
