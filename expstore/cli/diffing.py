"""What `diff` prints: a row for each difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from expstore.cli.base import printable
from expstore.cli.overview import abbreviated, fitting_names
from expstore.cli.render import console
from expstore.cli.tables import Table, show
from expstore.compare.conditions import as_text
from expstore.compare.differences import ABSENT, Difference, Pair
from expstore.compare.interest import best_aspect, by_interest
from expstore.compare.series import Extremes
from formats.errors import counted

_VALUE = 160  # characters of a value that a terminal shows


def print_difference(found: Difference, first: str, second: str) -> None:
    """Print a row for each difference, and what is the same.

    Args:
        found: what differs.
        first, second: the ids as they are shown.
    """
    rows = list(_rows(found))
    if rows:
        changes = any(change for *_, change in rows)
        table = Table("", "", printable(first), printable(second), *(["change"] * changes))
        names = fitting_names([printable(name) for _, name, *_ in rows])
        for name, (kind, _, values, change) in zip(names, rows, strict=True):
            texts = abbreviated(list(map(printable, values)), _VALUE)
            table.add_row(kind, name, *texts, *([change] * changes))
        show(console(), table)
    same = [
        counted(count, what)
        for count, what in ((found.same_params, "parameter"), (found.same_metrics, "metric"))
        if count
    ]
    if same or not rows:
        print(f"the same in both: {', '.join(same) or 'all that is known'}")


def _rows(found: Difference) -> Iterator[tuple[str, str, tuple[str, str], str]]:
    """For each difference what it is of, its name, both values, and the change of a number."""
    for kind, pairs in (("", found.fields), ("param", found.params)):
        for name, pair in pairs.items():
            yield kind, name, _texts(pair), _change(pair.first, pair.second)
    if any(found.tags):
        yield "", "tags", (", ".join(found.tags.first), ", ".join(found.tags.second)), ""
    for name, pair in found.git.items():
        yield "git", name, _texts(pair), ""
    for name in by_interest(found.metrics):
        pair, aspect = found.metrics[name], best_aspect(name)
        values = tuple(None if one is ABSENT else getattr(one, aspect) for one in pair)
        yield (
            "metric",
            f"{name} {aspect}",
            (_with_step(pair.first, aspect), _with_step(pair.second, aspect)),
            _change(*values),
        )


def _texts(pair: Pair) -> tuple[str, str]:
    return _text(pair.first), _text(pair.second)


def _text(value: Any) -> str:
    return "" if value is ABSENT else as_text(value)


def _with_step(one: Any, aspect: str) -> str:
    if not isinstance(one, Extremes):
        return ""
    return f"{getattr(one, aspect):.5g} @ {getattr(one, f'{aspect}_step'):,}"


def _change(first: Any, second: Any) -> str:
    """By how much a number changed; nothing for anything else."""
    for value in first, second:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return ""
    return f"{second - first:+.4g}"


def describe_difference(found: Difference) -> dict[str, Any]:
    """As JSON; a side that lacks something has no key."""

    def pairs(of: Any) -> dict[str, Any]:
        return {name: _sides(pair) for name, pair in of.items()}

    return {
        "first": found.first,
        "second": found.second,
        "fields": pairs(found.fields),
        "params": pairs(found.params),
        "tags": {"first": list(found.tags.first), "second": list(found.tags.second)},
        "git": pairs(found.git),
        "metrics": pairs(found.metrics),
        "same_params": found.same_params,
        "same_metrics": found.same_metrics,
        "problems": list(found.problems),
    }


def _sides(pair: Pair) -> dict[str, Any]:
    values = pair._asdict().items()
    return {
        side: value._asdict() if isinstance(value, Extremes) else value
        for side, value in values
        if value is not ABSENT
    }
