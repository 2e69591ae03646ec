"""Working on many files of a store at a URL, where waiting for answers is what takes time.

Guarantees: results come in order, and an error is raised when its turn comes; only so many requests
run at a time, and only so many results wait in memory. On a file system, everything runs in turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from expstore.store.files.directory import Location

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

REQUESTS = 32
"""Items in work at a time: few enough for any server, and for the default limits of clients."""

_AHEAD = 2  # items in work, or done and waiting for their turn, for each of those


def each(root: Location, items: Iterable[Item], work: Callable[[Item], Result]) -> Iterator[Result]:
    """What `work` gives of each item, in order.

    Args:
        root: of the store.
        items: such as commit ids.
        work: takes one; at a URL it runs in other threads.
    """
    if isinstance(root, Path):
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(REQUESTS) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= _AHEAD * REQUESTS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
