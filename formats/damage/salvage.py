"""Salvage: recovering the whole records from a log that lost its alignment.

Guarantees: the records kept are exact bytes of the data, in order and without overlap. Every byte
is in either a `Stretch` or a `Gap`, which are yielded in file order. Memory is bounded by a few
blocks, whatever the data; time is linear. Not detected: a flipped value, or a record spliced from
two that were cut at the same place. Empty labels are weak evidence: in a log of them, a few torn
records pass as whole.

The method: any offset may start a record. An offset is a candidate if its clock is plausible and
the record ends within the data; that leaves about one per record. Candidates with neighbours on
both sides and no gap between vote for their labels and the range of the counter. A dynamic
programme, working from right to left, then picks the chain of candidates with the highest score. A
record with a label known from others scores 4, one with a new but printable label 2, and a gap
costs 3, so a record alone between two gaps must have a known label. Adjacent candidates without an
alternative are one step, so the programme's length is that of the damage, not of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from formats.damage.chain import best_chain
from formats.damage.plausible import EARLIEST, LATEST
from formats.errors import UnsupportedSchema
from formats.fields import Roles
from formats.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Read = Callable[[int, int], bytes]
"""`read(offset, count)` returns the bytes at an offset, fewer only at the end of the data."""

_BLOCK = 1 << 21  # bytes searched at a time; about ten times as many are in memory
_AHEAD = 1 << 15  # bytes after the block that its decisions may depend on
_LABELS = 1 << 20  # maximum of distinct labels counted; any further label counts as new
_ODD_LABEL = 8  # chained records needed to accept an empty or unprintable label
_KNOWN, _NEW, _GAP = 4, 2, 3  # scores; see the module docstring


@dataclass(frozen=True)
class Stretch:
    """Adjacent records without a gap."""

    offset: int
    size: int
    records: int


@dataclass(frozen=True)
class Gap:
    """Bytes that are not part of any whole record."""

    offset: int
    size: int


class _Candidates(NamedTuple):
    """Offsets where a record may start, ascending; all arrays have the same length."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    counters: NDArray[Any]
    labels: NDArray[np.uint64]  # hashes
    printable: NDArray[np.bool_]  # whether the label is not empty and has no control characters
    chained: NDArray[np.bool_]  # whether others end where it starts and start where it ends

    def select(self, which: NDArray[np.bool_]) -> _Candidates:
        if which.all():
            return self
        columns: tuple[Any, ...] = self
        return _Candidates(*(column[which] for column in columns))


class _Votes:
    """The labels and counters of chained records."""

    def __init__(self) -> None:
        import numpy as np

        self._labels: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._max_counter: int | None = None

    def add(self, voters: _Candidates) -> None:
        import numpy as np

        if not len(voters.starts):
            return
        counter = int(voters.counters.max())
        known_max = self._max_counter
        self._max_counter = counter if known_max is None else max(known_max, counter)
        labels, counts = np.unique(voters.labels, return_counts=True)
        known, place = self._find(labels)
        np.add.at(self._counts, place[known], counts[known])
        if len(self._labels) < _LABELS and not known.all():
            both = np.concatenate((self._labels, labels[~known]))
            order = np.argsort(both)
            self._counts = np.concatenate((self._counts, counts[~known]))[order]
            self._labels = both[order]

    def believable(self, found: _Candidates) -> _Candidates:
        """The candidates whose counter and label are plausible.

        A label that no other candidate has must be printable; next to damage it is accepted only in
        a log where such labels are common.
        """
        fits = self._known(found) | (found.printable & (found.chained | self._labels_vary))
        if self._max_counter is not None:
            fits &= found.counters <= 2 * self._max_counter + 1
        return found.select(fits)

    def scores(self, found: _Candidates) -> NDArray[np.int64]:
        import numpy as np

        return np.where(self._known(found), _KNOWN, _NEW).astype(np.int64)

    @property
    def _labels_vary(self) -> bool:
        """Whether at least one record in 16 has a unique label."""
        return 16 * int((self._counts == 1).sum()) >= int(self._counts.sum())

    def _known(self, found: _Candidates) -> NDArray[np.bool_]:
        """Whether other chained records have the label: one, or several if it is odd."""
        import numpy as np

        known, place = self._find(found.labels)
        if len(self._counts):
            others = self._counts[place] - found.chained
            known &= others >= np.where(found.printable, 1, _ODD_LABEL)
        return known

    def _find(self, labels: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        import numpy as np

        if not len(self._labels):
            return np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.int64)
        place = np.searchsorted(self._labels, labels).clip(max=len(self._labels) - 1)
        return self._labels[place] == labels, place


def resync(declaration: Any, roles: Roles, read: Read, size: int) -> Iterator[Stretch | Gap]:
    """The whole records of a log, and the gaps between them.

    Args:
        declaration: of the records; or its Schema.
        roles: the clock, counter and label fields. The clock must come before the first text.
        read: returns bytes of the log, which is read twice, in blocks, from left to right.
        size: size of the log in bytes.

    Raises:
        UnsupportedSchema: the clock comes after a text, or a field may be absent.
    """
    schema = Schema.of(declaration)
    lead = _lead(schema, roles)
    votes = _Votes()
    for base in range(0, size, _BLOCK):
        found = _candidates(schema, roles, lead, *_block(read, base, size))
        votes.add(found.select(found.chained & (found.starts < _BLOCK)))
    base = position = 0  # where the block starts, and where the last record kept ends
    while base < size:
        data, is_last = _block(read, base, size)
        found = votes.believable(_candidates(schema, roles, lead, data, is_last))
        taken = best_chain(
            found.starts,
            found.ends,
            votes.scores(found),
            _GAP,
            end=len(data) if is_last else None,
            follows=position == base,
        )
        # Records that start after the block only help to decide what is in it.
        stop = min(_BLOCK, len(data))
        taken = taken[found.starts[taken] < stop]
        yield from _pieces(found.starts[taken] + base, found.ends[taken] + base, position)
        if len(taken):
            position = base + int(found.ends[taken[-1]])
        base = max(base + stop, position) if stop else size
    if position < size:
        yield Gap(position, size - position)


def _lead(schema: Schema, roles: Roles) -> int:
    """Size in bytes of a record's fields before its clock."""
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


def _block(read: Read, base: int, size: int) -> tuple[bytes, bool]:
    data = read(base, min(_BLOCK + _AHEAD, size - base))
    return data, len(data) < _BLOCK + _AHEAD


def _candidates(schema: Schema, roles: Roles, lead: int, data: bytes, is_last: bool) -> _Candidates:
    """All offsets in a block where a record may start, judged by clock, constants and end."""
    import numpy as np

    size = len(data)
    padded = np.zeros(size + 8, np.uint8)  # 8: the widest number may start at the last byte
    padded[:size] = np.frombuffer(data, np.uint8)
    # The views below overlap themselves: element i is the number that starts at byte i.
    clock = _numbers(padded, schema[roles.clock].dtype)[lead : size + 1]
    at = starts = np.flatnonzero((clock >= EARLIEST) & (clock <= LATEST))
    counters: NDArray[Any] = starts
    label = begins = starts
    for field in schema:
        is_number = isinstance(field.dtype, str) and not field.dtype.startswith("V")
        numbers = _numbers(padded, field.dtype)[at] if is_number else at
        fits = at + field.width <= size
        if field.constant is not None and is_number:
            fits &= numbers == field.constant
        at = at + field.width
        if field.name == roles.counter:
            counters = numbers
        if field.name == roles.label:
            label, begins = numbers.astype(np.int64), at
        if field.is_variable:
            at = at + numbers
            fits &= at <= size
        if not fits.all():
            columns = (starts, at, counters, label, begins)
            starts, at, counters, label, begins = (column[fits] for column in columns)
    hashes, printable = _hash_texts(_numbers(padded, "<u8"), begins, label)
    ends_here, starts_here = np.zeros(size + 1, np.bool_), np.zeros(size + 1, np.bool_)
    ends_here[0] = starts_here[size] = True
    ends_here[at] = starts_here[starts] = True
    if not is_last:
        starts_here[size] = False
    chained = ends_here[starts] & starts_here[at]
    return _Candidates(starts, at, counters, hashes, printable, chained)


def _numbers(padded: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
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
    hashes = lengths.astype(np.uint64)
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
        mixed = (hashes[which] ^ word) * np.uint64(0x9E3779B97F4A7C15)
        hashes[which] = mixed ^ (mixed >> np.uint64(29))
        filled = word | (space & ~mask)
        printable[which] &= (filled - space) & ~filled & high == 0  # no byte is below a space
    return hashes, printable


def _pieces(
    starts: NDArray[np.int64], ends: NDArray[np.int64], position: int
) -> Iterator[Stretch | Gap]:
    """Stretches and gaps from ordered records; `position` is where the preceding record ended."""
    import numpy as np

    if not len(starts):
        return
    firsts = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(starts[1:] != ends[:-1]) + 1))
    for first, beyond in zip(firsts.tolist(), [*firsts[1:].tolist(), len(starts)], strict=True):
        start, end = int(starts[first]), int(ends[beyond - 1])
        if start > position:
            yield Gap(position, start - position)
        yield Stretch(start, end - start, beyond - first)
        position = end
