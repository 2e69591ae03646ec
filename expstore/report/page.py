"""Writing a report: a self-contained HTML file that makes no network requests.

Guarantees: the file works offline, and its content security policy forbids network access; only the
scripts included here can run, since the policy lists their hashes. Text from files is treated as
data: it is escaped in the embedded JSON and shown through `textContent`. An experiment that cannot
be read is included with its problems.

Curves are thinned (see `series.thin`) to keep the file near 10 MB: about 400,000 points in total,
60 to 4,000 per curve; beyond about 6,000 curves the file grows. Last, minimum and maximum values
are taken over all points. Smoothing weights each drawn point by the number of points it stands for,
and uses their mean.

The charts are drawn by uPlot (MIT, no dependencies, 51 kB), unmodified in `assets/uplot`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare.curves import LoadedExperiment, load
from expstore.compare.plot import DASHES, ON_DARK, ON_LIGHT
from expstore.compare.series import Extremes, Series, extremes, thin
from expstore.model.texts import json_number, printable
from expstore.store.files.output import write_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.store.files.directory import Location
    from expstore.store.reader import StoreReader

_POINTS = 400_000  # in the whole report; 12 to 24 bytes each, and a third more as base64
_MIN_POINTS, _MAX_POINTS = 60, 4000  # per curve
_ASSETS = "assets"


def write_report(
    store: StoreReader,
    path: str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    *,
    title: str | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> int:
    """Write a report on experiments.

    Args:
        store: the store to read from.
        path: the output file; an existing file is replaced.
        ids: commit ids, in output order; None: all, sorted.
        title: the report's title; default: derived from the root's name.
        progress: wraps the list of ids while they are read.

    Returns:
        The number of experiments in the report.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was written.
        UnreadableFileError, OutputExistsError: the file cannot be written.
    """
    chosen = store.select_ids(ids)
    if title is None:
        location = store.location
        name = location.resolve().name if isinstance(location, Path) else location.name
        title = f"Experiments in {name or location}"
    page = render(collect(store, chosen, progress), title)
    write_output(Path(path), page.encode())
    return len(chosen)


def collect(
    store: StoreReader,
    ids: list[str],
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> dict[str, Any]:
    """The content of a report, as JSON-compatible values."""
    metrics: dict[str, int] = {}
    runs, curves = [], []
    for number, experiment in enumerate(load(store, ids, progress)):
        runs.append(_run(experiment, store.location))
        share = _POINTS // len(ids) // max(len(experiment.curves), 1)
        limit = min(max(share, _MIN_POINTS), _MAX_POINTS)
        for name, series in experiment.curves.items():
            metric = metrics.setdefault(name, len(metrics))
            curves.append({"run": number, "metric": metric, **_curve(series, limit)})
    return {
        "written": int(time.time()),
        "runs": runs,
        "metrics": [printable(name) for name in metrics],
        "curves": curves,
        "colours": {"light": ON_LIGHT, "dark": ON_DARK},
        "dashes": DASHES,
    }


def _run(experiment: LoadedExperiment, root: Location) -> dict[str, Any]:
    metadata = experiment.metadata
    return {
        "id": printable(experiment.commit_id),
        "job": printable(metadata.job_name) if metadata else "",
        "user": printable(metadata.user) if metadata else "",
        "created": metadata.timestamp if metadata else None,
        "points": sum(len(series.steps) for series in experiment.curves.values()),
        "tail": "" if experiment.status else printable(str(experiment.status)),
        # Reports are shared, so they must not reveal where the store is on this machine.
        "problems": [printable(problem.replace(f"{root}/", "")) for problem in experiment.problems],
    }


def _curve(series: Series, limit: int) -> dict[str, Any]:
    """One curve; `data` is its concatenated columns, encoded as base64.

    The columns are the values and the steps (uint32) and, if points were left out, the means (same
    type as the values) and counts (uint32) from `series.thin`; all little-endian.
    """
    import numpy as np

    thinned = thin(series, limit)
    values, means = series.values[thinned.kept], thinned.means
    kind = _float_type(np.concatenate([values, means]))
    columns = [values.astype(kind), series.steps[thinned.kept].astype("<u4")]
    if len(thinned.kept) < len(series.steps):
        columns += [means.astype(kind), thinned.counts.astype("<u4")]
    wrong = np.flatnonzero(~np.isfinite(series.values))
    summary: Extremes = extremes(series)
    return {
        "n": len(values),
        "points": summary.points,
        "type": kind[1:],
        "data": base64.b64encode(b"".join(c.tobytes() for c in columns)).decode("ascii"),
        "last": json_number(summary.last),
        "min": json_number(summary.min),
        "max": json_number(summary.max),
        "step": summary.last_step,
        "wrong": len(wrong),
        "wrongStep": int(series.steps[wrong[0]]) if len(wrong) else None,
    }


def _float_type(values: NDArray[np.float64]) -> str:
    """Float32 if it draws the same curve as float64, on either scale; otherwise float64."""
    import numpy as np

    finite = values[np.isfinite(values)]
    if not len(finite):
        return "<f4"
    span = finite.max() - finite.min()
    with np.errstate(over="ignore", under="ignore"):
        error = np.abs(finite.astype(np.float32) - finite)
    # A constant curve has no span, so there the error is judged against the value itself.
    allowed = np.minimum(np.abs(finite), span if span else np.inf) * 1e-5
    return "<f4" if (error <= allowed).all() else "<f8"


def render(data: dict[str, Any], title: str) -> str:
    """Render the result of `collect` as an HTML page."""
    style = _asset("uplot/uPlot.min.css") + _asset("report.css")
    scripts = {"uplot": _asset("uplot/uPlot.iife.min.js"), "script": _asset("report.js")}
    sources = " ".join(_source(script) for script in scripts.values())
    parts = {
        "policy": f"default-src 'none'; script-src {sources}; style-src {_source(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        "title": html.escape(printable(title)),
        "licence": _asset("uplot/LICENSE").strip(),
        "style": style,
        "data": _json(data),
        **scripts,
    }
    # A single pass: placeholders inside inserted text are not expanded.
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], _asset("report.html"))


def _asset(name: str) -> str:
    return (resources.files(__name__.rpartition(".")[0]) / _ASSETS / name).read_text("utf-8")


def _source(text: str) -> str:
    """The hash of a script or style, in the syntax of a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json(data: Any) -> str:
    """JSON that cannot open or close an element or a comment in the surrounding page."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
