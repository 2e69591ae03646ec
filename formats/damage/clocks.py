"""Which clocks are plausible in a damaged log, learned from the log itself.

Guarantees: a log whose clocks are Unix seconds gets exactly the years 2001 to 2033, as does a log
that shows nothing else. Work and memory are bounded, whatever the size.

The method: a few ranges are guessed, and tried on samples of the log. A range fits as well as the
whole records with such clocks, and with neighbours on both sides, cover the samples. The guesses
are the same years in seconds and in smaller units, and the clocks at the log's beginning, if they
are outside these: until the first damage, records follow one another from byte 0 on. A log of which
one part counts otherwise than the rest gets several ranges, unless no label is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from formats.damage.candidates import find_candidates
from formats.damage.plausible import EARLIEST, LATEST, UNITS, is_plausible_label
from formats.fields import Roles
from formats.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Read = Callable[[int, int], bytes]
"""`read(offset, count)` returns the bytes at an offset, fewer only at the end of the data."""

_SAMPLES, _SAMPLE = 4, 1 << 16  # how many samples, and their size in bytes
_MARGIN = 1 << 17  # clocks that are plausible before and after those of the beginning, at least
_SHARE = 16  # a further range must cover one byte in this many that any range covers


class Clocks(NamedTuple):
    """A range of clocks, from the first to the last."""

    first: int
    last: int


KNOWN = tuple(Clocks(EARLIEST * unit, LATEST * unit + unit - 1) for unit in UNITS)
"""The years 2001 to 2033 in Unix seconds, milliseconds, microseconds and nanoseconds."""


def plausible_clocks(schema: Schema, roles: Roles, read: Read, size: int) -> list[Clocks]:
    """The plausible clocks of a log; see `salvage.resync` for the arguments."""
    samples = list(_samples(read, size))
    low, high = map(int, schema[roles.clock].range)
    guesses = [clocks for clocks in KNOWN if low <= clocks.first and clocks.last <= high]
    guesses += _learned(schema, roles, samples[0], guesses) if samples else []
    covered = [sum(_covered(schema, roles, data, guess) for data in samples) for guess in guesses]
    most = max(covered, default=0)
    if roles.label is None and samples and (own := _own(schema, roles, samples[0], guesses)):
        return own
    chosen = [guess for guess, count in zip(guesses, covered, strict=True) if count * _SHARE > most]
    return chosen or [KNOWN[0]]


def _own(schema: Schema, roles: Roles, data: bytes, guesses: Sequence[Clocks]) -> list[Clocks]:
    """The range of the first record, which is where it must be.

    Without labels, records that are read at a wrong offset again and again, as those of fixed size
    are, may well have clocks in the range of another unit.
    """
    from formats.columns import parse_columns

    clocks = parse_columns(schema.records, data)[roles.clock][:1].tolist()
    return [g for g in guesses if clocks and g.first <= clocks[0] <= g.last][:1]


def _samples(read: Read, size: int) -> Iterator[bytes]:
    step = max((size - _SAMPLE) // (_SAMPLES - 1), _SAMPLE)
    for base in range(0, max(size - _SAMPLE, 0) + 1, step):
        yield read(base, min(_SAMPLE, size - base))


def _covered(schema: Schema, roles: Roles, data: bytes, clocks: Clocks) -> int:
    """How many bytes are in records with neighbours and printable labels."""
    found = find_candidates(schema, roles, data, True, [clocks])
    which = found.chained & found.printable
    return int((found.ends - found.starts)[which].sum())


def _learned(
    schema: Schema, roles: Roles, data: bytes, known: Sequence[Clocks]
) -> Iterator[Clocks]:
    """The range of the records from byte 0 on, unless it is known."""
    from formats.columns import parse_columns

    columns = parse_columns(schema.records, data)
    count = columns.count
    if roles.label is not None:
        label = columns[roles.label]
        odd = [code for code, text in enumerate(label.values) if not is_plausible_label(text)]
        bad = [code in odd for code in label.codes.tolist()]
        count = bad.index(True) if True in bad else len(bad)
    # A torn record has its own clock still, even if it is the first.
    clocks: NDArray[np.integer] = columns[roles.clock][: max(count, 1)]
    if len(clocks):
        first, last = int(clocks.min()), int(clocks.max())
        if not any(one.first <= first and last <= one.last for one in known):
            yield Clocks(first - abs(first) // 2 - _MARGIN, last + abs(last) // 2 + _MARGIN)
