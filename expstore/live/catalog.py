"""The rows of all runs as clients have them, and what has changed since a client asked last.

Guarantees: each change has a number, so a client that says which one it saw last is sent what
changed since, once, however long it was away; one that comes from before a restart begins anew.
Safe to use from several threads.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.model.texts import escape

if TYPE_CHECKING:
    from expstore.model.runinfo import RunStart

_GONE = 10_000  # deletions that are remembered


@dataclass(slots=True)
class Entry:
    """One run.

    Attributes:
        commit_id: its id.
        described: its row without what is in its log; see `payload.run_payload`.
        logged: what the row has of its log; None: not read yet.
        number: of the last change.
        size: of its log in bytes when it was described; None: unknown.
        signature: of its files then; None: unknown.
        resumed: its starts from which on earlier points are superseded.
    """

    commit_id: str
    described: dict[str, Any]
    logged: dict[str, Any] | None = None
    number: int = 0
    size: int | None = None
    signature: object = None
    resumed: tuple[RunStart, ...] = ()

    @property
    def row(self) -> dict[str, Any]:
        """The whole row; `unread` says that what is in its log is not known yet."""
        return self.described | ({"unread": True} if self.logged is None else self.logged)

    @property
    def is_running(self) -> bool:
        """Whether its status is `running`."""
        return self.described.get("status") == "running"


class Changes(NamedTuple):
    """What changed since a number.

    Attributes:
        rows: of runs that are new or changed, in the order of the last change.
        gone: the keys of those that were deleted.
        number: of the last change in this.
    """

    rows: list[dict[str, Any]]
    gone: list[str]
    number: int


@dataclass
class Catalog:
    """The runs by key, which is `texts.escape` of the commit id.

    Attributes:
        instance: tells the numbers of this catalog from those of one before a restart.
        number: of the last change.
        is_complete: whether all runs of the store were found at least once.
        trouble: what is wrong with the store; empty: nothing.
    """

    instance: str = field(default_factory=lambda: secrets.token_hex(6))
    number: int = 0
    is_complete: bool = False
    trouble: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # in the order of the last change
        self._gone: deque[tuple[int, str]] = deque()
        self._forgotten = 0  # the number of the last deletion that is not remembered

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The run with a key."""
        return self._entries.get(key)

    def of(self, commit_id: str) -> Entry | None:
        """The run with a commit id."""
        return self._entries.get(escape(commit_id))

    def entries(self) -> list[Entry]:
        """All runs."""
        with self._lock:
            return list(self._entries.values())

    def put(self, entry: Entry) -> None:
        """Add a run, or note that it has changed."""
        with self._lock:
            key = escape(entry.commit_id)
            self.number += 1
            entry.number = self.number
            self._entries[key] = entry
            self._entries.move_to_end(key)

    def remove(self, commit_id: str) -> None:
        """Note that a run was deleted."""
        with self._lock:
            key = escape(commit_id)
            if self._entries.pop(key, None) is not None:
                self.number += 1
                self._gone.append((self.number, key))
                if len(self._gone) > _GONE:
                    self._forgotten = self._gone.popleft()[0]

    def since(self, number: int, limit: int) -> Changes | None:
        """What changed since a number, with at most `limit` rows; None: too much was forgotten."""
        with self._lock:
            if number < self._forgotten:
                return None
            found: list[Entry] = []
            for entry in reversed(self._entries.values()):
                if entry.number <= number:
                    break
                found.append(entry)
            found = found[::-1]
            end = found[limit - 1].number if len(found) > limit else self.number
            gone = [key for when, key in self._gone if number < when <= end]
            rows = [entry.row for entry in found[:limit]]
            return Changes(rows, [key for key in gone if key not in self._entries], end)

    def newest_first(self) -> tuple[list[Entry], int]:
        """All runs by time of creation, latest first, and the number of the last change."""
        with self._lock:
            return sorted(self._entries.values(), key=_age), self.number


def _age(entry: Entry) -> tuple[float, str]:
    created = entry.described.get("created")
    return (float("inf") if created is None else -created), entry.commit_id
