"""The x axes of curves: the step, the time of logging, and the time since the run's first record.

Guarantees: on every axis a curve has all its points, ordered by position; points at one position
keep their logged order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from expstore.compare.series import Series, rows_by_name, split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable

Axis = Literal["step", "time", "relative"]
"""`step`; `time` in seconds since 1970-01-01 UTC; `relative`: seconds since the first record."""

AXES: tuple[Axis, ...] = get_args(Axis)


class TimedSeries(NamedTuple):
    """One metric's points, ordered by step.

    Attributes:
        steps: int64, ascending.
        values: float64, same length.
        times: int64, seconds since 1970-01-01 UTC; same length, in no particular order.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    times: NDArray[np.int64]


class Scale(NamedTuple):
    """How positions on an axis are shown.

    Attributes:
        unit: what positions are divided by.
        label: the axis' label, with the unit.
        dates: whether a position, after division, is in days since 1970-01-01 UTC, to be shown as a
            date.
    """

    unit: float
    label: str
    dates: bool = False


_UNITS = ((180, 1, "seconds"), (3 * 3600, 60, "minutes"), (3 * 86400, 3600, "hours"))
_LONGEST = (1 << 63) - 1  # seconds that int64 can hold
_DATES = -62_000_000_000, 253_000_000_000  # seconds; the years 5 to 9986


def scale_of(x: Axis, drawn: Sequence[Series]) -> Scale:
    """The unit and label in which to show the positions of some curves.

    Args:
        x: the axis that they were made for.
        drawn: at least one series.
    """
    if x == "step":
        return Scale(1, "step")
    first = min(int(series.steps[0]) for series in drawn)
    last = max(int(series.steps[-1]) for series in drawn)
    if x == "time":
        if _DATES[0] < first and last < _DATES[1]:
            return Scale(86400, "time (UTC)", dates=True)
        return Scale(1, "seconds since 1970-01-01 UTC")
    units = (found for found in _UNITS if last < found[0])
    _, unit, name = next(units, (0, 86400, "days"))
    return Scale(unit, f"{name} since the first record")


def along(table: MetricTable, x: Axis) -> dict[str, Series]:
    """Like `series.split`; the series' `steps` are positions on the axis `x`."""
    if x == "step" or not len(table):
        return split(table)
    times = table.timestamps
    if x == "relative":
        first = max(int(times.min()), int(times.max()) - _LONGEST)  # of damaged records
        times = times.clip(first) - first
    return split(_table(table, table.values, times))


def split_timed(table: MetricTable) -> dict[str, TimedSeries]:
    """Like `series.split` for names that have points, with the time of each point.

    The table may be a part of a log, in which some of its names do not occur. The arrays may be
    views of the table, which are read-only.
    """
    return {
        name: TimedSeries(steps, table.values[rows], table.timestamps[rows])
        for name, rows in rows_by_name(table)
        if len(steps := table.steps[rows])
    }


def _table(table: MetricTable, values: NDArray[Any], positions: NDArray[Any]) -> MetricTable:
    """The table with other values, at other positions."""
    from expstore.model.table import MetricTable

    return MetricTable(table.names, table.name_codes, values, positions, table.timestamps)
