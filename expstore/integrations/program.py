"""A run around any program: the library call of `expstore run`.

    run_program(["python", "train.py", "--lr", "0.1"])

Guarantees: the program is run as without this: its output is shown as it comes, its input is left
alone, and signals reach it once. How it ended is recorded, whatever ended it: exit status 0 is
`finished`; SIGINT, SIGTERM, SIGHUP and SIGQUIT make it `stopped`; all else is `failed`. What
calls `expstore.start()` inside logs to the same run, found by EXPSTORE_RUN and EXPSTORE_ROOT.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from expstore.errors import ExpStoreError, ProgramNotFoundError
from expstore.extras import require
from expstore.integrations.console import ConsoleLog
from expstore.model.arguments import job_of, parse_arguments
from expstore.model.params import as_params, merged
from expstore.model.runinfo import Outcome
from expstore.store.files.showable import HIDDEN
from expstore.store.joining import RUN
from expstore.store.origin import masked
from expstore.store.run import Run
from expstore.store.start import begin


class ProgramEnd(NamedTuple):
    """How a program ended.

    Attributes:
        commit_id: the experiment's id.
        code: its exit code; for a signal, 128 and its number.
        outcome: as run.json says.
        error: likewise; empty if it finished.
        unkept: what could not be kept of it, and why, as on a full disk; one message each.
    """

    commit_id: str
    code: int
    outcome: Outcome
    error: str
    unkept: tuple[str, ...] = ()


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
    wait_for = _runner()
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
        keep = log = None
        if console:
            log = ConsoleLog(run.files)
            stack.callback(log.close)
            sys.stdout.flush()
            keep = log.write
        environment = os.environ | {RUN: run.commit_id, "EXPSTORE_ROOT": str(run.store.root)}
        # Otherwise the last lines of a Python program that is killed would be lost.
        environment.setdefault("PYTHONUNBUFFERED", "1")

        def started(pid: int) -> None:
            if system_metrics:
                run.measure(program=pid, step=_LastStep(run))

        code, stopped, fault = wait_for(command, environment, keep, started)
        stack.close()
        end = _judged(run, code, stopped, fault)
        unkept = []
        if log is not None and log.error is not None:
            unkept.append(f"{run.files / log.name}: not all was kept: {log.error}")
        try:
            run.end(end.outcome, end.error)
        except ExpStoreError as error:  # the program's code must not be lost for that
            unkept.append(f"{run.commit_id}: that it {end.outcome} was not recorded: {error}")
    return end._replace(unkept=tuple(unkept))


_Keep = Callable[[bytes], object]
_Started = Callable[[int], object]
_Runner = Callable[[Sequence[str], dict[str, str], _Keep | None, _Started], tuple[int, bool, str]]


def _runner() -> _Runner:
    """What runs a program to its end; see `process.wait_for`."""
    if sys.platform == "linux":
        from expstore.integrations.process import wait_for

        return wait_for
    raise ExpStoreError(f"running a program as a run needs Linux so far, not {sys.platform}")


def _judged(run: Run, code: int, stopped: bool, fault: str) -> ProgramEnd:
    """How the program ended; what joined its run may have noted an exception."""
    if code == 0:
        return ProgramEnd(run.commit_id, 0, "finished", "")
    noted = ""
    with suppress(ExpStoreError):  # run.json cannot be read: that is told when the end is recorded
        noted = run.info.starts[-1].error if run.info.starts else ""
    return ProgramEnd(run.commit_id, code, "stopped" if stopped else "failed", noted or fault)


class _LastStep:
    """The last step in a run's log, whoever logged it; None if there is none."""

    def __init__(self, run: Run) -> None:
        self._follower = run.store.follow(run.commit_id)
        self._last: int | None = None

    def __call__(self) -> int | None:
        while len(table := self._follower.poll()):
            self._last = max(self._last or 0, int(table.steps.max()))
        return self._last
