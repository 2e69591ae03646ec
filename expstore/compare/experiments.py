"""Experiments as they are looked at: what meta.bin and run.json say, and their metrics.

Guarantees: parameters are read for many experiments at once, and so are metadata, if they are asked
for; a log and a status only if they are, and once. What cannot be read is one of the experiment's
`problems`, and does not affect the others.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from expstore.compare.logs import Log, log_of_table, read_log
from expstore.compare.series import Extremes
from expstore.errors import ExpStoreError, RunFileError, UnreadableFileError
from expstore.model.runinfo import RunInfo, RunState, Status
from expstore.model.values import Metadata
from expstore.store import metafile, runfile
from expstore.store.care.state import run_state
from expstore.store.files.directory import Location
from expstore.store.files.place import log_of
from expstore.store.read.chosen import Wants
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import read_table
from expstore.store.reader import StoreReader
from formats import CLEAN, FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.model.table import MetricTable


_Read = TypeVar("_Read")
_EMPTY = RunInfo()
_AT_ONCE = 1024  # experiments whose metadata are read with one that is asked for


class About:
    """The metadata of experiments: of many at once, when those of one are asked for.

    Args:
        root: the store.
        ids: of the experiments.
    """

    def __init__(self, root: Location, ids: Sequence[str]) -> None:
        self._root, self._ids = root, ids
        self._known: dict[str, metafile.Outcome] = {}

    def read(self, ids: Iterable[str]) -> None:
        """Read those of some experiments, unless they are known."""
        unknown = [commit_id for commit_id in ids if commit_id not in self._known]
        if unknown:
            self._known.update(metafile.read_all(self._root, unknown))

    def of(self, commit_id: str, place: int) -> metafile.Outcome:
        """Those of one; `place` is its index among the experiments."""
        if commit_id not in self._known:
            first = place - place % _AT_ONCE
            self.read(self._ids[first : first + _AT_ONCE])
        return self._known[commit_id]


class Experiment:
    """One experiment; its metadata, metrics and status are read on first use.

    Args:
        store: what it is in.
        commit_id: its id.
        about: gives its metadata.
        place: its index there.
        run: what was read of its run.json.

    Attributes:
        commit_id, about: as given.
        run: what run.json says; empty if there is none, or it cannot be read.
        params: the parameters by flat name.
        faults: what could not be read of its run.json and its log so far, and why.
    """

    def __init__(
        self,
        store: StoreReader,
        commit_id: str,
        about: About,
        place: int,
        run: RunInfo | ExpStoreError,
    ) -> None:
        self.commit_id = commit_id
        self.run = run if isinstance(run, RunInfo) else _EMPTY
        self.params = run.flat_params if self.run is run and self.run.params else {}
        self.faults: list[str] = []
        if isinstance(run, RunFileError | UnreadableFileError):
            self.faults.append(str(run))
        self._store = store
        self.about, self._place = about, place
        self._log: Log | None = None
        self._state: RunState | None = None

    @property
    def outcome(self) -> metafile.Outcome:
        """Its metadata, or the error that reading them gave."""
        return self.about.of(self.commit_id, self._place)

    @property
    def metadata(self) -> Metadata | None:
        """None if it cannot be read."""
        found = self.outcome
        return found if isinstance(found, Metadata) else None

    @property
    def problems(self) -> list[str]:
        """What could not be read so far, and why: its metadata, and its `faults`."""
        found = self.outcome
        return self.faults if isinstance(found, Metadata) else [str(found), *self.faults]

    def read_table(self, limit: int | None = None) -> MetricTable | None:
        """Its metrics without what is superseded, read anew; None if they cannot be read.

        Args:
            limit: see `store.read.tables.read_table`.
        """
        return self._reading(lambda: self._current(None, limit))

    def _current(self, size: int | None, limit: int | None = None) -> MetricTable:
        """As `read_table`, of the first bytes of the log; None: of all."""
        table = read_table(self._path, end=size, limit=limit)
        return Rewind(self.run.starts).current(table) if self.run.starts else table

    @property
    def _path(self) -> Location | str:
        return log_of(self._store.location, self.commit_id)

    def _reading(self, read: Callable[[], _Read]) -> _Read | None:
        """What a function reads of the log; None, and a fault, if it cannot be read."""
        try:
            return read()
        except (ExpStoreError, FormatError) as error:
            problem = str(error)
            if problem not in self.faults:
                self.faults.append(problem)
            return None

    @property
    def is_read(self) -> bool:
        """Whether its log was read, if only for some metrics."""
        return self._log is not None

    @property
    def is_unreadable(self) -> bool:
        """Whether its log was to be read, and could not be."""
        return self._log is not None and not self._log.is_readable

    def needs_reading(self, wants: Wants | None) -> bool:
        """Whether its log was not read yet for the metrics that are wanted; None: for all."""
        return self._log is None or not self._log.has_wanted(wants)

    @property
    def size_read(self) -> int | None:
        """The bytes of its log that were read for some metrics; others are read of the same."""
        return None if self._log is None else self._log.size

    def read(self) -> Log:
        """What its log says of all metrics."""
        if self._log is None or not self._log.is_whole:
            found = self._reading(partial(self._read, self.size_read))
            self._log = Log({}, CLEAN, None, False) if found is None else found
        return self._log

    def _read(self, size: int | None) -> Log:
        if Rewind(self.run.starts):
            return log_of_table(self._current(size))
        log = read_log(self._path, size)
        if size is not None and not log.tail:
            # Of a log of which only some metrics were read, these bytes are whole records. If they
            # are not any more, it is another log, whose end says nothing about that of this one.
            return read_log(self._path)
        return log

    def take(self, log: Log, faults: Iterable[str] = ()) -> None:
        """Take what was read of its log with those of others, and the faults that it had."""
        self._log = log
        self.faults += [fault for fault in faults if fault not in self.faults]

    def _look(self) -> Log:
        """What its log says of some metrics, at least."""
        return self.read() if self._log is None else self._log

    @property
    def names(self) -> Collection[str]:
        """The names of all metrics, in order of first appearance."""
        return self._look().names

    def metrics_of(self, names: Collection[str]) -> Mapping[str, Extremes]:
        """The statistics of these metrics, as far as there are any, and of others."""
        log = self._look()
        return (log if log.has_all(names) else self.read()).metrics

    @property
    def metrics(self) -> dict[str, Extremes]:
        """Each metric's statistics, by name in order of first appearance."""
        return self.read().metrics

    @property
    def tail(self) -> TailStatus:
        """The state of the end of its metrics.bin."""
        return self._look().tail

    @property
    def state(self) -> RunState:
        """How its run is, since when, and how that is known."""
        if self._state is None:
            try:
                self._state = run_state(self._store.location / self.commit_id, self.run)
            except ExpStoreError as error:  # deleted meanwhile, or not readable
                self._state = _unknown(error)
        return self._state

    @property
    def has_state(self) -> bool:
        """Whether it is known how its run is."""
        return self._state is not None

    def take_state(self, state: RunState | ExpStoreError) -> None:
        """Take how its run is, or why that cannot be known."""
        self._state = state if isinstance(state, RunState) else _unknown(state)

    @property
    def status(self) -> Status:
        """How its run is, in one word."""
        return self.state.status

    @property
    def duration(self) -> float | None:
        """The seconds that it ran, in all its starts; None if nothing tells.

        A start that did not say when it ended counts until now if it runs, and otherwise until the
        last record, as does an experiment without run.json.
        """
        if not self.run.starts:
            first = None if self.metadata is None else float(self.metadata.timestamp)
            return self._until_last_record(first)
        total = 0.0
        for start in self.run.starts[:-1]:
            total += max((start.ended or start.started) - start.started, 0.0)
        final = self.run.starts[-1]
        if final.ended is not None:
            return total + max(final.ended - final.started, 0.0)
        if self.status == "running":
            return total + max(time.time() - final.started, 0.0)
        rest = self._until_last_record(final.started)
        return total if rest is None else total + rest

    def _until_last_record(self, first: float | None) -> float | None:
        last = self._look().ended
        return None if first is None or last is None else max(last - first, 0.0)


def _unknown(error: ExpStoreError) -> RunState:
    return RunState("unknown", None, str(error))


class Source(StoreReader, ABC):
    """Experiments that are not in the files of a store, but are looked at as if they were."""

    @abstractmethod
    def experiments(self, ids: Iterable[str]) -> Iterator[Experiment]:
        """The experiments of these ids, which `select_ids` returned, in that order."""


def experiments(store: StoreReader, ids: Iterable[str]) -> Iterator[Experiment]:
    """The experiments of these ids, which `select_ids` returned, in that order.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    ids = list(ids)
    if isinstance(store, Source):
        yield from store.experiments(ids)
        return
    about = About(store.location, ids)
    for place, (commit_id, run) in enumerate(runfile.read_all(store.location, ids)):
        yield Experiment(store, commit_id, about, place, run)
