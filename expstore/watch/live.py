"""What is read, again and again, while keys are answered.

Guarantees: reading is done in threads. Looking for what is new takes at most about a twentieth of a
core, however slow the store is: a pause is at least so many times as long as what came before it.
What goes wrong is a `message`, and is tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from expstore.errors import ExpStoreError
from expstore.watch.feeds import Feeds
from expstore.watch.listing import Listing, Query

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

LIST_PAUSE, LOG_PAUSE = 2.0, 0.5
"""Seconds between two looks at the list of runs, and at the logs of those that are shown."""

_SHARE = 20


class _StoppedError(Exception):
    """Another query was asked, or the program ends."""


class Live:
    """The runs of a store and the curves of those that are shown, kept up to date.

    Attributes:
        store: the store.
        listing: the runs.
        feeds: the curves.
        message: what went wrong; empty if nothing did.
        reading: what is being read, if that takes a while.
    """

    def __init__(self, store: StoreReader, query: Query) -> None:
        self.store = store
        self.listing = Listing(store)
        self.feeds = Feeds(store)
        self.message = ""
        self.reading = ""
        self._asked: Query | None = query
        self._shown: tuple[str, ...] = ()
        self._look_now, self._read_now = asyncio.Event(), asyncio.Event()
        self._is_ending = False

    @property
    def query(self) -> Query:
        """What was asked last."""
        return self._asked or self.listing.query

    def ask(self, query: Query) -> None:
        """Show other runs; what is being read for an earlier query is broken off."""
        self._asked, self.message = query, ""
        self._look_now.set()

    def show(self, ids: Iterable[str]) -> None:
        """Read the curves of these runs, and no others."""
        self._shown = tuple(ids)
        self.feeds.show(self._shown)
        self._read_now.set()

    def look(self) -> None:
        """Look at once at the runs on screen."""
        self._look_now.set()

    def stop(self) -> None:
        """Break off what is being read; the program ends."""
        self._is_ending = True

    async def watch_list(
        self,
        on_screen: Callable[[], list[str]],
        on_rows: Callable[[], object],
        on_details: Callable[[], object],
    ) -> None:
        """Keep the list of runs up to date, without end.

        Args:
            on_screen: gives the ids of the runs of which more is to be known.
            on_rows: called when the rows, or the answer to a query, are there.
            on_details: called when more, or something else, is known.
        """
        due = 0.0
        while True:
            self._look_now.clear()
            if self._asked is not None or time.monotonic() >= due:
                cost = await _timed(self._list(on_rows))
                due = time.monotonic() + max(LIST_PAUSE, _SHARE * cost)
            cost = await _timed(self._details([*on_screen(), *self._shown], on_details))
            await _until(self._look_now, max(LIST_PAUSE, _SHARE * cost))

    async def _list(self, on_rows: Callable[[], object]) -> None:
        query, self._asked = self._asked, None
        try:
            changed = await asyncio.to_thread(self.listing.refresh, query, self._progress)
        except _StoppedError:
            return
        except (ExpStoreError, OSError) as error:
            self.message, changed = str(error), False
        finally:
            self.reading = ""
        if changed or query is not None:
            on_rows()

    def _progress(self, ids: list[str]) -> Iterator[str]:
        for count, commit_id in enumerate(ids):
            if self._is_ending or self._asked is not None:
                raise _StoppedError
            self.reading = f"reading logs: {count:,} of {len(ids):,}, esc stops"
            yield commit_id

    async def _details(self, ids: list[str], on_details: Callable[[], object]) -> None:
        try:
            if await asyncio.to_thread(self.listing.look, ids):
                on_details()
        except (ExpStoreError, OSError) as error:
            self.message = str(error)

    async def watch_logs(self, on_curves: Callable[[], object]) -> None:
        """Keep the curves up to date, without end; `on_curves` is called when they grew."""
        while True:
            self._read_now.clear()
            cost = await _timed(self._read(on_curves))
            pause = 0.0 if self.feeds.are_behind else max(LOG_PAUSE, _SHARE * cost)
            await _until(self._read_now, pause)

    async def _read(self, on_curves: Callable[[], object]) -> None:
        if await asyncio.to_thread(self.feeds.poll):
            on_curves()


async def _timed(work: Awaitable[None]) -> float:
    """The seconds that some work takes."""
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or so long."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
