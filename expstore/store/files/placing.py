"""Giving finished directories their names: new experiments, and exported runs.

Guarantees: a directory has its name only when all in it is on disk, and the name is on disk when
`sync_directory` of its parent returns. `place_new` never replaces anything, not even an empty
directory that another program has just created; `place` replaces a directory in one step, so that
either the old one or the new one has the name. A process killed at any moment leaves every name
with nothing, the old directory or the new one.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from expstore.errors import ExperimentExistsError, ExperimentNotFoundError, UnreadableFileError
from expstore.store.files import access, layout, system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.place import open_log
from expstore.store.files.systems.native import own

_BLOCK = 1 << 20  # bytes compared at a time
_rename = own.rename_flagged


def build_experiment(building: Path, metadata: bytes | None) -> None:
    """Create an experiment's directory, with `files/` and meta.bin; nothing is synced yet.

    Args:
        building: a hidden name, whose directory exists.
        metadata: the contents of meta.bin; None: there is none.

    Raises:
        OSError: a system call fails.
    """
    os.mkdir(building)
    os.mkdir(building / layout.FILES)
    if metadata is not None:
        with open(building / layout.METADATA, "xb") as file:
            file.write(metadata)


def sync_tree(top: Path) -> None:
    """Sync everything in a directory, and its own entries last.

    Raises:
        OSError: a system call fails.
    """
    for directory, inner, names in os.walk(top, topdown=False, onerror=_fail):
        for name in names:
            with Descriptor(Path(directory, name), system.READ) as descriptor:
                own.sync(descriptor)
        if names or inner:  # an empty one is on disk when its name is
            system.sync_directory(Path(directory))


def _fail(error: OSError) -> None:
    raise error


def keep_access(old: Path, building: Path) -> None:
    """Give a finished directory, and what is in it, the modes and owners of another one.

    What the other one does not have stays as it is.

    Raises:
        OSError: a system call fails.
    """
    for path in (*building.iterdir(), building):
        status = access.status_of(old / path.relative_to(building))
        if status is not None:
            with Descriptor(path, system.READ) as descriptor:
                own.keep_access(descriptor, status)


def place_new(building: Path, target: Path) -> None:
    """Rename a directory to a name that nothing has.

    Raises:
        FileExistsError: something has it.
        OSError: a system call fails.
    """
    if _rename(building, target, own.NOREPLACE):
        return
    os.mkdir(target)  # reserves the name, since the rename alone would replace an empty directory
    try:
        os.rename(building, target)
    except OSError as error:
        with suppress(OSError):
            os.rmdir(target)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another program has begun to use it
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise


def place(building: Path, target: Path) -> None:
    """Rename a directory to a name; a directory that has it gets the first one's name.

    Raises:
        OSError: a system call fails.
    """
    if not os.path.lexists(target):
        place_new(building, target)
    elif not _rename(building, target, own.EXCHANGE):
        aside = building.with_name(layout.temporary_name(".replaced-"))
        os.rename(target, aside)
        try:
            os.rename(building, target)
        except OSError:
            os.rename(aside, target)
            raise
        os.rename(aside, building)


def check_available(target: Path, metadata: bytes | None) -> None:
    """Check quickly that `place_experiment` may succeed.

    Args:
        target: the name of the experiment that is about to be built.
        metadata: what its meta.bin will hold; None: it will have none.

    Raises:
        ExperimentExistsError: another experiment, or something else, has the name.
    """
    if not os.path.lexists(target):
        return
    found: bytes | None = b""
    with (
        suppress(ExperimentNotFoundError, UnreadableFileError),
        open_log(target / layout.METADATA) as file,
    ):
        found = file.read(0, file.size) if file.exists else None
    if found != metadata:
        raise _exists(target)


def check_placeable(building: Path, target: Path) -> None:
    """Check that the name is free, or has the same experiment.

    Raises:
        ExperimentExistsError: another experiment, or something else, has the name.
    """
    if os.path.lexists(target) and not _same_experiment(building, target):
        raise _exists(target)


def place_experiment(building: Path, target: Path) -> bool:
    """Rename a finished experiment; see `place_new`.

    Returns:
        False if the name has an experiment with the same metadata and metrics, which an interrupted
        attempt has left; nothing is renamed then.

    Raises:
        ExperimentExistsError: another experiment, or something else, has the name.
        OSError: a system call fails.
    """
    try:
        place_new(building, target)
    except FileExistsError:
        check_placeable(building, target)
        return False
    return True


def _same_experiment(first: Path, second: Path) -> bool:
    """Whether two experiments have the same metadata and metrics, to the byte."""
    try:
        return all(
            _same_file(first / name, second / name) for name in (layout.METADATA, layout.METRICS)
        )
    except (ExperimentNotFoundError, UnreadableFileError):
        return False  # not an experiment


def _same_file(first: Path, second: Path) -> bool:
    with open_log(first) as one, open_log(second) as other:
        return (one.exists, one.size) == (other.exists, other.size) and all(
            one.read(start, _BLOCK) == other.read(start, _BLOCK)
            for start in range(0, one.size, _BLOCK)
        )


def _exists(target: Path) -> ExperimentExistsError:
    return ExperimentExistsError(
        f"{target}: already exists, and an existing experiment is never changed; choose another "
        "commit id"
    )
