"""One metric's curve: ordered, smoothed, thinned."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import MetricTable
from expstore.compare.series import Series, extremes, rows_by_name, smooth, split, summarize
from expstore.compare.thinning import thin

NUMBERS = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=300)


def series(values: list[float], steps: list[int] | None = None) -> Series:
    """A series; without `steps`, the steps count from zero."""
    return Series(np.array(steps or range(len(values)), np.int64), np.array(values, np.float64))


def reference_smooth(values: list[float], weight: float) -> list[float]:
    """TensorBoard's own algorithm, as in its line chart."""
    last, count, result = 0.0, 0, []
    for value in values:
        if not np.isfinite(value):
            result.append(value)
            continue
        last = last * weight + (1 - weight) * value
        count += 1
        result.append(last / (1 - weight**count))
    return result


def test_a_table_is_split_by_name_and_ordered_by_step() -> None:
    """Points at the same step keep the order in which they were logged."""
    table = MetricTable(
        ("a", "b"),
        np.array([0, 1, 0, 0, 1], np.int32),
        np.array([3.0, 9.0, 1.0, 2.0, 8.0]),
        np.array([5, 1, 2, 2, 0], np.uint32),
        np.zeros(5, np.int64),
    )
    parts = split(table)
    assert list(parts) == ["a", "b"]
    assert parts["a"].steps.tolist() == [2, 2, 5]
    assert parts["a"].values.tolist() == [1.0, 2.0, 3.0]
    assert parts["b"].values.tolist() == [8.0, 9.0]


def test_an_empty_table_has_no_series() -> None:
    """Without metrics, the result is empty."""
    empty = np.array([])
    table = MetricTable(
        (), empty.astype(np.int32), empty, empty.astype(np.uint32), empty.astype(np.int64)
    )
    assert split(table) == {}


def test_extremes_ignore_nan_but_not_infinity() -> None:
    """An infinite loss is a real maximum; the last value may be NaN."""
    found = extremes(series([2.0, float("inf"), -1.0, float("nan")], [0, 1, 2, 7]))
    assert (found.min, found.max, found.last_step, found.points) == (-1.0, float("inf"), 7, 4)
    assert np.isnan(found.last)
    assert np.isnan(extremes(series([float("nan")])).min)


@pytest.mark.parametrize("weight", [0.0, 0.6, 0.9, 0.999])
def test_smoothing_matches_tensorboard(weight: float) -> None:
    """It is debiased from the first point; non-finite values are kept, and are not averaged."""
    values = [*np.random.default_rng(0).standard_normal(50).tolist(), np.nan, 4.0, np.inf, 5.0]
    found = smooth(np.array(values), weight)
    np.testing.assert_allclose(found, reference_smooth(values, weight), rtol=1e-9)


@pytest.mark.parametrize("weight", [-0.1, 1.0, float("nan")])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    """With a weight of 1 the average never moves; below 0 it is not an average."""
    with pytest.raises(ValueError, match="smoothing must be at least 0 and below 1, not "):
        smooth(np.zeros(3), weight)


@given(NUMBERS, st.integers(8, 64))
def test_thinning_keeps_extremes_ends_and_order(values: list[float], limit: int) -> None:
    """The minimum, maximum, first and last points are kept, and the limit is respected."""
    whole = series(values)
    kept = thin(whole, limit).kept
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(limit, 8)
    assert {0, len(values) - 1} <= set(kept.tolist())
    finite = whole.values[np.isfinite(whole.values)]
    if len(finite):
        left = whole.values[kept][np.isfinite(whole.values[kept])]
        assert (left.min(), left.max()) == (finite.min(), finite.max())
    if len(finite) < len(values):
        assert not np.isfinite(whole.values[kept]).all()


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200),
    st.data(),
)
def test_thinning_accounts_for_every_point(values: list[float], data: st.DataObject) -> None:
    """Counts add up to the number of finite points, and means to their sum, at any steps."""
    steps = data.draw(
        st.lists(st.integers(0, 2**32 - 1), min_size=len(values), max_size=len(values))
    )
    values = [float("nan") if data.draw(st.integers(0, 9)) == 0 else v for v in values]
    whole = series(values, sorted(steps))
    thinned = thin(whole, 8)
    finite = whole.values[np.isfinite(whole.values)]
    assert thinned.counts.sum() == len(finite)
    total = np.where(thinned.counts > 0, thinned.counts * thinned.means, 0).sum()
    np.testing.assert_allclose(total, finite.sum(), rtol=1e-9, atol=1e-5)


def plain_thin(steps: list[int], values: list[float], limit: int) -> set[int]:
    """The points that thinning keeps, found one by one."""
    every = all(map(math.isfinite, values))
    count, span = (limit - 2) // (2 if every else 3), steps[-1] - steps[0] + 1
    kept = {0, len(values) - 1}
    for _, found in itertools.groupby(
        range(len(values)), lambda i: (steps[i] - steps[0]) * count // span
    ):
        own = list(found)
        finite = [i for i in own if math.isfinite(values[i])]
        kept.update([i for i in own if not math.isfinite(values[i])][:1])
        if finite:
            kept |= {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)}
    return kept


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([*range(5), -0.0, math.nan, math.inf])),
        min_size=13,
        max_size=200,
    ),
    st.integers(8, 12),
    st.sampled_from([0, -(2**62), 2**62]),
)
def test_thinning_is_that_of_a_plain_loop(
    points: list[tuple[int, float]], limit: int, first: int
) -> None:
    """In each interval the first of equal extremes; intervals without a point have none."""
    steps, values = sorted(first + step for step, _ in points), [float(v) for _, v in points]
    assert set(thin(series(values, steps), limit).kept.tolist()) == plain_thin(steps, values, limit)


def test_a_one_point_spike_survives() -> None:
    """A single point among a hundred thousand is in the thinned curve."""
    values = np.zeros(100_000)
    values[54_321] = 1.0
    thinned = thin(Series(np.arange(100_000), values), 200)
    assert 54_321 in thinned.kept
    assert len(thinned.kept) <= 200


def test_large_values_do_not_overflow() -> None:
    """Means of values near the maximum of float64 stay finite."""
    thinned = thin(series([1.7e308] * 100), 8)
    assert np.isfinite(thinned.means).all()
    largest = float(np.finfo(np.float64).max)
    for count in range(8, 100):  # of some, the shares add up to more
        thinned = thin(series([-largest] * count + [largest] * count), 8)
        assert np.isfinite(thinned.means).all()


def test_names_whose_steps_go_back_are_ordered_in_their_own_time() -> None:
    """Of many names in turn, each costs what its own metrics do, not all of them."""
    names, count = 200, 100_000
    codes = np.arange(count, dtype=np.int32) % names
    steps = np.arange(count, dtype=np.uint32)[::-1] // names
    columns = np.arange(count, dtype=np.float64), steps, np.zeros(count, np.int64)
    table = MetricTable([str(name) for name in range(names)], codes, *columns)
    tracemalloc.start()
    for name, rows in rows_by_name(table):
        peak = tracemalloc.get_traced_memory()[1]
        assert name == "0" or peak < count  # bytes, though there are as many metrics
        assert steps[rows].tolist() == list(range(count // names))
        assert (codes[rows] == int(name)).all()
        tracemalloc.reset_peak()
    tracemalloc.stop()


@given(st.data())
def test_series_and_summaries_are_those_of_a_plain_loop(data: st.DataObject) -> None:
    """Names in turn or not, steps that ascend or not, NaN among the values or not."""
    names = data.draw(st.lists(st.sampled_from("abcd"), unique=True, min_size=1))
    count = data.draw(st.integers(1, 40))
    in_turn = data.draw(st.booleans())
    codes = [i % len(names) for i in range(count)]
    if not in_turn:
        codes = data.draw(st.lists(st.sampled_from(codes), min_size=count, max_size=count))
    steps = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    if data.draw(st.booleans()):
        steps.sort()
    numbers = st.floats(width=16) if data.draw(st.booleans()) else st.floats(0, 1, width=16)
    values = data.draw(st.lists(numbers, min_size=count, max_size=count))
    table = MetricTable(
        names, np.array(codes, np.int32), np.array(values), np.array(steps, np.uint32),
        np.zeros(count, np.int64),
    )  # fmt: skip
    expected: dict[str, list[tuple[int, float]]] = {}
    for code, step, value in zip(codes, steps, values, strict=True):
        expected.setdefault(names[code], []).append((step, value))
    found = split(table)
    assert list(found) == list(expected)
    for name, points in expected.items():
        points.sort(key=lambda point: point[0])
        assert found[name].steps.tolist() == [step for step, _ in points]
        assert np.array_equal(found[name].values, [value for _, value in points], equal_nan=True)
        known = [value for _, value in points if not np.isnan(value)]
        for row in (summarize(table)[name], extremes(found[name])):
            assert (row.last_step, row.points) == (points[-1][0], len(points))
            assert np.array_equal(row.last, points[-1][1], equal_nan=True)
            if known:
                assert (row.min, row.max) == (min(known), max(known))
                assert (row.min_step, row.min) in points
                assert (row.max_step, row.max) in points
                assert row.min_step == next(s for s, value in points if value == row.min)
            else:
                assert np.isnan([row.min, row.max]).all()
                assert row.min_step == row.max_step == row.last_step
