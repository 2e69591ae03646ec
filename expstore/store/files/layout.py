"""File names on disk, and the rules for commit ids.

Guarantees: an experiment's path is made from an id that is one plain path component, so no path
leaves the root; ids are checked before any file is accessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from expstore.errors import InvalidCommitIdError
from expstore.store.files.systems.native import own

FILES = "files"
METADATA = "meta.bin"
METRICS = "metrics.bin"
RUN = "run.json"
SEAL = "SHA256SUMS"

PRUNING, SALVAGING, IMPORTING = ".pruning-", ".salvage-", ".import-"
"""Prefixes of the hidden names of unfinished work in a store's root."""


def torn(name: str) -> str:
    """What the names of files that keep a log's cut tail begin with; its byte offset follows."""
    return f"{name}.torn-"


TORN = torn(METRICS)
"""The same for the log of an experiment."""

COMMIT_ID_LIMIT = 255
"""In bytes: the longest file name on Linux (NAME_MAX)."""


_WILD = re.compile(r"[^\w.-]|\A[.-]")  # an id may begin with neither a dot nor a hyphen
# More characters are letters to `re` than to a shell, but none of those has a meaning there.


def tame(name: str) -> str:
    """The name as a commit id of letters, digits, `.`, `_` and `-`; all others become `_`."""
    return _WILD.sub("_", name)


def is_tame(commit_id: str) -> bool:
    """Whether the id has no meaning but itself, even to a shell that it is pasted into."""
    return _WILD.search(commit_id) is None


def replacing(name: str) -> str:
    """What the temporary names of a file's next content begin with."""
    return f".{name}."


def temporary_name(prefix: str) -> str:
    """A unique name for unfinished work."""
    return prefix + os.urandom(8).hex()


def is_temporary_name(name: str, *prefixes: str) -> bool:
    """Whether it has the form of `temporary_name`, so that no other file passes for a leftover."""
    return any(re.fullmatch(re.escape(prefix) + "[0-9a-f]{16}", name) for prefix in prefixes)


def check_commit_id(commit_id: str) -> str:
    """Return the id if it is valid.

    Raises:
        InvalidCommitIdError: not a str, empty, hidden (`.`, `..` and names that start with a dot),
            containing `/` or NUL, longer than 255 bytes, not encodable as a file name, or forbidden
            by the system, as `NUL`, `a:b` and `a.` are on Windows.
    """
    if fault := _fault(commit_id):
        shown = repr(commit_id)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise InvalidCommitIdError(
            f"commit id {shown} {fault}; an id is one visible file name of 1 to "
            f"{COMMIT_ID_LIMIT} bytes"
        )
    return commit_id


def check_commit_ids(commit_ids: Iterable[str]) -> list[str]:
    """Return the ids as a list if all are valid.

    Raises:
        InvalidCommitIdError: an id is invalid, or the argument is a single string or not iterable.
    """
    if isinstance(commit_ids, str) or not isinstance(commit_ids, Iterable):
        raise InvalidCommitIdError(
            f"commit ids must be a collection, such as ['3f2a9c1d'], got {commit_ids!r}"
        )
    return [check_commit_id(commit_id) for commit_id in commit_ids]


def _fault(commit_id: object) -> str:
    if not isinstance(commit_id, str):
        return f"is {type(commit_id).__name__}, not str"
    return _fault_of_name(commit_id)


@lru_cache(maxsize=1 << 12)  # an id is used many times, and checked each time
def _fault_of_name(commit_id: str) -> str:
    if not commit_id:
        return "is empty"
    if commit_id.startswith("."):
        return "starts with a dot"
    if "/" in commit_id or "\0" in commit_id:
        return "contains a slash or NUL"
    if own.REFUSED_NAMES is not None and own.REFUSED_NAMES.search(commit_id):
        return "is not a file name that this system allows"
    try:
        too_long = len(os.fsencode(commit_id)) > COMMIT_ID_LIMIT
    except UnicodeEncodeError:
        return "cannot be encoded as a file name"
    return "is too long" if too_long else ""


def is_commit_id(name: str) -> bool:
    """Whether a directory of this name is an experiment."""
    return not _fault(name)


def commit_ids(names: Iterable[str]) -> list[str]:
    """The directory names that are valid commit ids, sorted."""
    # A file name has no slash and no NUL, so a cheap check settles most names.
    return sorted(
        name
        for name in names
        if name[0] != "."
        and ((name.isascii() and len(name) <= COMMIT_ID_LIMIT) or not _fault(name))
    )


def experiment_path(root: Path, commit_id: str) -> Path:
    """The experiment's directory."""
    return root / check_commit_id(commit_id)


def files_path(root: Path, commit_id: str) -> Path:
    """The directory of free-form artifacts."""
    return experiment_path(root, commit_id) / FILES


def metadata_path(root: Path, commit_id: str) -> Path:
    """The file of `formats.META`."""
    return experiment_path(root, commit_id) / METADATA


def metrics_path(root: Path, commit_id: str) -> Path:
    """The file of `formats.METRICS`."""
    return experiment_path(root, commit_id) / METRICS
