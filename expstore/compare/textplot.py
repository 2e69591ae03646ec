"""Plotting curves as text with uniplot, for a terminal or a log file.

Guarantees: those of `plot`; escape sequences are used only for colours, and only on request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expstore.compare.axes import Axis, Scale, scale_of
from expstore.compare.curves import Curve
from expstore.compare.plot import drawable, short, thinned, within_reach
from expstore.compare.series import smooth
from expstore.compare.styles import ON_LIGHT
from expstore.extras import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLOURS = ON_LIGHT[:6]
"""These contrast with both white and black."""

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_MARKS = "+xo*~."  # distinguish experiments without colour
_MARGIN = 14  # columns for the frame and the axis labels to its right


def text(
    found: Sequence[Curve],
    *,
    log: bool = False,
    smoothing: float = 0.0,
    x: Axis = "step",
    width: int = 80,
    height: int = 15,
    colour: bool = False,
) -> str:
    """Draw curves as text: one plot per metric name, with all experiments on the same axes.

    Args:
        found: the curves to draw.
        log, smoothing, x: see `plot.save`.
        width: total width in columns.
        height: height of each plot in lines, without its frame.
        colour: distinguish experiments by colour; otherwise by character.

    Raises:
        MissingExtraError: the extra `plot` is not installed.
        PlotError: nothing can be drawn.
    """
    drawn = drawable(found, log, smoothing)
    require("uniplot", "plot")
    ids = list(dict.fromkeys(curve.commit_id for curve in drawn))
    names = dict.fromkeys(curve.name for curve in drawn)
    scale = scale_of(x, [curve.series for curve in drawn])
    plots = []
    for name in names:
        own = [curve for curve in drawn if curve.name == name]
        plots.append(_plot(own, ids, log, smoothing, scale, width, height, colour))
    return "\n\n".join(plots)


def _plot(
    own: Sequence[Curve],
    ids: Sequence[str],
    log: bool,
    smoothing: float,
    scale: Scale,
    width: int,
    height: int,
    colour: bool,
) -> str:
    import numpy as np
    from uniplot import plot_to_string

    own, log, units = within_reach(own, log)
    values = [smooth(curve.series.values, smoothing) for curve in own]
    shown = [thinned(curve.series, v) for curve, v in zip(own, values, strict=True)]
    order = {commit_id: place for place, commit_id in enumerate(ids)}
    places = [order[curve.commit_id] for curve in own]
    alone = len(own) == 1
    plot_width = max(width - _MARGIN, 10)
    by = "" if scale.label == "step" else f"  by {scale.label}"
    with np.errstate(all="ignore"):
        plot = plot_to_string(
            xs=[_positions(s.steps, scale) for s in shown],
            ys=[s.values for s in shown],
            lines=[len(s.steps) > 1 for s in shown],
            width=plot_width,
            height=height,
            title=short(own[0].name, max(plot_width - len(units), 10)) + units + by,
            y_as_log=log,
            x_gridlines=[],
            y_gridlines=[],
            character_set="braille" if colour or alone else "ascii",
            force_ascii_characters=[_MARKS[place % len(_MARKS)] for place in places],
            color=[COLOURS[place % len(COLOURS)] for place in places] if colour else False,
            legend_labels=[short(curve.commit_id, plot_width - 4) for curve in own],
            legend_placement="vertical" if len(own) > 3 else "auto",
        )
    return str(plot).rstrip("\n")


def _positions(steps: NDArray[np.int64], scale: Scale) -> NDArray[Any]:
    """The positions as uniplot takes them: numbers, or dates."""
    return steps.astype("datetime64[s]") if scale.dates else steps / scale.unit


def sparkline(values: NDArray[np.float64], width: int) -> str:
    """Block characters, one per run of values; a dot for a run without finite values."""
    import numpy as np

    means: list[float | None] = []
    if len(values) <= width:  # as below, many times faster
        means = [value if math.isfinite(value) else None for value in values.tolist()]
        values = values[:0]
    for part in np.array_split(values, width) if len(values) else ():
        finite = part[np.isfinite(part)]
        # Divided before they are added, since the sum of large values may overflow.
        means.append(float((finite / max(finite.size, 1)).sum()) if finite.size else None)
    known = [mean for mean in means if mean is not None]
    if not known:
        return _GAP * len(means)
    low, high = min(known), max(known)
    # Halved before subtracting, for the same reason.
    span = high / 2 - low / 2

    def bar(mean: float | None) -> str:
        if mean is None:
            return _GAP
        place = (mean / 2 - low / 2) / span if span else 0.5
        return _BARS[min(int(place * len(_BARS)), len(_BARS) - 1)]

    return "".join(map(bar, means))
