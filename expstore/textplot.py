"""Curves as text, by uniplot: for a terminal, or a log file.

Guarantees: as `plot`; escape sequences only of colours, and only where colour is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from expstore.extras import require
from expstore.plot import ON_LIGHT, Curve, drawable, short, thinned
from expstore.series import smooth

COLOURS = ON_LIGHT[:6]
"""These stand out from white and from black alike."""

_MARKS = "+xo*~."  # tell experiments apart where there is no colour
_MARGIN = 14  # columns for the frame and the axis labels on its right


def text(
    found: Sequence[Curve],
    *,
    log: bool = False,
    smoothing: float = 0.0,
    width: int = 80,
    height: int = 15,
    colour: bool = False,
) -> str:
    """Draw curves as text: a picture for each name, experiments over each other.

    Args:
        found: what to draw.
        log, smoothing: see `plot.save`.
        width: columns of the whole.
        height: lines of each picture, without its frame.
        colour: tell experiments apart by colour; else by character.

    Raises:
        MissingExtraError: the extra `plot` is not installed.
        PlotError: nothing can be drawn.
    """
    drawn = drawable(found, log, smoothing)
    require("uniplot", "plot")
    ids = list(dict.fromkeys(curve.commit_id for curve in drawn))
    names = dict.fromkeys(curve.name for curve in drawn)
    pictures = []
    for name in names:
        own = [curve for curve in drawn if curve.name == name]
        pictures.append(_picture(own, ids, log, smoothing, width, height, colour))
    return "\n\n".join(pictures)


def _picture(
    own: Sequence[Curve],
    ids: Sequence[str],
    log: bool,
    smoothing: float,
    width: int,
    height: int,
    colour: bool,
) -> str:
    import numpy as np
    from uniplot import plot_to_string

    values = [smooth(curve.series.values, smoothing) for curve in own]
    shown = [thinned(curve.series, v) for curve, v in zip(own, values, strict=True)]
    places = [ids.index(curve.commit_id) for curve in own]
    alone = len(own) == 1
    plot_width = max(width - _MARGIN, 10)
    with np.errstate(all="ignore"):
        picture = plot_to_string(
            xs=[s.steps.astype(float) for s in shown],
            ys=[s.values for s in shown],
            lines=[len(s.steps) > 1 for s in shown],
            width=plot_width,
            height=height,
            title=short(own[0].name, plot_width),
            y_as_log=log,
            x_gridlines=[],
            y_gridlines=[],
            character_set="braille" if colour or alone else "ascii",
            force_ascii_characters=[_MARKS[place % len(_MARKS)] for place in places],
            color=[COLOURS[place % len(COLOURS)] for place in places] if colour else False,
            legend_labels=[short(curve.commit_id, plot_width - 4) for curve in own],
            legend_placement="vertical" if len(own) > 3 else "auto",
        )
    return str(picture).rstrip("\n")
