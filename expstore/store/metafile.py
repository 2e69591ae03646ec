"""meta.bin: the one place that reads, writes and lists it.

Guarantees: metadata is checked whole before a file is touched, and written so that a reader sees
the old or the new; a file that cannot be read is an error value, which a listing passes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from expstore.errors import ExpStoreError, MetadataNotFoundError
from expstore.model.chunks import chunks, gc_paused
from expstore.model.values import META_CODEC, Metadata
from expstore.store.files import layout, system
from expstore.store.files.directory import Directory, Location
from expstore.store.files.place import open_directory, open_root
from formats import FormatError

Outcome = Metadata | FormatError | ExpStoreError
"""Metadata, or what is wrong with its file."""

_LIMIT = META_CODEC.schema.max_size
_BELOW = f"/{layout.METADATA}"
_FIRST, _MOST = 16, 1024  # experiments that a listing reads at a time
_parse_metadata = META_CODEC.parser(Metadata, "commit_id", "timestamp", "job_name", "user")


def build(metadata: Metadata) -> bytes:
    """The bytes of meta.bin.

    Raises:
        InvalidCommitIdError, FieldValueError: a value that the format cannot hold.
    """
    layout.check_commit_id(metadata.commit_id)
    return META_CODEC.build(
        timestamp=metadata.timestamp,
        commit_id=metadata.commit_id,
        job_name=metadata.job_name,
        user=metadata.user,
    )


def write(path: Path, data: bytes) -> None:
    """Replace a meta.bin in its existing directory.

    Raises:
        ExperimentNotFoundError: there is no such directory.
        NoSpaceError, UnreadableFileError: the file system refuses; the old content stays.
    """
    directory = system.open_experiment(path.parent)
    try:
        system.write_atomically(path, data, directory)
    finally:
        os.close(directory)


def read(path: Location) -> Metadata:
    """The metadata of one experiment.

    Raises:
        ExperimentNotFoundError, MetadataNotFoundError, UnreadableFileError, FormatError
    """
    with open_directory(path.parent) as directory:
        outcome = read_in(directory, path.name)
    if isinstance(outcome, Metadata):
        return outcome
    raise outcome


def read_in(directory: Directory, name: str = layout.METADATA) -> Outcome:
    """The metadata in an experiment's directory."""
    data: bytes | OSError
    try:
        data = directory.read_start(name, _LIMIT)
    except OSError as error:
        data = error
    return _outcome(data, directory.path, name)


def read_all(root: Location, commit_ids: Iterable[str]) -> Iterator[tuple[str, Outcome]]:
    """Each experiment's id with the outcome of reading its metadata.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids = list(commit_ids)
    with open_root(root) as directory:
        for part in chunks(len(commit_ids), _FIRST, _MOST):
            names = [commit_id + _BELOW for commit_id in commit_ids[part]]
            found = list(directory.read_starts(names, _LIMIT))
            with gc_paused():
                outcomes = [
                    (commit_id, _outcome(data, root, name))
                    for commit_id, data, name in zip(commit_ids[part], found, names, strict=True)
                ]
            yield from outcomes


def _outcome(data: bytes | OSError, directory: Location, name: str) -> Outcome:
    """What a file's bytes hold, or why they do not, with the file's path."""
    try:
        if isinstance(data, bytes):
            return _parse_metadata(data)
    except FormatError as error:
        return error.at(source=str(directory / name))
    path = directory / name
    if isinstance(data, FileNotFoundError):
        return MetadataNotFoundError(f"{path}: no metadata; write_metadata() writes it")
    return system.unreadable(path, data)
