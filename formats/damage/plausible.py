"""Whether a record in a log without checksums is plausible.

Guarantees: these checks never change what is read, and never raise. A record is doubtful if its
clock is outside the years 2001 to 2033 (the ten-digit Unix seconds that start with 1) or its label
is not printable text. It is implausible only if both hold, so a log whose clock counts something
else, or whose labels are odd, is not reported as damaged. Where no label is declared, the clock of
a log's first record shows its unit, and a record outside these years is implausible. Flipped bits
inside a value cannot be detected.

The caller says which fields are the clock and the label; their position follows from the
declaration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.fields import ENCODING, ERRORS, Roles

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from formats.columns.types import Columns
    from formats.schema import Schema

EARLIEST = 1_000_000_000
"""The first plausible clock in Unix seconds: 2001-09-09."""

LATEST = 1_999_999_999
"""The last plausible clock in Unix seconds: 2033-05-18."""

UNITS = 1, 10**3, 10**6, 10**9
"""Clock ticks in a second, of the units that are known."""

_CONTROL_END = 0x20  # the code points below it are control characters
_LOOK_BACK = 8  # most records between a tear and the first implausible one; nearly always one


def is_plausible_label(text: str | bytes) -> bool:
    """Whether a text is not empty, has no control characters, and was valid UTF-8."""
    if isinstance(text, bytes):
        text = text.decode(ENCODING, ERRORS)
    if text.isascii() and text.isprintable():
        return bool(text)
    return not any(ord(c) < _CONTROL_END or "\ud800" <= c <= "\udfff" for c in text)


def has_usual_clocks(roles: Roles, columns: Columns) -> bool:
    """Whether no record's clock is doubtful, as far as is known of records left out; of at least
    one record.
    """
    first, last = columns.clocks
    if first >= EARLIEST and last <= LATEST:
        return True
    if columns.seen > columns.count:
        return False
    clocks = columns[roles.clock]
    # The places of both cost a quarter of what the numbers themselves cost, in a short log.
    return bool(clocks.item(clocks.argmin()) >= EARLIEST and clocks.item(clocks.argmax()) <= LATEST)


def unit_of(clock: int) -> int | None:
    """The unit, in ticks a second, in which a clock is within the plausible years; or None."""
    return next((u for u in UNITS if EARLIEST * u <= clock <= LATEST * u + u - 1), None)


def _first_of_another_time(clocks: NDArray[Any], unit: int | None) -> int | None:
    """The index of the record before the first clock outside the years; zeros are no damage."""
    if unit is None:
        return None
    last = min(LATEST * unit + unit - 1, int(clocks.max(initial=0)))
    odd = ((clocks < EARLIEST * unit) | (clocks > last)) & (clocks != 0)
    # The torn record itself has a good clock, and the rest of it is another's.
    return max(int(odd.argmax()) - 1, 0) if odd.any() else None


def first_implausible(roles: Roles, columns: Columns, unit: int | None = None) -> int | None:
    """The index of the record at which the log stops being well-formed, or None.

    Args:
        roles: the fields to judge by.
        columns: the records.
        unit: without a label, that of the log's clocks; None: it is unknown, and all are plausible.

    If records were appended after a torn one, that is the torn record: it swallows the start of the
    next one, and from there on every field is read at the wrong offset.

    One pass over the clocks nearly always decides (0.2 ns per record).
    """
    import numpy as np

    if roles.label is None:
        return _first_of_another_time(columns[roles.clock], unit)
    if not columns.count or has_usual_clocks(roles, columns):
        return None
    clocks = columns[roles.clock]
    odd = (clocks < EARLIEST) | (clocks > LATEST)
    label = columns[roles.label]
    bad = ~np.fromiter(map(is_plausible_label, label.values), np.bool_, len(label.values))
    unlikely = bad[label.codes] if len(bad) else np.zeros(len(odd), np.bool_)
    hits = np.flatnonzero(odd & unlikely)
    if not len(hits):
        return None
    # The torn record itself has a good clock, and a label that is half of another record. Doubtful
    # records with new labels right before the first hit therefore belong to the damage.
    first = int(hits[0])
    for index in range(first - 1, max(first - 1 - _LOOK_BACK, -1), -1):
        seen_before = bool((label.codes[:index] == label.codes[index]).any())
        if not (odd[index] or unlikely[index]) or seen_before:
            break
        first = index
    return first


def size_of(schema: Schema, columns: Columns, count: int) -> int:
    """Size of the first `count` records in bytes."""
    import numpy as np

    size = schema.min_size * count
    for field in schema.texts:
        text = columns[field.name]
        lengths: NDArray[Any] = np.array([len(value) for value in text.raw], np.int64)
        size += int(lengths[text.codes[:count]].sum()) if count else 0
    return size
