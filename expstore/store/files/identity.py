"""Whether a path still leads to a file that is open.

Guarantees: files are compared by device and inode number, which no other file has while this one is
open. The file's times are not queried: after a query, the kernel makes its next write dearer, so
that the time of that write can be told from the one it reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from expstore.store.files.systems.native import own

_HERE = -100  # AT_FDCWD: where relative paths start
_NOFOLLOW, _EMPTY = 0x100, 0x1000  # AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH
_INODE = 0x100  # STATX_INO: query the inode number; the device is always reported
_WORDS = 32  # size of the kernel's answer, in words of 64 bits
_AT_INODE, _AT_DEVICE = 4, 17  # the words that hold them

Numbers = tuple[int, int]
_Question = Callable[[], Numbers | None]


class FileIdentity:
    """The identity of an open file; not to be shared among threads.

    Args:
        path: the path that led to it.
        descriptor: the file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        # Absolute, so that a change of the working directory is no replacement of the file.
        name = os.fsencode(path.absolute())
        self._question = _statx_question() or _stat_question
        self._numbers = self._question(descriptor, b"", _EMPTY)()
        if self._numbers is None:  # the sandbox of a container may forbid the call
            self._question = _stat_question
            self._numbers = _stat(descriptor, b"", _EMPTY)
        self._ask_path = self._question(_HERE, name, _NOFOLLOW)

    def is_at_path(self) -> bool:
        """Whether the path leads to this file now; a link in its place does not count."""
        return self._ask_path() == self._numbers

    def is_of(self, descriptor: int) -> bool:
        """Whether this file is open as that descriptor."""
        return self._question(descriptor, b"", _EMPTY)() == self._numbers


def _stat(descriptor: int, path: bytes, flags: int) -> Numbers | None:
    try:
        status = os.fstat(descriptor) if flags == _EMPTY else os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_dev


def _stat_question(descriptor: int, path: bytes, flags: int) -> _Question:
    return partial(_stat, descriptor, path, flags)


def _statx_question() -> Callable[[int, bytes, int], _Question] | None:
    """A function like `_stat_question`, but no times are queried; None if the system has none.

    The arguments are converted once, with the question: each log of a metric asks it, and
    converting them takes half as long as the answer.
    """
    function: Callable[..., int] | None = own.library_function("statx", errors=False)
    if function is None:
        return None
    import ctypes

    words = (ctypes.c_uint64 * _WORDS)()
    what = ctypes.c_uint(_INODE), ctypes.c_void_p(ctypes.addressof(words))

    def question(descriptor: int, path: bytes, flags: int) -> _Question:
        place = ctypes.c_int(descriptor), ctypes.c_char_p(path), ctypes.c_int(flags)
        call = partial(function, *place, *what)

        def ask() -> Numbers | None:
            return None if call() else (words[_AT_INODE], words[_AT_DEVICE])

        return ask

    return question
