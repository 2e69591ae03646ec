"""What `compare` shows of the metrics that it was asked for, and in which order."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from expstore.cli.base import print_json
from expstore.cli.overview import Row, Shown, print_comparison, print_groups
from expstore.compare.interest import best_aspect, by_interest
from expstore.compare.naming import ASPECTS, resolve
from expstore.compare.patterns import expand

if TYPE_CHECKING:
    from expstore.compare.groups import GroupSummary
    from expstore.compare.summaries import Summary
    from expstore.store.reader import StoreReader


def known_metrics(rows: Iterable[Summary | GroupSummary]) -> dict[str, None]:
    """The names of all metrics, in order of first appearance."""
    return dict.fromkeys(name for row in rows for name in row.metrics)


def asked_metrics(typed: Sequence[str] | None, known: Collection[str]) -> list[Shown]:
    """The metrics that names, patterns, and those with `:last`, `:min` or `:max` stand for.

    Raises:
        UnknownMetricError: one of them stands for none.
    """
    found: dict[Shown, None] = {}
    for name in typed or ():
        base, _, aspect = name.rpartition(":")
        if name in known or aspect not in ASPECTS or not base:
            base, aspect = name, ""
        for one in expand([base], known, strict=bool(known)):
            found[Shown(one, aspect or best_aspect(one))] = None
    return list(found)


def only(summaries: Sequence[Summary], asked: Iterable[Shown]) -> list[Summary]:
    """The summaries with only the metrics that were asked for."""
    names = dict.fromkeys(one.name for one in asked)
    return [
        replace(one, metrics={name: one.metrics[name] for name in names if name in one.metrics})
        for one in summaries
    ]


def print_rows(
    store: StoreReader,
    summaries: Sequence[Summary],
    asked: Sequence[Shown],
    sort: str | None,
    limit: int | None,
) -> None:
    """Print one row for each experiment."""
    rows = [
        Row(one.commit_id, one.metadata, str(one.status), one.tags, one.params, one.metrics)
        for one in summaries
    ]
    known = known_metrics(summaries)
    params = {name for one in summaries for name in one.params}
    first = [*_sorted_by(sort, known, params), *asked]
    ids = store.list_experiments() if sys.stdout.isatty() else ()
    others = [] if asked else _interesting(known, first)
    print_comparison(rows, list(dict.fromkeys(first)), others, ids, limit)


def print_grouped(
    groups: Sequence[GroupSummary],
    names: Sequence[str] | None,
    sort: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print one row for each group, or JSON."""
    known = known_metrics(groups)
    asked = asked_metrics(names, known)
    if as_json:
        wanted = dict.fromkeys(one.name for one in asked) if names else known
        print_json([_plain_group(group, wanted) for group in groups])
    else:
        first = [*_sorted_by(sort, known, groups[0].by), *asked]
        others = [] if asked else _interesting(known, first)
        print_groups(groups, list(dict.fromkeys([*first, *others])), limit)


def _sorted_by(sort: str | None, known: Collection[str], params: Collection[str]) -> list[Shown]:
    """The metric that rows are sorted by, if it is one."""
    reference = resolve(sort or "", params)
    if not sort or reference.sort != "metric":
        return []
    if reference.whole in known:
        return [Shown(reference.whole, ASPECTS[0])]
    return [Shown(reference.name, reference.aspect)] if reference.name in known else []


def _interesting(known: Iterable[str], first: Collection[Shown]) -> list[Shown]:
    names = {one.name for one in first}
    return [Shown(name, best_aspect(name)) for name in by_interest(known) if name not in names]


def _plain_group(group: GroupSummary, names: Iterable[str]) -> dict[str, Any]:
    def spread(one: Any) -> Mapping[str, Any]:
        return {"mean": one.mean, "std": one.std, "count": one.count}

    return {
        "by": dict(group.by),
        "ids": list(group.ids),
        "metrics": {
            name: {aspect: spread(getattr(group.metrics[name], aspect)) for aspect in ASPECTS}
            for name in names
            if name in group.metrics
        },
    }
