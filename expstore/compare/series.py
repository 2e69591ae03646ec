"""One metric's curve: in the order of its steps, smoothed, thinned for a screen.

Guarantees: nothing is invented or hidden. A thinned curve consists of logged points only, and keeps
the least and the greatest value of every stretch, so a spike of one point survives; values that are
not finite are kept, or counted, and never join what stands beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable


class Series(NamedTuple):
    """One metric's points, by step; points of one step in the order they were logged.

    Attributes:
        steps: int64.
        values: float64, of the same length.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


class Thinned(NamedTuple):
    """Some points of a series, and what was left out between them.

    Attributes:
        kept: int64, the indices of the points kept, ascending.
        counts: int64, for each kept point how many finite points it stands for: itself and those
            since the kept point before it.
        means: float64, their mean; NaN where there is none.
    """

    kept: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float64]


class Extremes(NamedTuple):
    """What a series comes to.

    Attributes:
        last: the value at the greatest step (the one logged last, where there are several).
        min, max: over all values but NaN; NaN where there is no other.
        last_step: the greatest step.
        points: how many there are.
    """

    last: float
    min: float
    max: float
    last_step: int
    points: int


def split(table: MetricTable) -> dict[str, Series]:
    """Every metric's series, by name in order of first appearance; one sort for all."""
    import numpy as np

    order = np.lexsort((table.steps, table.name_codes))
    steps = table.steps[order].astype(np.int64)
    values = table.values[order]
    ends = np.cumsum(np.bincount(table.name_codes, minlength=len(table.names)))
    starts = [0, *ends.tolist()]
    return {
        name: Series(steps[starts[i] : starts[i + 1]], values[starts[i] : starts[i + 1]])
        for i, name in enumerate(table.names)
    }


def extremes(series: Series) -> Extremes:
    """Last, least and greatest value of a series that is not empty."""
    import numpy as np

    numbers = series.values[~np.isnan(series.values)]
    return Extremes(
        float(series.values[-1]),
        float(numbers.min()) if len(numbers) else float("nan"),
        float(numbers.max()) if len(numbers) else float("nan"),
        int(series.steps[-1]),
        len(series.values),
    )


def check_weight(weight: float) -> None:
    """Refuse what is no smoothing weight.

    Raises:
        ValueError: not at least 0 and below 1.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"smoothing {weight} is not at least 0 and below 1")


def smooth(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """The debiased exponential moving average that TensorBoard draws.

    Args:
        values: float64; one that is not finite stays as it is and does not enter the average.
        weight: of what came before: 0 changes nothing, 0.99 smooths much.

    Raises:
        ValueError: a weight below 0, or not below 1.
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
        # The average starts from zero; what it lacks for that is the weight not yet given away.
        total = total * weight + (1 - weight)
        smoothed.append(average / total)
    result[finite] = smoothed
    return result


def thin(series: Series, limit: int) -> Thinned:
    """Points enough to draw a curve of about `limit` points.

    The steps are cut into equal stretches. Of each, the points of least and greatest value stay,
    and the first that is not finite; so do the first and the last point of all. A series of at most
    `limit` points stays whole.

    Args:
        series: the points.
        limit: number of points wanted, at least 8.
    """
    import numpy as np

    finite = np.isfinite(series.values)
    size = len(series.values)
    if size <= limit:
        kept = np.arange(size)
    else:
        per_stretch = 2 if finite.all() else 3
        span = int(series.steps[-1] - series.steps[0]) + 1
        stretch = (series.steps - series.steps[0]) * ((limit - 2) // per_stretch) // span
        kept = np.unique(
            np.concatenate(
                [
                    _first_least(series.values, stretch, finite),
                    _first_least(-series.values, stretch, finite),
                    _first_of_each(np.flatnonzero(~finite), stretch),
                    [0, size - 1],
                ]
            )
        )
    starts = np.append(0, kept[:-1] + 1)
    counts = np.add.reduceat(finite.astype(np.int64), starts)
    shares = np.repeat(np.maximum(counts, 1), np.diff(np.append(starts, size)))
    # Divided before they are added: a sum of great values is beyond float64.
    means = np.add.reduceat(np.where(finite, series.values, 0.0) / shares, starts)
    means[counts == 0] = np.nan
    return Thinned(kept, counts, means)


def _first_least(
    values: NDArray[np.float64], stretch: NDArray[np.int64], where: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The index of the first least value of each stretch, among some."""
    import numpy as np

    chosen = np.flatnonzero(where)
    if not len(chosen):
        return chosen
    own = stretch[chosen]
    starts = np.flatnonzero(np.diff(own, prepend=-1))
    least = np.minimum.reduceat(values[chosen], starts)
    places = np.repeat(least, np.diff(np.append(starts, len(chosen))))
    return _first_of_each(chosen[values[chosen] == places], stretch)


def _first_of_each(indices: NDArray[np.int64], stretch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of ascending indices, the first in each stretch."""
    import numpy as np

    return indices[np.flatnonzero(np.diff(stretch[indices], prepend=-1))]
