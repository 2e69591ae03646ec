"""Working on many files of a store at a URL, where waiting for answers is what takes time.

Guarantees: results come in order, and an error is raised when its turn comes; only so many requests
run at a time, and only so many results wait in memory. Ctrl-C waits for no answer, nor does the end
of the program after it. On a file system, everything runs in turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from expstore.store.files.directory import Location

if TYPE_CHECKING:
    from concurrent.futures import Future
    from queue import SimpleQueue

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
    from concurrent.futures import Future
    from queue import SimpleQueue

    tasks: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
    threads: list[threading.Thread] = []
    pending: deque[Future[Result]] = deque()
    interrupted = False
    try:
        for item in items:
            if len(threads) < REQUESTS:
                # Not a pool's: Python, when it exits, would wait for what a server never sends.
                threads.append(threading.Thread(target=_serve, args=(tasks, work), daemon=True))
                threads[-1].start()
            pending.append(Future())
            tasks.put((pending[-1], item))
            if len(pending) >= _AHEAD * REQUESTS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        for future in pending:
            future.cancel()
        for _ in threads:
            tasks.put(None)
        for thread in threads if not interrupted else ():
            if thread.ident is not None:  # it was started
                thread.join()


def _serve(tasks: SimpleQueue[Any], work: Callable[[Item], object]) -> None:
    """Do what comes, until nothing more does."""
    while (task := tasks.get()) is not None:
        future, item = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(item))
            except BaseException as error:  # for the one that asks for the result
                future.set_exception(error)
        del task, future, item  # they would be kept until the next comes
