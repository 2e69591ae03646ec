"""run.json: the parameters, tags, notes and starts of a run.

Guarantees: the file is replaced whole, and is on disk when `update` returns; of programs that
change it at the same time, each builds on what the others wrote, so nothing is lost. What cannot be
kept is refused before a file is touched, and a file that cannot be parsed is never overwritten; a
change waits a moment for one, since another program may be writing it in place. A file that is
missing is an empty RunInfo.

The lock for a change is a `flock` on the file itself, which no writer or deletion of the experiment
takes. The file is replaced under it, so whoever waited for it finds another file under the name,
and begins anew. Where the file system has no locks, the last of several concurrent changes wins;
where an open file cannot be replaced, as on Windows, only the threads of one process take turns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    RunFileError,
    UnreadableFileError,
)
from expstore.model.chunks import chunks
from expstore.model.runinfo import RunInfo, RunStart
from expstore.store.files import atomic, layout, system
from expstore.store.files.directory import Directory, Location
from expstore.store.files.place import open_directory, open_root
from expstore.store.files.systems.native import own
from formats import FormatError
from formats.run import build_run, parse_run

LIMIT = 16 << 20
"""The largest run.json, in bytes."""

Outcome = RunInfo | ExpStoreError
"""A RunInfo, or the error that reading its file gave."""

_EMPTY = RunInfo()
_FIRST, _MOST = 16, 1024  # experiments that a listing reads at a time
_USUAL = 1 << 16  # bytes that are read at first
_PATIENCE = 30.0  # seconds to wait for other programs that change the file
_PAUSE = 0.001  # seconds between two tries, at first
_SETTLING = 0.5  # seconds to wait for a file that cannot be parsed
_NUMBERS = "pid", "from_step", "records"  # which may be written as 3.0


def parse(data: bytes) -> RunInfo:
    """The RunInfo in the bytes of a run.json.

    Raises:
        RunFileError: not JSON in UTF-8, or not of the specified form; the message names the key.
    """
    try:
        values = parse_run(data)
    except FormatError as error:
        raise RunFileError(str(error)) from error
    known, extra = _known(RunInfo, values)
    known["tags"] = tuple(dict.fromkeys(values.get("tags", ())))
    known["starts"] = tuple(map(_start, values.get("starts", ())))
    return RunInfo(**known, extra=extra)


def build(info: RunInfo) -> bytes:
    """The bytes of a run.json; what is empty is left out.

    Raises:
        RunFileError: a value that JSON cannot hold, or too many of them.
    """
    values = _values(info)
    if info.starts:
        values["starts"] = [_values(start, always=("started", "records")) for start in info.starts]
    try:
        data = build_run(values)
    except FormatError as error:
        raise RunFileError(str(error)) from error
    if len(data) > LIMIT:
        raise RunFileError(
            f"{len(data):,} bytes of params, tags and notes are more than the {LIMIT:,} of a "
            "run.json; keep what is large as a file in files/"
        )
    return data


def read(path: Location) -> RunInfo:
    """The RunInfo of one experiment; empty if it has no run.json.

    Args:
        path: the file.

    Raises:
        ExperimentNotFoundError, UnreadableFileError, RunFileError
    """
    with open_directory(path.parent) as directory:
        return read_in(directory, path.name)


def read_in(directory: Directory, name: str = layout.RUN) -> RunInfo:
    """The RunInfo in an open directory; see `read`."""
    path = directory.path / name
    try:
        data = directory.read_start(name, _USUAL)
        if len(data) == _USUAL:
            data = directory.read_start(name, LIMIT + 1)
    except FileNotFoundError:
        return RunInfo()
    except OSError as error:
        raise system.unreadable(path, error) from error
    return _parsed(path, data)


def read_all(root: Location, commit_ids: Iterable[str]) -> Iterator[tuple[str, Outcome]]:
    """Yield each experiment's id with its RunInfo, or the error that reading it gave.

    Args:
        root: the store.
        commit_ids: checked ids.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids = list(commit_ids)
    with open_root(root) as directory:
        for part in chunks(len(commit_ids), _FIRST, _MOST):
            names = [f"{commit_id}/{layout.RUN}" for commit_id in commit_ids[part]]
            found = directory.read_starts(names, _USUAL)
            for commit_id, data in zip(commit_ids[part], found, strict=True):
                # In the usual cases no path is made, which costs time.
                info = _EMPTY if isinstance(data, FileNotFoundError) else _sound(data)
                yield commit_id, info or _outcome(root / commit_id / layout.RUN, data)


def _sound(data: bytes | OSError) -> RunInfo | None:
    """The RunInfo in the bytes of a whole run.json; None if they need a closer look."""
    if isinstance(data, OSError) or len(data) >= _USUAL:
        return None
    try:
        return parse(data)
    except RunFileError:
        return None


def _outcome(path: Location, data: bytes | OSError) -> Outcome:
    try:
        if isinstance(data, ExpStoreError):
            return data
        if isinstance(data, OSError):
            return system.unreadable(path, data)
        return read(path) if len(data) == _USUAL else _parsed(path, data)
    except ExpStoreError as error:
        return error


def update(path: Path, change: Callable[[RunInfo], RunInfo], directory: int) -> RunInfo:
    """Change a run.json, or create it; other programs may do so at the same time.

    Args:
        path: the file.
        change: gives the new RunInfo for the present one; it may be called several times. If it
            gives an equal one, nothing is written.
        directory: a descriptor of the experiment's directory.

    Returns:
        What the file has now.

    Raises:
        RunFileError: the file cannot be parsed, or what is to be written cannot be kept in it.
        ExperimentNotFoundError: the experiment was deleted.
        NoSpaceError, UnreadableFileError: the file system refuses; the old content is kept.
    """
    until = time.monotonic() + _SETTLING
    while True:
        with _locked(path, directory) as data:
            try:
                old = RunInfo() if data is None else _parsed(path, data)
            except RunFileError:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
                continue
            new = change(old)
            if new == old:
                return old
            try:
                atomic.write_atomically(path, build(new), directory, new=data is None)
            except FileExistsError:
                continue  # another program was the first
            except UnreadableFileError as error:
                if not system.is_linked(directory):
                    raise ExperimentNotFoundError(f"{path.parent}: no such experiment") from error
                raise
            return new


@contextmanager
def _locked(path: Path, directory: int) -> Iterator[bytes | None]:
    """Lock the file; yields its bytes, or None if there is none, and so no lock."""
    if not own.OPEN_FILES_MOVE:
        with own.replacing:
            yield _unlocked(path, directory)
        return
    deadline, pause = time.monotonic() + _PATIENCE, _PAUSE
    while True:
        try:
            opened = system.open_regular(path, system.MEND, directory)
        except FileNotFoundError:
            yield None
            return
        with opened as descriptor:
            if system.try_lock(descriptor, system.LOCK_EX) is not False:
                try:
                    if system.refers_to(path.name, directory, descriptor):
                        yield system.read_all(descriptor, LIMIT + 1)
                        return
                finally:
                    # Not left to the end of the descriptor, which a forked process may have too.
                    system.unlock(descriptor)
                continue  # replaced meanwhile
        if time.monotonic() > deadline:
            raise UnreadableFileError(
                f"{path}: locked by another program for over {_PATIENCE:g} seconds"
            )
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, 0.05)


def _unlocked(path: Path, directory: int) -> bytes | None:
    """The file's bytes; it is closed again, so that it can be replaced."""
    try:
        with system.open_regular(path, system.READ, directory) as descriptor:
            return system.read_all(descriptor, LIMIT + 1)
    except FileNotFoundError:
        return None


def _parsed(path: Location, data: bytes) -> RunInfo:
    try:
        if len(data) > LIMIT:
            raise RunFileError(f"longer than {LIMIT:,} bytes")
        return parse(data)
    except RunFileError as error:
        raise RunFileError(f"{path}: {error}; correct the file, or move it away") from error


def _start(values: Mapping[str, Any]) -> RunStart:
    known, extra = _known(RunStart, values)
    known |= {name: int(known[name]) for name in _NUMBERS if name in known}
    return RunStart(**known, extra=extra)


def _known(kind: type, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a class's fields, and the others."""
    names = _NAMES[kind]
    if values.keys() <= _NAME_SETS[kind]:  # usually
        return dict(values), {}
    known = {name: value for name, value in values.items() if name in names}
    return known, {name: value for name, value in values.items() if name not in names}


def _values(of: RunInfo | RunStart, always: tuple[str, ...] = ()) -> dict[str, Any]:
    values = {name: getattr(of, name) for name in _NAMES[type(of)]}
    return {
        name: value
        for name, value in values.items()
        if name in always or (value is not None and value not in ("", (), {}))
    } | dict(of.extra)


_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind) if field.name != "extra")
    for kind in (RunInfo, RunStart)
}
_NAME_SETS = {kind: frozenset(names) for kind, names in _NAMES.items()}
