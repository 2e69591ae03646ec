"""run.json: the parameters, tags, notes and starts of a run.

Guarantees: the file is replaced whole; a file that is missing is an empty RunInfo; one that cannot
be parsed is a RunFileError, and never breaks a listing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from expstore.errors import ExpStoreError, RunFileError
from expstore.model.chunks import chunks
from expstore.model.runinfo import RunInfo, RunStart
from expstore.store.files import layout, system
from expstore.store.files.directory import Directory, Location
from expstore.store.files.place import open_directory, open_root

LIMIT = 16 << 20
"""The largest run.json that is read, in bytes."""

_EMPTY = RunInfo()
_USUAL = 1 << 14  # bytes that are read at first
_FIRST, _MOST = 16, 1024  # experiments that a listing reads at a time
_RUN = ("params", "tags", "notes", "origin", "starts")
_START = ("started", "ended", "outcome", "error", "host", "pid", "from_step", "records")


def parse(data: bytes) -> RunInfo:
    """The RunInfo in the bytes of a run.json.

    Raises:
        RunFileError: not JSON in UTF-8, or not of the specified form.
    """
    try:
        found: Any = json.loads(data)
        starts = tuple(
            RunStart(**_known(start, _START), extra=_others(start, _START))
            for start in found.get("starts", ())
        )
        known = _known(found, _RUN) | {"tags": tuple(found.get("tags", ())), "starts": starts}
        return RunInfo(**known, extra=_others(found, _RUN))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RunFileError(f"not a run.json: {error}") from error


def read(path: Location) -> RunInfo:
    """The RunInfo of one experiment; empty if it has no run.json.

    Args:
        path: the file.

    Raises:
        ExperimentNotFoundError, UnreadableFileError, RunFileError
    """
    with open_directory(path.parent) as directory:
        try:
            data = directory.read_start(layout.RUN, LIMIT)
        except FileNotFoundError:
            return RunInfo()
        except OSError as error:
            raise system.unreadable(path, error) from error
    try:
        return parse(data)
    except RunFileError as error:
        raise RunFileError(f"{path}: {error}") from error


def _known(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


def _others(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in names}


def read_all(
    root: Location, commit_ids: Iterable[str]
) -> Iterator[tuple[str, RunInfo | ExpStoreError]]:
    """Yield each experiment's id with its RunInfo, or the error that reading it gave.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids = list(commit_ids)
    with open_root(root) as directory:
        for part in chunks(len(commit_ids), _FIRST, _MOST):
            names = [f"{commit_id}/{layout.RUN}" for commit_id in commit_ids[part]]
            found = directory.read_starts(names, _USUAL)
            for commit_id, name, data in zip(commit_ids[part], names, found, strict=True):
                yield commit_id, _outcome(directory, name, data)


def _outcome(directory: Directory, name: str, data: bytes | OSError) -> RunInfo | ExpStoreError:
    """The RunInfo in the first bytes of a file, or an error that names the file."""
    if isinstance(data, FileNotFoundError):
        return _EMPTY
    if isinstance(data, ExpStoreError):
        return data
    path = directory.path / name
    try:
        if isinstance(data, bytes) and len(data) == _USUAL:
            data = directory.read_start(name, LIMIT)
        return parse(data) if isinstance(data, bytes) else system.unreadable(path, data)
    except OSError as error:
        return system.unreadable(path, error)
    except RunFileError as error:
        return RunFileError(f"{path}: {error}")
