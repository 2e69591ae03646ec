"""An order around another: names in turn for some steps, then others, and the same again.

Guarantees: what is found is a guess, made of records that were read; whoever follows it compares
every byte that matters.

Programs log some names at each step and others after each hundred. Followed by itself, the order of
a step ends there each time, and is learned anew; the order of the hundred goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LONGEST = 1 << 11  # records of an order: of longer ones, learning the inner one anew costs little
_TRIES = 3  # the first may be a part of one, as where the others are logged at step 0, too


class Records(NamedTuple):
    """Adjacent records: where they start, and the codes of each of their texts."""

    starts: list[int]
    codes: list[list[int]]

    def with_next(self, other: Records) -> Records:
        """These and those that follow them."""
        codes = [one + more for one, more in zip(self.codes, other.codes, strict=True)]
        return Records(self.starts + other.starts, codes)

    def part(self, first: int, last: int | None = None) -> Records:
        """Some of them, from the first up to the last, which is excluded."""
        return Records(self.starts[first:last], [one[first:last] for one in self.codes])


class Nesting:
    """What a walk knows of the order around the one that it follows.

    Attributes:
        tries_left: how often a repetition of it may still be asked for.
        begun: the records that were read one by one before the inner order was followed, and the
            codes of one repetition of that; None if there are none.
    """

    def __init__(self) -> None:
        self.tries_left = _TRIES
        self.begun: tuple[Records, list[list[int]]] | None = None

    def whole(self, inner: Records, rest: Records, place: int) -> Records | None:
        """One repetition of the order, if there may be one.

        Args:
            inner: all records for which the inner order was followed.
            rest: those after them, in which it begins again.
            place: where; see `begins_at`.
        """
        if len(inner.starts) > _LONGEST:
            return None
        self.tries_left -= 1
        found = inner.with_next(rest.part(0, place))
        if self.begun is None:
            return found
        before, codes = self.begun
        begin = begins_at(codes, before.codes)
        return before.part(begin).with_next(found) if begin else found


def begins_at(inner: Sequence[Sequence[int]], codes: Sequence[Sequence[int]]) -> int:
    """The first place but 0 at which an order begins again; 0 if there is none.

    Args:
        inner: the codes of one repetition, for each text.
        codes: those of the records that follow it.
    """
    size = len(inner[0])
    for place in range(1, len(codes[0]) - size + 1):
        if all(one[place : place + size] == own for one, own in zip(codes, inner, strict=True)):
            return place
    return 0
