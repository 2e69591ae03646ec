"""What to know of each metric at a glance: how many points, first and last step, last, min, max.

Guarantees: one pass groups a table by name, however many names it has; NaN and infinities count as
points, and as last values, but never as least or greatest while a finite value is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expstore.model import MetricTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"  # no finite value there


@dataclass(frozen=True)
class MetricSummary:
    """One metric of a table.

    Attributes:
        name: the metric's name.
        count: its points.
        first_step, last_step: the steps of its first and last point in the file.
        last: the last point's value.
        min, max: of the finite values; NaN where there are none.
        values: all values in file order, float64.
    """

    name: str
    count: int
    first_step: int
    last_step: int
    last: float
    min: float
    max: float
    values: NDArray[np.float64]

    def sparkline(self, width: int) -> str:
        """The values' course in at most `width` characters, each the mean of a stretch."""
        return sparkline(self.values, width)


def summarize(table: MetricTable) -> Iterator[MetricSummary]:
    """A summary of each metric, in order of first appearance."""
    import numpy as np

    if not len(table):
        return
    order = np.argsort(table.name_codes, kind="stable")
    ends = np.cumsum(np.bincount(table.name_codes, minlength=len(table.names)))
    for name, places in zip(table.names, np.split(order, ends[:-1]), strict=True):
        values = table.values[places]
        finite = values[np.isfinite(values)]
        yield MetricSummary(
            name,
            len(values),
            int(table.steps[places[0]]),
            int(table.steps[places[-1]]),
            float(values[-1]),
            float(finite.min()) if finite.size else float("nan"),
            float(finite.max()) if finite.size else float("nan"),
            values,
        )


def sparkline(values: NDArray[np.float64], width: int) -> str:
    """Block characters, one a stretch of values; a dot where no value is finite."""
    import numpy as np

    means = []
    for part in np.array_split(values, min(width, len(values)) or 1) if len(values) else ():
        finite = part[np.isfinite(part)]
        # Halves first, since the sum of two great values may be infinite.
        means.append(float((finite / max(finite.size, 1)).sum()) if finite.size else None)
    known = [mean for mean in means if mean is not None]
    if not known:
        return _GAP * len(means)
    low, high = min(known), max(known)
    # Scaled before subtracting, for the same reason.
    span = high / 2 - low / 2

    def bar(mean: float | None) -> str:
        if mean is None:
            return _GAP
        place = (mean / 2 - low / 2) / span if span else 0.5
        return _BARS[min(int(place * len(_BARS)), len(_BARS) - 1)]

    return "".join(map(bar, means))
