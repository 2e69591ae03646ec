"""Making many small objects chunk by chunk.

Guarantees: code that needs only the first few objects does not wait for many; the garbage collector
is always restored to its previous state.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def chunks(count: int, first: int, most: int) -> Iterator[slice]:
    """Slices covering `count` items: `first` items, then doubling in size up to `most`."""
    start, size = 0, first
    while start < count:
        yield slice(start, start + size)
        start += size
        size = min(2 * size, most)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector, for a few milliseconds at most.

    Otherwise it scans the new objects, none of them garbage, over and over, which takes two thirds
    of the time of a loop that only makes objects.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
