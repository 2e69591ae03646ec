"""What differs between two experiments: the library call of `expstore diff`.

Guarantees: only what differs is listed, and what one of them lacks is told from what is null there.
Numbers are compared by value, so 3 and 3.0 are the same; true and 1 are not. Nothing of the two
experiments is run; git is given commits only if they look like ones.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from expstore.compare.experiments import Experiment, experiments
from expstore.compare.series import Extremes
from expstore.errors import ExpStoreError, UnreadableFileError
from expstore.store.artifacts import Artifact
from expstore.store.files import layout
from expstore.store.files.place import open_directory
from expstore.store.origin import git_diff

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PATCH = re.compile(r"uncommitted(?:-(\d{1,9}))?\.patch")
_GIT = ("commit", "branch", "dirty")
_LIMIT = 64 << 20  # bytes of a patch that are read


class _Absent(Enum):
    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent.ABSENT
"""In place of what an experiment does not have."""


class Pair(NamedTuple):
    """What each of the two has; ABSENT if it has none."""

    first: Any
    second: Any


@dataclass(frozen=True)
class Difference:
    """What differs between two experiments.

    Attributes:
        first, second: their ids.
        fields: `job`, `user` and `status`, as far as they differ.
        params: by flat name.
        tags: those that only one of them has, as a tuple each.
        git: `commit`, `branch` and `dirty`.
        metrics: each metric's `Extremes`, by name.
        same_params, same_metrics: how many are the same in both.
        problems: what could not be read, and why.
    """

    first: str
    second: str
    fields: Mapping[str, Pair]
    params: Mapping[str, Pair]
    tags: Pair
    git: Mapping[str, Pair]
    metrics: Mapping[str, Pair]
    same_params: int
    same_metrics: int
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.fields or self.params or any(self.tags) or self.git or self.metrics)


def diff(store: StoreReader, first: str, second: str) -> Difference:
    """What differs between two experiments.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    for commit_id in first, second:
        store.select_ids([commit_id])
    one, other = (next(experiments(store, [commit_id])) for commit_id in (first, second))
    params = _differing(one.params, other.params)
    metrics = _differing(one.metrics, other.metrics)
    tags = one.run.tags, other.run.tags
    return Difference(
        first,
        second,
        _differing(_fields(one), _fields(other)),
        params,
        Pair(_without(*tags), _without(*reversed(tags))),
        _differing(_git(one), _git(other)),
        metrics,
        len({*one.params, *other.params}) - len(params),
        len({*one.metrics, *other.metrics}) - len(metrics),
        tuple(f"{e.commit_id}: {problem}" for e in (one, other) for problem in e.problems),
    )


def _fields(one: Experiment) -> dict[str, Any]:
    found: dict[str, Any] = {"status": one.status}
    if one.metadata is not None:
        found |= {"job": one.metadata.job_name, "user": one.metadata.user}
    return found


def _git(one: Experiment) -> dict[str, Any]:
    return {name: one.run.origin[name] for name in _GIT if name in one.run.origin}


def _without(tags: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(tag for tag in tags if tag not in others)


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    pairs = {
        name: Pair(first.get(name, ABSENT), second.get(name, ABSENT))
        for name in {**first, **second}
    }
    return {name: pair for name, pair in pairs.items() if not same_value(*pair)}


def same_value(first: Any, second: Any) -> bool:
    """Whether two values of JSON, or two Extremes, are the same; NaN is the same as NaN."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list | Extremes) and type(first) is type(second):
        return len(first) == len(second) and all(map(same_value, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            same_value(value, second[key]) for key, value in first.items()
        )
    both_nan = (
        isinstance(first, float)
        and isinstance(second, float)
        and (math.isnan(first) and math.isnan(second))
    )
    return both_nan or bool(first == second)


def diff_patch(store: StoreReader, first: str, second: str) -> Iterator[str]:
    """The lines by which the code of two experiments differs, as far as that is known.

    That is what git says between their commits, in the working directory, if both are there; and
    the uncommitted changes that were kept, of each experiment by itself, unless they are the same.
    Lines that begin with `#` say what follows, or what is not known.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, UnreadableFileError, RunFileError
    """
    origins = [store.read_run(commit_id).origin for commit_id in (first, second)]
    commits = [str(origin.get("commit", "")) for origin in origins]
    if not all(map(_COMMIT.fullmatch, commits)):
        yield "# no git commit is known of both"
    elif commits[0] != commits[1]:
        text = git_diff(*commits)
        if text is None:
            yield f"# git does not know both commits in {os.getcwd()}: {' and '.join(commits)}"
        else:
            yield f"# git diff {' '.join(commits)}"
            yield from text.decode("utf-8", "replace").splitlines()
    patches = [_patch(store, commit_id) for commit_id in (first, second)]
    for commit_id, origin, patch in zip((first, second), origins, patches, strict=True):
        if patch is None:
            if origin.get("dirty"):
                yield f"# {commit_id}: uncommitted changes, which save_patch would have kept"
        elif patches[0] != patches[1]:
            yield f"# {commit_id}: uncommitted changes"
            yield from patch.decode("utf-8", "replace").splitlines()


def _patch(store: StoreReader, commit_id: str) -> bytes | None:
    """The last patch that was kept; None if there is none."""
    found = [
        (int(match[1] or 1), artifact)
        for artifact in store.iter_files(commit_id)
        if len(artifact.parts) == 1 and (match := _PATCH.fullmatch(artifact.name))
    ]
    if not found:
        return None
    artifact: Artifact = max(found)[1]
    with open_directory(store.locate(commit_id)) as directory:
        try:
            with directory.subdirectory(layout.FILES) as files:
                return files.read_start(artifact.name, _LIMIT)
        except ExpStoreError:
            raise
        except OSError as error:
            raise UnreadableFileError(f"{commit_id}/{artifact.name}: {error.strerror}") from error
