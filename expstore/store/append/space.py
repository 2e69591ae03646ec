"""ReservedSpace for what is to be appended, reserved before it is needed.

Guarantees: what is reserved is found out to be missing before a byte is written, not in the middle
of a record; a file's size, and what a reader sees, stay as they are. Where the system or the file
system cannot reserve, nothing is reserved, and that is no error.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from functools import cache
from typing import TYPE_CHECKING

from expstore.errors import NoSpaceError
from expstore.store.files import system

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BLOCK = 4096  # bytes: file systems hand out space in blocks of this size, or of a multiple
_AHEAD = 1 << 20  # bytes reserved at most beyond what is needed
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: the file's size stays


class ReservedSpace:
    """The room that one log is known to have.

    Up to an eighth of the log's size is reserved ahead, so that little is wasted, and the cost is
    spread over many appends. No other program can use it up but by appending to the same log.

    Args:
        path: the log, for errors.

    Attributes:
        end: the offset up to which there is room.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.end = 0

    def reserve(self, descriptor: int, offset: int, size: int) -> None:
        """See to it that `size` bytes at `offset` have room, and some more.

        Raises:
            NoSpaceError: the file system, a quota or the process's limit leaves none.
            UnreadableFileError: the file system fails.
        """
        need = offset + size
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit == resource.RLIM_INFINITY:
            limit = sys.maxsize
        if need > limit:
            raise NoSpaceError(
                f"{self._path}: the limit of {limit} bytes a file is reached; nothing was written"
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
            ahead = need + _AHEAD  # ask again some time, for the sake of the limit
        self.end = min(ahead, limit)


@cache
def _fallocate() -> Callable[[int, int, int, int], int] | None:
    """The system's own fallocate; Python's posix_fallocate would change the file's size."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    function = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return lambda *arguments: ctypes.get_errno() if function(*arguments) else 0


def _reserve(descriptor: int, offset: int, size: int) -> bool:
    """Have the file system set space aside, beyond the file's end too; its size stays.

    Returns:
        Whether it did; False where it cannot.

    Raises:
        OSError: there is no room (ENOSPC, EDQUOT, EFBIG), or the disk fails.
    """
    fallocate = _fallocate()
    code = errno.ENOSYS if fallocate is None else fallocate(descriptor, _KEEP_SIZE, offset, size)
    if code in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINTR):
        return False
    if code:
        raise OSError(code, os.strerror(code))
    return True
