"""The stream of one client: server-sent events with what changed of what it looks at.

Guarantees: a client that names the last event it saw goes on from there, and one that comes from
before a restart begins anew, without doing anything for it; points are sent with the position they
follow, so a client can tell when it lacks some, and then asks for the curve again. A client that
does not read for a minute is dropped.

The events, each with an `id` that the next request may name as `since`:

    reset    the client's `since` is not known here: all runs follow
    runs     runs that are new or have changed; see `payload.page_payload`
    gone     keys of runs that were deleted
    listed   all runs that there are have been sent
    points   {run, state, from, to, curves}: points logged between two positions of a log; `from` is
             null if they are too many to send; `curves` has those of the metrics that are watched
    trouble  what is wrong with the store as a whole; empty: nothing any more
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from expstore.live.keeper import MOST_CLIENTS, Keeper
from expstore.live.logs import Part, Position, parts_payload
from expstore.model.texts import escape, unescape
from expstore.report.payload import page_payload, to_json

_ROWS = 500  # of one event
_PING = 10.0  # seconds without an event after which a comment is sent
_AT_ONCE = 0.1  # seconds between two sets of events


@dataclass
class Wish:
    """What a client asks for.

    Attributes:
        since: the id of the last event it saw; empty: none.
        runs: the keys of the runs whose points it wants.
        metrics: the keys of the metrics that it wants of those.
    """

    since: str = ""
    runs: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)


async def events(keeper: Keeper, wish: Wish) -> AsyncGenerator[bytes, None]:
    """The events for one client, without an end."""
    watched = [unescape(key) for key in wish.runs]
    stream = _Stream(keeper, watched, {unescape(key) for key in wish.metrics})
    is_listed = stream.resume(wish.since)
    if keeper.clients >= MOST_CLIENTS:  # many have asked at the same moment; it will try again
        return
    async with keeper.client(watched):
        yield b"retry: 1000\n\n"
        if not is_listed:
            async for event in stream.snapshot():
                yield event
        while True:
            changes = keeper.catalog.since(stream.number, _ROWS)
            if changes is None:  # more was deleted than is remembered
                is_listed = False
                async for event in stream.snapshot():
                    yield event
                continue
            stream.number = changes.number
            if changes.rows:
                yield stream.event("runs", await asyncio.to_thread(page_payload, changes.rows))
            if changes.gone:
                yield stream.event("gone", changes.gone)
            if len(changes.rows) == _ROWS:
                continue
            if not is_listed and keeper.catalog.is_complete:
                is_listed = True
                yield stream.event("listed", None)
            for event in [*stream.trouble(), *await asyncio.to_thread(stream.points)]:
                yield event
            await asyncio.sleep(_AT_ONCE)
            if stream.is_current(is_listed=is_listed) and not await keeper.changed(_PING):
                yield b": nothing new\n\n"


class _Stream:
    def __init__(self, keeper: Keeper, watched: list[str], metrics: set[str]) -> None:
        self._keeper, self._metrics = keeper, metrics
        self._sent: dict[str, Position | None] = dict.fromkeys(watched)
        self._trouble = ""
        self.number = 0

    def resume(self, since: str) -> bool:
        """Go on after the event that the client saw last; False: it is not one of this server's."""
        instance, _, number = since.partition("-")
        if instance != self._keeper.catalog.instance or not number.isdecimal():
            return False
        self.number = min(int(number[:18]), self._keeper.catalog.number)
        return True

    def event(self, kind: str, data: Any) -> bytes:
        """An event."""
        id_ = f"{self._keeper.catalog.instance}-{self.number}"
        return f"id: {id_}\nevent: {kind}\ndata: {to_json(data)}\n\n".encode()

    async def snapshot(self) -> AsyncIterator[bytes]:
        """All runs that are known by now, the newest first."""
        yield self.event("reset", None)
        entries, self.number = self._keeper.catalog.newest_first()
        for first in range(0, len(entries), _ROWS):
            rows = [entry.row for entry in entries[first : first + _ROWS]]
            yield self.event("runs", await asyncio.to_thread(page_payload, rows))

    def is_current(self, *, is_listed: bool) -> bool:
        """Whether there is nothing to be sent."""
        catalog, logs = self._keeper.catalog, self._keeper.logs
        if self.number != catalog.number or is_listed != catalog.is_complete:
            return False
        for commit_id, sent in self._sent.items():
            held = logs.held(commit_id)
            if held is not None and held.position.offset and held.position != sent:
                return False
        return self._trouble == catalog.trouble

    def trouble(self) -> list[bytes]:
        """The event of what is wrong with the store, if that is another thing than was sent."""
        if self._trouble == self._keeper.catalog.trouble:
            return []
        self._trouble = self._keeper.catalog.trouble
        return [self.event("trouble", self._trouble)]

    def points(self) -> list[bytes]:
        """The events of the logs that have grown."""
        found = []
        for commit_id, sent in self._sent.items():
            held = self._keeper.logs.held(commit_id)
            if held is None:
                continue
            with held.lock:
                now = held.position
                if now == sent or not now.offset:
                    continue
                # At first, the client is told where the log is, and compares that with its curves.
                parts = [] if sent is None else held.since(sent)
            self._sent[commit_id] = now
            found.append(self.event("points", self._points(commit_id, now, sent, parts)))
        return found

    def _points(
        self, commit_id: str, now: Position, sent: Position | None, parts: list[Part] | None
    ) -> dict[str, Any]:
        curves = []
        for name, (header, data) in parts_payload(parts or [], self._metrics).items():
            encoded = base64.b64encode(data).decode("ascii")
            curves.append({"metric": escape(name), **header, "data": encoded})
        start = None if parts is None else now.offset if sent is None else sent.offset
        return {
            "run": escape(commit_id),
            "state": now.state,
            "from": start,
            "to": now.offset,
            "curves": curves,
        }
