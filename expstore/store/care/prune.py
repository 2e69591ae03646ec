"""What a prune would do, and why: a pure function of metadata and a clock; no file is touched.

Guarantees: an experiment is pruned if it is at position `keep_count` or later, newest first, *or*
is older than `older_than_days` local calendar days; without either, if it is one of `only`. Equal
timestamps are ordered by commit id. An experiment that is protected, or whose metadata cannot be
read, is never pruned; what is named one by one, in `plan_deletion`, is deleted all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from expstore.errors import RetentionPolicyError
from expstore.model.values import Metadata, is_whole_number

Action = Literal["keep", "prune", "skip"]


@dataclass(frozen=True)
class Policy:
    """What to keep; the attributes are the arguments of `ExperimentStore.plan_prune`.

    Raises:
        RetentionPolicyError: neither a limit nor `only` is given; a limit is negative or not an
            integer; the grace is not a number of seconds; or `protect` or `only` is not a
            collection of commit ids.
    """

    keep_count: int | None = None
    older_than_days: int = 0
    protect: Collection[str] = ()
    grace: float = 0
    force: bool = False
    only: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.keep_count is not None:
            _check_limit("keep_count", self.keep_count)
        _check_limit("older_than_days", self.older_than_days)
        check_grace(self.grace)
        for name, ids in ("protect", self.protect), ("only", self.only or ()):
            if isinstance(ids, str) or not all(isinstance(i, str) for i in ids):
                raise RetentionPolicyError(
                    f"{name} must be commit ids, such as ['3f2a9c1d'], got {ids!r}"
                )
        if not self.has_limit and self.only is None:
            raise RetentionPolicyError(
                "nothing to prune by: give keep_count, older_than_days or both"
            )

    @property
    def has_limit(self) -> bool:
        """Whether age or number decides, or else being one of `only`."""
        return self.keep_count is not None or self.older_than_days != 0


def check_grace(grace: float) -> None:
    """Raise RetentionPolicyError unless `grace` is a number of seconds, at least 0."""
    if isinstance(grace, bool) or not isinstance(grace, int | float) or not grace >= 0:
        raise RetentionPolicyError(f"grace must be a number of seconds, at least 0, got {grace!r}")


def _check_limit(name: str, limit: int) -> None:
    if not is_whole_number(limit):
        raise RetentionPolicyError(f"{name} must be an integer, got {limit!r}")
    if limit < 0:
        raise RetentionPolicyError(f"{name} must not be negative, got {limit}")


_SHOWN = 20  # rows in a notebook


class PruneRow(NamedTuple):
    """One experiment's fate.

    Attributes:
        commit_id: the experiment.
        metadata: its metadata, or None if that cannot be read.
        action: `keep`, `prune`, or `skip` (it cannot be judged, or must not be deleted now).
        reason: why, as text.
    """

    commit_id: str
    metadata: Metadata | None
    action: Action
    reason: str


@dataclass(frozen=True)
class PrunePlan(Sequence[PruneRow]):
    """Every experiment's fate: newest first, then those without readable metadata."""

    rows: tuple[PruneRow, ...]

    @property
    def pruned(self) -> list[str]:
        """The commit ids to delete, newest first."""
        return [row.commit_id for row in self.rows if row.action == "prune"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[PruneRow]:
        return iter(self.rows)

    def _repr_html_(self) -> str:
        from expstore.model import html
        from expstore.model.texts import shown_time

        rows = [
            (
                row.action,
                row.commit_id,
                None if row.metadata is None else shown_time(row.metadata.timestamp),
                None if row.metadata is None else row.metadata.job_name,
                row.reason,
            )
            for row in self.rows[:_SHOWN]
        ]
        note = f"{len(self.pruned):,} of {len(self):,} to prune"
        note += f"; the first {_SHOWN} are shown" if len(self) > _SHOWN else ""
        return html.table(("action", "experiment", "created", "job", "reason"), rows, note)


def plan_prune(
    experiments: Iterable[tuple[str, Metadata | Exception]],
    policy: Policy,
    *,
    now: float,
    spare: Callable[[str], str] = lambda commit_id: "",
) -> PrunePlan:
    """Decide for each of n experiments, in O(n log n).

    Args:
        experiments: commit ids, each with its metadata or the error that reading it raised.
        policy: what to keep.
        now: the time in seconds since 1970-01-01 UTC.
        spare: called for each experiment that would be pruned; returns why it must not be deleted
            now, or an empty string.
    """
    keep_count, days = policy.keep_count, policy.older_than_days
    protected = _reasons(policy.protect, "protected")
    only = None if policy.only is None else _reasons(policy.only, "selected")
    readable: list[tuple[int, str, Metadata]] = []
    unreadable: list[tuple[str, Exception]] = []
    for commit_id, metadata in experiments:
        if only is not None and commit_id not in only:
            continue
        if isinstance(metadata, Metadata):
            readable.append((-metadata.timestamp, commit_id, metadata))
        else:
            unreadable.append((commit_id, metadata))
    readable.sort(key=lambda row: row[:2])
    oldest = cutoff(now, days) if days else None

    rows = []
    for position, (_, commit_id, metadata) in enumerate(readable):
        reasons = []
        if keep_count is not None and position >= keep_count:
            reasons.append(f"beyond the newest {keep_count}")
        if oldest is not None and metadata.timestamp < oldest:
            reasons.append(f"older than {days} days")
        if only is not None and not policy.has_limit:
            reasons.append(only[commit_id])
        action: Action = "prune" if reasons else "keep"
        if reasons and commit_id in protected:
            action, reasons = "keep", [protected[commit_id]]
        elif reasons and (why := spare(commit_id)):
            action, reasons = "skip", [why]
        rows.append(PruneRow(commit_id, metadata, action, ", ".join(reasons) or "within limits"))
    rows += [
        PruneRow(commit_id, None, "skip", f"metadata unreadable: {error}")
        for commit_id, error in sorted(unreadable, key=lambda row: row[0])
    ]
    return PrunePlan(tuple(rows))


def _reasons(ids: Collection[str], reason: str) -> Mapping[str, str]:
    return ids if isinstance(ids, Mapping) else dict.fromkeys(ids, reason)


def plan_deletion(
    experiments: Iterable[tuple[str, Metadata | Exception]],
    *,
    spare: Callable[[str], str] = lambda commit_id: "",
) -> PrunePlan:
    """The plan to delete experiments that were named, readable or not, in their order.

    Args:
        experiments, spare: see `plan_prune`.
    """
    rows = []
    for commit_id, metadata in experiments:
        known = metadata if isinstance(metadata, Metadata) else None
        why = spare(commit_id)
        reason = "selected" if known else f"selected; metadata unreadable: {metadata}"
        rows.append(PruneRow(commit_id, known, "skip" if why else "prune", why or reason))
    return PrunePlan(tuple(rows))


def cutoff(now: float, days: int) -> float:
    """The same local wall-clock time `days` calendar days before `now`, in Unix seconds.

    A day on which the clocks change has 23 or 25 hours. A wall-clock time that does not exist, or
    exists twice, is resolved as Go's `time.Date` does: by the zone offset in force at that time
    read as UTC, corrected once.
    """
    try:
        wall = int(now // 1) + _utc_offset(now) - days * 86_400
        guess = _utc_offset(wall)
        return wall - _utc_offset(wall - guess)
    except (OverflowError, ValueError, OSError):
        return float("-inf")  # beyond the range of any calendar: nothing is older


def _utc_offset(instant: float) -> int:
    return time.localtime(instant).tm_gmtoff
