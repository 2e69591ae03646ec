"""Timestamps in seconds, and those that are taken for a smaller unit."""

from __future__ import annotations

import numpy as np
import pytest

from expstore.model.times import check_seconds, in_smaller_units, unit_fault
from formats import FieldValueError
from formats.damage.plausible import EARLIEST, LATEST

UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@pytest.mark.parametrize(("unit", "count"), UNITS.items())
def test_times_of_the_plausible_years_in_a_smaller_unit_are_recognised(
    unit: str, count: int
) -> None:
    """From the first tick of the first second to the last tick of the last, and no others."""
    inside = [EARLIEST * count, LATEST * count, LATEST * count + count - 1]
    outside = [0, 1_700_000_000, EARLIEST * count - 1, (LATEST + 1) * count]
    assert all(unit in unit_fault(stamp) for stamp in inside)
    assert not any(unit in unit_fault(stamp) for stamp in outside)
    assert in_smaller_units(np.array(outside[:2] + inside)).tolist() == [2, 3, 4]
    for stamp in inside:
        with pytest.raises(FieldValueError, match=f"{unit}.*divide it by {count:,}"):
            check_seconds(stamp)


def test_seconds_are_taken_as_they_are() -> None:
    """Of any year; an empty log has none."""
    for stamp in (0, 1_700_000_000, 99_999_999_999, 2**62):
        check_seconds(stamp)
    assert not len(in_smaller_units(np.array([0, 1_700_000_000, 2**62])))
    assert not len(in_smaller_units(np.zeros(0, np.int64)))
