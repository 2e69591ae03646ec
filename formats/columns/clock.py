"""What may be known of many records without reading each: their clocks, and which are wanted.

Guarantees: a window has every clock whose high bytes are those that it was made of. Clocks of a log
share their high bytes for months, so bytes that are compared anyway also prove the clocks usual.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import inf
from typing import NamedTuple

from formats.columns.starts import RecordWalk
from formats.kinds.numbers import Number

Range = tuple[float, float]
"""The least and the greatest of some clocks, or numbers beyond them."""

UNKNOWN: Range = (-inf, inf)
NONE: Range = (inf, -inf)

_LOW = 3  # bytes of a clock that may vary: 194 days, in seconds


class Clock(NamedTuple):
    """The field that says when a record was made.

    Attributes:
        field: its name; an integer.
        first, last: the usual clocks.
    """

    field: str
    first: int
    last: int


class Choice(NamedTuple):
    """Which records are wanted, by a text of theirs.

    Attributes:
        field: the name of the text.
        wants: whether records with a text are wanted.
    """

    field: str
    wants: Callable[[str], bool]


def joined(one: Range, other: Range) -> Range:
    """A range that has the clocks of both."""
    if one is NONE:
        return other
    return min(one[0], other[0]), max(one[1], other[1])


@lru_cache(maxsize=64)
def windows_of(walk: RecordWalk, clock: Clock | None) -> Windows:
    """The Windows, which hold no state."""
    return Windows(walk, clock)


class Windows:
    """The ranges that a clock's high bytes prove.

    Attributes:
        place: the offsets of these bytes in a record, from the first to the one after the last;
            None if they prove nothing.
    """

    def __init__(self, walk: RecordWalk, clock: Clock | None) -> None:
        self.place: tuple[int, int] | None = None
        if clock is None:
            return
        for field, _, run, offset in walk.places:
            kind, width = field.kind, field.width
            if field.name != clock.field or run or not isinstance(kind, Number) or width <= _LOW:
                continue
            self._clock, self._kind = clock, kind
            low = 0 if kind.order == ">" else _LOW
            self.place = offset + low, offset + low + width - _LOW

    def high(self, data: bytes, start: int) -> bytes:
        """These bytes of the record at `start`; empty if they prove nothing."""
        return b"" if self.place is None else data[start + self.place[0] : start + self.place[1]]

    def of(self, high: bytes) -> Range | None:
        """The range of clocks with these bytes; None unless all of them are usual."""
        if not high:
            return None
        is_big = self._kind.order == ">"
        whole = high + bytes(_LOW) if is_big else bytes(_LOW) + high
        first = int.from_bytes(whole, "big" if is_big else "little", signed=self._kind.is_signed)
        last = first + (1 << 8 * _LOW) - 1
        return (first, last) if self._clock.first <= first and last <= self._clock.last else None

    def shared(self, data: bytes, starts: list[int]) -> Range | None:
        """The range of the clocks of some records, if their high bytes are the same."""
        if self.place is None:
            return None
        first, last = self.place
        high = data[starts[0] + first : starts[0] + last]
        for start in starts:
            if data[start + first : start + last] != high:
                return None
        return self.of(high)
