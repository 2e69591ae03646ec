"""Retention: checked against a slow copy of the reference's rule, and each row's reason."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import FormatError, Metadata, RetentionPolicyError, TruncatedError
from expstore.store.care.prune import Policy, cutoff, plan_prune

NOW = 1_700_000_000
DAY = 86_400


def experiments(*timestamps: int) -> list[tuple[str, Metadata]]:
    """Experiments e0, e1, ... with these timestamps."""
    return [(f"e{i}", Metadata(f"e{i}", t)) for i, t in enumerate(timestamps)]


def reference(rows: list[tuple[str, Metadata]], keep_count: int, days: int) -> list[str]:
    """The reference's prune: its loops, with ties ordered by id."""
    ordered = sorted(rows, key=lambda row: row[0])
    for i in range(len(ordered)):
        for j in range(i + 1, len(ordered)):
            one, other = ordered[i], ordered[j]
            if (-other[1].timestamp, other[0]) < (-one[1].timestamp, one[0]):
                ordered[i], ordered[j] = other, one
    limit = cutoff(NOW, days)
    return [
        commit_id
        for i, (commit_id, metadata) in enumerate(ordered)
        if i >= keep_count or (days > 0 and metadata.timestamp < limit)
    ]


@given(
    timestamps=st.lists(st.integers(NOW - 40 * DAY, NOW + DAY), max_size=20),
    keep_count=st.integers(0, 25),
    days=st.integers(0, 45),
)
def test_prunes_what_the_reference_prunes(
    timestamps: list[int], keep_count: int, days: int
) -> None:
    """The same experiments, newest first, for any pair of limits."""
    rows = experiments(*timestamps)
    assert plan_prune(rows, Policy(keep_count, days), now=NOW).pruned == reference(
        rows, keep_count, days
    )


def test_every_row_has_its_reason() -> None:
    """The plan is newest first, gives reasons, and skips unreadable experiments."""
    rows: list[tuple[str, Any]] = experiments(NOW - 50 * DAY, NOW, NOW - DAY, NOW - 40 * DAY)
    rows.append(("torn", TruncatedError("needs 8 bytes, 2 are left", field="timestamp")))
    plan = plan_prune(rows, Policy(2, 30), now=NOW)
    assert [(row.commit_id, row.action, row.reason) for row in plan] == [
        ("e1", "keep", "within limits"),
        ("e2", "keep", "within limits"),
        ("e3", "prune", "beyond the newest 2, older than 30 days"),
        ("e0", "prune", "beyond the newest 2, older than 30 days"),
        ("torn", "skip", "metadata unreadable: needs 8 bytes, 2 are left (field timestamp)"),
    ]
    assert len(plan) == 5
    assert plan[-1].metadata is None


def test_equal_timestamps_are_ordered_by_commit_id() -> None:
    """Where the reference's order is arbitrary, ours is fixed."""
    rows = [(name, Metadata(name, NOW)) for name in ("c", "a", "d", "b")]
    assert plan_prune(rows, Policy(2), now=NOW).pruned == ["c", "d"]


def test_no_limit_by_count() -> None:
    """With keep_count None, only the age counts."""
    rows = experiments(NOW, NOW - 10 * DAY, NOW - 20 * DAY)
    assert plan_prune(rows, Policy(None, 15), now=NOW).pruned == ["e2"]


def test_protected_is_kept_and_counts() -> None:
    """A protected experiment is never pruned, and counts among the newest."""
    rows = experiments(NOW, NOW - 1, NOW - 2, NOW - 3)
    plan = plan_prune(rows, Policy(1, protect=["e0", "e2"]), now=NOW)
    assert plan.pruned == ["e1", "e3"]
    assert plan[2].reason == "protected"


@pytest.mark.parametrize(
    "limits",
    [(None, 0), (-1, 0), (1, -1), (True, 0), (1.5, 0), ("3", 0), (None, 1.5), (None, "30")],
)
def test_limits_that_cannot_be_meant_are_refused(limits: tuple[Any, Any]) -> None:
    """No limit at all, a negative one, or one that is not an integer."""
    with pytest.raises(RetentionPolicyError):
        Policy(*limits)


def test_age_is_counted_in_local_calendar_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Across a clock change a day has 23 or 25 hours, as in the reference."""
    zone = ZoneInfo("Europe/Berlin")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for now in (datetime(2023, 3, 27, 12, 30), datetime(2023, 10, 30, 12, 30)):
            instant = now.replace(tzinfo=zone).timestamp()
            for days in (1, 2, 10, 400):
                wall = (now - timedelta(days=days)).replace(tzinfo=zone)
                assert cutoff(instant, days) == wall.timestamp()
        # 02:30 on 2023-03-26 does not exist; Go's time.Date gives 03:30 CEST, one hour on.
        now = datetime(2023, 3, 27, 2, 30, tzinfo=zone)
        assert (
            cutoff(now.timestamp(), 1)
            == datetime(2023, 3, 26, 1, 30, tzinfo=ZoneInfo("UTC")).timestamp()
        )
    finally:
        monkeypatch.undo()
        time.tzset()


def test_age_beyond_every_calendar_prunes_nothing() -> None:
    """A limit of a billion years raises no error: nothing is that old."""
    assert plan_prune(experiments(-(2**63)), Policy(None, 10**15), now=NOW).pruned == []


def test_unreadable_metadata_of_any_kind_is_never_pruned() -> None:
    """Whatever the error, the experiment is skipped."""
    rows = [("a", FormatError("foreign")), ("b", OSError("no permission"))]
    assert [row.action for row in plan_prune(rows, Policy(0), now=NOW)] == ["skip", "skip"]
