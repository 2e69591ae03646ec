"""Deleting experiments so that each is whole or gone.

Guarantees: an experiment is first renamed, in one step, into a hidden directory of the same root,
and only then deleted there, through directory descriptors and following no link. What an
interruption leaves behind is swept by the next deletion.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable

from expstore.errors import DeletionError

PRUNING = ".pruning"


def delete(root: int, commit_ids: Iterable[str]) -> list[str]:
    """Delete experiments, and what an earlier deletion left.

    Args:
        root: a descriptor of the store's root.
        commit_ids: checked commit ids.

    Returns:
        The ids that are gone, as given; one that was not there counts as gone.

    Raises:
        DeletionError: some are still there, or parts of them in the hidden directory.
    """
    deleted: list[str] = []
    failures: dict[str, str] = {}
    commit_ids = list(commit_ids)
    if not commit_ids and not _exists(root):
        return deleted
    try:
        os.mkdir(PRUNING, 0o700, dir_fd=root)
    except FileExistsError:
        pass
    except OSError as error:
        raise DeletionError([], dict.fromkeys(commit_ids, str(error.strerror))) from error
    pruning = os.open(PRUNING, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        _sweep(pruning)
        for commit_id in commit_ids:
            grave = secrets.token_hex(16)
            try:
                os.rename(commit_id, grave, src_dir_fd=root, dst_dir_fd=pruning)
                deleted.append(commit_id)
                shutil.rmtree(grave, dir_fd=pruning)
            except FileNotFoundError:
                if commit_id not in deleted:
                    deleted.append(commit_id)
            except OSError as error:
                failures[commit_id] = error.strerror or str(error)
    finally:
        os.close(pruning)
    if not failures:
        _remove_empty(root)
    if failures:
        raise DeletionError(deleted, failures)
    return deleted


def _exists(root: int) -> bool:
    return os.access(PRUNING, os.F_OK, dir_fd=root, follow_symlinks=False)


def _sweep(pruning: int) -> None:
    with os.scandir(pruning) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        # Another process may be deleting it; what cannot be deleted now is tried again next time.
        shutil.rmtree(name, ignore_errors=True, dir_fd=pruning)


def _remove_empty(root: int) -> None:
    try:
        os.rmdir(PRUNING, dir_fd=root)
    except OSError:
        return  # another process is using it
