"""The picture of `cluster`: time over workers, and over records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Measured

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#804f7c")
_GREY = "#8a93a0"


def draw(done: Sequence[Measured], path: Path) -> None:
    """Draw two panels: the largest store by workers, and all stores by records.

    Args:
        done: what was measured, the smallest store first.
        path: a file that Matplotlib can write; the same figures give the same SVG.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "expstore", "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(12, 4.6), layout="constrained")
        by_workers, by_records = figure.subplots(1, 2)
        _by_workers(by_workers, done[-1])
        _by_records(by_records, done)
        for axes in (by_workers, by_records):
            axes.set_yscale("log")
            axes.set_ylabel("seconds")
            axes.grid(color="#e4e7ec", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        by_workers.legend(fontsize=8, frameon=False)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, facecolor="white", metadata=metadata)


def _by_workers(axes: Any, of: Measured) -> None:
    """Solid lines; the dotted ones are as fast as the first point says; dashes are one process."""
    for (form, samples), colour in zip(of.cells.items(), _COLOURS, strict=True):
        counts = of.workers
        seconds = [of.seconds(form, who) for who in samples if who != "one process"]
        axes.plot(counts, seconds, color=colour, marker="o", markersize=3, label=form)
        ideal = [seconds[0] * counts[0] / count for count in counts]
        axes.plot(counts, ideal, ":", color=colour, linewidth=0.8)
        axes.axhline(of.seconds(form, "one process"), color=colour, linestyle="--", linewidth=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(of.workers, [str(count) for count in of.workers])
    axes.set_xlabel(f"workers, at {of.records:,} records (dashed: one process; dotted: ideal)")


def _by_records(axes: Any, done: Sequence[Measured]) -> None:
    who = list(done[-1].cells[next(iter(done[-1].cells))])[-1]
    for form, colour in zip(done[-1].cells, _COLOURS, strict=True):
        seconds = [of.seconds(form, who) for of in done]
        axes.plot([of.records for of in done], seconds, color=colour, marker="o", markersize=3)
    raw = [of.raw[1] for of in done]
    axes.plot([of.records for of in done], raw, "--", color=_GREY, label="a raw read of the logs")
    axes.set_xscale("log")
    axes.set_xlabel(f"records, with {who}")
    axes.legend(fontsize=8, frameon=False)
