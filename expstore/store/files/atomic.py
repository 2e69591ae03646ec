"""Replacing the files of a store on a file system, completely or not at all.

Guarantees: a reader sees the old content or the new, never a mixture; a file keeps its mode and
owner, and a new one has the mode that the umask gives; what gets a name is on disk before it, and
the name is on disk when the function returns. Nothing here depends on what the bytes mean.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from expstore.errors import UnreadableFileError
from expstore.store.files import system
from expstore.store.files.access import new_file, status_of
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.layout import is_temporary_name, replacing, temporary_name
from expstore.store.files.systems.native import fs, own

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_TRIES = 100  # in case another writer of the same file removes the temporary file as a leftover


def write_atomically(path: Path, data: bytes, directory: int, *, new: bool = False) -> None:
    """Replace a file's content: a reader sees the old or the new, never a mixture.

    The new content is on disk before it takes the name, and the name is on disk after it. The mode
    and the owner are kept. Temporary files left by an interruption are removed.

    Args:
        path: the file.
        data: the new content.
        directory: a descriptor of the file's directory.
        new: refuse to replace a file; of several programs that try, exactly one succeeds.

    Raises:
        FileExistsError: with `new`, there is such a file.
        NoSpaceError: there is no space; the old content is kept.
        UnreadableFileError: the file cannot be written, and the old content is kept; or only the
            last sync failed, and either content may be there after a power cut.
    """
    prefix = replacing(path.name)
    try:
        _remove_leftovers(prefix, directory)
        for _ in range(_TRIES):
            if _replace(temporary_name(prefix), path.name, data, directory, new=new):
                system.sync_entries(directory)
                return
    except FileExistsError:
        raise
    except OSError as error:
        raise system.unwritable(path, error) from error
    raise UnreadableFileError(f"{path}: another program keeps removing its temporary file")


def _replace(temporary: str, name: str, data: bytes, directory: int, *, new: bool) -> bool:
    """Replace the file; False if another writer removed the temporary file as a leftover."""
    old = status_of(name, directory)
    with (
        (opened := new_file(temporary, old, directory)) as descriptor,
        open(descriptor, "wb", closefd=False) as file,
    ):
        try:
            if old is not None:
                own.keep_access(descriptor, old)
            # A file that nobody has locked is a leftover.
            system.try_lock(descriptor, system.LOCK_EX)
            file.write(data)
            file.flush()
            own.sync(descriptor)
            system.let_go(opened)
            if new:
                take_name(temporary, name, directory)
            else:
                fs.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            if opened.number >= 0:
                system.unlock(descriptor)
        except FileNotFoundError:
            return False
        except BaseException:
            system.let_go(opened)
            with suppress(FileNotFoundError):
                fs.unlink(temporary, dir_fd=directory)
            raise
    return True


def take_name(temporary: str | Path, name: str | Path, directory: int | None = None) -> None:
    """Give a file a name that no other file has.

    Args:
        temporary, name: the names that it has and gets.
        directory: a descriptor of the directory that they are relative to.

    Raises:
        FileExistsError: another file has it.
    """
    try:
        fs.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without hard links, another program may take the name between these two calls.
        if fs.access(name, os.F_OK, dir_fd=directory, follow_symlinks=False):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        fs.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        fs.unlink(temporary, dir_fd=directory)


def _remove_leftovers(prefix: str, directory: int) -> None:
    with fs.scandir(directory) as entries:
        names = [
            entry.name
            for entry in entries
            if is_temporary_name(entry.name, prefix) and entry.is_file(follow_symlinks=False)
        ]
    for name in names:
        # A leftover that cannot be removed does no harm.
        with suppress(OSError), (opened := Descriptor(name, system.READ, directory)) as descriptor:
            if system.try_lock(descriptor, system.LOCK_EX):  # otherwise it is being written
                system.let_go(opened)
                fs.unlink(name, dir_fd=directory)
