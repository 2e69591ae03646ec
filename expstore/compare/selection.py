"""Selecting experiments by an expression, such as `lr < 0.01 and val/loss:min < 0.3`.

See `where` for the syntax, `naming` for what names mean, and `conditions` for comparisons.

Guarantees: experiments keep their order. A log is read only where the expression cannot be decided
without its metrics. If it cannot be read then, the experiment is left out, whatever is asked of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from expstore.compare.conditions import Test, test
from expstore.compare.experiments import Experiment, experiments
from expstore.compare.exportreader import as_source
from expstore.compare.expression import Comparison, Expression, Name, Not, comparisons
from expstore.compare.naming import Reference, resolve, unknown
from expstore.compare.reading import ReadLogs, read_logs
from expstore.compare.wanted import wants_of
from expstore.compare.where import parse
from expstore.errors import WhereError

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_LOG = 2
Predicate = Callable[[Experiment], bool]


def select(
    store: StoreReader | str | os.PathLike[str],
    where: str,
    ids: Iterable[str] | None = None,
    *,
    progress: Callable[[list[str]], Iterable[str]] = iter,
    read: ReadLogs | None = None,
) -> list[str]:
    """The ids of the experiments for which an expression is true.

    Args:
        store: the store to read from, or its root, or the path of an export to Parquet.
        where: the expression; see `expstore.compare.where`.
        ids: only these, in this order; None: all, sorted.
        progress: wraps the list of ids while their metrics are read.
        read: reads the logs instead, such as `expstore.cluster.log_reader(store)`.

    Raises:
        WhereError: it is not an expression; nothing was read.
        UnknownMetricError: it has a name that none of the experiments has.
        MissingExtraError: the extra `where` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    expression = parse(where)
    store = as_source(store)
    found = list(experiments(store, store.select_ids(ids)))
    read = read or partial(read_logs, store, progress=progress, wants=wants_of(expression))
    return [one.commit_id for one in matching(found, expression, where, read)]


def matching(
    found: Sequence[Experiment],
    expression: Expression,
    text: str,
    read: ReadLogs,
) -> list[Experiment]:
    """The experiments for which an expression is true.

    Args:
        found: the experiments.
        expression: what `parse` gave for the text.
        text: for errors.
        read: reads the logs of those for which nothing else decides; see `read_logs`.

    Raises:
        WhereError: a value does not suit what it is compared with.
        UnknownMetricError: none of the experiments has a name.
    """
    if not found:
        return []
    params = {name for one in found for name in one.params}
    meant = {part.name: resolve(part.name, params) for part in comparisons(expression)}
    now = time.time()
    try:
        tests = {
            part: test(part, meant[part.name].kind, text, now) for part in comparisons(expression)
        }
    except WhereError:
        check_known(found, meant.items(), params)  # a name that does not exist is to be said first
        raise
    passes = _predicate(expression, meant, tests)
    undecided = read([one for one in found if not _is_decided(passes, one)])
    unknown_ids = {one.commit_id for one in undecided if one.is_unreadable}
    chosen = [one for one in found if one.commit_id not in unknown_ids and passes(one)]
    check_known(found, meant.items(), params)
    return chosen


class _UnreadError(Exception):
    """An expression depends on a log that was not read."""


def _is_decided(passes: Predicate, one: Experiment) -> bool:
    """Whether an expression is known to be true or false without reading more logs."""
    try:
        passes(one)
    except _UnreadError:
        return False
    return True


def check_known(
    found: Iterable[Experiment],
    references: Iterable[tuple[object, Reference]],
    params: Iterable[str],
) -> None:
    """Check that each metric is in one of the experiments at least.

    Args:
        found: the experiments; logs are read until all metrics are found.
        references: what was typed, and what it means.
        params: the names of all parameters, for the error.

    Raises:
        UnknownMetricError: the first that is in none.
    """
    missing = [(typed, one) for typed, one in references if one.sort == "metric"]
    names: dict[str, None] = {}
    for one in sorted(found, key=lambda one: not one.is_read):
        if not missing:
            return
        names |= dict.fromkeys(one.names)
        missing = [pair for pair in missing if not pair[1].is_in(one.names)]
    if missing:
        raise unknown(str(missing[0][0]), params, names)


def _predicate(
    expression: Expression, meant: dict[Name, Reference], tests: dict[Comparison, Test]
) -> Predicate:
    """The expression as a function; what needs no metrics is decided first."""
    if isinstance(expression, Comparison):
        reference, passes = meant[expression.name], tests[expression]
        if _cost(expression, meant) < _LOG:
            return lambda one: passes(reference.value(one))

        def passes_if_read(one: Experiment) -> bool:
            if not one.is_read:
                raise _UnreadError
            return passes(reference.value(one))

        return passes_if_read
    if isinstance(expression, Not):
        inner = _predicate(expression.part, meant, tests)
        return lambda one: not inner(one)
    cheap_first = sorted(expression.parts, key=lambda part: _cost(part, meant))
    parts = [_predicate(part, meant, tests) for part in cheap_first]
    if expression.word == "and":
        return lambda one: all(part(one) for part in parts)
    return lambda one: any(part(one) for part in parts)


def _cost(expression: Expression, meant: dict[Name, Reference]) -> int:
    """How much must be read: 0, nothing more; 1, the state of its lock; `_LOG`, the log."""
    costs = {"status": 1, "duration": _LOG}
    references = [meant[part.name] for part in comparisons(expression)]
    return max(_LOG if one.sort == "metric" else costs.get(one.name, 0) for one in references)
