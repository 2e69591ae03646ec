"""Equally spaced records of a period: many of them are read as one strided array.

Guarantees: the strands of a period have each of its records once; those of a strand have their
fields at the same distances.

A long period is made of short ones as a rule: names of one length in turn, or an epoch's steps and
a record or two after them. A layer of 400 names is read by one operation instead of 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.columns.starts import Bytes, Offsets

_TURNS = 16  # the most records in turn that are looked for
_MOST = 64  # strands of a period: with more, gathering all records costs less
_LEAST = 2  # records in a strand, on average


class Strand(NamedTuple):
    """Some records of a period.

    Attributes:
        places: of its records in the period.
        first: the place of the first.
        times: how many.
        step: bytes from one to the next.
    """

    places: slice
    first: int
    times: int
    step: int


def strands_of(lengths: list[Offsets], starts: Offsets) -> list[Strand]:
    """The strands of a period; none if it has too many, or they are too short.

    Args:
        lengths: of the texts of each record; an array for each text.
        starts: of the records.
    """
    shapes, bounds = _numbered(lengths), starts.tolist()
    count, known = len(bounds), shapes.tolist()
    strands: list[Strand] = []
    place = 0
    while place < count:
        turn, times = 1, 1
        for longer in range(1, min(_TURNS, (count - place) // 2) + 1):
            if known[place] == known[place + longer]:  # as nearly always, not
                found = 1 + _repeated(shapes[place:], longer) // longer
                if found > times:
                    turn, times = longer, found
        step = bounds[place + turn] - bounds[place] if times > 1 else 0
        for first in range(place, place + turn):
            places = slice(first, first + (times - 1) * turn + 1, turn)
            strands.append(Strand(places, first, times, step))
        place += turn * times
        if len(strands) > _MOST:
            return []
    return strands if len(strands) * _LEAST <= count else []


def read_strands(
    strands: list[Strand],
    data: Bytes | bytes,
    dtype: np.dtype[Any],
    offsets: Sequence[int],
    size: int,
    rows: NDArray[Any],
) -> None:
    """Read a number of all records of some periods.

    Args:
        strands: of a period.
        data: which the periods are in.
        dtype: of the number.
        offsets: of the number in the first period, for each of its records, from the data's start.
        size: of a period, in bytes.
        rows: gets the numbers, a row for each period.
    """
    for places, first, times, step in strands:
        shape, steps = (len(rows), times), (size, step)
        rows[:, places] = np.ndarray(shape, dtype, data, offsets[first], steps)


def _numbered(lengths: list[Offsets]) -> Offsets:
    """For each record a number, which is the same for the same lengths."""
    numbers = lengths[0]
    for more in lengths[1:]:
        numbers = np.unique(np.stack([numbers, more]), axis=1, return_inverse=True)[1]
        numbers = numbers.reshape(-1)  # NumPy 2.0.0 gives it two dimensions
    return numbers


def _repeated(shapes: Offsets, turn: int) -> int:
    """How many records from the first on have the shape of the one `turn` places after."""
    differ = shapes[turn:] != shapes[:-turn]
    first = int(differ.argmax())
    return first if differ[first] else len(differ)
