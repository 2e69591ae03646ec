"""Memory for columns.

Guarantees: memory that is not used is never touched, and so takes no room. It is the process's own:
no file is opened.
"""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGE = 1 << 21  # bytes of a column from which on it gets pages of its own
_HUGE_PAGE = 1 << 21
_KEPT = (1 << 22) - 64  # bytes; NumPy asks for huge pages from 4 MiB on


@cache
def keep_freed_memory() -> None:
    """Have the allocator keep what a block's arrays took, for those of the next block.

    By default, glibc maps arrays of 128 KiB or more anew each time, which costs more than filling
    them; once a larger one was freed, it takes up to that size from the heap. No page is touched.
    """
    np.empty(_KEPT, np.uint8)


def first_items(array: NDArray[Any], count: int) -> NDArray[Any]:
    """The first items, without the memory of the others."""
    if array.flags.owndata:
        # In place, so that what is left is given back. No view of it outlives a call.
        array.resize((count, *array.shape[1:]), refcheck=False)
        return array
    return array[:count]


def new_array(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of so many items, not initialised.

    A large one begins with a huge page. One from `malloc` has small pages up to the next 2 MiB,
    which take longer to get than to fill.
    """
    size = count * dtype.itemsize
    if sys.platform == "linux" and size >= _LARGE and not dtype.hasobject:
        pages = -(-size // _HUGE_PAGE) * _HUGE_PAGE
        # Without memory to spare, or huge pages, what NumPy does is right, and its error.
        with suppress(OSError, OverflowError, ValueError):
            memory = mmap.mmap(-1, pages, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.madvise(mmap.MADV_HUGEPAGE)
            return np.frombuffer(memory, dtype.base, size // dtype.base.itemsize).reshape(
                count, *dtype.shape
            )
    return np.empty(count, dtype)
