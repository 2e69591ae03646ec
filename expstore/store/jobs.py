"""Reading many experiments in several processes.

Guarantees: the results are those of one process, in the same order; only a few batches are in work
or wait for their turn at a time, so memory is that of so many processes, however many experiments
there are. An error of a batch is raised when its turn comes. Ctrl-C ends the processes, and so does
the death of one, or of this one. When the results end, or are given up, no process is left, and so
none has a copy of a file or a lock that this one lets go of after that.

This process is one of them: the others may take longer to start than it takes to read a hundred
megabytes.

Processes, not threads: parsing a log alternates between short calls of NumPy and Python code, of
which only one thread runs at a time. What a batch returns is copied between processes, so it should
be small: summaries, not tables.

The last batches are small, and none is given to a process that is at work while another one has
nothing to do, so that all end at about the same time.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeVar

from expstore.errors import JobError, SelectionError
from expstore.model.values import is_whole_number
from expstore.store.files.place import is_shared

if TYPE_CHECKING:
    from concurrent.futures import Future

    from expstore.store.files.directory import Location

_Result = TypeVar("_Result")

BATCH = 1 << 23
"""Bytes of log in a batch, at most: memory for what it returns."""

_LEAST = 1 << 19  # bytes of log in a batch whose work outweighs handing it over
_SHARE = 4  # of what is left, a process gets a part of so many at a time
_OPENING = 1 << 15  # bytes that cost as much to read as it costs to open an experiment
_AHEAD = 2  # batches in work, or next, for each other process, as long as there are many
_HELD = 16  # results that wait for their turn, for each process


class Sized(Protocol):
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


def of_store(
    work: Callable[[list[str]], Iterable[_Result]], store: Sized, ids: Iterable[str], jobs: int
) -> Generator[_Result, None, None]:
    """The results of some work on a store's experiments; see `in_order`.

    One in the memory of this process is read by this process alone.
    """
    return in_order(work, store.log_sizes(ids), jobs if is_shared(store.location) else 1)


def in_order(
    work: Callable[[list[str]], Iterable[_Result]], sizes: Mapping[str, int | None], jobs: int
) -> Generator[_Result, None, None]:
    """The results of some work on experiments, batch after batch.

    Args:
        work: makes the results of consecutive experiments; it, and they, can be pickled.
        sizes: bytes of each experiment's log, if known, in the order of the results.
        jobs: the number of processes, as `check_jobs` returns it.

    Raises:
        JobError: a process died, or cannot be started.
    """
    parts = deque(_batches(sizes, jobs))
    others = min(jobs, len(parts)) - 1
    if others <= 0:
        yield from chain.from_iterable(map(work, parts))
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import current_process, get_context

    if current_process().daemon:  # such a process may start none
        yield from chain.from_iterable(map(work, parts))
        return
    pickle.dumps(work)  # an error is raised here; Python 3.11 may wait for ever after one in a pool
    method = _start_method()
    pool = ProcessPoolExecutor(others, get_context(method), _prepare, (_blocked(),))
    pending: deque[Future[list[_Result]]] = deque()
    try:
        while parts or pending:
            given = sum(not one.done() for one in pending)
            while parts and given < others * (_AHEAD if len(parts) > others else 1):
                with _starting(method):
                    pending.append(pool.submit(_list, work, parts.popleft()))
                given += 1
            if pending[0].done() or not parts or len(pending) >= _HELD * (others + 1):
                yield from pending.popleft().result()
            else:
                pending.append(_done(Future(), work, parts.popleft()))
    except BrokenProcessPool as error:
        raise JobError(
            "a process that was reading died, perhaps for want of memory; use fewer jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_method() -> str:
    """A copy of this process is ready a quarter of a second before a new one.

    But it would share this one's locks with threads that it lacks, and only Linux's libraries are
    known to bear being copied.
    """
    # Those that the module `threading` does not know count too, such as those of pytest-xdist.
    threads = max(threading.active_count(), len(sys._current_frames()))
    return "fork" if sys.platform == "linux" and threads == 1 else "spawn"


def _list(work: Callable[[list[str]], Iterable[_Result]], part: list[str]) -> list[_Result]:
    return list(work(part))


def _done(
    future: Future[list[_Result]],
    work: Callable[[list[str]], Iterable[_Result]],
    part: list[str],
) -> Future[list[_Result]]:
    """The future, with the results of work that was done in this process, or its error."""
    try:
        future.set_result(_list(work, part))
    except Exception as error:
        future.set_exception(error)  # raised when its turn comes, as that of another process
    return future


def _blocked() -> set[int]:
    """The signals that are kept from this thread, and from a process that it starts."""
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        return set()
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _block(numbers: set[int]) -> None:
    """Keep these signals from this thread, and no others."""
    if sys.platform != "win32" and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, numbers)


@contextmanager
def _starting(method: str) -> Iterator[None]:
    """While a process may be started: keep signals from it until it is ready for them.

    One that is interrupted while it imports modules would print where. A copy would do what this
    process does at a signal.

    Raises:
        JobError: it cannot be started; those that were are ended.
    """
    from multiprocessing import active_children

    others = set(active_children())
    copied = method == "fork"
    with warnings.catch_warnings() if copied else nullcontext():
        if copied:  # of threads that other libraries have for themselves; no copy uses those
            warnings.filterwarnings("ignore", r".*\bfork\(\)")
        before = _blocked()
        _block(before | (signal.valid_signals() if copied else {signal.SIGINT}))
        try:
            yield
        except OSError as error:
            for process in set(active_children()) - others:  # nobody gives them work, or an end
                process.kill()
                process.join()
            raise JobError(f"cannot start a process: {error.strerror}; use fewer jobs") from error
        finally:
            _block(before)


def _prepare(blocked: set[int]) -> None:
    """Let this process end by Ctrl-C without a word, and with the one that started it.

    Args:
        blocked: the signals that are kept from the one that started it.
    """
    for number in signal.valid_signals():  # as for a new process, which has no handlers
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it is how the pool ends a process
    signal.set_wakeup_fd(-1)  # the copy of a process's would tell that one of signals of this one
    _block(blocked - {signal.SIGINT, signal.SIGTERM})
    gc.freeze()  # a copy of a file that is garbage would write what this process also writes
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process as soon as its parent did: it would wait for work for ever."""
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


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
