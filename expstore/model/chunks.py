"""Making very many small objects: part by part, each part at once.

Guarantees: whoever wants the first few objects only does not wait for many; the garbage collector
is as it was before, whatever happens.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def chunks(count: int, first: int, most: int) -> Iterator[slice]:
    """Slices that cover `count` things: `first` of them, then ever twice as many, up to `most`."""
    start, size = 0, first
    while start < count:
        yield slice(start, start + size)
        start += size
        size = min(2 * size, most)


@contextmanager
def gc_paused() -> Iterator[None]:
    """A few milliseconds in which the garbage collector does not run.

    It would look again and again at objects that are being made, and cannot be garbage: for two
    thirds of the time, where nothing else is done.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
