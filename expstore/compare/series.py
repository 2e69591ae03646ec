"""One metric's curve: ordered by step, summarized and smoothed.

Guarantees: nothing is invented or hidden, and a series of a table has all its points; non-finite
values never enter an average.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.compare.keyed import by_key, narrow

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable

_SHORT = 1 << 9  # points: longer series are as fast one by one


class Series(NamedTuple):
    """One metric's points, ordered by step; points at the same step keep their logged order.

    Attributes:
        steps: int64, ascending.
        values: float64, same length.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


class Extremes(NamedTuple):
    """Summary statistics of a series.

    Attributes:
        last: the value at the last step (the one logged last, if there are several).
        min, max: over all values except NaN; NaN if there are no others.
        last_step: the maximum step.
        min_step, max_step: the first steps with the values `min` and `max`; the last step if these
            are NaN.
        points: the number of points.
    """

    last: float
    min: float
    max: float
    last_step: int
    min_step: int
    max_step: int
    points: int


def split(table: MetricTable) -> dict[str, Series]:
    """Split a table into one series per metric name, in the order of `table.names`."""
    import numpy as np

    return {
        name: Series(table.stored_steps[rows].astype(np.int64), table.values[rows])
        for name, rows in rows_by_name(table)
    }


def rows_by_name(table: MetricTable) -> Iterator[tuple[str, Any]]:
    """Each name of a table with what selects its rows, ordered by step: a slice, or indices."""
    steps = table.stored_steps
    ordered = not (steps[1:] < steps[:-1]).any()  # usually: then no name needs to be looked at
    for name, logged in zip(table.names, _logged_rows(table), strict=True):
        rows = logged
        if not ordered and ((own := steps[logged])[1:] < own[:-1]).any():
            rows = own.argsort(kind="stable")  # takes as long as reading
            if isinstance(logged, slice):
                rows *= logged.step
                rows += logged.start
            else:
                rows = logged[rows]
        yield name, rows


def _logged_rows(table: MetricTable) -> list[Any]:
    """For each name of a table, what selects its rows: a slice, or their indices."""
    import numpy as np

    codes, count = table.name_codes, len(table.names)
    if _take_turns(codes, count):
        return [slice(first, None, count) for first in codes[:count].argsort().tolist()]
    order = narrow(codes, count).argsort(kind="stable")
    ends = np.bincount(codes, minlength=count).cumsum().tolist()
    return [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _take_turns(codes: NDArray[np.int32], count: int) -> bool:
    """Whether the names are logged in turn, each once: the first codes again and again."""
    import numpy as np

    first = np.bincount(codes[:count], minlength=count)
    return bool((first == 1).all() and (codes[count:] == codes[:-count]).all())


def summarize(table: MetricTable) -> dict[str, Extremes]:
    """What `extremes` gives of each series of `split` that has points; of short ones all at once.

    The table may be a part of a log, in which some of its names do not occur.
    """
    count = len(table.names)
    if not len(table):
        return {}
    if len(table) > _SHORT * count:
        return _extremes_by_name(table)
    found = by_key(table.name_codes, count, table.values, table.stored_steps)
    names = map(table.names.__getitem__, found.keys.tolist())
    return dict(zip(names, map(Extremes._make, found.statistics), strict=True))


def _extremes_by_name(table: MetricTable) -> dict[str, Extremes]:
    import numpy as np

    return {  # one copy of the values is less than reading every n-th of them twice
        name: extremes(Series(steps, np.ascontiguousarray(table.values[rows])))
        for name, rows in rows_by_name(table)
        if len(steps := table.stored_steps[rows])
    }


def joined(before: Extremes, after: Extremes) -> Extremes:
    """The statistics of a series that was logged in two parts."""
    later = after.last_step >= before.last_step
    last, last_step = (after if later else before)[0], max(after.last_step, before.last_step)
    lowest = _better(before.min, before.min_step, after.min, after.min_step, last_step)
    highest = _better(-before.max, before.max_step, -after.max, after.max_step, last_step)
    return Extremes(
        *(last, lowest[0], -highest[0], last_step, lowest[1], highest[1]),
        before.points + after.points,
    )


def _better(a: float, a_step: int, b: float, b_step: int, last_step: int) -> tuple[float, int]:
    """The smaller of two values with its step; of equal ones that at the earlier step."""
    if math.isnan(a) and math.isnan(b):
        return a, last_step
    if math.isnan(b) or a < b:
        return a, a_step
    if math.isnan(a) or b < a:
        return b, b_step
    return (a, a_step) if a_step <= b_step else (b, b_step)  # 0.0 equals -0.0


def extremes(series: Series) -> Extremes:
    """The last, minimum and maximum values of a non-empty series."""
    import numpy as np

    steps, values = series
    low, high = int(values.argmin()), int(values.argmax())
    if math.isnan(values[low]):  # a NaN is both, as NumPy has it
        numbers = np.flatnonzero(~np.isnan(values))
        if len(numbers):
            low = int(numbers[values[numbers].argmin()])
            high = int(numbers[values[numbers].argmax()])
        else:
            low = high = len(values) - 1
    return Extremes(
        float(values[-1]),
        float(values[low]),
        float(values[high]),
        int(steps[-1]),
        int(steps[low]),
        int(steps[high]),
        len(values),
    )


def check_weight(weight: float) -> None:
    """Check a smoothing weight.

    Raises:
        ValueError: the weight is not in [0, 1).
    """
    if not 0 <= weight < 1:
        raise ValueError(f"smoothing must be at least 0 and below 1, not {weight}")


def smooth(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """The debiased exponential moving average that TensorBoard draws.

    Args:
        values: float64; non-finite values are returned unchanged and do not enter the average.
        weight: weight of the previous average: 0 changes nothing, 0.99 smooths strongly.

    Raises:
        ValueError: the weight is not in [0, 1).
    """
    import numpy as np

    check_weight(weight)
    if weight == 0:
        return values.copy()
    result = values.copy()
    finite = np.isfinite(values)
    smoothed, total, average = [], 0.0, 0.0
    for value in values[finite].tolist():
        average = average * weight + (1 - weight) * value
        # The average starts at zero; dividing by the total weight so far removes that bias.
        total = total * weight + (1 - weight)
        smoothed.append(average / total)
    result[finite] = smoothed
    return result
