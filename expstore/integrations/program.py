"""A run around any program: the library call of `expstore run`.

    run_program(["python", "train.py", "--lr", "0.1"])

Guarantees: the program is run as without this: its output is shown as it comes, its input is left
alone, and signals reach it once. How it ended is recorded, whatever ended it: exit status 0 is
`finished`; SIGINT, SIGTERM, SIGHUP and SIGQUIT make it `stopped`; all else is `failed`. What
calls `expstore.start()` inside logs to the same run, found by EXPSTORE_RUN and EXPSTORE_ROOT.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from expstore.errors import ExpStoreError, ProgramNotFoundError
from expstore.extras import require
from expstore.integrations.console import ConsoleLog
from expstore.integrations.streams import Streams
from expstore.model.arguments import job_of, parse_arguments
from expstore.model.params import as_params, merged
from expstore.model.runinfo import Outcome
from expstore.store.files.showable import HIDDEN
from expstore.store.joining import RUN
from expstore.store.origin import masked
from expstore.store.run import Run
from expstore.store.start import begin

_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_PASSED_ON = _ENDING | {signal.SIGUSR1, signal.SIGUSR2}
_FROM_KERNEL = 0x80  # SI_KERNEL: from the terminal, which has sent it to the program too
_INTERVAL = 100  # milliseconds between two looks for signals
_SIGNALLED = 128  # exit codes above it name a signal, as in shells


class ProgramEnd(NamedTuple):
    """How a program ended.

    Attributes:
        commit_id: the experiment's id.
        code: its exit code; for a signal, 128 and its number.
        outcome: as run.json says.
        error: likewise; empty if it finished.
    """

    commit_id: str
    code: int
    outcome: Outcome
    error: str


def run_program(
    command: Sequence[str],
    root: str | os.PathLike[str] | None = None,
    commit_id: str | None = None,
    job_name: str | None = None,
    user: str | None = None,
    *,
    params: object = None,
    tags: Iterable[str] = (),
    notes: str = "",
    resume: bool = False,
    from_step: int | None = None,
    save_patch: bool = False,
    console: bool = True,
    system_metrics: bool = False,
    on_start: Callable[[Run], object] = lambda run: None,
) -> ProgramEnd:
    """Run a program as a run of its own, and wait for its end.

    Args:
        command: the program, found as in a shell, and its arguments.
        root, commit_id, user, tags, notes, resume, from_step, save_patch: see `expstore.start`.
        job_name: default: the name of the script, module or program.
        params: added to those in its arguments; see `expstore.model.arguments`. An argument that
            looks like a secret is not kept.
        console: keep what it prints in `files/console.log`.
        system_metrics: log the use of the machine and of the program, at the last step that is in
            the log; see `expstore.store.monitor`.
        on_start: called with the run before the program starts.

    Raises:
        MissingExtraError: `system_metrics` without its extra; nothing was created.
        ProgramNotFoundError: there is no such program; nothing was created.
        ExpStoreError: the system is not Linux; nothing was created.
        As `expstore.start`.
    """
    if sys.platform != "linux":
        raise ExpStoreError(f"running a program as a run needs Linux so far, not {sys.platform}")
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else ""
        raise ProgramNotFoundError(f"{name!r} is no program: no such file, or not executable")
    if system_metrics:
        require("psutil", "system")
    typed = {
        name: value
        for name, value in parse_arguments(masked(command)).items()
        if HIDDEN not in str(value)
    }
    run = begin(
        root,
        commit_id,
        job_of(command) if job_name is None else job_name,
        user,
        params=merged(typed, as_params(params)),
        tags=tags,
        notes=notes,
        resume=resume,
        from_step=from_step,
        save_patch=save_patch,
        command=command,
    )
    with run, ExitStack() as stack:
        on_start(run)
        streams = None
        if console:
            log = ConsoleLog(run.files)
            stack.callback(log.close)
            sys.stdout.flush()
            streams = stack.enter_context(Streams(log.write))
        environment = os.environ | {RUN: run.commit_id, "EXPSTORE_ROOT": str(run.store.root)}
        # Otherwise the last lines of a Python program that is killed would be lost.
        environment.setdefault("PYTHONUNBUFFERED", "1")
        program = _Program(command, environment, streams)
        if system_metrics:
            program.on_start = lambda pid: run.measure(program=pid, step=_LastStep(run))
        status, interrupted = program.wait()
        stack.close()
        end = _judged(run, os.waitstatus_to_exitcode(status), interrupted)
        run.end(end.outcome, end.error)
    return end


def _judged(run: Run, code: int, interrupted: bool) -> ProgramEnd:
    """How the program ended.

    Args:
        run: its run; what joined it may have noted an exception.
        code: its exit code, or less the signal that ended it.
        interrupted: whether it was told to end.
    """
    if code == 0:
        return ProgramEnd(run.commit_id, 0, "finished", "")
    ending = -code if code < 0 else code - _SIGNALLED
    stopped = ending in _ENDING or (interrupted and code > 0)
    if code < 0:
        text = f"killed by {signal.Signals(-code).name if -code in _known() else f'signal {-code}'}"
    else:
        text = f"exit status {code}"
    starts = run.info.starts
    noted = starts[-1].error if starts else ""
    shown = _SIGNALLED - code if code < 0 else code
    return ProgramEnd(run.commit_id, shown, "stopped" if stopped else "failed", noted or text)


def _known() -> set[int]:
    return {int(one) for one in signal.Signals}


class _Program:
    """A program that is running.

    Args:
        command: with its arguments.
        environment: its variables.
        streams: what it prints to; None: what this program does.

    Attributes:
        on_start: called with its process id when it is running.
    """

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], streams: Streams | None
    ) -> None:
        self._command = list(command)
        self._environment = environment
        self._streams = streams
        self._interrupted = False
        self._pid = 0
        self.on_start: Callable[[int], object] = lambda pid: None

    def wait(self) -> tuple[int, bool]:
        """Run it to its end; returns its status as `waitpid` has it, and whether it was told to."""
        with self._signals() as waited:
            self._start()
            try:
                if self._streams is not None:
                    self._streams.started()
                self.on_start(self._pid)
                self._watch(waited)
            except BaseException:
                os.kill(self._pid, signal.SIGTERM)
                os.waitpid(self._pid, 0)
                raise
            _, status = os.waitpid(self._pid, 0)
            if self._streams is not None:
                self._streams.drain()
        return status, self._interrupted

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
        if sys.platform != "linux":
            raise NotImplementedError(sys.platform)  # `run_program` has refused it
        process = os.pidfd_open(self._pid)
        try:
            while True:
                poll = select.poll()
                for descriptor in (process, *(self._streams.readable if self._streams else ())):
                    poll.register(descriptor, select.POLLIN)
                ready = [descriptor for descriptor, _ in poll.poll(_INTERVAL)]
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


class _LastStep:
    """The last step in a run's log, whoever logged it; None if there is none."""

    def __init__(self, run: Run) -> None:
        self._follower = run.store.follow(run.commit_id)
        self._last: int | None = None

    def __call__(self) -> int | None:
        while len(table := self._follower.poll()):
            self._last = max(self._last or 0, int(table.steps.max()))
        return self._last


def _in_foreground() -> bool:
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
