"""Keeps looking at the store while any client is there, and wakes the clients.

Guarantees: nothing is looked at while there is no client; the event loop never waits for a file.
Clients have no queues: each takes what changed since it last looked, at its own pace, so one that
is slow, or has vanished, costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from expstore.live.catalog import Catalog
from expstore.live.logs import Logs
from expstore.live.scanner import Scanner

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_PAUSE = 0.2  # seconds between two looks
CURVES_AT_ONCE = 2  # logs whose curves are made; each takes the memory of its points meanwhile
MOST_CLIENTS = 100
"""Streams at a time; each is an open page."""


class Keeper:
    """What the requests of one application share.

    Args:
        store: the store.

    Attributes:
        store: the store.
        catalog: the rows of all runs.
        logs: the logs that are shown.
        scanner: looks at the store.
        clients: how many streams are open.
        making_curves: held while the curves of a run are made.
    """

    def __init__(self, store: StoreReader) -> None:
        self.store = store
        self.catalog = Catalog()
        self.logs = Logs(store)
        self.scanner = Scanner(store, self.catalog, self.logs)
        self.clients = 0
        self.making_curves = asyncio.Semaphore(CURVES_AT_ONCE)
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def client(self, watched: list[str]) -> AsyncIterator[None]:
        """A client is there, and follows the logs of some runs."""
        self.clients += 1
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._keep())
            await asyncio.to_thread(self.scanner.watch, watched)
            self._wanted.set()
            try:
                yield
            finally:
                # Not in a thread: a cancelled task cannot wait for one.
                self.scanner.unwatch(watched)
        finally:
            self.clients -= 1

    async def changed(self, seconds: float) -> bool:
        """Wait until something may have changed, for that long at most; whether it may have.

        Raises:
            Exception: what has ended looking at the store; whoever connects next begins anew.
        """
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _keep(self) -> None:
        while self.clients:
            before = self._stamp()
            await asyncio.to_thread(self.scanner.step)
            if self._stamp() != before:
                self._changed.set()
                self._changed = asyncio.Event()
            if self.scanner.is_busy:
                await asyncio.sleep(0)
            else:
                self._wanted.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), _PAUSE)

    def _stamp(self) -> tuple[object, ...]:
        catalog = self.catalog
        return catalog.number, catalog.is_complete, catalog.trouble, self.logs.stamp()
