"""A report: one HTML file that holds everything it shows, and asks for nothing.

Guarantees: the file opens without a network, and its content security policy forbids one; only the
scripts written here run in it (their hashes stand in the policy). Text from files is data: escaped
in the JSON that carries it, and shown through `textContent`. An experiment that cannot be read is
in the report, with its problem.

Curves are thinned (see `series.thin`) so that the file stays near 10 MB: about 400,000 points in
all, 60 to 4,000 a curve; beyond some 6,000 curves it grows. Last, min and max values are those of
all points. Smoothing weighs each drawn point by the points it stands for, with their mean.

The charts are uPlot's (MIT, no dependencies, 51 kB), unaltered in `assets/uplot`.
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

from expstore.compare.curves import LoadedExperiment, load_one
from expstore.compare.plot import DASHES, ON_DARK, ON_LIGHT
from expstore.compare.series import Extremes, Series, extremes, thin
from expstore.model.texts import json_number, printable
from expstore.store.files.output import write_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.store.files.directory import Location
    from expstore.store.reader import StoreReader

_POINTS = 400_000  # of the whole report; 12 to 24 bytes each, and a third more as base64
_LEAST, _MOST = 60, 4000  # points of a curve
_ASSETS = "assets"


def write_report(
    store: StoreReader,
    path: str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    *,
    title: str | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> int:
    """Write a report of experiments.

    Args:
        store: where they are.
        path: the file; one that is there is replaced.
        ids: which, in the order wanted; None: all, sorted.
        title: default: named after the root.
        progress: wraps the list of ids while they are read.

    Returns:
        How many experiments are in it.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was written.
        UnreadableFileError, OutputExistsError: the file cannot be written.
    """
    chosen = store.select_ids(ids)
    if title is None:
        place = store.location
        name = place.resolve().name if isinstance(place, Path) else place.name
        title = f"Experiments in {name or place}"
    page = render(collect(store, chosen, progress), title)
    write_output(Path(path), page.encode())
    return len(chosen)


def collect(
    store: StoreReader,
    ids: list[str],
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> dict[str, Any]:
    """What a report shows of experiments, as values of JSON."""
    metrics: dict[str, int] = {}
    runs, curves = [], []
    for number, commit_id in enumerate(progress(ids)):
        experiment = load_one(store, commit_id)
        runs.append(_run(experiment, store.location))
        share = _POINTS // len(ids) // max(len(experiment.curves), 1)
        limit = min(max(share, _LEAST), _MOST)
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
        # A report is passed on: where the store lies on this machine is nobody's business.
        "problems": [printable(problem.replace(f"{root}/", "")) for problem in experiment.problems],
    }


def _curve(series: Series, limit: int) -> dict[str, Any]:
    """One curve; `data` is its columns one behind the other, in base64.

    The columns: values, then steps as uint32, and where points were left out the means (as values)
    and counts (uint32) of `series.thin`; all little-endian.
    """
    import numpy as np

    thinned = thin(series, limit)
    values, means = series.values[thinned.kept], thinned.means
    kind = _float_type(np.concatenate([values, means]))
    columns = [values.astype(kind), series.steps[thinned.kept].astype("<u4")]
    if len(thinned.kept) < len(series.steps):
        columns += [means.astype(kind), thinned.counts.astype("<u4")]
    wrong = np.flatnonzero(~np.isfinite(series.values))
    whole: Extremes = extremes(series)
    return {
        "n": len(values),
        "points": whole.points,
        "type": kind[1:],
        "data": base64.b64encode(b"".join(c.tobytes() for c in columns)).decode("ascii"),
        "last": json_number(whole.last),
        "min": json_number(whole.min),
        "max": json_number(whole.max),
        "step": whole.last_step,
        "wrong": len(wrong),
        "wrongStep": int(series.steps[wrong[0]]) if len(wrong) else None,
    }


def _float_type(values: NDArray[np.float64]) -> str:
    """The smaller type where it shows no other curve, on either scale, than the greater."""
    import numpy as np

    finite = values[np.isfinite(values)]
    if not len(finite):
        return "<f4"
    span = finite.max() - finite.min()
    with np.errstate(over="ignore", under="ignore"):
        error = np.abs(finite.astype(np.float32) - finite)
    # One value alone has no span: there it is the number itself that is read.
    allowed = np.minimum(np.abs(finite), span if span else np.inf) * 1e-5
    return "<f4" if (error <= allowed).all() else "<f8"


def render(data: dict[str, Any], title: str) -> str:
    """The page of what `collect` gives."""
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
    # One pass: what is put in is never looked at again.
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], _asset("report.html"))


def _asset(name: str) -> str:
    return (resources.files("expstore.report") / _ASSETS / name).read_text("utf-8")


def _source(text: str) -> str:
    """A script or style as a content security policy names it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json(data: Any) -> str:
    """JSON that cannot end, or open, an element or a comment of the page around it."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
