"""Which runs there are, which of them are shown, and in which order.

Guarantees: of a run that was never on screen, only its metadata is read, once, unless a filter or
an order needs more; so thousands of runs cost little. What cannot be read is a row with its
problem. A filter or an order with a mistake raises an error, and the rows stay as they were.

Every method may take a while, so they run in a thread, one at a time; `rows` and `details` are
replaced, never changed, so any thread may read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from expstore.compare.conditions import pattern
from expstore.compare.experiments import Experiment, experiments
from expstore.compare.reading import read_logs, read_states
from expstore.compare.selection import matching
from expstore.compare.summaries import ordered
from expstore.compare.wanted import wants_of
from expstore.compare.where import parse
from expstore.model.runinfo import RunInfo, RunState
from expstore.model.values import Metadata
from expstore.store import metafile

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

Progress = Callable[[list[str]], Iterable[str]]
_OPERATORS = ("=", "<", ">", "~", " in ", " in(")


@dataclass(frozen=True)
class Row:
    """A run in the list.

    Attributes:
        commit_id: its id.
        metadata: None if it cannot be read.
        problem: why not; empty if it can.
    """

    commit_id: str
    metadata: Metadata | None
    problem: str = ""


@dataclass(frozen=True)
class Detail:
    """What else is known of a run that was on screen.

    Attributes:
        state: how it is.
        run: its parameters, tags and notes.
        problems: what cannot be read, and why.
    """

    state: RunState
    run: RunInfo
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """Which runs are shown, and in which order.

    Attributes:
        filter: words that a run must have, or an expression (see `expstore.compare.where`).
        sort: a field, parameter or metric to sort by; empty: the newest first. With a `-` before
            it, the largest first.
    """

    filter: str = ""
    sort: str = ""

    @property
    def is_expression(self) -> bool:
        """Whether the filter is an expression, rather than words."""
        return any(operator in self.filter for operator in _OPERATORS)


class Listing:
    """The runs of a store.

    Attributes:
        rows: those that are shown, in order.
        total: how many there are.
        details: what is known of runs that were on screen, by id.
        query: what `rows` is the answer to.
    """

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._known: dict[str, Row] = {}
        self.rows: tuple[Row, ...] = ()
        self.details: Mapping[str, Detail] = {}
        self.query = Query()

    @property
    def total(self) -> int:
        """See the class."""
        return len(self._known)

    def refresh(self, query: Query | None = None, progress: Progress = iter) -> bool:
        """Look for runs that are new or gone; returns whether the rows changed.

        Args:
            query: what to show from now on; None: as before.
            progress: wraps the list of ids while logs are read; it may raise, to stop.

        Raises:
            WhereError, UnknownMetricError, MissingExtraError: the query has a mistake.
            StoreNotFoundError: the store was deleted.
        """
        query = query or self.query
        ids = self._store.list_experiments()
        # A run is listed as soon as it has a directory; its metadata may follow a moment later.
        unread = [one for one in ids if one not in self._known or not self._known[one].metadata]
        found = dict(metafile.read_all(self._store.location, unread))
        known = {
            commit_id: _row(commit_id, found[commit_id])
            if commit_id in found
            else self._known[commit_id]
            for commit_id in ids
        }
        rows = _answer(self._store, known, query, progress)
        self._known, self.query = known, query
        changed, self.rows = rows != self.rows, rows
        return changed

    def look(self, ids: Iterable[str]) -> bool:
        """Read anew what is known of some runs, and forget all others; returns whether it changed.

        Raises:
            StoreNotFoundError: the store was deleted.
        """
        known = [commit_id for commit_id in dict.fromkeys(ids) if commit_id in self._known]
        found = list(experiments(self._store, known))
        read_states(self._store, found)
        details = {o.commit_id: Detail(o.state, o.run, tuple(o.problems)) for o in found}
        changed, self.details = details != self.details, details
        return changed


def _row(commit_id: str, outcome: metafile.Outcome) -> Row:
    if isinstance(outcome, Metadata):
        return Row(commit_id, outcome)
    return Row(commit_id, None, str(outcome))


def _answer(
    store: StoreReader, known: Mapping[str, Row], query: Query, progress: Progress
) -> tuple[Row, ...]:
    """The rows that a query asks for."""
    words = query.filter.split()
    if not query.sort and not words:
        return tuple(sorted(known.values(), key=_newest_first))
    newest_first = sorted(known, key=lambda commit_id: _newest_first(known[commit_id]))
    found = list(experiments(store, newest_first))
    where = parse(query.filter) if query.is_expression else None
    sort = query.sort.removeprefix("-").strip()
    read = partial(read_logs, store, progress=progress, wants=wants_of(where, sort or None))
    if where is not None:
        found = matching(found, where, query.filter, read)
    elif words:
        tests = [pattern(f"*{word}*".lower()) for word in words]
        found = [one for one in found if _has(one, tests)]
    if query.sort and found:
        found = ordered(found, sort, query.sort.startswith("-"), read)
    return tuple(known[one.commit_id] for one in found)


def _newest_first(row: Row) -> tuple[int, str]:
    """What cannot be dated comes last."""
    return (-row.metadata.timestamp if row.metadata else 1, row.commit_id)


def _has(one: Experiment, tests: list[Callable[[str], bool]]) -> bool:
    """Whether each test is true for the id, job, user, status or a tag."""
    texts = [one.commit_id, *one.run.tags]
    if one.metadata is not None:
        texts += [one.metadata.job_name, one.metadata.user]
    texts = [text.lower() for text in texts]
    return all(any(map(test, texts)) or test(one.status) for test in tests)
