"""Comparing experiments: selected by an expression, summarized, grouped, and plotted.

for summary in compare(store, where="lr < 0.01", sort="val/loss:min", limit=3):
    print(summary.commit_id, summary.params["lr"], summary.metrics["val/loss"].min)
"""

from expstore.compare.comparison import Comparison
from expstore.compare.curves import Curve, curves
from expstore.compare.experimentfile import export_experiments
from expstore.compare.groups import GroupMetric, GroupSummary, Spread
from expstore.compare.naming import ASPECTS
from expstore.compare.selection import select
from expstore.compare.series import Extremes
from expstore.compare.summaries import RunStatus, Summary, compare

__all__ = [
    "ASPECTS",
    "Comparison",
    "Curve",
    "Extremes",
    "GroupMetric",
    "GroupSummary",
    "RunStatus",
    "Spread",
    "Summary",
    "compare",
    "curves",
    "export_experiments",
    "select",
]
