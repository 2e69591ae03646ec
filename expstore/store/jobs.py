"""Reading many experiments in several processes.

Guarantees: the results are those of one process, in the same order; only a few batches are in work
or wait for their turn at a time, so memory is that of so many processes, however many experiments
there are. An error of a batch is raised when its turn comes. When the results end, or are given up,
no process is left; see `processes`.

This process is one of them: the others may take longer to start than it takes to read a hundred
megabytes.

Processes, not threads: parsing a log alternates between short calls of NumPy and Python code, of
which only one thread runs at a time. What a batch returns is copied between processes, so it should
be small: summaries, not tables.

The last batches are small, and each goes to the process that has the fewest, so that all end at
about the same time.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from expstore.errors import SelectionError
from expstore.model.values import is_whole_number
from expstore.store.files.place import is_shared

if TYPE_CHECKING:
    from expstore.store.files.directory import Location
    from expstore.store.serving import Outcome, Result, Work

BATCH = 1 << 23
"""Bytes of log in a batch, at most: memory for what it returns."""

_LEAST = 1 << 19  # bytes of log in a batch whose work outweighs handing it over
_SHARE = 4  # of what is left, a process gets a part of so many at a time
_OPENING = 1 << 15  # bytes that cost as much to read as it costs to open an experiment
_AHEAD = 2  # batches in work, or next, for each other process, as long as there are many
_HELD = 16  # results that wait for their turn, for each process


class Stored(Protocol):
    """A store, which tells how large its logs are."""

    @property
    def location(self) -> Location:
        """Where it is."""

    def log_sizes(self, ids: Iterable[str]) -> Mapping[str, int | None]:
        """The bytes of each experiment's log, if there is one."""


def check_jobs(jobs: int) -> int:
    """A number of processes; 0 stands for one for each processor that may be used.

    Raises:
        SelectionError: not a whole number, or negative.
    """
    if not is_whole_number(jobs) or jobs < 0:
        raise SelectionError(f"jobs must be a whole number, 0 or above, got {jobs!r}")
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return jobs or len(os.sched_getaffinity(0))
    return jobs or os.cpu_count() or 1


@contextmanager
def of_store(
    work: Work[Result], store: Stored, ids: Iterable[str], jobs: int
) -> Iterator[Iterator[Result]]:
    """The results of some work on a store's experiments, until the block ends; see `in_order`.

    One in the memory of this process is read by this process alone.
    """
    if jobs == 1 or not is_shared(store.location):
        yield iter(work(list(ids)))
        return
    with closing(in_order(work, store.log_sizes(ids), jobs)) as results:
        yield results


def in_order(
    work: Work[Result], sizes: Mapping[str, int | None], jobs: int
) -> Generator[Result, None, None]:
    """The results of some work on experiments, batch after batch.

    Args:
        work: makes the results of consecutive experiments; it, and they, can be pickled.
        sizes: bytes of each experiment's log, if known, in the order of the results.
        jobs: the number of processes, as `check_jobs` returns it.

    Raises:
        JobError: a process died, or cannot be started.
    """
    from multiprocessing import current_process

    parts = list(_batches(sizes, jobs))
    others = min(jobs, len(parts)) - 1
    if others <= 0 or current_process().daemon:  # such a process may start none
        yield from chain.from_iterable(map(work, parts))
        return
    from expstore.store.processes import started  # brings what few programs need
    from expstore.store.serving import Outcome

    pickle.dumps(work)  # where a process is copied, too: an error should not depend on that
    outcomes: dict[int, Outcome[Result]] = {}
    following = 0  # the first part that nobody has
    with started(others) as processes:
        for turn in range(len(parts)):
            outcomes.update(processes.done())
            while True:
                while left := len(parts) - following:
                    ahead = _AHEAD if left > others else 1
                    if not processes.give(following, work, parts[following], ahead):
                        break
                    following += 1
                if turn in outcomes:
                    break
                if left and following - turn < _HELD * (others + 1):
                    outcomes[following] = Outcome.of(work, parts[following])
                    following += 1
                    outcomes.update(processes.done())
                else:
                    outcomes.update(processes.done(wait=True))
            yield from outcomes.pop(turn).results()


def _batches(sizes: Mapping[str, int | None], jobs: int) -> Iterator[list[str]]:
    """Consecutive experiments whose logs are a share of what is left, and at most `BATCH`."""
    costs = {commit_id: (size or 0) + _OPENING for commit_id, size in sizes.items()}
    left = sum(costs.values())
    part: list[str] = []
    cost = 0
    for commit_id, one in costs.items():
        part.append(commit_id)
        cost += one
        if cost >= min(BATCH, max(_LEAST, left // (_SHARE * jobs))):
            yield part
            left -= cost
            part, cost = [], 0
    if part:
        yield part
