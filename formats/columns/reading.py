"""What reading logs of one declaration needs, and what was learned of them.

Guarantees: it is worked out once for each declaration; of the orders that logs began with, the last
are remembered by the process, by the time that they were of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from formats.columns.clock import UNKNOWN, Clock, Range, Windows, windows_of
from formats.columns.loop import compiled_loop
from formats.columns.numbers import NumberReader
from formats.columns.period import Period, mask_of
from formats.columns.starts import RecordWalk, record_walk
from formats.columns.vocabulary import Vocabulary
from formats.schema import Schema

_MOST = 64  # orders remembered of a declaration


class Reading(NamedTuple):
    """What reading logs of one declaration needs, worked out once.

    Attributes:
        schema: the declaration.
        walk, numbers, windows, loop: made of it, and of the clock for the windows.
        clock: the field whose range is wanted.
        known: by the high bytes of the first clock, the order at the beginning of the log that was
            read last.
    """

    schema: Schema
    walk: RecordWalk
    numbers: NumberReader
    windows: Windows
    loop: Callable[..., int]
    clock: Clock | None
    known: dict[bytes, Period]


@lru_cache(maxsize=64)
def reading_of(schema: Schema, clock: Clock | None) -> Reading:
    """The Reading of a declaration, whose orders are remembered by the process."""
    walk = record_walk(schema)
    windows, loop = windows_of(walk, clock), compiled_loop(schema)
    return Reading(schema, walk, NumberReader(walk), windows, loop, clock, {})


def period_of(
    reading: Reading,
    data: bytes,
    starts: list[int],
    end: int,
    vocabularies: list[Vocabulary],
    codes: list[list[int]],
    clocks: Range | None,
) -> Period:
    """The period that some consecutive records are.

    Args:
        reading: of their declaration.
        data: which they are in.
        starts: of the records.
        end: of the last one.
        vocabularies, codes: of their texts; one item for each text of the declaration.
        clocks: what the high bytes of all their clocks prove, so that these must repeat; None:
            nothing.
    """
    begin = starts[0]
    texts = [
        [vocabulary.texts[code] for code in one]
        for vocabulary, one in zip(vocabularies, codes, strict=True)
    ]
    mask = mask_of(reading.schema, texts, None if clocks is None else reading.windows.place)
    return Period(data[begin:end], mask, [at - begin for at in starts], texts, clocks or UNKNOWN)


def remember(reading: Reading, data: bytes, period: Period) -> None:
    """Let further logs begin with the order that a log, of which these are the data, began with."""
    if len(reading.known) == _MOST:
        reading.known.clear()
    reading.known[reading.windows.high(data, 0)] = period
