"""Salvage: recovering the whole records from a log that lost its alignment.

Guarantees: the records kept are exact bytes of the data, in order and without overlap. Every byte
is in either a `Stretch` or a `Gap`, which are yielded in file order. Memory is bounded by a few
blocks, whatever the data; time is linear. Not detected: a flipped value, or a record spliced from
two that were cut at the same place. Empty labels, and clocks near zero, are weak evidence: in a log
of them, a few torn records pass as whole.

The method: any offset may start a record. An offset is a candidate if its clock is plausible (see
`clocks`) and the record ends within the data; that leaves about one per record. Candidates with
neighbours on both sides and no gap between vote for their labels and the range of the counter. A
dynamic programme, working from right to left, then picks the chain of candidates with the highest
score. A record with a label known from others scores 4, one with a new but printable label 2, and a
gap costs 3, so a record alone between two gaps must have a known label. Adjacent candidates without
an alternative are one step, so the programme's length is that of the damage, not of the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from formats.damage.candidates import Candidates, clock_offset, find_candidates
from formats.damage.chain import best_chain
from formats.damage.clocks import Read, plausible_clocks
from formats.errors import UnsupportedSchema
from formats.fields import Roles
from formats.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 1 << 21  # bytes searched at a time; about ten times as many are in memory
_AHEAD = 1 << 15  # bytes after the block that its decisions may depend on
_LABELS = 1 << 20  # maximum of distinct labels counted; any further label counts as new
_FAR = 4  # records of the shortest size, which a wrong length must reach over to be noticed
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


class _Votes:
    """The labels and counters of chained records."""

    def __init__(self) -> None:
        import numpy as np

        self._labels: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._max_counter: int | None = None

    def add(self, voters: Candidates) -> None:
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

    def believable(self, found: Candidates) -> Candidates:
        """The candidates whose counter and label are plausible.

        A label that no other candidate has must be printable; next to damage it is accepted only in
        a log where such labels are common.
        """
        fits = self._known(found) | (found.printable & (found.chained | self._labels_vary))
        if self._max_counter is not None:
            fits &= found.counters <= 2 * self._max_counter + 1
        return found.select(fits)

    def scores(self, found: Candidates) -> NDArray[np.int64]:
        import numpy as np

        return np.where(self._known(found), _KNOWN, _NEW).astype(np.int64)

    @property
    def _labels_vary(self) -> bool:
        """Whether at least one record in 16 has a unique label."""
        return 16 * int((self._counts == 1).sum()) >= int(self._counts.sum())

    def _known(self, found: Candidates) -> NDArray[np.bool_]:
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


def has_clock(schema: Schema, roles: Roles) -> bool:
    """Whether `resync` can find records: their clock comes before the first text."""
    try:
        clock_offset(schema, roles)
    except UnsupportedSchema:
        return False
    return True


def is_misread(schema: Schema, roles: Roles, read: Read, size: int, offset: int) -> bool:
    """Whether the record that the data end in seems torn only since its length is wrong.

    Then whole records follow one another in what it reaches over. A length of one byte reaches over
    few, which are not looked for.

    Args:
        schema, roles, read, size: see `resync`.
        offset: of that record.
    """
    is_far = (
        any(text.width > 1 for text in schema.texts) and size - offset >= _FAR * schema.min_size
    )
    if not is_far or not has_clock(schema, roles):
        return False
    data = read(offset, min(_BLOCK, size - offset))
    clocks = plausible_clocks(schema, roles, read, size)
    found = find_candidates(schema, roles, data, len(data) == size - offset, clocks)
    return int((found.chained & found.printable).sum()) > 1


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
    clock_offset(schema, roles)  # raises if it has none
    clocks = plausible_clocks(schema, roles, read, size)
    votes = _Votes()
    for base in range(0, size, _BLOCK):
        found = find_candidates(schema, roles, *_block(read, base, size), clocks)
        votes.add(found.select(found.chained & (found.starts < _BLOCK)))
    base = position = 0  # where the block starts, and where the last record kept ends
    while base < size:
        data, is_last = _block(read, base, size)
        found = votes.believable(find_candidates(schema, roles, data, is_last, clocks))
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


def _block(read: Read, base: int, size: int) -> tuple[bytes, bool]:
    data = read(base, min(_BLOCK + _AHEAD, size - base))
    return data, len(data) < _BLOCK + _AHEAD


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
