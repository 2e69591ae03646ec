"""meta.bin: reading, writing and listing metadata.

Guarantees: metadata is fully validated before a file is touched, and replaced atomically: a reader
sees either the old or the new. In a listing, a file that cannot be read gives an error value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from expstore.errors import ExperimentExistsError, ExpStoreError, MetadataNotFoundError
from expstore.model.chunks import chunks, gc_paused
from expstore.model.values import META_CODEC, Metadata
from expstore.store.files import atomic, layout, system
from expstore.store.files.directory import Directory, Location
from expstore.store.files.place import open_directory, open_root
from formats import FormatError

Outcome = Metadata | FormatError | ExpStoreError
"""Metadata, or the error that reading its file gave."""

_LIMIT = META_CODEC.schema.max_size
_SUFFIX = f"/{layout.METADATA}"
_FIRST, _MOST = 16, 1024  # experiments that a listing reads at a time
_parse_metadata = META_CODEC.parser(Metadata, "commit_id", "timestamp", "job_name", "user")


def build(metadata: Metadata) -> bytes:
    """The bytes of meta.bin.

    Raises:
        InvalidCommitIdError, FieldValueError: a value that the format cannot represent.
    """
    layout.check_commit_id(metadata.commit_id)
    return META_CODEC.build(
        timestamp=metadata.timestamp,
        commit_id=metadata.commit_id,
        job_name=metadata.job_name,
        user=metadata.user,
    )


def write(path: Path, data: bytes, *, new: bool = False) -> None:
    """Replace a meta.bin in its existing directory.

    Args:
        path: the file.
        data: what `build` gave.
        new: refuse to replace a file; of several programs that try, exactly one succeeds.

    Raises:
        ExperimentExistsError: with `new`, there is metadata.
        ExperimentNotFoundError: no such directory.
        NoSpaceError, UnreadableFileError: the file system refuses; the old content is kept.
    """
    with system.open_experiment(path.parent) as directory:
        try:
            atomic.write_atomically(path, data, directory, new=new)
        except FileExistsError as error:
            raise exists(path.parent) from error


def exists(path: Path) -> ExperimentExistsError:
    """The error for an experiment that is not to be started again."""
    return ExperimentExistsError(
        f"{path}: already exists, and its metrics would be mixed with those of this run; choose "
        "another commit_id, or leave it out for one that is made"
    )


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
    """Yield each experiment's id with its metadata, or the error that reading it gave.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids = list(commit_ids)
    with open_root(root) as directory:
        for part in chunks(len(commit_ids), _FIRST, _MOST):
            names = [commit_id + _SUFFIX for commit_id in commit_ids[part]]
            found = list(directory.read_starts(names, _LIMIT))
            with gc_paused():
                outcomes = [
                    (commit_id, _outcome(data, root, name))
                    for commit_id, data, name in zip(commit_ids[part], found, names, strict=True)
                ]
            yield from outcomes


def _outcome(data: bytes | OSError, directory: Location, name: str) -> Outcome:
    """The metadata in a file's bytes, or an error that names the file."""
    try:
        if isinstance(data, bytes):
            return _parse_metadata(data)
    except FormatError as error:
        return error.at(source=str(directory / name))
    if isinstance(data, ExpStoreError):
        return data
    path = directory / name
    if isinstance(data, FileNotFoundError):
        return MetadataNotFoundError(
            f"{path}: no metadata, so job and user are unknown; in Python, `write_metadata` adds it"
        )
    return system.unreadable(path, data)
