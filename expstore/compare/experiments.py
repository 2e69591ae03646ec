"""Experiments as they are looked at: what meta.bin and run.json say, and their metrics.

Guarantees: metadata and parameters are read for many experiments at once; a log and a status only
if they are asked for, and once. What cannot be read is one of the experiment's `problems`, and does
not affect the others.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from expstore.compare.keyed import by_key
from expstore.compare.series import Extremes, summarize
from expstore.errors import ExpStoreError, RunFileError, UnreadableFileError
from expstore.model.chunks import gc_paused
from expstore.model.runinfo import RunInfo, RunState, Status
from expstore.model.values import Metadata
from expstore.store import metafile, runfile
from expstore.store.care.state import run_state, run_states
from expstore.store.files import waiting
from expstore.store.files.place import log_of
from expstore.store.jobs import in_order
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import read_table, table_parser
from expstore.store.read.together import read_together
from expstore.store.reader import StoreReader
from formats import CLEAN, FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.model.table import MetricTable
    from expstore.store.read.parser import LogParser


_EMPTY = RunInfo()


class Log(NamedTuple):
    """What is known of a log.

    Attributes:
        metrics: their statistics, by name in order of first appearance.
        tail: the state of its end.
        ended: the time of the last record.
        is_readable: whether it could be read; otherwise the rest says nothing.
    """

    metrics: dict[str, Extremes]
    tail: TailStatus
    ended: float | None
    is_readable: bool = True


class Experiment:
    """One experiment; its metrics and status are read on first use.

    Attributes:
        commit_id: its id.
        metadata: None if it cannot be read.
        outcome: the metadata, or the error that reading it gave.
        run: what run.json says; empty if there is none, or it cannot be read.
        params: the parameters by flat name.
        problems: what could not be read so far, and why.
    """

    def __init__(
        self,
        store: StoreReader,
        commit_id: str,
        metadata: metafile.Outcome,
        run: RunInfo | ExpStoreError,
        parser: LogParser,
    ) -> None:
        self.commit_id = commit_id
        self.outcome = metadata
        self.metadata = metadata if isinstance(metadata, Metadata) else None
        self.run = run if isinstance(run, RunInfo) else _EMPTY
        self.params = run.flat_params if self.run is run and self.run.params else {}
        self.problems: list[str] = []
        if self.metadata is None:
            self.problems.append(str(metadata))
        if isinstance(run, RunFileError | UnreadableFileError):
            self.problems.append(str(run))
        self._store = store
        self._parser = parser
        self._log: Log | None = None
        self._state: RunState | None = None

    def read_table(self) -> MetricTable | None:
        """Its metrics without what is superseded, read anew; None if they cannot be read."""
        try:
            table = read_table(log_of(self._store.location, self.commit_id), parser=self._parser)
            return Rewind(self.run.starts).current(table) if self.run.starts else table
        except (ExpStoreError, FormatError) as error:
            problem = str(error)
            if problem not in self.problems:
                self.problems.append(problem)
            return None

    @property
    def is_read(self) -> bool:
        """Whether its log was read."""
        return self._log is not None

    @property
    def is_unreadable(self) -> bool:
        """Whether its log was to be read, and could not be."""
        return self._log is not None and not self._log.is_readable

    def read(self) -> Log:
        """What its log says; it is read once."""
        if self._log is None:
            table = self.read_table()
            if table is None:
                self._log = Log({}, CLEAN, None, False)
            else:
                last = float(table.timestamps[-1]) if len(table) else None
                self._log = Log(summarize(table), table.status, last)
        return self._log

    def take(self, log: Log, problems: list[str]) -> None:
        """Take what another process read of its log, and the problems that it had."""
        self._log = log
        self.problems += [problem for problem in problems if problem not in self.problems]

    @property
    def metrics(self) -> dict[str, Extremes]:
        """Each metric's statistics, by name in order of first appearance."""
        return self.read().metrics

    @property
    def tail(self) -> TailStatus:
        """The state of the end of its metrics.bin."""
        return self.read().tail

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
        last = self.read().ended
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
    # A parser may be shared by many logs, but not by threads.
    shared = table_parser() if isinstance(store.location, Path) else None
    outcomes = metafile.read_all(store.location, ids)
    runs = runfile.read_all(store.location, ids)
    for (commit_id, metadata), (_, run) in zip(outcomes, runs, strict=True):
        yield Experiment(store, commit_id, metadata, run, shared or table_parser())


ReadLogs = Callable[[list[Experiment]], list[Experiment]]
"""Reads the logs of experiments that were not read yet; returns the same experiments."""


def read_logs(
    store: StoreReader,
    found: list[Experiment],
    progress: Callable[[list[str]], Iterable[str]] = iter,
    jobs: int = 1,
) -> list[Experiment]:
    """Read the logs of experiments, unless they were; returns the same experiments.

    Args:
        store: the store that they are in; if it is at a URL, several are read at a time.
        found: the experiments.
        progress: wraps the list of ids while their logs are read.
        jobs: the number of processes, as `check_jobs` returns it.

    Raises:
        JobError: a process died.
    """
    unread = [one for one in found if not one.is_read]
    ids = [one.commit_id for one in unread]
    if jobs > 1 and len(unread) > 1:
        logs = in_order(partial(logs_of, store), store.log_sizes(ids), jobs)
        for one, (log, problems), _ in zip(unread, logs, progress(ids), strict=True):
            one.take(log, problems)
    elif unread:
        for _ in zip(_reading(store, unread), progress(ids), strict=True):
            pass
    return found


def read_states(store: StoreReader, found: Sequence[Experiment]) -> None:
    """Find out how the runs of experiments are, unless that is known, many at a time."""
    asked = [one for one in found if not one.has_state]
    if not asked:
        return
    states = run_states(store.location, ((one.commit_id, one.run) for one in asked))
    for one, state in zip(asked, states, strict=True):
        one.take_state(state)


def logs_of(store: StoreReader, ids: list[str]) -> Iterator[tuple[Log, list[str]]]:
    """What the logs of experiments say, each with the problems of the experiment."""
    for one in _reading(store, list(experiments(store, ids))):
        yield one.read(), one.problems


def _reading(store: StoreReader, unread: Sequence[Experiment]) -> Iterator[Experiment]:
    """The experiments in their order, each once its log was read: short logs many at a time."""
    if isinstance(store, Source) or not isinstance(store.location, Path):
        for one, _ in waiting.each(store.location, unread, lambda one: (one, one.read())):
            yield one
        return
    rest = iter(unread)
    for ids, table, ends, tails in read_together(store.location, [one.commit_id for one in unread]):
        logs = repeat(None) if table is None or ends is None else _logs(table, ends.tolist(), tails)
        for _, one, log in zip(ids, rest, logs, strict=False):
            if log is None or Rewind(one.run.starts):
                one.read()
            else:
                one.take(log, [])
            yield one


def _logs(table: MetricTable, ends: list[int], tails: Iterable[TailStatus]) -> list[Log]:
    """What logs say whose metrics follow each other in a table, up to these indices."""
    import numpy as np

    count, names = len(ends), table.names
    metrics: list[dict[str, Extremes]] = [{} for _ in ends]
    starts = [0, *ends[:-1]]
    if len(table):
        # As if each log had its own names, so that all series are summarized at once.
        own = np.arange(count).repeat(np.subtract(ends, starts)) * len(names)
        found = by_key(own + table.name_codes, count * len(names), table.values, table.stored_steps)
        with gc_paused():
            rows = list(map(tuple.__new__, repeat(Extremes), found.statistics))
            order = found.firsts.argsort(kind="stable").tolist()  # of first appearance
            logs, codes = (part.tolist() for part in divmod(found.keys, len(names)))
            for i in order:
                metrics[logs[i]][names[codes[i]]] = rows[i]
    last = table.timestamps[np.maximum(ends, 1) - 1].tolist() if len(table) else [0] * count
    return [
        Log(own_metrics, tail, float(time) if end > start else None)
        for own_metrics, tail, time, start, end in zip(
            metrics, tails, last, starts, ends, strict=True
        )
    ]
