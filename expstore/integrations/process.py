"""A program that is run, with signals passed on to it and its output passed through.

Guarantees: signals reach the program once, wherever they come from; what it printed has been passed
on when `wait` returns. Linux only: another system gives neither a descriptor of a process nor the
origin of a signal.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from expstore.integrations.streams import Streams

assert sys.platform == "linux"

_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_PASSED_ON = _ENDING | {signal.SIGUSR1, signal.SIGUSR2}
_FROM_KERNEL = 0x80  # SI_KERNEL: from the terminal, which has sent it to the program too
_INTERVAL = 0.1  # seconds between two looks for signals
_SIGNALLED = 128  # exit codes above it name a signal, as in shells


class ProcessEnd(NamedTuple):
    """How a program ended.

    Attributes:
        code: its exit code; for a signal, 128 and its number.
        stopped: whether it was told to end, and did.
        fault: what a message says of it, unless the code is 0.
    """

    code: int
    stopped: bool
    fault: str


def wait_for(
    command: Sequence[str], environment: dict[str, str], keep: Callable[[bytes], object] | None
) -> ProcessEnd:
    """Run a program to its end.

    Args:
        command: with its arguments.
        environment: its variables.
        keep: called with all that it prints; None: its output is this program's.
    """
    with nullcontext() if keep is None else Streams(keep) as streams:
        return _Process(command, environment, streams).wait()


def _judged(code: int, interrupted: bool) -> ProcessEnd:
    """How a program ended.

    Args:
        code: its exit code, or less the signal that ended it.
        interrupted: whether it was told to end.
    """
    ending = -code if code < 0 else code - _SIGNALLED
    stopped = ending in _ENDING or (interrupted and code > 0)
    if code < 0:
        known = {int(one) for one in signal.Signals}
        name = signal.Signals(-code).name if -code in known else f"signal {-code}"
        return ProcessEnd(_SIGNALLED - code, stopped, f"killed by {name}")
    return ProcessEnd(code, stopped, f"exit status {code}")


class _Process:
    """A program that is running.

    Args:
        command: with its arguments.
        environment: its variables.
        streams: what it prints to; None: what this program does.
    """

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], streams: Streams | None
    ) -> None:
        self._command = list(command)
        self._environment = environment
        self._streams = streams
        self._interrupted = False
        self._pid = 0

    def wait(self) -> ProcessEnd:
        """Run it to its end."""
        with self._signals() as waited:
            self._start()
            try:
                if self._streams is not None:
                    self._streams.started()
                self._watch(waited)
            except BaseException:
                os.kill(self._pid, signal.SIGTERM)
                os.waitpid(self._pid, 0)
                raise
            _, status = os.waitpid(self._pid, 0)
            if self._streams is not None:
                self._streams.drain()
        return _judged(os.waitstatus_to_exitcode(status), self._interrupted)

    def _start(self) -> None:
        given = self._streams.given if self._streams is not None else {}
        actions = [(os.POSIX_SPAWN_DUP2, theirs, output) for output, theirs in given.items()]
        self._pid = os.posix_spawnp(
            self._command[0],
            self._command,
            self._environment,
            file_actions=actions,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores
        )

    def _watch(self, waited: set[signal.Signals]) -> None:
        """Pass on output and signals until the program ends."""
        process = os.pidfd_open(self._pid)
        try:
            while True:
                outputs = self._streams.readable if self._streams is not None else []
                ready, _, _ = select.select([process, *outputs], [], [], _INTERVAL)
                while waited and (found := signal.sigtimedwait(waited, 0)) is not None:
                    self._receive(found.si_signo, found.si_code == _FROM_KERNEL)
                for descriptor in ready:
                    if descriptor != process and self._streams is not None:
                        self._streams.pass_on(descriptor)
                if process in ready:
                    return
        finally:
            os.close(process)

    def _receive(self, number: int, from_terminal: bool) -> None:
        if number == signal.SIGWINCH:
            if self._streams is not None:
                self._streams.resize()
            return
        self._interrupted |= number in _ENDING
        if self._pid and not from_terminal:
            os.kill(self._pid, number)

    @contextmanager
    def _signals(self) -> Iterator[set[signal.Signals]]:
        """Take signals to this program; yields those to wait for.

        They are blocked here, since only a wait tells where one comes from. If another thread
        receives one, it is judged by whether this program is in the terminal's foreground.
        """
        if threading.current_thread() is not threading.main_thread():
            yield set()
            return
        taken = _PASSED_ON | {signal.SIGWINCH}
        taken = {one for one in taken if signal.getsignal(one) is not signal.SIG_IGN}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, taken)
        handlers = {
            one: signal.signal(one, lambda number, _: self._receive(number, _in_foreground()))
            for one in taken
        }
        try:
            yield taken
        finally:
            for one, handler in handlers.items():
                signal.signal(one, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_foreground() -> bool:
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
