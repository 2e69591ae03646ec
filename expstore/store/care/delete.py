"""Deletion: each experiment is either whole or gone, and none that a writer uses is deleted.

Guarantees: an experiment is locked against writers, checked again, renamed atomically into a hidden
directory in the same root, and only then deleted, through directory descriptors and without
following links. When `delete` returns, that is on disk. The next deletion sweeps up whatever an
interrupted one leaves behind.

Each deletion uses its own hidden directory and keeps it locked, so that other processes can tell
leftovers from a deletion in progress. If the disk is too full to create that directory, the
experiment is instead renamed to a hidden name in the root: a full disk must not prevent deletion.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from expstore.errors import DeletionError, ExpStoreError, LiveWriterError
from expstore.store import runfile
from expstore.store.append.locks import deletion_lock, try_deletion_lock
from expstore.store.files import layout, system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.local import LocalDirectory
from expstore.store.files.systems.native import fs

_TRIES = 100
_LIMIT = 1 << 12  # bytes, more than any meta.bin has
_CLOSING = 5.0  # seconds from a run's end to the last change of its log, which is closed then
_LIVE = "a writer has it open"
_SWAPPED = "another directory has taken its place meanwhile"

Judge = Callable[[str, int], str]
"""Returns why an experiment must not be deleted after all, or an empty string. It is given the
experiment's id and a descriptor of its directory, while writers are locked out."""


def delete(
    root: int, commit_ids: Iterable[str], *, judge: Judge | None = None, force: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Delete experiments, and whatever earlier deletions left behind.

    Args:
        root: a descriptor of the store's root directory.
        commit_ids: checked commit ids.
        judge: makes the final decision on each.
        force: also delete those that a writer has open.

    Returns:
        The ids that are gone, in the order given (a missing one counts as gone), and those that
        remain, each with the reason: a writer has it open, or what `judge` returned.

    Raises:
        DeletionError: the file system refused to delete some; they remain, or parts of them in the
            hidden directory. All others are deleted.
    """
    deleted: list[str] = []
    spared: dict[str, str] = {}
    failures: dict[str, str] = {}
    _sweep(root)
    commit_ids = list(commit_ids)
    if not commit_ids:
        return deleted, spared
    try:
        with _hidden_directory(root) as (trash, is_own):
            for commit_id in commit_ids:
                try:
                    with deletion_lock(root, commit_id, force=force) as directory:
                        reason = judge(commit_id, directory) if judge else ""
                        if reason:
                            spared[commit_id] = reason
                            continue
                        hidden = commit_id if is_own else _hidden_name()
                        fs.rename(commit_id, hidden, src_dir_fd=root, dst_dir_fd=trash)
                        if not system.refers_to(hidden, trash, directory):
                            fs.rename(hidden, commit_id, src_dir_fd=trash, dst_dir_fd=root)
                            spared[commit_id] = _SWAPPED
                            continue
                        deleted.append(commit_id)
                        _remove(hidden, trash, directory)
                except LiveWriterError:
                    spared[commit_id] = _LIVE
                except FileNotFoundError:
                    deleted.append(commit_id)
                except OSError as error:
                    message = error.strerror or str(error)
                    if commit_id in deleted:
                        message = f"removed, but parts are left for the next prune: {message}"
                    failures[commit_id] = message
    except OSError as error:
        rest = [commit_id for commit_id in commit_ids if commit_id not in {*deleted, *spared}]
        failures |= dict.fromkeys(rest, error.strerror or str(error))
    if deleted:
        try:
            system.sync_entries(root)
        except OSError as error:
            message = f"removed, but may be back after a power cut: {error.strerror}"
            failures |= dict.fromkeys(deleted, message)
    if failures:
        raise DeletionError(deleted, failures)
    return deleted, spared


def in_use(root: int, commit_id: str, *, grace: float = 0, force: bool = False) -> str:
    """Why an experiment should not be deleted now, or an empty string; see `delete`."""
    try:
        with deletion_lock(root, commit_id, force=force) as directory:
            return recently_logged(directory, grace)
    except LiveWriterError:
        return _LIVE
    except OSError:
        return ""  # gone or unreadable: the deletion reports it


def recently_logged(directory: int, grace: float) -> str:
    """A message if it was logged to in the last `grace` seconds, else an empty string.

    A run that says that it has ended since then needs no grace.
    """
    changed = last_logged(directory) if grace else None
    if changed is None:
        return ""
    age = max(time.time() - changed, 0.0)
    if age >= grace or _ended_since(directory, changed):
        return ""
    return f"logged to {age:.0f} seconds ago"


def _ended_since(directory: int, changed: float) -> bool:
    try:
        starts = runfile.read_in(LocalDirectory(Path(), directory)).starts
    except ExpStoreError:
        return False
    ended = starts[-1].ended if starts else None
    return ended is not None and changed - ended < _CLOSING


def last_logged(directory: int, commit_id: str = ".") -> float | None:
    """When an experiment's log last changed, in Unix seconds by the file system's clock.

    If there is no log yet, the metadata counts: a run that has just started is in use too. None if
    there is neither.

    Args:
        directory: a descriptor of the experiment's directory, or of the root.
        commit_id: the experiment, if it is in the directory.

    Raises:
        OSError: the file system cannot say.
    """
    for name in (layout.METRICS, layout.METADATA):
        with suppress(FileNotFoundError):
            path = f"{commit_id}/{name}"
            return fs.stat(path, dir_fd=directory, follow_symlinks=False).st_mtime
    return None


def discard_unstarted(
    root: int, commit_id: str, metadata: bytes | None = None, *, whole: bool = True
) -> None:
    """Remove what a start that failed left: nothing that was logged, and no artifact.

    An experiment that has other metadata, records, artifacts or a writer is left as it is.

    Args:
        root: a descriptor of the store's root.
        commit_id: the experiment.
        metadata: what meta.bin has if the start wrote it; it is removed too. (Its last sync may
            fail when the file is there already.)
        whole: remove the directory too, which the start made, and so all of this in it.

    Raises:
        OSError: the file system refuses.
    """
    with suppress(LiveWriterError), deletion_lock(root, commit_id) as directory:
        if layout.METRICS in (names := fs.listdir(directory)):
            status = fs.stat(layout.METRICS, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or status.st_size:
                return
        mine = {layout.FILES, layout.METRICS}
        if metadata is not None and layout.METADATA in names:
            found = LocalDirectory(Path(commit_id), directory).read_start(layout.METADATA, _LIMIT)
            if found != metadata:
                return
            mine |= {layout.METADATA, layout.RUN}
        prefixes = layout.replacing(layout.METADATA), layout.replacing(layout.RUN)
        mine |= {name for name in names if layout.is_temporary_name(name, *prefixes)}
        if not whole:
            names = [layout.METADATA]
        elif not mine.issuperset(names):
            return
        if layout.FILES in names:
            fs.rmdir(layout.FILES, dir_fd=directory)  # refused if there are artifacts
        for name in names:
            if name != layout.FILES:
                fs.unlink(name, dir_fd=directory)
        if whole:
            fs.rmdir(commit_id, dir_fd=root)


def _remove(name: str, parent: int, directory: int) -> None:
    """Delete an open directory. Another program may still be adding files to it."""
    for tries_left in reversed(range(_TRIES)):
        try:
            # The log first: its writers check whether it is still linked.
            with suppress(FileNotFoundError, IsADirectoryError):
                fs.unlink(layout.METRICS, dir_fd=directory)
            empty_directory(directory)
            fs.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError:
            if not tries_left:
                raise
        else:
            return


def _hidden_name() -> str:
    return layout.temporary_name(layout.PRUNING)


@contextmanager
def _hidden_directory(root: int) -> Iterator[tuple[int, bool]]:
    """A new locked hidden directory and True; or, if the disk is full, the root and False."""
    while True:
        name = _hidden_name()
        try:
            fs.mkdir(name, dir_fd=root)
        except OSError as error:
            if error.errno not in system.NO_SPACE:
                raise
            yield root, False
            return
        try:
            opened = Descriptor(name, system.REAL_DIRECTORY, root)
        except FileNotFoundError:
            continue  # swept before it was locked
        with opened as descriptor:
            if try_deletion_lock(descriptor) and fs.fstat(descriptor).st_nlink:
                yield descriptor, True
                with suppress(OSError):  # what could not be deleted is left for the next sweep
                    fs.rmdir(name, dir_fd=root)
                return


def _sweep(root: int) -> None:
    """Delete what interrupted deletions left; what cannot be deleted is retried next time."""
    with fs.scandir(root) as entries:
        names = [e.name for e in entries if layout.is_temporary_name(e.name, layout.PRUNING)]
    for name in names:
        flags = system.REAL_DIRECTORY
        with suppress(OSError), Descriptor(name, flags, root) as descriptor:
            if try_deletion_lock(descriptor):
                empty_directory(descriptor)
                fs.rmdir(name, dir_fd=root)


def empty_directory(directory: int) -> None:
    """Delete everything in an open directory.

    Raises:
        OSError: the file system refuses, or something was added meanwhile.
    """
    while inner := _clear(directory):
        for name in inner:
            with suppress(FileNotFoundError):
                flags = system.REAL_DIRECTORY
                with Descriptor(name, flags, directory) as descriptor:
                    for deeper in _clear(descriptor):
                        moved = layout.temporary_name(".moved-")
                        fs.rename(deeper, moved, src_dir_fd=descriptor, dst_dir_fd=directory)
                fs.rmdir(name, dir_fd=directory)


def _clear(directory: int) -> list[str]:
    """Delete non-directories and empty directories; return the names of the other directories."""
    with fs.scandir(directory) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    full = []
    for name, is_directory in names:
        with suppress(FileNotFoundError):
            if not is_directory:
                fs.unlink(name, dir_fd=directory)
                continue
            try:
                fs.rmdir(name, dir_fd=directory)
            except FileNotFoundError:
                pass
            except OSError:
                full.append(name)  # presumably not empty; any other error recurs when it is opened
    return full
