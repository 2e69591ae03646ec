"""Charts as text: axes, ticks, letters."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from expstore.compare.axes import TimedSeries
from expstore.watch.drawing import AXIS, Drawing, Line, View, draw
from expstore.watch.ticks import duration, labels, log_ticks, number, positions, ticks


def line(
    letter: str, values: list[float], steps: list[int] | None = None, start: int = 1_700_000_000
) -> Line:
    """A curve with a point each second, at steps 0, 1, ... unless they are given."""
    places = np.array(steps if steps is not None else range(len(values)), np.int64)
    times = start + np.arange(len(values))
    return Line(letter, TimedSeries(places, np.array(values, float), times), start)


def text(drawing: Drawing) -> list[str]:
    """The rows as plain text."""
    return ["".join(part for part, _ in row) for row in drawing.rows]


def test_a_golden_chart() -> None:
    """A falling curve with its axes."""
    drawing = draw([line("a", [4, 3, 2, 1, 0])], View(), 16, 5)
    assert text(drawing) == [
        "4┤⠙⠲⢤⣀          ",
        "     ⠈⠓⠦⣄⡀      ",
        "         ⠉⠳⢤⡀   ",
        "0┤          ⠉⠓⠦⣄",
        "  0    step    4",
    ]
    assert drawing.span == (0, 4)


def test_runs_have_their_letters_at_the_ends_of_their_curves() -> None:
    """A single curve needs none; the parts say which curve they belong to."""
    drawing = draw([line("a", [1, 1, 1]), line("b", [2, 2, 2])], View(), 30, 8)
    rows = text(drawing)
    assert rows[0].endswith("b")
    assert rows[6].endswith("a")
    assert {owner for row in drawing.rows for _, owner in row} == {AXIS, 0, 1}
    assert "a" not in "".join(text(draw([line("a", [1, 1])], View(), 30, 8)))


def test_without_colours_letters_are_along_the_curves() -> None:
    """So that a curve can be followed where several cross."""
    curves = [line("a", [1.0] * 100), line("b", [2.0] * 100)]
    plain = "".join(text(draw(curves, View(), 60, 8)))
    spread = "".join(text(draw(curves, View(), 60, 8, spread=True)))
    assert (plain.count("a"), spread.count("a"), spread.count("b")) == (1, 4, 4)


def test_only_the_part_that_is_zoomed_into_sets_the_y_axis() -> None:
    """The curve goes on to the edges, as its points outside say."""
    drawing = draw([line("a", [100, 3, 2, 3, 100])], View(span=(1, 3)), 30, 8)
    assert drawing.span == (1, 3)
    assert max(float(row.split("┤")[0]) for row in text(drawing) if "┤" in row) == 3


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    """What is not above zero is a gap, and is said if nothing else is there."""
    rows = text(draw([line("a", [1000, 10, 0, 1])], View(log=True), 30, 12))
    assert [row.split("┤")[0].strip() for row in rows if "┤" in row] == ["1k", "100", "10", "1"]
    assert "no value above zero" in "".join(text(draw([line("a", [0, -1])], View(log=True), 30, 8)))


@pytest.mark.parametrize(
    ("x", "expected"), [("relative", ["0s", "relative", "2m"]), ("step", ["0", "step", "2"])]
)
def test_the_x_axis_can_be_time(x, expected) -> None:
    """Times of a run are counted from its first record."""
    series = TimedSeries(np.arange(3), np.ones(3), np.array([60, 120, 180]))
    assert text(draw([Line("a", series, 60)], View(x=x), 40, 8))[-1].split() == expected


def test_smoothing_calms_a_curve() -> None:
    """The y axis then fits what is shown."""
    noisy = line("a", [0, 10] * 50)
    tops = [
        max(float(row.split("┤")[0]) for row in text(draw([noisy], view, 40, 12)) if "┤" in row)
        for view in (View(), View(smoothing=0.99))
    ]
    assert tops[0] == 10
    assert tops[1] < 10


def test_a_chart_says_why_it_is_empty() -> None:
    """Without points, or without finite ones."""
    assert "no points" in "".join(text(draw([], View(), 30, 8)))
    assert "no finite value" in "".join(text(draw([line("a", [math.nan])], View(), 30, 8)))


VALUES = st.floats(allow_nan=True, allow_infinity=True) | st.just(0.0)
VIEWS = st.builds(
    View,
    x=st.sampled_from(["step", "time", "relative"]),
    log=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.9]),
)


@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=8), max_size=3),
    st.lists(st.integers(0, 2**62), min_size=8, max_size=8),
    VIEWS,
    st.none() | st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e6)),
    st.integers(0, 60),
    st.integers(0, 20),
    st.booleans(),
)
@example([[0.0]], [2**52 + 2, *[0] * 7], View(), None, 12, 3, False)  # no double beside it
@example(
    [[2e235]], [0] * 8, View(log=True), None, 12, 12, False
)  # half of its exponent more is inf
@example([[1.7976931348623157e308]], [0] * 8, View(log=True), None, 12, 12, False)
def test_any_curve_fits_into_any_size(curves, steps, view, span, columns, rows, spread) -> None:
    """Every row is as wide as asked for, whatever the numbers are."""
    lines = [
        line("abc"[place], values, sorted(steps[: len(values)]), start=steps[0])
        for place, values in enumerate(curves)
    ]
    if span is not None:
        view = replace(view, span=(span[0], span[0] + span[1]))
    drawing = draw(lines, view, columns, rows, spread=spread)
    assert [len(row) for row in text(drawing)] == [columns] * rows


def test_numbers_are_short() -> None:
    """With a unit where that is shorter, and an exponent only where it must be."""
    values = [0.0, 0.12345, 12_345, 3e5, 1.5e6, 1e-9, -2e12, math.nan, math.inf]
    assert [number(value) for value in values] == [
        *("0", "0.1235", "12.35k", "300k", "1.5M", "1e-09", "-2T", "nan", "inf")
    ]
    assert labels([300_000, 300_001]) == ["300k", "300.001k"]


def test_durations_have_two_units() -> None:
    """The largest, and the next if it is not zero."""
    assert [duration(s) for s in (0, 59, 60, 3661, 90_000, 86_400)] == [
        *("0s", "59s", "1m", "1h1m", "1d1h", "1d")
    ]


def test_times_that_no_calendar_has_are_numbers() -> None:
    """As those of damaged records."""
    assert positions([0.0, 1e300], "time")[1] == "1e+300"


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, FINITE, st.integers(2, 8))
def test_ticks_are_inside_the_range(low, high, count) -> None:
    """There are at most as many as asked for, in order, and their labels differ."""
    low, high = min(low, high), max(low, high)
    if low == high:
        return
    found = ticks(low, high, count)
    assert found == sorted(set(found))
    assert len(found) <= count
    assert all(low <= mark <= high for mark in found)
    assert len(set(labels(found))) == len(found)


@given(st.floats(-320, 300), st.floats(0.001, 600), st.integers(2, 8))
def test_logarithmic_ticks_are_inside_the_range(low, size, count) -> None:
    """Whole exponents, or those of round numbers."""
    high = min(low + size, 308.0)
    found = log_ticks(low, high, count)
    assert len(found) <= count + 1
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in found)
