"""Processes that do the parts of some work for the one that started them.

Guarantees: the death of one, even while it sends a result, is an error, and nothing waits for it.
When they are no longer needed, for whatever reason, none is left, and so none has a copy of a file
or a lock that this process lets go of after that; a second Ctrl-C does not interrupt this. Ctrl-C
ends them, and so does the death of the process that started them.

Each has a connection of its own, where its end is seen, and this process needs no thread for them.
A pool of `concurrent.futures` has one queue for all results, and waits there for ever for the rest
of one whose process was killed; and after a Ctrl-C while it ends, Python may take its thread for
ended, and then wait for its processes for ever.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from expstore.errors import JobError
from expstore.store.files.interrupts import uninterrupted

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Result = TypeVar("Result")
Work = Callable[[list[str]], Iterable[Result]]
"""Makes the results of some experiments."""


class Outcome(NamedTuple, Generic[Result]):
    """What became of a part: results, or an error."""

    found: list[Result]
    error: Exception | None = None

    @classmethod
    def of(cls, work: Work[Result], part: list[str]) -> Outcome[Result]:
        """Do a part."""
        try:
            return cls(list(work(part)))
        except Exception as error:
            return cls([], error)

    def results(self) -> list[Result]:
        """The results; or the error is raised."""
        if self.error is not None:
            raise self.error
        return self.found


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


class Processes(Generic[Result]):
    """Processes that are given numbered parts of some work; see `started`."""

    def __init__(self) -> None:
        self._all: list[_Process] = []
        self._owner = os.getpid()

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
        copied = [*(one.connection for one in self._all), ours] if method == "fork" else []
        process = context.Process(
            target=_serve, args=(its, _blocked(), copied), name="expstore-job", daemon=True
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
                outcome = one.connection.recv()
            yield one.given.popleft(), outcome

    def end(self) -> None:
        """End all; unless this process is a copy of the one that started them."""
        if os.getpid() == self._owner:
            for one in self._all:
                one.process.kill()
            for one in self._all:
                one.process.join()
                if one.process.exitcode is None:  # the system has waited for it, or somebody else
                    # Else Python, when it exits, would end whatever has its number by then.
                    one.process._popen.returncode = 0
                    one.process.join()
                one.process.close()
        while self._all:
            self._all.pop().connection.close()


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
        before = _blocked()
        _block(before | (signal.valid_signals() if copied else {signal.SIGINT}))
        try:
            yield
        finally:
            _block(before)


def _serve(
    connection: Connection[Outcome[Any], Any], blocked: set[int], copied: Sequence[Any]
) -> None:
    """Do the parts that come, in a process, as long as there is one that gives them.

    Args:
        blocked: the signals that are kept from the one that started it.
        copied: what it has a copy of that is not for it.
    """
    _prepare(blocked)
    for one in copied:
        one.close()
    tasks: SimpleQueue[tuple[Work[Any], list[str]]] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    with suppress(ConnectionError):
        while True:
            _send(connection, Outcome.of(*tasks.get()))


def _receive(connection: Connection[Any, Any], tasks: SimpleQueue[Any]) -> None:
    """Take what comes also while a result is on its way, else both sides could wait.

    The process ends as soon as the one that started it did: it would wait for work for ever.
    """
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    assert parent is not None
    with suppress(EOFError, OSError):
        while wait([connection, parent.sentinel]) == [connection]:
            tasks.put(connection.recv())
    os._exit(1)


def _send(connection: Connection[Outcome[Any], int], outcome: Outcome[Any]) -> None:
    error = outcome.error
    try:
        if error is not None:
            error.add_note(f"In another process:\n{''.join(traceback.format_exception(error))}")
            pickle.loads(pickle.dumps(error))
        data = pickle.dumps(outcome)
    except Exception as cause:
        reason = f"a result cannot be passed on: {type(error or cause).__name__}: {error or cause}"
        data = pickle.dumps(Outcome([], JobError(reason)))
    connection.send_bytes(data)


def _prepare(blocked: set[int]) -> None:
    """Let this process end by Ctrl-C without a word, and do nothing at signals for the program."""
    for number in signal.valid_signals():  # as for a new process, which has no handlers
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it is how Python ends it when it exits
    signal.set_wakeup_fd(-1)  # the copy of a process's would tell that one of signals of this one
    _block(blocked - {signal.SIGINT, signal.SIGTERM})
    gc.freeze()  # a copy of a file that is garbage would write what this process also writes
