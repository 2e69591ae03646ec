"""Looking at a store for what is new: runs, their files, and the logs that clients follow.

Guarantees: a call works for a bounded time, and the most wanted comes first: what is on a screen,
then the list of runs, then their best values. Looking at everything takes a small share of the
time, however many runs there are. A run that cannot be read has a row with its problem.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ExperimentNotFoundError, ExpStoreError, RunFileError
from expstore.live.catalog import Catalog, Entry
from expstore.live.logs import Logs
from expstore.live.rows import Rows, logged_row, signature
from expstore.model.runinfo import RunInfo
from expstore.model.texts import printable
from expstore.report.contents import newest_first
from expstore.store.files import waiting
from expstore.store.files.place import open_root
from formats import FormatError

if TYPE_CHECKING:
    from expstore.store.files.directory import Directory
    from expstore.store.reader import StoreReader

SLICE = 0.05
"""Seconds that one call works, about."""

_PAGE = 200  # runs that are described at a time
_FIRST = 20  # runs whose points are kept when they are read first: those that the page draws
_SHARE = 50  # looking at everything may take one part in this of the time
_LISTING, _RUNNING, _LOGGED, _FOLLOWING = 1.0, 1.0, 1.0, 0.2  # seconds between two looks
_SMALL = 4 << 20  # bytes of a log
_REMOTE = 15  # times longer at a URL


class Scanner:
    """Fills a catalog, and follows logs.

    Args:
        store: the store.
        catalog: what is found is put there.
        logs: the logs that are shown.
    """

    def __init__(self, store: StoreReader, catalog: Catalog, logs: Logs) -> None:
        self._store, self._catalog, self._logs = store, catalog, logs
        self._is_local = isinstance(store.location, Path)
        self._slower = 1 if self._is_local else _REMOTE
        self._rows = Rows(store)
        self._watched: dict[str, int] = {}  # how many clients follow a run, by commit id
        self._sizes: dict[str, int | None] = {}  # of the logs of those, when they were read
        self._lock = threading.Lock()  # of what clients change
        self._known: set[str] = set()
        self._undescribed: deque[str] = deque()
        self._unread: deque[str] = deque()
        self._unread_set: set[str] = set()
        self._first: deque[str] = deque()  # runs whose points are wanted before anything else
        self._sweep: deque[Entry] = deque()
        self._sweep_cost = 0.0
        self._due = dict.fromkeys(("list", "sweep", "running", "follow"), 0.0)
        self._grown: set[str] = set()  # whose rows are older than their points
        self._read_at: dict[str, float] = {}

    def watch(self, commit_ids: Iterable[str]) -> None:
        """A client begins to follow the logs of some runs."""
        for commit_id in commit_ids:
            with self._lock:
                self._watched[commit_id] = self._watched.get(commit_id, 0) + 1
                self._first.append(commit_id)
            try:
                held = self._logs.get(commit_id)
            except (ExpStoreError, FormatError):
                continue  # its row has the problem
            with held.lock:
                held.watchers += 1

    def unwatch(self, commit_ids: Iterable[str]) -> None:
        """That client no longer does."""
        for commit_id in commit_ids:
            with self._lock:
                left = self._watched[commit_id] = self._watched[commit_id] - 1
                if not left:
                    del self._watched[commit_id]
                    self._sizes.pop(commit_id, None)
            if (held := self._logs.held(commit_id)) is not None:
                with held.lock:
                    held.watchers = left
                if not left:
                    held.forget_recent()

    @property
    def is_busy(self) -> bool:
        """Whether there is work that need not wait."""
        return bool(self._undescribed or self._unread or self._sweep)

    def step(self) -> None:
        """Do what is due, for about `SLICE` seconds."""
        began = time.monotonic()
        try:
            self._step(began)
            self._catalog.trouble = ""
        except (ExpStoreError, OSError) as error:  # of the store as a whole
            self._catalog.trouble = printable(str(error))
            self._wait("list", _LISTING, began)
            # What was not described yet is listed again.
            self._undescribed.clear()
            self._sweep.clear()
            self._known = {entry.commit_id for entry in self._catalog.entries()}

    def _step(self, began: float) -> None:
        self._follow()
        if self._is_due("list"):
            self._list()
            self._wait("list", _LISTING, began)
        if self._is_due("running"):
            self._look_at([entry for entry in self._catalog.entries() if entry.is_running])
            self._wait("running", _RUNNING, began)
        while self.is_busy and time.monotonic() < began + SLICE:
            self._work()
        if self._is_local and not self.is_busy and self._is_due("sweep"):
            self._sweep.extend(self._catalog.entries())
            self._wait("sweep", max(2.0, _SHARE * self._sweep_cost), time.monotonic())
            self._sweep_cost = 0.0

    def _is_due(self, what: str) -> bool:
        return time.monotonic() >= self._due[what]

    def _wait(self, what: str, seconds: float, began: float) -> None:
        now = time.monotonic()
        self._due[what] = now + max(seconds * self._slower, _SHARE * (now - began))

    def _work(self) -> None:
        """A bit of what waits: the first runs entirely, then rows, then best values."""
        wanted = self._first_unread()
        if wanted is not None:
            # Points that others push out before a client asks for them would be read for nothing.
            entry = self._catalog.of(wanted)
            size = entry.size if entry is not None else None
            self._read(wanted, keep=self._logs.has_room(size or 0))
        elif self._undescribed:
            count = min(len(self._undescribed), _PAGE)
            self._describe([self._undescribed.popleft() for _ in range(count)])
            if not self._undescribed:
                self._catalog.is_complete = True
        elif self._unread:
            commit_id = self._unread.popleft()
            self._unread_set.discard(commit_id)
            self._read(commit_id)
        else:
            began = time.monotonic()
            count = min(len(self._sweep), _PAGE)
            self._look_at([self._sweep.popleft() for _ in range(count)])
            self._sweep_cost += time.monotonic() - began

    def _first_unread(self) -> str | None:
        """A run that is wanted first, once it is described."""
        for _ in range(len(self._first)):
            commit_id = self._first.popleft()
            if self._catalog.of(commit_id) is None:
                if commit_id in self._known:
                    self._first.append(commit_id)
            elif commit_id in self._unread_set:
                self._unread_set.discard(commit_id)
                return commit_id
        return None

    def _list(self) -> None:
        """Find runs that are new or gone."""
        if not self._catalog.is_complete and not self._known:
            # The newest come first; without any, this is all.
            found = newest_first(self._store)
            new = found
            self._first.extend(found[:_FIRST])
            self._catalog.is_complete = not found
        else:
            found = self._store.list_experiments()
            new = [commit_id for commit_id in found if commit_id not in self._known]
        now = set(found)
        for commit_id in self._known - now:
            self._catalog.remove(commit_id)
            self._logs.forget(commit_id)
        self._known = now
        self._undescribed.extend(new)

    def _describe(self, ids: list[str]) -> None:
        """Put the rows of runs into the catalog, with what was known of their logs."""
        for entry in self._rows.describe(ids):
            before = self._catalog.of(entry.commit_id)
            entry.logged = before.logged if before is not None else None
            self._catalog.put(entry)
            self._want(entry.commit_id)

    def _want(self, commit_id: str) -> None:
        if commit_id not in self._unread_set:
            self._unread_set.add(commit_id)
            self._unread.append(commit_id)

    def _read(self, commit_id: str, *, keep: bool = False) -> None:
        """Read what a log has that was not read yet, for the run's row."""
        entry = self._catalog.of(commit_id)
        if entry is None:
            return
        self._read_at[commit_id] = time.monotonic()
        try:
            if keep or not self._is_at_rest(entry):
                logged = self._read_held(entry, keep=keep)
            else:
                logged = self._rows.logged(entry)
        except (ExpStoreError, FormatError) as error:
            self._note(entry, error)
            return
        if logged != entry.logged:
            entry.logged = logged
            self._catalog.put(entry)

    def _is_at_rest(self, entry: Entry) -> bool:
        """Whether reading all of a log at once is cheap, and it will hardly be read again."""
        is_small = entry.size is not None and entry.size <= _SMALL
        return is_small and not entry.is_running and self._logs.held(entry.commit_id) is None

    def _read_held(self, entry: Entry, *, keep: bool) -> dict[str, Any]:
        held = self._logs.get(entry.commit_id)
        held.advance(self._info(entry.commit_id), keep=keep)
        if keep:
            self._logs.trim()
        elif not held.watchers and not entry.is_running and not held.nbytes:
            self._logs.forget(entry.commit_id)
        return logged_row(held.tally, held.status)

    def _info(self, commit_id: str) -> RunInfo:
        try:
            return self._store.read_run(commit_id)
        except RunFileError:  # its row has that problem
            return RunInfo()

    def _note(self, entry: Entry, error: Exception) -> None:
        """Add to a row that the log cannot be read."""
        entry.described, entry.logged = self._rows.with_problem(entry, error), {}
        self._catalog.put(entry)

    def _follow(self) -> None:
        """Read on in the logs that clients follow."""
        with self._lock:
            watched = [commit_id for commit_id in self._watched if commit_id in self._known]
        if watched and self._is_due("follow"):
            for commit_id, size in self._store.log_sizes(watched).items():
                if commit_id not in self._sizes or self._sizes[commit_id] != size:
                    self._sizes[commit_id] = size
                    with self._noting(commit_id):
                        self._logs.get(commit_id).advance(keep=True)
                    self._grown.add(commit_id)
            self._logs.trim()
            self._wait("follow", _FOLLOWING, time.monotonic())
        # Best values are not needed as often as points.
        for commit_id in list(self._grown):
            if time.monotonic() >= self._read_at.get(commit_id, 0.0) + _LOGGED:
                self._grown.discard(commit_id)
                self._want(commit_id)

    @contextmanager
    def _noting(self, commit_id: str) -> Iterator[None]:
        try:
            yield
        except (ExpStoreError, FormatError) as error:
            entry = self._catalog.of(commit_id)
            if entry is not None and not isinstance(error, ExperimentNotFoundError):
                self._note(entry, error)

    def _look_at(self, entries: list[Entry]) -> None:
        """Describe runs anew whose files have changed, and those that may have been killed."""
        if not entries:
            return
        location = self._store.location
        entries = [entry for entry in entries if self._catalog.of(entry.commit_id) is entry]
        with open_root(location) as root:
            found = waiting.each(location, entries, partial(self._has_changed, root))
            changed = [one.commit_id for one, yes in zip(entries, found, strict=True) if yes]
        if changed:
            self._describe(changed)

    def _has_changed(self, root: Directory, entry: Entry) -> bool:
        return entry.signature != signature(root, entry.commit_id) or (
            entry.is_running and self._status(entry.commit_id) != "running"
        )

    def _status(self, commit_id: str) -> str:
        try:
            return self._store.status(commit_id)
        except ExpStoreError:  # deleted meanwhile: listing will show it
            return "unknown"
