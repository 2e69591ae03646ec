"""The lines at the top and the bottom of the screen, and the legend of a single chart.

Guarantees: what is not as it is by itself is named: filters, order, axis, smoothing, a part of the
x axis; so is what cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from rich.text import Text

from expstore.model.texts import printable
from expstore.watch.charts import Content
from expstore.watch.drawing import View
from expstore.watch.live import Live
from expstore.watch.texts import colour, fitted_id
from expstore.watch.ticks import number, positions
from formats.errors import counted

_LEGEND = 8  # runs
_HINTS = (
    ("?", "keys"),
    ("space", "keep"),
    ("/", "runs"),
    ("m", "metrics"),
    ("tab", "charts"),
    ("enter", "large"),
    ("c", "output"),
    ("q", "quit"),
)
_ALONE = (
    ("esc", "back"),
    ("l", "log"),
    ("s", "smooth"),
    ("x", "axis"),
    ("+ -", "zoom"),
    _HINTS[-1],
)


def status_line(live: Live, title: str, view: View, metrics: str, page: str) -> Text:
    """What is shown, and how."""
    query, total, shown = live.query, live.listing.total, len(live.listing.rows)
    count = counted(total, "run", ",")
    parts = [count if shown == total else f"{shown:,} of {count}"]
    if query.filter:
        parts.append(f"where {printable(query.filter)}")
    if query.sort:
        parts.append(f"by {printable(query.sort)}")
    if metrics:
        parts.append(f"metrics {printable(metrics)}")
    if view.x != "step":
        parts.append(f"x {view.x}")
    if view.span is not None:
        parts.append("x {} to {}".format(*positions(view.span, view.x)))
    if view.log:
        parts.append("log")
    if view.smoothing:
        parts.append(f"smooth {view.smoothing:g}")
    if page != "1/1":
        parts.append(f"page {page}")
    parts.append(printable(title))  # last, since it may be long
    return Text("  ".join(parts), "reverse", no_wrap=True, overflow="ellipsis")


def hints(live: Live, is_alone: bool) -> Text:
    """A message, or what takes a while, or the keys that are used most."""
    if live.message:
        return Text("! " + printable(live.message), "bold red", overflow="ellipsis")
    if live.reading:
        return Text(live.reading, "bold", no_wrap=True)
    for feed in live.feeds.states():
        if feed.problem:
            problem = f"! {printable(feed.commit_id)}: {printable(feed.problem)}"
            return Text(problem, "bold red", no_wrap=True, overflow="ellipsis")
        if feed.is_behind:
            progress = f"reading {printable(feed.commit_id)}: {feed.progress:.0%}"
            return Text(progress, "bold", no_wrap=True, overflow="ellipsis")
    text = Text(no_wrap=True, overflow="ellipsis")
    for key, about in _ALONE if is_alone else _HINTS:
        text.append(key, "bold")
        text.append(f" {about}  ")
    return text


def legend(content: Content | None, shown: Mapping[str, str]) -> Text:
    """The runs of a chart with their last, minimum and maximum values; empty without a chart."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if content is None:
        return text
    ids = {letter: commit_id for commit_id, letter in shown.items()}
    lines = sorted(content.lines, key=lambda line: line.letter)[:_LEGEND]
    for place, line in enumerate(lines):
        values = line.series.values
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if len(finite) else (math.nan, math.nan)
        text.append("\n" if place else "")
        text.append(f"{line.letter} ", f"bold {colour(line.letter)}")
        text.append(f"{fitted_id(ids.get(line.letter, ''), 16)} last {number(float(values[-1]))}")
        text.append(f"  min {number(float(low))}  max {number(float(high))}")
        if odd := len(values) - len(finite):
            text.append(f"  not finite {odd:,}", "bold red")
    if len(content.lines) > _LEGEND:
        text.append(f"\nand {len(content.lines) - _LEGEND} more")
    return text
