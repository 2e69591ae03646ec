"""The best experiments by a metric: what `expstore prune --keep-best val/loss:min=3` keeps.

Guarantees: an experiment whose metrics cannot be read is never one of the others: it is listed by
itself, so that nothing is deleted because of it. NaN is never among the best. Of equal values, the
one whose id comes first is the better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from expstore.compare.experiments import experiments
from expstore.compare.interest import best_aspect
from expstore.compare.naming import ASPECTS, Reference, unknown
from expstore.compare.reading import read_logs
from expstore.compare.wanted import wants_of
from expstore.errors import RetentionPolicyError

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader


class Best(NamedTuple):
    """The best few by a metric.

    Attributes:
        typed: the metric as it was typed.
        reference: what it means.
        highest: whether a high value is good.
        most: how many there are at most.
    """

    typed: str
    reference: Reference
    highest: bool
    most: int

    def __str__(self) -> str:
        what = f"{self.most} best" if self.most > 1 else "best"
        return f"{what} by {self.typed}"


class Ranking(NamedTuple):
    """Which experiments are the best.

    Attributes:
        best: those that are, each with what it is the best of.
        unread: those whose metrics cannot be read, each with the reason.
        others: the rest, each with what it is not the best of.
    """

    best: dict[str, str]
    unread: dict[str, str]
    others: dict[str, str]


def parse_best(text: str) -> Best:
    """The meaning of `val/loss:min=3`, `accuracy=5` (the highest, by its name) or `loss` (one).

    Raises:
        RetentionPolicyError: it is none of these, or it does not say whether low or high is good.
    """
    typed, equals, number = text.rpartition("=")
    if not equals:
        typed, number = text, "1"
    if not typed or not (number.isascii() and number.isdigit()) or not 0 < int(number) < 10**9:
        raise RetentionPolicyError(
            f"{text!r} is not METRIC:min=N or METRIC:max=N, such as val/loss:min=3"
        )
    name, _, aspect = typed.rpartition(":")
    if aspect not in ASPECTS or not name:
        name, aspect = typed, best_aspect(typed)
    good = best_aspect(name) if aspect == "last" else aspect
    if good == "last":
        raise RetentionPolicyError(
            f"{name!r} does not say whether it should be low or high: write {name}:min=N or "
            f"{name}:max=N"
        )
    # A metric may have the whole name, `:min` included; without it, there is only one meaning.
    whole = typed if typed != name else ""
    return Best(typed, Reference("metric", name, aspect, whole), good == "max", int(number))


def rank(
    store: StoreReader,
    wanted: Iterable[Best | str],
    ids: Iterable[str] | None = None,
    *,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Ranking:
    """The experiments that are among the best by any of some metrics.

    Args:
        store: the store to read from.
        wanted: the metrics; see `parse_best`.
        ids: only these experiments; None: all.
        progress: wraps the list of ids while their metrics are read.

    Raises:
        RetentionPolicyError: see `parse_best`; nothing was read.
        UnknownMetricError: none of the experiments has a metric.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    rules: Sequence[Best] = [parse_best(one) if isinstance(one, str) else one for one in wanted]
    found = list(experiments(store, store.select_ids(ids)))
    wants = wants_of(references=[rule.reference for rule in rules])
    read_logs(store, found, progress, wants=wants)
    unread = {
        one.commit_id: f"cannot be ranked: {one.problems[-1]}"
        for one in found
        if not one.names and one.problems
    }
    best: dict[str, list[str]] = {}
    for rule in rules:
        values = {one.commit_id: rule.reference.value(one) for one in found}
        if found and all(value is None for value in values.values()):
            params = {name for one in found for name in one.params}
            raise unknown(rule.typed, params, (name for one in found for name in one.names))
        sign = -1 if rule.highest else 1
        ranked = sorted(
            (sign * value, commit_id)
            for commit_id, value in values.items()
            if value is not None and not math.isnan(value)
        )
        for _, commit_id in ranked[: rule.most]:
            best.setdefault(commit_id, []).append(str(rule))
    missed = ", ".join(map(str, rules))
    return Ranking(
        {commit_id: ", ".join(texts) for commit_id, texts in best.items()},
        unread,
        {
            one.commit_id: f"not among the {missed}"
            for one in found
            if one.commit_id not in best and one.commit_id not in unread
        },
    )
