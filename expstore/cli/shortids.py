"""Commit ids as a terminal shows them: names in full, and commits of git in a short form.

Guarantees: what is shown is unique among all ids of the store, and `ids.resolve` takes it for the
id that it was made of. A short form is a prefix of the id or, where that is shorter, its beginning
and its end with `…` between them: `3f2a…-12`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from expstore.cli.tables import width_of

ELLIPSIS = "…"
_HEAD = 4  # characters that are shown at least
_TAIL = 6  # characters of an end, within which a separator is looked for
_SHORTEST_TAIL = 3
_SHORT = 8  # characters of an id that is always shown in full
_LONG = 12  # of a prefix, from which on an end is tried
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?(?![0-9A-Za-z])")


def shown_ids(ids: Iterable[str], most: int) -> dict[str, str]:
    """What a terminal shows of each id: a name in full, which can be copied to any program.

    A commit of git is short, as git itself shows it, and so is a name that would take the place of
    all else.

    Args:
        ids: all ids of the store.
        most: columns of the terminal for a name that is shown in full.
    """
    return {
        one: short if width_of(one) > most or _COMMIT.match(one) else one
        for one, short in short_ids(ids).items()
    }


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """The short form of each id."""
    ids = sorted(ids)
    prefixes = zip(ids, _prefixes(ids, _HEAD), strict=True)
    short = {one: one if len(one) <= _SHORT else prefix for one, prefix in prefixes}
    if any(ELLIPSIS in one for one in ids):
        return short  # it would be ambiguous
    groups: dict[str, list[str]] = {}
    for one in ids:
        groups.setdefault(one[:_HEAD], []).append(one)
    for head, group in groups.items():
        if all(len(short[one]) <= _LONG for one in group):
            continue
        backwards = sorted(one[::-1] for one in group)
        for mirrored, tail in zip(backwards, _prefixes(backwards), strict=True):
            one = mirrored[::-1]
            elided = f"{head}{ELLIPSIS}{one[-_whole_part(mirrored, len(tail)) :]}"
            if len(short[one]) > _LONG and len(elided) < len(short[one]):
                short[one] = elided
    return short


def matches(typed: str, commit_id: str) -> bool:
    """Whether an id has the short form that was typed, with `…` or `...`."""
    head, _, tail = typed.replace("...", ELLIPSIS).partition(ELLIPSIS)
    return (
        commit_id.startswith(head)
        and commit_id.endswith(tail)
        and len(commit_id) >= len(head) + len(tail)
    )


def is_elided(typed: str) -> bool:
    """Whether something is left out of the middle."""
    return ELLIPSIS in typed or "..." in typed


def _whole_part(mirrored: str, needed: int) -> int:
    """How many characters of an end to show: from its last separator on, if that is near."""
    for count in range(needed, _TAIL + 1):
        if mirrored[count - 1 : count] in ("-", "_", "."):
            return count
    return max(needed, _SHORTEST_TAIL)


def _prefixes(ordered: Sequence[str], least: int = 1) -> list[str]:
    """For each of some sorted texts the shortest beginning that no other has, or all of it.

    Args:
        ordered: the texts.
        least: characters that each has at least, if the text has.
    """
    shared = [0, *map(_shared, ordered, ordered[1:]), 0]
    return [
        text[: max(before + 1, after + 1, least)]
        for text, before, after in zip(ordered, shared, shared[1:], strict=False)
    ]


def _shared(one: str, other: str) -> int:
    """How many characters at the beginning of two texts are the same."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
