"""What a page shows of a store, as JSON values and bytes: a report embeds it, a server sends it.

Guarantees: no text can be mistaken for markup or change the direction of other text, since control
characters and bidi overrides are escaped; nothing tells where the store is, or who started a run on
which machine; an experiment that cannot be read has a row with its problems.

`contents.py` bounds the size of all this for a report. `assets/source.js` documents what the page
does with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare.curves import LoadedTable
from expstore.compare.experiments import Experiment, experiments
from expstore.compare.interest import ASIDE, HELD_OUT, HIGH, LOW
from expstore.compare.series import Extremes, summarize
from expstore.compare.styles import DASHES, ON_DARK, ON_LIGHT
from expstore.errors import ExpStoreError
from expstore.model.runinfo import RunInfo, Status
from expstore.model.texts import escape, json_number, printable
from expstore.store.read import ahead

if TYPE_CHECKING:
    from expstore.model.table import MetricTable
    from expstore.store.reader import StoreReader

_LONGEST = 10_000  # characters of one text of a run.json
_MOST = 500  # parameters, tags or starts of one run


def to_json(data: Any) -> str:
    """Compact ASCII JSON that cannot open or close an element or a comment in a page around it."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_facts() -> dict[str, Any]:
    """What every page shares with the library's other views: colours, dashes and words of names."""
    words = {"low": LOW, "high": HIGH, "heldOut": HELD_OUT, "aside": ASIDE}
    colours = {"light": ON_LIGHT, "dark": ON_DARK}
    return {"colours": colours, "dashes": DASHES, "interest": words}


def runs_payload(
    store: StoreReader,
    ids: list[str],
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Iterator[tuple[dict[str, Any], MetricTable | None]]:
    """The rows of experiments, each with its table if that can be read, in order.

    Args:
        store: the store to read from.
        ids: commit ids that `select_ids` returned, in output order.
        progress: wraps the list of ids while they are read.

    Raises:
        StoreNotFoundError: the root does not exist.
    """

    def read(one: Experiment, limit: int | None) -> tuple[MetricTable | None, Status]:
        return one.read_table(limit), _status(store, one.commit_id, one.run)

    found = ahead.each(store.location, experiments(store, ids), read)
    for (one, (table, status)), _ in zip(found, progress(ids), strict=True):
        yield run_payload(store, LoadedTable.of(one, table), status), table


def run_payload(
    store: StoreReader, loaded: LoadedTable, status: Status | None = None
) -> dict[str, Any]:
    """The row of one experiment; what is empty is left out.

    Its `metrics` map names, escaped by `texts.escape`, to `summary_payload`; see `page_payload`.

    Args:
        store: the store.
        loaded: what was read of it.
        status: how its run is; None: that is asked for.
    """
    commit_id, metadata, table, info, problems = loaded
    # A page is shared, so it must not reveal where the store is on this machine.
    place = f"{store.location}/"
    status = status or _status(store, commit_id, info)
    row = {
        **_identified(commit_id),
        "job": printable(metadata.job_name) if metadata else "",
        "user": printable(metadata.user) if metadata else "",
        "created": metadata.timestamp if metadata else None,
        "status": "" if status == "unknown" else status,
        "tail": "" if loaded.status else printable(str(loaded.status)),
        "problems": [
            _text(_placeless(problem, commit_id).replace(place, "")) for problem in problems
        ],
        **_described(info, place),
    }
    if table is not None and len(table):
        row["points"] = len(table)
        row["first"], row["latest"] = int(table.timestamps.min()), int(table.timestamps.max())
        row["metrics"] = summaries_payload(table)
    return {name: value for name, value in row.items() if value not in (None, "", [], {})}


def _placeless(problem: str, commit_id: str) -> str:
    """A problem without the directory of a store that was exported elsewhere, which begins it."""
    directory, found, rest = problem.partition(f"/{commit_id}/")
    return f"{commit_id}/{rest}" if found and Path(directory).is_absolute() else problem


def _identified(name: str) -> dict[str, Any]:
    """A name to show; and a key that names it exactly, if that differs."""
    shown, key = printable(name), escape(name)
    return {"id": shown} if shown == key else {"id": shown, "key": key}


def _status(store: StoreReader, commit_id: str, info: RunInfo) -> Status:
    """As `StoreReader.status`, without asking for what run.json already says."""
    if info.starts and info.starts[-1].ended is not None:
        return info.starts[-1].outcome or "stopped"
    if not info.starts and not isinstance(store.location, Path):
        return "unknown"
    try:
        return store.status(commit_id)
    except ExpStoreError:  # deleted meanwhile, or not readable: its row has that problem
        return "unknown"


def _described(info: RunInfo, place: str) -> dict[str, Any]:
    """What run.json says of an experiment; not its origin."""
    params = list(info.flat_params.items())[:_MOST]
    starts = [
        {
            "started": json_number(start.started),
            "ended": None if start.ended is None else json_number(start.ended),
            "outcome": start.outcome,
            "error": _text(start.error.replace(place, "")),
            "from": start.from_step,
        }
        for start in info.starts[-_MOST:]
    ]
    return {
        "params": {_text(name): _value(value) for name, value in params},
        "tags": [_text(tag) for tag in info.tags[:_MOST]],
        "notes": "\n".join(map(_text, info.notes[:_LONGEST].splitlines())),
        "starts": starts,
    }


def _value(value: Any) -> Any:
    """A parameter as JSON: a number, a truth value, None, or text; lists are text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 53):
        return json_number(value)
    return _text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _text(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def summaries_payload(table: MetricTable) -> dict[str, list[Any]]:
    """`summary_payload` of each metric of a table, by its name, escaped."""
    wrong = not_finite(table)
    return {
        escape(name): summary_payload(found, *wrong.get(name, ()))
        for name, found in summarize(table).items()
    }


def not_finite(table: MetricTable) -> dict[str, tuple[int, int]]:
    """By name, how many values of a metric are not finite, and the first step with one."""
    import numpy as np

    found: dict[str, tuple[int, int]] = {}
    bad = np.flatnonzero(~np.isfinite(table.values))
    for code in np.unique(table.name_codes[bad]).tolist():
        steps = table.steps[bad[table.name_codes[bad] == code]]
        found[table.names[code]] = len(steps), int(steps.min())
    return found


def summary_payload(found: Extremes, wrong: int = 0, wrong_step: int = 0) -> list[Any]:
    """Points, then last, min and max, each with its step; a number that is not finite is text.

    Args:
        found: of all points of the metric in one experiment.
        wrong: how many values are not finite; if any are, this and the next are added.
        wrong_step: the first step with one.
    """
    values = [
        *(found.points, json_number(found.last), found.last_step),
        *(json_number(found.min), found.min_step, json_number(found.max), found.max_step),
    ]
    return [*values, wrong, wrong_step] if wrong else values


def page_payload(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as one page: metrics are named once, in `names`, and in the rows by their index.

    Returns:
        `runs`: the rows, where `metrics` is a list of index and summary, as one flat list each.
        `names`: for each index the name to show, or a pair of that and the exact one, escaped.
    """
    from expstore.model.texts import unescape

    indices: dict[str, int] = {}
    runs = []
    for row in rows:
        metrics = [
            [indices.setdefault(name, len(indices)), *summary]
            for name, summary in row.get("metrics", {}).items()
        ]
        runs.append({**row, "metrics": metrics} if metrics else dict(row))
    shown = ((printable(unescape(name)), name) for name in indices)
    return {"runs": runs, "names": [one if one == key else [one, key] for one, key in shown]}
