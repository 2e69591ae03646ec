"""Parts of some work, done in a process for the one that started it.

Guarantees: what cannot be passed between the two is an error of the part, and nothing waits for it.
The process ends as soon as the other is dead, and leaves signals for the program to that.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from expstore.errors import JobError

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


def blocked() -> set[int]:
    """The signals that are kept from this thread, and from a process that it starts."""
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        return set()
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def block(numbers: set[int]) -> None:
    """Keep these signals from this thread, and no others."""
    if sys.platform != "win32" and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, numbers)


def serve(
    connection: Connection[Outcome[Any], Any],
    blocked: set[int],
    copied: Connection[Any, Any] | None,
) -> None:
    """Do the parts that come, in a process, as long as there is one that gives them.

    Args:
        blocked: the signals that are kept from the one that started it.
        copied: the other end, if it has a copy of that.
    """
    _prepare(blocked)
    if copied is not None:
        copied.close()
    tasks: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    with suppress(ConnectionError):
        while True:
            _send(connection, _done(tasks.get()))


def _done(data: bytes) -> Outcome[Any]:
    """Do a part, given as it was sent."""
    try:
        work, part = pickle.loads(data)
    except Exception as error:
        return Outcome([], _not_passed("the work", error))
    return Outcome.of(work, part)


def outcome_of(data: bytes) -> Outcome[Any]:
    """What became of a part, given as it was sent."""
    try:
        outcome: Outcome[Any] = pickle.loads(data)
    except Exception as error:
        return Outcome([], _not_passed("a result", error))
    return outcome


def _not_passed(what: str, error: Exception) -> JobError:
    return JobError(f"{what} cannot be passed on: {type(error).__name__}: {error}; use one job")


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
            tasks.put(connection.recv_bytes())
    os._exit(1)


def _send(connection: Connection[Outcome[Any], int], outcome: Outcome[Any]) -> None:
    error = outcome.error
    try:
        if error is not None:
            error.add_note(f"In another process:\n{''.join(traceback.format_exception(error))}")
            pickle.loads(pickle.dumps(error))
        data = pickle.dumps(outcome)
    except Exception as cause:
        data = pickle.dumps(Outcome([], _not_passed("a result", error or cause)))
    connection.send_bytes(data)


def _prepare(blocked: set[int]) -> None:
    """Leave Ctrl-C to the process that started this one, and what the program does at signals."""
    for number in signal.valid_signals():  # as for a new process, which has no handlers
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches both
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it is how Python ends it when it exits
    signal.set_wakeup_fd(-1)  # the copy of a process's would tell that one of signals of this one
    block(blocked - {signal.SIGINT, signal.SIGTERM})
    gc.freeze()  # a copy of a file that is garbage would write what this process also writes
