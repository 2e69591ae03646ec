"""Names of metrics with wildcards: `val/*`, `*loss`, `layer?/grad`.

Guarantees: `*` is any text, also with slashes, and `?` any character; nothing else is special. A
name that exists always means itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from expstore.compare.conditions import is_pattern, pattern
from expstore.errors import UnknownMetricError


def expand(names: Iterable[str], known: Collection[str], *, strict: bool = True) -> list[str]:
    """The names that patterns stand for, without duplicates, in the order of the patterns.

    Args:
        names: names and patterns.
        known: all names that there are, in the order in which a pattern gives them.
        strict: whether every name must be known, and every pattern match one.

    Raises:
        UnknownMetricError: with `strict`, the first that is not.
    """
    found: dict[str, None] = {}
    for name in names:
        if name in known:
            found[name] = None
            continue
        matches = pattern(name) if is_pattern(name) else None
        matching = [one for one in known if matches(one)] if matches else []
        if strict and not matching:
            # Last what misaligned records take for names: a message lists only the first few.
            listed = sorted(known, key=lambda one: (not one.isprintable() or not one, one))
            raise UnknownMetricError.of(name, listed)
        found |= dict.fromkeys(matching)
    return list(found)
