"""Experiments with equal settings as one: the mean and deviation over their seeds.

Guarantees: an experiment whose value is NaN or missing does not enter a mean, and `count` says how
many did; those that are infinite make the mean so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.compare.conditions import as_text
from expstore.compare.naming import ASPECTS, Reference, order, resolve, unknown
from expstore.compare.patterns import expand
from expstore.errors import SelectionError

if TYPE_CHECKING:
    from expstore.compare.experiments import Experiment

_EXACT = 1 << 53  # floats distinguish all smaller integers


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of a value over the experiments of a group.

    Attributes:
        mean: the arithmetic mean; NaN if `count` is 0.
        std: the standard deviation of the sample (divided by `count` - 1); NaN for fewer than two.
        count: how many experiments have the value, and not as NaN.
    """

    mean: float
    std: float
    count: int


class GroupMetric(NamedTuple):
    """The spreads of a metric's statistics; each is over the experiments of the group."""

    last: Spread
    min: Spread
    max: Spread


@dataclass(frozen=True)
class GroupSummary:
    """The summary of experiments that have the same values of some fields or parameters.

    Attributes:
        by: these values, by name; None if the experiments have none.
        ids: the commit ids, in the order of the comparison.
        metrics: by name in order of first appearance.
    """

    by: Mapping[str, Any]
    ids: tuple[str, ...]
    metrics: Mapping[str, GroupMetric] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of experiments."""
        return len(self.ids)

    def row(self) -> dict[str, Any]:
        """As one row of a table: the values of `by`, `count`, and `metric.NAME:min.mean` etc."""
        return {
            **self.by,
            "count": self.count,
            **{
                f"metric.{name}:{aspect}.{statistic}": getattr(getattr(metric, aspect), statistic)
                for name, metric in self.metrics.items()
                for aspect in ASPECTS
                for statistic in ("mean", "std")
            },
        }


def grouped(
    found: Sequence[Experiment],
    by: Sequence[str],
    names: Collection[str] | None,
    sort: str | None,
    reverse: bool,
) -> list[GroupSummary]:
    """Group experiments; see `compare`. Without `sort`, groups are sorted by their values.

    Raises:
        UnknownMetricError: none of them has a field, parameter or metric of this name.
        SelectionError: a metric is no setting to group by; or nothing is.
    """
    params = {name for one in found for name in one.params}
    known = dict.fromkeys(name for one in found for name in one.metrics)
    references = []
    for key in by:
        reference = resolve(key, params)
        if reference.sort == "metric" and found:
            if reference.is_in(known):
                raise SelectionError(f"{key} is a metric; group by fields or parameters")
            raise unknown(key, params, known)
        references.append(reference)
    if not by:
        raise SelectionError("group_by is empty; give the name of a field or parameter")
    groups: dict[tuple[str, ...], list[Experiment]] = {}
    for one in found:
        # By text, since a parameter may be a list; 1 and 1.0 are one setting, 1 and true are two.
        key_of_group = tuple(_key(reference.value(one)) for reference in references)
        groups.setdefault(key_of_group, []).append(one)
    wanted = list(known) if names is None else expand(names, known, strict=bool(found))
    made = [
        GroupSummary(
            {key: ref.value(ones[0]) for key, ref in zip(by, references, strict=True)},
            tuple(one.commit_id for one in ones),
            {name: _metric(ones, name) for name in wanted if any(name in o.metrics for o in ones)},
        )
        for ones in groups.values()
    ]
    return _sorted(made, by, sort, reverse, known)


def _key(value: Any) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _EXACT
    return as_text(float(value) if whole else value)


def _metric(ones: Iterable[Experiment], name: str) -> GroupMetric:
    metrics = [one.metrics[name] for one in ones if name in one.metrics]
    return GroupMetric(*(_spread([getattr(one, aspect) for one in metrics]) for aspect in ASPECTS))


def _spread(values: Iterable[float]) -> Spread:
    numbers = [value for value in values if not math.isnan(value)]
    count = len(numbers)
    if not count:
        return Spread(math.nan, math.nan, 0)
    # Divided before they are added: the sum of large values may overflow.
    mean = math.fsum(value / count for value in numbers)
    if count < 2 or not math.isfinite(mean):
        return Spread(mean, math.nan, count)
    scale = max(abs(value - mean) for value in numbers) or 1.0
    squares = math.fsum(((value - mean) / scale) ** 2 for value in numbers)
    return Spread(mean, scale * math.sqrt(squares / (count - 1)), count)


def _sorted(
    groups: list[GroupSummary],
    by: Sequence[str],
    sort: str | None,
    reverse: bool,
    known: Collection[str],
) -> list[GroupSummary]:
    """Sort by one of the groups' values, their count, or the mean of a metric."""
    if sort is None:
        for key in [*by][::-1]:
            groups = [groups[place] for place in order([group.by[key] for group in groups])]
        return groups[::-1] if reverse else groups
    if sort in by:
        values: list[Any] = [group.by[sort] for group in groups]
    elif sort == "count":
        values = [group.count for group in groups]
    else:
        reference = resolve(sort, ())
        if groups and not reference.is_in(known):
            raise unknown(sort, by, known)
        values = [_mean(group, reference) for group in groups]
    return [groups[place] for place in order(values, reverse)]


def _mean(group: GroupSummary, reference: Reference) -> float | None:
    if reference.whole in group.metrics:
        return group.metrics[reference.whole].last.mean
    found = group.metrics.get(reference.name)
    return None if found is None else float(getattr(found, reference.aspect).mean)
