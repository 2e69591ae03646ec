"""Comparing experiments: summaries of each metric, curves, and plots.

for summary in compare(store, sort="loss:min"):
    print(summary.commit_id, summary.metrics["loss"].min)
"""

from expstore.compare.curves import Curve, curves
from expstore.compare.series import Extremes
from expstore.compare.summaries import ASPECTS, Summary, compare

__all__ = ["ASPECTS", "Curve", "Extremes", "Summary", "compare", "curves"]
