"""Plotting curves to an image file with matplotlib; `textplot` draws the same as text.

Guarantees: names are shown literally: control characters are escaped, and mathtext and markup are
not interpreted. A value that is not finite, or not positive on a logarithmic axis, is a gap in its
curve. Values of any size are drawn: those that a plotting library cannot place are scaled, and the
label says so."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expstore.compare.axes import Axis, Scale, scale_of
from expstore.compare.curves import Curve
from expstore.compare.series import Series, check_weight, smooth
from expstore.compare.styles import Style, is_dense, styles
from expstore.compare.thinning import thin
from expstore.errors import PlotError
from expstore.extras import require
from expstore.model.texts import printable
from expstore.store.files.output import write_output
from formats.errors import counted

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

SUFFIXES = (".png", ".svg", ".pdf")
_POINTS = 4000  # per drawn curve: two for each pixel of a wide image
_HUGE = 1e150  # beyond this, and below its inverse, libraries overflow when they place ticks
_LABEL = 44  # maximum characters of a name in a legend
_LISTED = 40  # experiments, and names, in a legend
_GREY = "#5b6470"
_MARKS = 12  # on a dense curve


def save(
    found: Sequence[Curve],
    path: str | os.PathLike[str],
    *,
    log: bool = False,
    smoothing: float = 0.0,
    x: Axis = "step",
) -> None:
    """Draw curves on one set of axes and save the plot to a file.

    Each experiment has a colour and each metric a line style; with a single metric, experiments
    beyond the eighth also differ by line style. If a curve goes up and down all the time, lines are
    solid, and marks on them replace the line styles. With smoothing, the logged curve is drawn
    faintly underneath.

    Args:
        found: the curves to draw.
        path: must end in .png, .svg or .pdf; an existing file is replaced.
        log: use a logarithmic y axis.
        smoothing: weight for `series.smooth`, at least 0 and below 1.
        x: the axis that the curves were made for; see `curves.curves`.

    Raises:
        MissingExtraError: the extra `plot` is not installed.
        PlotError: nothing can be drawn; no file was touched.
        UnreadableFileError, OutputExistsError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise PlotError(f"{path}: unsupported suffix; use one of {', '.join(SUFFIXES)}")
    drawn = drawable(found, log, smoothing)
    matplotlib = require("matplotlib", "plot")
    # A user's own style must not enable TeX for names; in SVG, text stays searchable. A long line
    # is drawn in chunks, which takes a quarter of the time.
    settings = {"text.usetex": False, "svg.fonttype": "none", "svg.hashsalt": "expstore"}
    settings |= {"agg.path.chunksize": 128}
    buffer = io.BytesIO()
    with (
        warnings.catch_warnings(),
        matplotlib.rc_context({**matplotlib.rcParamsDefault, **settings, "backend": "agg"}),
    ):
        figure = _figure(drawn, log=log, smoothing=smoothing, x=x)
        # A character missing from the font is drawn as a box, which needs no warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        metadata = {"Date": None} if suffix == ".svg" else None  # for reproducible files
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
    write_output(path, buffer.getvalue())


def drawable(found: Sequence[Curve], log: bool, smoothing: float) -> list[Curve]:
    """The curves with undrawable values as NaN; curves with nothing to draw are dropped."""
    import numpy as np

    try:
        check_weight(smoothing)
    except ValueError as error:
        raise PlotError(str(error)) from error
    drawn = []
    for commit_id, name, (steps, values) in found:
        shown = np.isfinite(values) & (values > 0) if log else np.isfinite(values)
        if shown.any():
            drawn.append(Curve(commit_id, name, Series(steps, np.where(shown, values, np.nan))))
    if not drawn:
        reason = "no value above zero for a logarithmic axis" if log else "no finite value"
        raise PlotError(f"nothing to draw: {reason} in {counted(len(found), 'curve')}")
    return drawn


def within_reach(drawn: Sequence[Curve], log: bool) -> tuple[list[Curve], bool, str]:
    """The curves with values that can be placed on an axis.

    Args:
        drawn: as by `drawable`; at least one.
        log: whether a logarithmic axis is wanted.

    Returns:
        The curves, whether the axis still is to be logarithmic, and what to add to its label.
    """
    import numpy as np

    sizes = np.abs(np.concatenate([curve.series.values for curve in drawn]))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not sizes.size or (
        sizes.max() < _HUGE and (sizes.min() if log else sizes.max()) > 1 / _HUGE
    ):
        return list(drawn), log, ""
    exponent = math.floor(math.log10(sizes.max()))

    def moved(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if log:
            return np.log10(values)
        half = -exponent // 2  # the whole factor may be no double
        return values * 10.0**half * 10.0 ** (-exponent - half)

    moved_curves = [
        curve._replace(series=Series(curve.series.steps, moved(curve.series.values)))
        for curve in drawn
    ]
    return moved_curves, False, " (log10)" if log else f" (in units of 1e{exponent:+d})"


def _figure(drawn: Sequence[Curve], *, log: bool, smoothing: float, x: Axis) -> Figure:
    from matplotlib.figure import Figure

    drawn, log, units = within_reach(drawn, log)
    ids = list(dict.fromkeys(curve.commit_id for curve in drawn))
    names = list(dict.fromkeys(curve.name for curve in drawn))
    entries = min(len(ids), _LISTED) + min(len(names), _LISTED)
    figure = Figure(figsize=(10, max(5.0, 0.19 * entries + 1)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    shown = [thinned(curve.series, smooth(curve.series.values, smoothing)) for curve in drawn]
    dense = is_dense([series.values for series in shown], log)
    style_of = styles(ids, names, dense)
    scale = scale_of(x, [curve.series for curve in drawn])
    for number, (curve, (steps, values)) in enumerate(zip(drawn, shown, strict=True)):
        style = style_of(curve.commit_id, curve.name)
        if smoothing:
            raw = thinned(curve.series, curve.series.values)
            axes.plot(
                raw.steps / scale.unit,
                raw.values,
                color=style.colour,
                linewidth=0.8,
                alpha=0.25,
                zorder=1.5,
            )
        isolated = _isolated(values)
        axes.plot(
            steps / scale.unit,
            values,
            color=style.colour,
            linewidth=1.0 if dense else 1.6,
            linestyle=(0, style.dashes),
            marker="o" if isolated else None,
            markevery=isolated or None,
            markersize=4,
        )
        if style.marker:  # above all lines, and not where the curve before has its marks
            period = -(-len(values) // _MARKS)
            marked = slice(number * period // len(drawn), None, period)
            axes.plot(
                steps[marked] / scale.unit,
                values[marked],
                color=style.colour,
                linestyle="none",
                marker=style.marker,
                markersize=7,
                markeredgecolor="white",
                zorder=2.2,
            )
    _format_axes(axes, log, scale)
    label = short(names[0]) if len(names) == 1 else "value"
    axes.set_ylabel(label + units, parse_math=False)
    if smoothing:
        axes.set_title(f"smoothed by {smoothing:g}", loc="right", fontsize=9, color=_GREY)
    _legend(figure, axes, ids, names, style_of)
    return figure


def _format_axes(axes: Axes, log: bool, scale: Scale) -> None:
    if log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_xlabel(scale.label)
    if scale.dates:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)
    axes.margins(x=0.01)
    axes.grid(color="#d9dde3", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#8a93a0")
    axes.tick_params(which="both", color="#8a93a0", labelcolor="#3a424d", labelsize=9)


def _legend(
    figure: Figure,
    axes: Axes,
    ids: Sequence[str],
    names: Sequence[str],
    style_of: Callable[[str, str], Style],
) -> None:
    """Add a legend for what varies: experiments by colour, names by line style or marker."""
    from matplotlib.lines import Line2D

    def line(style: Style) -> Line2D:
        return Line2D(
            [],
            [],
            color=style.colour,
            linewidth=1.6,
            linestyle=(0, style.dashes),
            marker=style.marker,
            markeredgecolor="white",
        )

    def listed(keys: Sequence[str], style: Callable[[str], Style]) -> list[tuple[Line2D, str]]:
        found = [(line(style(key)), key) for key in keys[:_LISTED]]
        if len(keys) > _LISTED:
            found.append((Line2D([], [], linestyle="none"), f"and {len(keys) - _LISTED:,} more"))
        return found

    entries: list[tuple[Line2D, str]] = []
    if len(ids) > 1 or len(names) == 1:
        entries += listed(ids, lambda commit_id: style_of(commit_id, names[0]))
    if len(names) > 1:
        shared = len(ids) > 1

        def of_name(name: str) -> Style:
            style = style_of(ids[0], name)
            return style._replace(colour=_GREY) if shared else style

        entries += listed(names, of_name)
    outside = len(entries) > 6 or max(len(label) for _, label in entries) > 30
    # Matplotlib omits labels that start with an underscore, so the labels are set afterwards.
    legend = (figure if outside else axes).legend(
        [handle for handle, _ in entries],
        [str(index) for index in range(len(entries))],
        loc="outside right upper" if outside else "best",
        frameon=not outside,
        framealpha=0.85,
        edgecolor="#d9dde3",
        fontsize=8 if outside else 9,
        handlelength=2.6,
    )
    for text, (_, label) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(short(label))


def thinned(series: Series, values: NDArray[np.float64]) -> Series:
    """Thin `values`, given at the steps of `series`, to enough points for any plot."""
    kept = thin(Series(series.steps, values), _POINTS).kept
    return Series(series.steps[kept], values[kept])


def _isolated(values: NDArray[np.float64]) -> list[int]:
    """Indices of points with gaps on both sides, which a line alone would not show."""
    import numpy as np

    finite = np.isfinite(np.concatenate([[np.nan], values, [np.nan]]))
    return [int(i) for i in np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])]


def short(name: str, limit: int = _LABEL) -> str:
    """Escape a name for one line of a legend, eliding the middle if it is too long."""
    name = printable(name)
    if len(name) <= limit:
        return name
    return f"{name[: limit // 2]}…{name[-(limit - limit // 2 - 1) :]}"
