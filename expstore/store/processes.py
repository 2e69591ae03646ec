"""Processes that do the parts of some work for the one that started them.

Guarantees: the death of one, even while it sends a result, is an error, and nothing waits for it.
When they are no longer needed, for whatever reason, none is left, and so none has a copy of a file
or a lock that this process lets go of after that; a second Ctrl-C does not interrupt this. Ctrl-C
is for this process alone, which may go on after it. They end as soon as this process is dead.

Each has a connection of its own, where its end is seen, and this process needs no thread for them.
A pool of `concurrent.futures` has one queue for all results, and waits there for ever for the rest
of one whose process was killed; and after a Ctrl-C while it ends, Python may take its thread for
ended, and then wait for its processes for ever.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic
from weakref import WeakSet

from expstore.errors import JobError
from expstore.store.files.interrupts import uninterrupted
from expstore.store.serving import Outcome, Result, Work, block, blocked, outcome_of, serve

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def start_method() -> str:
    """A copy of this process is ready a quarter of a second before a new one.

    But it would share this one's locks with threads that it lacks, and only Linux's libraries are
    known to bear being copied.
    """
    # Those that the module `threading` does not know count too, such as those of pytest-xdist.
    threads = max(threading.active_count(), len(sys._current_frames()))
    return "fork" if sys.platform == "linux" and threads == 1 else "spawn"


@dataclass
class _Process:
    """A process, and the numbers of the parts that it has to do, in that order."""

    process: Any  # of multiprocessing, whose class depends on how it was started
    connection: Connection[Any, Outcome[Any]]
    given: deque[int] = field(default_factory=deque)

    def disown(self) -> None:
        """Take it for ended: Python, when it exits, would end whatever has its number by then."""
        self.process._popen.returncode = 0


class Processes(Generic[Result]):
    """Processes that are given numbered parts of some work; see `started`."""

    def __init__(self) -> None:
        self._all: list[_Process] = []
        self._owner = os.getpid()
        _living.add(self)

    def start(self, method: str) -> None:
        """Start one.

        Raises:
            JobError: it cannot be started.
        """
        from multiprocessing import get_context

        context: Any = get_context(method)
        try:
            ours, its = context.Pipe()
        except OSError as error:
            raise _cannot_start(error) from error
        copied = ours if method == "fork" else None
        process = context.Process(
            target=serve, args=(its, blocked(), copied), name="expstore-job", daemon=True
        )
        with its:  # the other end is then that of the process alone, and ends with it
            try:
                with _starting(method):
                    process.start()
                    self._all.append(_Process(process, ours))
            except OSError as error:
                ours.close()
                raise _cannot_start(error) from error

    def give(self, number: int, work: Work[Result], part: list[str], ahead: int) -> bool:
        """Have a part done by the process with the fewest, unless each has `ahead` of them.

        Raises:
            JobError: a process died.
        """
        least = min(self._all, key=lambda one: len(one.given))
        if len(least.given) >= ahead:
            return False
        with _lost(least):
            least.connection.send((work, part))  # it always takes them; see `_receive`
        least.given.append(number)
        return True

    def done(self, *, wait: bool = False) -> Iterator[tuple[int, Outcome[Result]]]:
        """What is done by now; wait: until anything is.

        Raises:
            JobError: a process died.
        """
        from multiprocessing.connection import wait as ready

        if os.getpid() != self._owner:
            raise JobError("the results are those of the process that asked for them, not a copy's")
        working = {one.connection: one for one in self._all if one.given}
        for connection in ready(list(working), None if wait else 0):
            one = working[connection]  # type: ignore[index]
            with _lost(one):
                data = one.connection.recv_bytes()
            yield one.given.popleft(), outcome_of(data)

    def end(self) -> None:
        """End all."""
        for one in self._all:
            one.process.kill()
        for one in self._all:
            one.process.join()
            if one.process.exitcode is None:  # the system has waited for it, or somebody else
                one.disown()
                one.process.join()
            one.process.close()
        while self._all:
            self._all.pop().connection.close()

    def leave(self) -> None:
        """Have nothing to do with them, in a copy of the process that started them."""
        while self._all:
            one = self._all.pop()
            one.disown()
            one.connection.close()


_living: WeakSet[Processes[Any]] = WeakSet()


def _leave_all() -> None:
    for processes in _living:
        processes.leave()


if hasattr(os, "register_at_fork"):  # on POSIX
    # A copy that exits would end the processes, and one that does not would keep them.
    os.register_at_fork(after_in_child=_leave_all)


@contextmanager
def started(count: int) -> Iterator[Processes[Any]]:
    """So many processes, until the block ends.

    Raises:
        JobError: one cannot be started.
    """
    method = start_method()
    processes = Processes[Any]()
    try:
        for _ in range(count):
            processes.start(method)
        yield processes
    finally:
        with uninterrupted():
            processes.end()


def _cannot_start(error: OSError) -> JobError:
    return JobError(f"cannot start a process: {error.strerror}; use fewer jobs")


@contextmanager
def _lost(one: _Process) -> Iterator[None]:
    """Tell why a process no longer answers."""
    try:
        yield
    except (EOFError, OSError) as error:
        one.process.join(1)
        code = one.process.exitcode
        if code is not None and code > 0:
            raise JobError(
                f"a process that was to read ended with exit code {code}; a script that uses "
                'several must do so under `if __name__ == "__main__":`'
            ) from error
        raise JobError(
            "a process that was reading died, perhaps for want of memory; use fewer jobs"
        ) from error


@contextmanager
def _starting(method: str) -> Iterator[None]:
    """While a process is started: keep signals from it until it is ready for them.

    One that is interrupted while it imports modules would print where. A copy would do what this
    process does at a signal.
    """
    copied = method == "fork"
    if not copied and sys.platform != "win32":
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()  # else the first start would do it, and then let Ctrl-C through
    with uninterrupted(), warnings.catch_warnings() if copied else nullcontext():
        if copied:  # of threads that other libraries have for themselves; no copy uses those
            warnings.filterwarnings("ignore", r".*\bfork\(\)")
        before = blocked()
        block(before | (signal.valid_signals() if copied else {signal.SIGINT}))
        try:
            yield
        finally:
            block(before)
