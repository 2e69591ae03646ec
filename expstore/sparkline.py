"""A curve's course in a line of text.

Guarantees: as many characters as asked for at most, each the mean of a stretch of values, from the
least to the greatest of them; a stretch without a finite value is a dot; nothing overflows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


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
