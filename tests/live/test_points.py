"""What is kept of a log that grows equals what reading it at once gives."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from expstore.compare.axes import split_timed
from expstore.compare.series import joined, summarize
from expstore.live.points import Points, Tally
from expstore.model.table import MetricTable
from expstore.report.payload import summaries_payload

VALUES = st.sampled_from([0.0, -1.0, 1.0, 2.5, math.nan, math.inf, -math.inf])
RECORDS = st.lists(
    st.tuples(st.sampled_from("abc"), VALUES, st.integers(0, 5), st.integers(-3, 3)), max_size=30
)


def table(records: list[tuple[str, float, int, int]]) -> MetricTable:
    """A table of records."""
    names = sorted({record[0] for record in records})
    return MetricTable(
        names,
        np.array([names.index(record[0]) for record in records], np.int32),
        np.array([record[1] for record in records], np.float64),
        np.array([record[2] for record in records], np.int64),
        np.array([record[3] for record in records], np.int64),
    )


@given(RECORDS, st.lists(st.integers(0, 30), max_size=4))
def test_a_log_in_parts_is_the_log(
    records: list[tuple[str, float, int, int]], cuts: list[int]
) -> None:
    """Wherever it was cut: the summaries, the points and their order."""
    whole = table(records)
    tally, points = Tally(), Points()
    ends = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    for start, end in itertools.pairwise(ends):
        tally.add(whole[start:end])
        points.add(whole[start:end])
    row = tally.row()
    assert row.get("metrics", {}) == summaries_payload(whole)
    assert row.get("points", 0) == len(whole)
    assert row.get("first") == (min(whole.timestamps.tolist()) if records else None)
    assert row.get("latest") == (max(whole.timestamps.tolist()) if records else None)
    for name, expected in split_timed(whole).items():
        found = points.series(name)
        assert found is not None
        for ours, theirs in zip(found, expected, strict=True):
            assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
    assert points.series("d") is None


def test_points_of_earlier_steps_are_sorted_in() -> None:
    """A later part with earlier steps, as of a second writer, is not simply appended."""
    points = Points()
    points.add(table([("a", 1.0, 3, 0), ("a", 2.0, 4, 0)]))
    points.add(table([("a", 3.0, 1, 0), ("a", 4.0, 3, 0)]))
    found = points.series("a")
    assert found is not None
    assert found.steps.tolist() == [1, 3, 3, 4]
    assert found.values.tolist() == [3.0, 1.0, 4.0, 2.0]


def test_the_summary_of_two_parts_prefers_the_earlier_step_of_equal_values() -> None:
    """As the summary of the whole does."""
    before, after = table([("a", 1.0, 5, 0)]), table([("a", 1.0, 2, 0)])
    found = joined(summarize(before)["a"], summarize(after)["a"])
    assert (found.min_step, found.max_step, found.last_step, found.points) == (2, 2, 5, 2)
