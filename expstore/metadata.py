"""meta.bin: the one place that reads, writes and lists it.

Guarantees: metadata is checked whole before a file is touched, and written so that a reader sees
the old or the new; a file that cannot be read is an error value, which a listing passes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from expstore import files, layout
from expstore.codecs import META_CODEC
from expstore.errors import ExpStoreError, MetadataNotFoundError
from expstore.model import Metadata
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


def read(path: Path) -> Metadata:
    """The metadata of one experiment.

    Raises:
        ExperimentNotFoundError, MetadataNotFoundError, UnreadableFileError, FormatError
    """
    directory = files.open_experiment(path.parent)
    try:
        outcome = read_at(path.name, directory, path.parent)
    finally:
        os.close(directory)
    if isinstance(outcome, Metadata):
        return outcome
    raise outcome


def read_at(name: str, directory: int, parent: Path) -> Outcome:
    """The metadata in the file `name` below `directory`, a descriptor of `parent`."""
    try:
        values, _ = META_CODEC.parse(files.read_start(name, directory, _LIMIT))
    except FormatError as error:
        return error.at(source=str(parent / name))
    except FileNotFoundError:
        return MetadataNotFoundError(f"{parent / name}: no metadata; write_metadata() writes it")
    except OSError as error:
        return files.unreadable(parent / name, error)
    return Metadata(values["commit_id"], values["timestamp"], values["job_name"], values["user"])


def read_all(root: Path, commit_ids: Iterable[str]) -> Iterator[tuple[str, Outcome]]:
    """Each experiment's id with the outcome of reading its metadata.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    with files.root_directory(root) as directory:
        for commit_id in commit_ids:
            yield commit_id, read_at(f"{commit_id}/{layout.METADATA}", directory, root)
