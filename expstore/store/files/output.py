"""Output files: exports, reports and pictures.

Guarantees: a file appears under its name only when complete and on disk, so a reader sees the old
content or the new, never a mixture. Only a regular file is replaced, and its mode and owner are
kept. Nothing is written among the store's own files in an experiment's directory, though it may be
among the artifacts in `files/`. While a file is written, its name matches UNFINISHED; after an
error it is removed, and after a kill the next time that the same output is written.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from expstore.errors import OutputExistsError, OutputInStoreError, UnreadableFileError
from expstore.store.files import access, layout, mounts, system
from expstore.store.files.atomic import take_name
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.interrupts import uninterrupted
from expstore.store.files.systems.native import own

if TYPE_CHECKING:
    from typing_extensions import Buffer

UNFINISHED = re.compile(r"\.expstore-[0-9a-f]{16}\.tmp")
"""Matches the names of files being written, or left behind by an interruption."""

_OWN = layout.METADATA, layout.METRICS
_BUFFER = 1 << 17  # bytes written at a time
_SYNCED = 1 << 24  # bytes that go to the medium at a time
_YOUNG = 1.0  # seconds; by then, whoever makes an unfinished file or directory has locked it


def unfinished_name(name: str) -> str:
    """A new name that UNFINISHED matches, for the output of this name."""
    return f".expstore-{_tag(name)}{os.urandom(4).hex()}.tmp"


def _tag(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:8]


def check_output(output: Path, *, force: bool | None, makes_above: bool = False) -> None:
    """Check that an output may be written.

    Args:
        output: the file to write.
        force: allow an existing file to be replaced; None: this is never allowed.
        makes_above: the caller makes the directory that it is in.

    Raises:
        OutputExistsError: it exists, and may not be replaced or is not a regular file.
        OutputInStoreError: see `check_place`.
        UnreadableFileError: it would be in a directory that does not exist.
    """
    if os.path.lexists(output):
        if not force:
            advice = "choose another" if force is None else "--force (force=True) replaces it"
            raise OutputExistsError(f"{output}: already exists; {advice}")
        if output.is_dir():
            raise OutputExistsError(f"{output}: is a directory, not a regular file; name a file")
        if not output.is_file():
            raise OutputExistsError(f"{output}: not a regular file, so it is not replaced")
    elif not (makes_above or os.path.lexists(output.parent)):
        raise UnreadableFileError(
            f"{output}: there is no directory {output.parent}; create it first"
        )
    check_place(output)


def check_place(output: Path) -> None:
    """Check that an output, a file or directory, would not be among a store's own files.

    Raises:
        OutputInStoreError: it would be in an experiment's directory, but not below `files/`; or it
            is an experiment.
    """
    place = os.path.realpath(output)
    for directory in (place, os.path.dirname(place)):
        if any(os.path.isfile(os.path.join(directory, name)) for name in _OWN):
            raise OutputInStoreError(
                f"{output}: {directory} is an experiment, in which nothing else is written; write "
                f"it elsewhere, or below {layout.FILES}/"
            )


class _Written(io.FileIO):
    """A file that the system writes to the medium while it grows, not only when it is synced."""

    _written = _begun = 0  # bytes

    def write(self, data: Buffer, /) -> int:
        count = super().write(data) or 0
        self._written += count
        if self._written - self._begun >= _SYNCED:
            own.begin_sync(self.fileno(), self._begun, self._written - self._begun)
            self._begun = self._written
        return count


@contextmanager
def whole_file(
    output: Path, *, sweep: bool = True, copied: Path | None = None
) -> Iterator[IO[bytes]]:
    """A file to write to, which appears as `output` when the block ends without an error.

    Args:
        output: the file to write.
        sweep: remove what killed programs left of the same output; it costs a listing of the
            directory.
        copied: the file that it is a copy of, whose mode and owner it gets; it then replaces none.

    Raises:
        OutputExistsError: the path exists and is not a regular file, or `copied` is given.
        OutputInStoreError: see `check_place`.
        NoSpaceError, UnreadableFileError: the file cannot be written; the old one is kept.
    """
    check_output(output, force=None if copied else True)
    output = output.resolve()
    if sweep:
        remove_stale(output.parent, output.name)
    temporary = output.with_name(unfinished_name(output.name))
    with system.typed_errors(output):
        try:
            old = access.status_of(copied or output)
            with (
                access.new_file(temporary, old) as descriptor,
                _Written(descriptor, "wb", closefd=False) as raw,
                io.BufferedWriter(raw, _BUFFER) as file,
            ):
                system.try_lock(descriptor, system.LOCK_EX)
                if old is not None:
                    own.keep_access(descriptor, old)
                yield file
                file.flush()
                own.sync(descriptor)
            if copied is None:
                os.replace(temporary, output)
            else:
                take_name(temporary, output)
        except BaseException as error:
            with uninterrupted():
                temporary.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                raise OutputExistsError(f"{output}: already exists") from None
            raise
        system.sync_directory(output.parent)


@contextmanager
def unfinished_directory(output: Path, mode: int = 0o777) -> Iterator[Path]:
    """A directory to be filled and renamed, beside the output; what is left of it is removed.

    Args:
        output: what it is for.
        mode: of the directory, less what the umask takes.

    Raises:
        OSError: it cannot be made.
    """
    temporary = output.with_name(unfinished_name(output.name))
    os.mkdir(temporary, mode)
    try:
        with Descriptor(temporary, system.DIRECTORY) as descriptor:
            system.try_lock(descriptor, system.LOCK_EX)
            yield temporary
    finally:
        with uninterrupted():
            shutil.rmtree(temporary, ignore_errors=True)


def remove_stale(directory: Path, name: str) -> None:
    """Remove what killed programs left of an output; what cannot be removed is left.

    A living program has it locked; where other machines may be living, nothing is removed.
    """
    with suppress(OSError), os.scandir(directory) as entries:
        stale = f".expstore-{_tag(name)}"
        for entry in entries:
            if entry.name.startswith(stale) and UNFINISHED.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_stale(Path(entry.path))


def _remove_if_stale(path: Path) -> None:
    with (opened := Descriptor(path, system.READ)) as descriptor:
        status = os.fstat(descriptor)
        if time.time() - status.st_mtime < _YOUNG:
            return
        if not mounts.is_local(mounts.file_system(descriptor)):
            return
        if not system.try_lock(descriptor, system.LOCK_EX):
            return
        system.let_go(opened)
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def write_output(path: Path, data: bytes) -> None:
    """Write a file atomically; see `whole_file`."""
    with whole_file(path) as file:
        file.write(data)
