"""Where in the bytes of a damaged log a record may start.

Guarantees: an offset is a candidate if a record that starts there ends within the data, its clock
is as it must be, and its declaration does not refuse it; no record that meets this is missed. All
offsets of a block are judged at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from formats.errors import UnsupportedSchema
from formats.fields import Roles
from formats.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Candidates(NamedTuple):
    """Offsets where a record may start, ascending; all arrays have the same length."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    counters: NDArray[Any]
    labels: NDArray[np.uint64]  # hashes
    printable: NDArray[np.bool_]  # whether the label is not empty and has no control characters
    chained: NDArray[np.bool_]  # whether others end where it starts and start where it ends

    def select(self, which: NDArray[np.bool_]) -> Candidates:
        """Those for which it is true."""
        if which.all():
            return self
        columns: tuple[Any, ...] = self
        return Candidates(*(column[which] for column in columns))


def clock_offset(schema: Schema, roles: Roles) -> int:
    """Size in bytes of a record's fields before its clock.

    Raises:
        UnsupportedSchema: the clock comes after a text, or a field may be absent.
    """
    lead = 0
    for field in schema:
        if field.default is not None:
            raise UnsupportedSchema("may be absent, so no record can follow it", field=field.name)
    for field in schema:
        if field.name == roles.clock:
            return lead
        if field.is_variable:
            break
        lead += field.width
    raise UnsupportedSchema("the clock must come before the first text", field=roles.clock)


def find_candidates(
    schema: Schema, roles: Roles, data: bytes, is_last: bool, plausible: Iterable[tuple[int, int]]
) -> Candidates:
    """All offsets in a block where a record may start, judged by clock, refusals and end.

    Args:
        schema, roles: see `salvage.resync`.
        data: the block.
        is_last: no more data follows it.
        plausible: the first and last clock of each range in which a record's must be.
    """
    import numpy as np

    from formats.columns.wire import refused, wire_type

    size = len(data)
    # The widest field may start at the last byte, and texts are hashed by 8 bytes.
    padded = np.zeros(size + max(8, *(field.width for field in schema)), np.uint8)
    padded[:size] = np.frombuffer(data, np.uint8)
    # The views below overlap themselves: element i is the number that starts at byte i.
    lead = clock_offset(schema, roles)
    clocks = _numbers(padded, schema[roles.clock].dtype)[lead : size + 1]
    fits = np.zeros(len(clocks), np.bool_)
    for first, last in plausible:
        fits |= (clocks >= first) & (clocks <= last)
    at = starts = np.flatnonzero(fits)
    counters: NDArray[Any] = np.zeros(len(at), np.uint8)
    label = begins = starts
    for field in schema:
        fits = at + field.width <= size
        numbers = _numbers(padded, wire_type(field.kind))[at]
        if field.kind.may_refuse:
            fits &= ~refused(field, numbers)
        at = at + field.width
        if field.name == roles.counter:
            counters = numbers
        if field.name == roles.label:
            label, begins = numbers.astype(np.int64), at
            fits &= (numbers > 0) | (clocks[starts] != 0)  # a hole of zeros is full of such records
        if field.is_variable:
            at = at + numbers
            fits &= at <= size
        if not fits.all():
            columns = (starts, at, counters, label, begins)
            starts, at, counters, label, begins = (column[fits] for column in columns)
    ends_here, starts_here = np.zeros(size + 1, np.bool_), np.zeros(size + 1, np.bool_)
    ends_here[0] = starts_here[size] = True
    ends_here[at] = starts_here[starts] = True
    if not is_last:
        starts_here[size] = False
    elif roles.label is None:
        starts_here[max(size + 1 - schema.min_size, 0) :] = True  # a torn one, at the end
    chained = ends_here[starts] & starts_here[at]
    if roles.label is None:
        # A record must be followed by one: a torn one is whole with the next one's bytes.
        printable = starts_here[at]
        hashes = (~printable).astype(np.uint64)
    else:
        hashes, printable = _hash_texts(_numbers(padded, "<u8"), begins, label)
    return Candidates(starts, at, counters, hashes, printable, chained)


def _numbers(padded: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    import numpy as np

    kind = np.dtype(dtype)
    return np.ndarray((len(padded) - kind.itemsize + 1,), kind, padded.data, 0, (1,))


def _hash_texts(
    words: NDArray[np.uint64], begins: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """A hash of each text's bytes, eight at a time, and whether it is printable."""
    import numpy as np

    ones = np.uint64(0x0101010101010101)
    space, high = ones * np.uint64(0x20), ones * np.uint64(0x80)
    odd = np.uint64(0x9E3779B97F4A7C15)
    hashes = lengths.astype(np.uint64) * odd  # spread, or "a\0" would have the hash of "b"
    printable = lengths > 0
    which: Any = slice(None)
    for start in range(0, int(lengths.max(initial=0)), 8):
        if start:
            which = np.flatnonzero(lengths > start)
        rest = np.minimum(lengths[which] - start, 8).astype(np.uint64)
        # Shifting by 64 is undefined, so the shift is done in two steps.
        mask = (~np.uint64(0) >> np.uint64(8)) >> (np.uint64(56) - np.uint64(8) * rest.clip(max=7))
        mask = np.where(rest == 8, ~np.uint64(0), np.where(rest == 0, np.uint64(0), mask))
        word = words[begins[which] + start] & mask
        mixed = (hashes[which] ^ word) * odd
        hashes[which] = mixed ^ (mixed >> np.uint64(29))
        filled = word | (space & ~mask)
        printable[which] &= (filled - space) & ~filled & high == 0  # no byte is below a space
    return hashes, printable
