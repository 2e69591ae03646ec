"""One curve as bytes for a page: thinned, in the narrowest types that draw the same picture.

Guarantees: a thinned curve has logged points only, with the minimum and maximum of every interval
(see `thinning.thin`); asked for a part, it has also the next point on either side, so that its line
enters and leaves the picture where it should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from expstore.compare.axes import TimedSeries
from expstore.compare.series import Series
from expstore.compare.thinning import thin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNSIGNED = (("u1", 1 << 8), ("u2", 1 << 16), ("u4", 1 << 32))


def curve_payload(
    curve: TimedSeries,
    limit: int,
    *,
    x: Literal["step", "time"] = "step",
    start: float | None = None,
    end: float | None = None,
) -> tuple[dict[str, Any], bytes]:
    """A curve, or a part of it, as a header and the bytes of its columns.

    Args:
        curve: the points, as `axes.split_timed` gives them.
        limit: the maximum number of points, at least 8.
        x: the axis on which points are ordered and thinned; times are in seconds since 1970-01-01
            UTC. (Times relative to a run's first record are times with another zero.)
        start, end: the part of the axis that is wanted, both included; None: without limit.

    Returns:
        A header of JSON values, and bytes. In the header, `n` is the number of points sent,
        `points` the number of logged points in that part, and `columns` a list: each is
        `[name, type, offset]`, with type f4, f8, u1, u2 or u4, for an array of `n` little-endian
        numbers to each of which `offset` is added; or `[name, "line", first, by]` for the numbers
        first, first + by, ... The arrays follow each other in the bytes without gaps. The columns
        are `values`, `steps` and `times`; and, if points were left out, `means` and `counts`: the
        mean and number of the finite points that a point stands for; see `thinning.Thinned`.
    """
    import numpy as np

    if x == "time":
        order = curve.times.argsort(kind="stable")
        curve = TimedSeries(curve.steps[order], curve.values[order], curve.times[order])
    positions = curve.steps if x == "step" else curve.times
    first = 0 if start is None else int(np.searchsorted(positions, start, "left")) - 1
    last = len(positions) if end is None else int(np.searchsorted(positions, end, "right")) + 1
    part = slice(max(first, 0), last)
    steps, values, times = curve.steps[part], curve.values[part], curve.times[part]
    thinned = thin(Series(positions[part], values), limit) if len(values) else None
    columns: list[list[Any]] = []
    arrays: list[bytes] = []

    def add(name: str, column: NDArray[Any]) -> None:
        described, array = _floats(column) if column.dtype.kind == "f" else _integers(column)
        columns.append([name, *described])
        arrays.append(array)

    if thinned is None:
        return {"n": 0, "points": 0, "columns": []}, b""
    kept = thinned.kept
    # Values and means get one type, since smoothing replaces one by the other.
    type_ = _float_type(np.concatenate([values[kept], thinned.means]))
    add("values", values[kept].astype(type_))
    add("steps", steps[kept].astype(np.int64))
    add("times", times[kept])
    if len(kept) < len(values):
        add("means", thinned.means.astype(type_))
        add("counts", thinned.counts)
    return {"n": len(kept), "points": len(values), "columns": columns}, b"".join(arrays)


def _floats(column: NDArray[np.floating[Any]]) -> tuple[list[Any], bytes]:
    return [column.dtype.str[1:], 0], column.astype(column.dtype.newbyteorder("<")).tobytes()


def _integers(column: NDArray[np.int64]) -> tuple[list[Any], bytes]:
    """As a line if it is one, otherwise in the narrowest type that holds the differences."""
    import numpy as np

    low, high = int(column.min()), int(column.max())
    if high - low >= 1 << 32:  # a damaged record may have any time
        return ["f8", 0], column.astype("<f8").tobytes()
    by = int(column[1]) - int(column[0]) if len(column) > 1 else 0
    if (np.diff(column) == by).all():
        return ["line", int(column[0]), by], b""
    type_ = next(name for name, size in _UNSIGNED if high - low < size)
    return [type_, low], (column - low).astype(f"<{type_}").tobytes()


def _float_type(values: NDArray[np.float64]) -> str:
    """Float32 if it draws the same curve as float64, on either scale; otherwise float64."""
    import numpy as np

    finite = values[np.isfinite(values)]
    if not len(finite):
        return "<f4"
    span = finite.max() - finite.min()
    with np.errstate(over="ignore", under="ignore"):
        error = np.abs(finite.astype(np.float32) - finite)
    # A constant curve has no span, so there the error is judged against the value itself.
    allowed = np.minimum(np.abs(finite), span if span else np.inf) * 1e-5
    return "<f4" if (error <= allowed).all() else "<f8"
