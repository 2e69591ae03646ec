"""Curves as braille dots."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from expstore.watch.canvas import NOBODY, Canvas


def drawn(columns: int, rows: int, x: list[float], y: list[float]) -> list[str]:
    """One curve on a canvas of its own."""
    canvas = Canvas(columns, rows)
    canvas.draw(np.array(x, float), np.array(y, float), 0)
    return canvas.lines()


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """The dots that are set: column from the left, row from the top."""
    places = {
        0: (0, 0),
        1: (0, 1),
        2: (0, 2),
        3: (1, 0),
        4: (1, 1),
        5: (1, 2),
        6: (0, 3),
        7: (1, 3),
    }
    return {
        (2 * column + right, 4 * row + down)
        for row, line in enumerate(lines)
        for column, character in enumerate(line)
        for bit, (right, down) in places.items()
        if character != " " and (ord(character) - 0x2800) >> bit & 1
    }


def test_golden_pictures() -> None:
    """A point, a diagonal, a step, and a curve that is broken by a NaN."""
    assert drawn(1, 1, [0], [0]) == ["⡀"]
    assert drawn(2, 1, [0, 3], [0, 3]) == ["⡠⠊"]
    assert drawn(2, 1, [0, 1, 2, 3], [0, 0, 3, 3]) == ["⣠⠋"]
    assert drawn(3, 1, [0, 1, 2, 3, 4, 5], [0, 0, math.nan, math.nan, 0, 0]) == ["⣀ ⣀"]


def test_a_spike_of_one_point_among_many_is_seen() -> None:
    """However many points share its column of dots."""
    y = np.zeros(100_000)
    y[70_000] = 39
    canvas = Canvas(20, 10)
    canvas.draw(np.linspace(0, 39, 100_000), y, 0)
    assert (27, 0) in dots(canvas.lines())


def test_a_later_curve_owns_the_characters_that_it_shares() -> None:
    """The dots of both are there."""
    canvas = Canvas(2, 1)
    canvas.draw(np.array([0.0, 3.0]), np.array([0.0, 0.0]), 0)
    canvas.draw(np.array([2.0, 3.0]), np.array([3.0, 3.0]), 1)
    assert canvas.lines() == ["⣀⣉"]
    assert canvas.owners.tolist() == [[0, 1]]


def test_nothing_is_drawn_of_a_curve_without_finite_values() -> None:
    """The canvas stays blank."""
    canvas = Canvas(2, 2)
    canvas.draw(np.array([0.0, 1.0]), np.array([math.nan, math.inf]), 0)
    assert canvas.lines() == ["  ", "  "]
    assert (canvas.owners == NOBODY).all()


COORDINATES = st.floats(-200, 200, width=32)


@given(
    arrays(np.float64, st.integers(1, 30), elements=COORDINATES),
    st.lists(COORDINATES | st.just(math.nan), min_size=30, max_size=30),
)
def test_every_point_is_drawn_and_no_dot_is_beyond_its_neighbours(x, y) -> None:
    """Points inside the canvas have a dot; each dot is between the extremes of the curve."""
    x, values = np.sort(x), np.array(y[: len(x)])
    canvas = Canvas(20, 10)
    canvas.draw(x, values, 0)
    found = dots(canvas.lines())
    known = np.isfinite(values)
    for column, row in zip(x[known], values[known], strict=True):
        place = math.floor(column + 0.5), canvas.height - 1 - math.floor(row + 0.5)
        if 0 <= place[0] < canvas.width and 0 <= place[1] < canvas.height:
            assert place in found
    if found:
        rows = [canvas.height - 1 - row for _, row in found]
        assert min(rows) >= math.floor(values[known].min() + 0.5)
        assert max(rows) <= math.floor(values[known].max() + 0.5)
    assert len(found) == 0 or (canvas.owners == 0).any()


@given(st.lists(st.integers(0, 39), min_size=2, max_size=40))
def test_a_curve_without_gaps_is_connected(y) -> None:
    """In neighbouring columns of dots there are neighbouring dots."""
    x = np.linspace(0, 39, len(y))
    canvas = Canvas(20, 10)
    canvas.draw(x, np.array(y, float), 0)
    found = dots(canvas.lines())
    rows = [sorted(row for at, row in found if at == column) for column in range(40)]
    for here, there in pairwise(rows):
        assert here
        assert there
        assert min(here) <= max(there) + 1
        assert min(there) <= max(here) + 1
