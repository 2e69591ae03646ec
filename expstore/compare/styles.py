"""How curves are told apart: colours, dashes and markers.

Guarantees: the colours are distinguishable with every common kind of colour blindness, and contrast
with the background. Where dashes would blur, markers take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Eight colours, each with a contrast of at least 3:1 to the background and an OKLab distance of at
# least 0.08 to the others, both in normal vision and as seen by protanopes, deuteranopes and
# tritanopes. Tests check this.
ON_LIGHT = (
    *("#0072b2", "#d55e00", "#009e73", "#a686bf"),
    *("#9a4729", "#804f7c", "#233278", "#612326"),
)
ON_DARK = (
    *("#3f8cff", "#ff8a3d", "#5fe0a5", "#d3befd"),
    *("#a35e16", "#bf8ab9", "#8059bb", "#218373"),
)
DASHES = ((), (6, 3), (1.5, 2.5), (6, 2.5, 1.5, 2.5))
"""Line styles, as alternating lengths of dashes and gaps, in units of the line width."""
MARKERS = ("", "s", "^", "D")
"""What replaces the line styles where curves are dense: marks on them, in Matplotlib's terms."""

_DENSE = 30  # heights of the plot that a curve goes up and down: beyond, its dashes overlap


class Style(NamedTuple):
    """How a curve is drawn: either of `dashes` and `marker` is empty."""

    colour: str
    dashes: tuple[float, ...] = ()
    marker: str = ""


def is_dense(drawn: Sequence[NDArray[np.float64]], log: bool) -> bool:
    """Whether a curve goes up and down so often that dashes would blur, and take long to draw."""
    import numpy as np

    with np.errstate(all="ignore"):  # of values near the limits of float64; such are not dense
        heights = [np.log(values) if log else values for values in drawn]
        height = max(map(np.nanmax, heights)) - min(map(np.nanmin, heights))
        return any(np.nansum(np.abs(np.diff(values))) > _DENSE * height for values in heights)


def styles(ids: Sequence[str], names: Sequence[str], dense: bool) -> Callable[[str, str], Style]:
    """Map id and name to a style; if only one of the two varies, it alone sets it."""
    places = {commit_id: place for place, commit_id in enumerate(ids)}
    laps = {name: lap for lap, name in enumerate(names)}

    def style(commit_id: str, name: str) -> Style:
        place, lap = places[commit_id], laps[name]
        if len(ids) == 1 or len(names) == 1:
            lap, place = divmod(place + lap, len(ON_LIGHT))
        colour = ON_LIGHT[place % len(ON_LIGHT)]
        if dense:
            return Style(colour, marker=MARKERS[lap % len(MARKERS)])
        return Style(colour, DASHES[lap % len(DASHES)])

    return style
