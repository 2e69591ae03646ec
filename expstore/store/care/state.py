"""How a run is: running, ended, or killed, without a heartbeat.

Guarantees: nothing is written. A run that is running here is told by its writer's lock, which ends
with the process and those that it forked, however they end; so no run that was killed looks alive.
What cannot be known is guessed by the age of the log, and the answer says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from expstore.errors import ExpStoreError, RunFileError
from expstore.model.runinfo import RunInfo, RunStart, RunState
from expstore.model.texts import amount
from expstore.store import runfile
from expstore.store.append.locks import has_writer
from expstore.store.files import layout, system, waiting
from expstore.store.files.descriptor import while_open
from expstore.store.files.directory import Directory, Location
from expstore.store.files.local import LocalDirectory
from expstore.store.files.place import open_directory
from expstore.store.files.systems.native import fs, own

QUIET = 600.0
"""Seconds without a record after which a run whose lock cannot be seen counts as stopped."""

_UNTOLD = RunState("unknown", None, "it has no run.json, or that names no start")


def run_state(path: Location, known: RunInfo | None = None) -> RunState:
    """How the run of one experiment is; see `StoreReader.run_state`.

    Args:
        path: the experiment.
        known: what its run.json says, if that was read before.

    Raises:
        ExperimentNotFoundError, UnreadableFileError
    """
    if not isinstance(path, Path):
        with open_directory(path) as directory:
            return _state(directory, None, known)
    with system.open_experiment(path) as descriptor:
        return _state(LocalDirectory(path, descriptor), has_writer(descriptor), known)


def run_states(
    root: Location, runs: Iterable[tuple[str, RunInfo]]
) -> Iterator[RunState | ExpStoreError]:
    """What `run_state` returns or raises of many experiments, in a third of its time or less.

    Args:
        root: the store.
        runs: checked ids, each with what run.json says.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    if not isinstance(root, Path):
        yield from waiting.each(root, runs, lambda run: _outcome(root / run[0], run[1]))
        return
    with system.root_directory(root) as directory:
        call = partial(fs.open, flags=system.REAL_DIRECTORY, dir_fd=directory)
        for commit_id, known in runs:
            found: RunState | ExpStoreError
            try:
                found = while_open(call, commit_id, partial(_told, root / commit_id, known))
            except OSError:  # the careful way says what is wrong
                found = _outcome(root / commit_id, known)
            except ExpStoreError as error:
                found = error
            yield found


def _told(path: Path, known: RunInfo, descriptor: int) -> RunState:
    """What is known of an open directory's run; untold if that is neither running nor recorded."""
    locked = has_writer(descriptor)
    if not locked and not known.starts:
        return _UNTOLD
    return _state(LocalDirectory(path, descriptor), locked, known)


def _outcome(path: Location, known: RunInfo) -> RunState | ExpStoreError:
    try:
        return run_state(path, known)
    except ExpStoreError as error:
        return error


def _state(directory: Directory, locked: bool | None, known: RunInfo | None) -> RunState:
    try:
        info, fault = known or runfile.read_in(directory), ""
    except RunFileError as error:
        info, fault = RunInfo(), str(error)
    last = info.starts[-1] if info.starts else None
    if locked:
        return RunState("running", last.started if last and last.ended is None else None, fault)
    if last is None:
        return RunState("unknown", None, fault) if fault else _UNTOLD
    if last.ended is not None:
        return RunState(last.outcome or "stopped", last.ended, last.error)
    logged = directory.modified(layout.METRICS)
    if locked is False and last.host in ("", own.host_name()):
        since = last.started if logged is None else max(logged, last.started)
        return RunState("stopped", since, "it ended without saying so, as when it is killed")
    return _guess(last, logged)


def _guess(last: RunStart, logged: float | None) -> RunState:
    """The state of a run whose lock cannot be seen here."""
    unseen = f"its lock on {last.host or 'another machine'} cannot be seen here"
    if logged is None:
        return RunState("unknown", None, f"{unseen}, nor when it last logged")
    age = max(time.time() - logged, 0.0)
    note = f"judged by its last record, {amount(age)} ago, since {unseen}"
    if age <= QUIET:
        return RunState("running", last.started, note)
    return RunState("stopped", logged, note)
