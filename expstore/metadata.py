"""meta.bin: the one place that reads, writes and lists it.

Guarantees: metadata is checked whole before a file is touched, and written so that a reader sees
the old or the new; a file that cannot be read is an error value, which a listing passes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import truediv
from pathlib import Path

from expstore import files, layout
from expstore.codecs import META_CODEC
from expstore.errors import ExpStoreError, MetadataNotFoundError
from expstore.model import Metadata
from expstore.reading import Directory, Location, open_directory, open_root
from formats import FormatError

Outcome = Metadata | FormatError | ExpStoreError
"""Metadata, or what is wrong with its file."""

_LIMIT = META_CODEC.schema.max_size


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
    directory = files.open_experiment(path.parent)
    try:
        files.write_atomically(path, data, directory)
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
    try:
        data = directory.read_start(name, _LIMIT)
    except OSError as error:
        return _outcome(error, directory.path, name)
    return _outcome(data, directory.path, name)


def read_all(root: Location, commit_ids: Iterable[str]) -> Iterator[tuple[str, Outcome]]:
    """Each experiment's id with the outcome of reading its metadata.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids = list(commit_ids)
    names = (f"{commit_id}/{layout.METADATA}" for commit_id in commit_ids)
    with open_root(root) as directory:
        for commit_id, data in zip(commit_ids, directory.read_starts(names, _LIMIT), strict=True):
            yield commit_id, _outcome(data, root, commit_id, layout.METADATA)


def _outcome(data: bytes | OSError, path: Location, *names: str) -> Outcome:
    """What a file's bytes hold, or what is wrong with the file `names` below `path`."""
    if data.__class__ is bytes:
        try:
            values, _ = META_CODEC.parse(data)
        except FormatError as error:
            return error.at(source=str(reduce(truediv, names, path)))
        return Metadata(
            values["commit_id"], values["timestamp"], values["job_name"], values["user"]
        )
    if isinstance(data, FileNotFoundError):
        file = reduce(truediv, names, path)
        return MetadataNotFoundError(f"{file}: no metadata; write_metadata() writes it")
    assert isinstance(data, OSError)
    return files.unreadable(reduce(truediv, names, path), data)
