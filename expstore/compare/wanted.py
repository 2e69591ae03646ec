"""Which metrics a question is about, so that the others of a log need not be read.

Guarantees: none that decides the answer is left out, whatever its name turns out to mean.
"""

from __future__ import annotations

from collections.abc import Iterable

from expstore.compare.conditions import is_pattern, pattern
from expstore.compare.expression import Expression, comparisons
from expstore.compare.naming import Reference, resolve
from expstore.store.read.chosen import Wants


def wants_of(
    where: Expression | None = None,
    sort: str | None = None,
    names: Iterable[str] = (),
    references: Iterable[Reference] = (),
) -> Wants:
    """Whether a metric is wanted that has a name.

    Args:
        where: which experiments are wanted; None: any.
        sort: what they are sorted by; None: nothing.
        names: metrics that are shown, or patterns of their names.
        references: further metrics.
    """
    typed = [] if where is None else [part.name for part in comparisons(where)]
    # As if there were no parameters: then all that may be a metric is taken for one.
    meant = [resolve(name, ()) for name in (*typed, *(() if sort is None else (sort,)))]
    chosen = {*names}
    for one in (*meant, *references):
        chosen |= {one.name, one.whole} if one.sort == "metric" else set()
    tests = [pattern(name) for name in names if is_pattern(name)]
    return lambda name: name in chosen or any(test(name) for test in tests)
