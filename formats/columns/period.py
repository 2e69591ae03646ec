"""A repeated order of records: what its bytes must be, and the columns of its repetitions.

Guarantees: bytes agree with a period only if reading one record after another would find its
records in them; everything but the numbers is compared.

What a short log needs is computed once: the expected bytes and the records' starts are kept for
about 16 KiB of repetitions, and sliced.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from formats.columns.agreement import agreed, first_difference
from formats.columns.clock import UNKNOWN, Range
from formats.columns.starts import Offsets
from formats.columns.strands import Strand, strands_of
from formats.schema import Schema

UNIT = 1 << 14  # bytes of template: a short log is compared in one operation
_UNITS = 8  # compared at a time, of a long one that agrees so far
_LEAST = 16  # records of each text, or of each length, in a period that has strands
_NONE: Offsets = np.empty(0, np.int64)


class Period:
    """One repetition of the order.

    Args:
        data: its bytes.
        mask: 255 for each byte that must repeat, 0 for those of numbers.
        starts: of its records, from its beginning.
        texts: of its records; one list for each text of the declaration.
        clocks: a range that has the clocks of all repetitions.

    Attributes:
        size: in bytes.
        records: the number of its records.
        mask, starts, texts, clocks: as given.
        expected: its bytes, with zeros for those of numbers.
        is_known: whether an earlier log began with it, so that further ones may.
        rows_held: the number of repetitions for which all is computed once.
    """

    def __init__(
        self,
        data: bytes,
        mask: bytes,
        starts: list[int],
        texts: list[list[bytes]],
        clocks: Range = UNKNOWN,
    ) -> None:
        self.size, self.records = len(data), len(starts)
        self.starts, self.texts, self.clocks = starts, texts, clocks
        self.is_known = False
        self.rows_held = max(UNIT // self.size, 1)
        # As integers: a period is short, and NumPy's calls cost more.
        expected = int.from_bytes(data, "little") & int.from_bytes(mask, "little")
        self.mask, self.expected = mask, expected.to_bytes(self.size, "little")
        self._raw = self.expected * self.rows_held
        self._mask = np.frombuffer(mask * self.rows_held, np.uint8)
        self._starts = _NONE

    def count(self, data: bytes, at: int) -> int:
        """How many whole periods follow in the data."""
        size, unit = self.size, len(self._raw)
        length = (len(data) - at) // size * size
        if not length:
            return 0
        # Most logs need no more than one operation, and most orders that break do so in it.
        same = min(length, unit)
        masked = np.frombuffer(data, np.uint8, same, at) & self._mask[:same]
        if masked.tobytes() != self._raw[:same]:
            return first_difference(masked, self._raw[:same]) // size
        # Then few bytes at a time at first: what is compared after a break is compared in vain.
        for units, end in (1, min((1 + _UNITS) * unit, length)), (_UNITS, length):
            if same == end:
                break
            ahead = np.frombuffer(data, np.uint8, end - same, at + same)
            held = bytearray(units * unit)
            same += agreed(ahead, self._mask, memoryview(self._raw * units), held)
            if same < end:
                break
        return same // size

    @cached_property
    def strands(self) -> list[Strand]:
        """Those of its records; none if that can be told by the number of texts or lengths."""
        few = self.records // _LEAST
        if not few:
            return []
        lengths = [list(map(len, one)) for one in self.texts]
        kinds = [len({*one}) for one in self.texts] + [len({*one}) for one in lengths]
        if min(kinds) > few:
            return []
        return strands_of([np.array(one) for one in lengths], np.array(self.starts))

    def starts_of(self, rows: int) -> Offsets:
        """The starts of the records of so many periods, from the beginning of the first."""
        starts = self._starts  # once, since another thread may replace them by fewer
        if len(starts) < rows * self.records:
            origins = np.arange(0, rows * self.size, self.size)[:, None]
            starts = (origins + np.array(self.starts)).reshape(-1)
            if rows <= self.rows_held:
                self._starts = starts
        return starts[: rows * self.records]


def shortest_period(codes: list[list[int]]) -> int:
    """The shortest number of records that the last ones repeat once; 0 if they do not."""
    column, *others = codes
    last = column[-1]
    for count in range(1, len(column) // 2 + 1):
        if (
            column[-1 - count] == last
            and column[-count:] == column[-2 * count : -count]
            and (not others or all(one[-count:] == one[-2 * count : -count] for one in others))
        ):
            return count
    return 0


def mask_of(
    schema: Schema, texts: list[list[bytes]], place: tuple[int, int] | None = None
) -> bytes:
    """255 for each byte of some records that must repeat, 0 for those of numbers.

    Args:
        schema: of the records.
        texts: of the records; one list for each text of the declaration.
        place: the offsets of bytes of a number in each record that must repeat, too.
    """
    *before, after = _masks(schema, place)
    if not after and len(before) == 1:
        fixed = before[0]
        return b"".join([fixed + b"\xff" * len(text) for text in texts[0]])
    if after:
        before, texts = [*before, after], [*texts, [b""] * len(texts[0])]
    return b"".join(
        [
            fixed + b"\xff" * len(text)
            for record in zip(*texts, strict=True)
            for fixed, text in zip(before, record, strict=True)
        ]
    )


@lru_cache(maxsize=64)
def _masks(schema: Schema, place: tuple[int, int] | None) -> list[bytes]:
    """The mask of what precedes each text, and of what follows the last one."""
    masks = [b""]
    for field in schema:
        masks[-1] += (b"\xff" if field.is_variable else b"\0") * field.width
        if field.is_variable:
            masks.append(b"")
    if place is not None:  # of the first run
        first, last = place
        masks[0] = masks[0][:first] + b"\xff" * (last - first) + masks[0][last:]
    return masks
