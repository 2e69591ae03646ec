"""Experiments with equal settings as one: the mean and deviation over their seeds.

Guarantees: an experiment whose value is NaN or missing does not enter a mean, and `count` says how
many did; those that are infinite make the mean so, or NaN if there are both infinities. What
`where` takes for equal is one setting.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.compare.conditions import as_number, as_text
from expstore.compare.naming import ASPECTS, Reference, order, resolve, unknown
from expstore.compare.patterns import expand
from expstore.errors import SelectionError

if TYPE_CHECKING:
    from expstore.compare.experiments import Experiment


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
    groups: dict[tuple[object, ...], list[Experiment]] = {}
    for one in found:
        key_of_group = tuple(_key(reference, one) for reference in references)
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
    return _sorted(made, list(groups.values()), by, sort, reverse, known)


def _key(reference: Reference, one: Experiment) -> object:
    """What is equal for experiments of one group: a number, or text."""
    value = reference.value(one)
    number = as_number(value) if reference.sort == "param" else None
    if number is not None and str(number) != "nan":  # which is not equal to itself
        return number
    return None if value is None else as_text(value)  # a list as its text


def _metric(ones: Iterable[Experiment], name: str) -> GroupMetric:
    metrics = [one.metrics[name] for one in ones if name in one.metrics]
    return GroupMetric(*(_spread([getattr(one, aspect) for one in metrics]) for aspect in ASPECTS))


def _spread(values: Iterable[float]) -> Spread:
    numbers = [value for value in values if not math.isnan(value)]
    count = len(numbers)
    if not count:
        return Spread(math.nan, math.nan, 0)
    if infinite := [value for value in numbers if math.isinf(value)]:
        return Spread(sum(infinite), math.nan, count)
    # By a power of two, which is exact: the sum of large values, or a deviation, may overflow.
    exponent = max(math.frexp(value)[1] for value in numbers)
    parts = [math.ldexp(value, -exponent) for value in numbers]
    mean, std = math.fsum(parts) / count, math.nan
    if count > 1:
        scale = max(abs(part - mean) for part in parts) or 1.0
        squares = math.fsum(((part - mean) / scale) ** 2 for part in parts)
        std = scale * math.sqrt(squares / (count - 1))
    return Spread(math.ldexp(mean, exponent), std * 2.0 ** (exponent - 1) * 2, count)


def _sorted(
    groups: list[GroupSummary],
    members: Sequence[Sequence[Experiment]],
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
        values = [_mean(ones, reference) for ones in members]
    return [groups[place] for place in order(values, reverse)]


def _mean(ones: Iterable[Experiment], reference: Reference) -> float | None:
    """The mean of a metric, whether or not it is one of those that are shown."""
    values = [reference.of_metrics(one.metrics) for one in ones]
    known = [value for value in values if value is not None]
    return _spread(known).mean if known else None
