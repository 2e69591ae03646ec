"""The picture of `scaling`: processor time by size, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.scaling import Line

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#804f7c")
_GREY = "#8a93a0"


def draw(lines: Sequence[Line], path: Path) -> None:
    """Draw one panel for each axis; calls are solid lines, processes dashed ones.

    Args:
        lines: what was measured.
        path: a file that Matplotlib can write; the same lines give the same SVG.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    axes_names = list(dict.fromkeys(line.axis for line in lines))
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "expstore", "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(6 * len(axes_names), 4.6), layout="constrained")
        panels = figure.subplots(1, len(axes_names), squeeze=False)[0]
        for axes, name in zip(panels, axes_names, strict=True):
            _panel(axes, name, [line for line in lines if line.axis == name])
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, facecolor="white", metadata=metadata)


def _panel(axes: Any, name: str, lines: Sequence[Line]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for is_process in (False, True):
        own = [line for line in lines if line.is_process is is_process]
        for line, colour in zip(own, _COLOURS, strict=False):
            mark = " (grows faster than its work)" if line.grows_too_fast else ""
            axes.plot(
                list(line.points),
                list(line.points.values()),
                color=colour,
                linestyle="--" if is_process else "-",
                marker="o",
                markersize=3,
                linewidth=2.4 if mark else 1.4,
                label=("expstore " if is_process else "") + line.title + mark,
            )
    _guides(axes)
    unit = "of one log" if name == "records" else "of a store"
    axes.set_xlabel(f"{name} {unit}")
    axes.set_ylabel("processor time in seconds")
    axes.grid(color="#e4e7ec", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper left")


def _guides(axes: Any) -> None:
    """Dotted lines along which time grows as its work does, a decade apart."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    top *= 30  # room for the legend
    start = bottom / (right / left)
    while start < top:
        axes.plot([left, right], [start, start * right / left], ":", color=_GREY, linewidth=0.6)
        start *= 10
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
