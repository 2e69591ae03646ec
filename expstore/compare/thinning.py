"""One metric's curve with fewer points, for display.

Guarantees: nothing is invented or hidden. A thinned curve consists of logged points only and keeps
the minimum and maximum of every interval, so a one-point spike survives. It also keeps the first
non-finite value of every interval; non-finite values never enter an average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from expstore.compare.series import Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXACT = 1 << 48  # up to this span of steps, integers divide it without overflow


class Thinned(NamedTuple):
    """Selected points of a series, with statistics of the points they stand for.

    Attributes:
        kept: int64, the indices of the kept points, ascending.
        counts: int64, the number of finite points each kept point stands for: itself and those
            after the previous kept point.
        means: float64, the mean of those points; NaN if there are none.
    """

    kept: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float64]


def thin(series: Series, limit: int) -> Thinned:
    """Thin a series to at most `limit` points without losing its shape.

    The range of steps is divided into equal intervals. From each, the points with the minimum and
    maximum values and the first non-finite point are kept, as are the first and last points of the
    series. A series of at most `limit` points is kept in full.

    Args:
        series: the points.
        limit: maximum number of points, at least 8.
    """
    import numpy as np

    steps, values = series.steps, np.ascontiguousarray(series.values)
    finite = np.isfinite(values)
    all_finite, size = bool(finite.all()), len(values)
    if size <= limit:
        kept = np.arange(size)
    else:
        starts = _intervals(steps, (limit - 2) // (2 if all_finite else 3))
        low, high = values, values
        if not all_finite:
            low, high = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
        minima = _equal(low, np.minimum.reduceat(low, starts), starts) & finite
        maxima = _equal(high, np.maximum.reduceat(high, starts), starts) & finite
        chosen = np.zeros(size, np.bool_)
        chosen[[0, -1]] = True
        for marked in (minima, maxima, ~finite):
            chosen[_first_of_each(marked, starts)] = True
        kept = np.flatnonzero(chosen)
    return Thinned(kept, *_means(values, finite, np.append(0, kept[:-1] + 1)))


def _intervals(steps: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Where each of `count` equal intervals of the range of steps begins, if it has a point."""
    import numpy as np

    first = int(steps[0])
    span = int(steps[-1]) - first + 1
    if span >= _EXACT:  # times of damaged records: exact products would overflow
        shares = ((steps / span - first / span) * count).astype(np.int64)
        return np.flatnonzero(np.diff(np.minimum(shares, count - 1), prepend=-1))
    bounds = first - (np.arange(count) * -span) // count  # rounded up
    starts = np.unique(np.searchsorted(steps, bounds))
    return starts[starts < len(steps)]


def _equal(
    values: NDArray[np.float64], each: NDArray[np.float64], starts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which values equal the one given for their interval."""
    import numpy as np

    found: NDArray[np.bool_] = values == np.repeat(each, np.diff(starts, append=len(values)))
    return found


def _first_of_each(marked: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first index that is marked in each interval that has one."""
    import numpy as np

    indices = np.append(np.flatnonzero(marked), len(marked))
    first = indices[np.searchsorted(indices, starts)]
    return first[first < np.append(starts[1:], len(marked))]


def _means(
    values: NDArray[np.float64], finite: NDArray[np.bool_], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The number of finite values of each part of a series, and their mean; NaN for none."""
    import numpy as np

    lengths = np.diff(starts, append=len(values))
    if finite.all():
        counts, parts = lengths, values
    else:
        counts = np.add.reduceat(finite.astype(np.int64), starts)
        parts = np.where(finite, values, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.add.reduceat(parts, starts) / counts
        large = ~np.isfinite(means) & (counts > 0)
        if large.any():  # their sum overflows: divided before they are added
            shares = parts / np.repeat(np.maximum(counts, 1), lengths)
            limit = np.finfo(np.float64).max  # which rounding may exceed
            means[large] = np.add.reduceat(shares, starts)[large].clip(-limit, limit)
    return counts, means
