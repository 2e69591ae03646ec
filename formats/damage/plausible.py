"""What a record of a log without checksums must look like to be believed.

Guarantees: judging never changes what is read, and never raises. A record is doubted where its
clock lies outside the years 2001 to 2033 (the Unix seconds of ten digits that start with 1) or its
label is no printable text; it is called implausible only where both hold, so a log whose clock
counts something else, or whose labels are odd, is not called damaged. Flipped bits inside a value
cannot be seen by anyone.

Which fields play these parts is passed in; where they lie follows from the declaration.
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
"""Unix seconds: 2001-09-09, the first plausible clock."""

LATEST = 1_999_999_999
"""Unix seconds: 2033-05-18, the last plausible clock."""

_CONTROL_END = 0x20  # below it are the control characters
_LOOK_BACK = 8  # records between a tear and the first beyond doubt, at most; nearly always one


def is_plausible_label(text: str) -> bool:
    """Whether a text is not empty, has no control character, and was valid UTF-8."""
    if text.isascii() and text.isprintable():
        return bool(text)
    return not any(ord(c) < _CONTROL_END or "\ud800" <= c <= "\udfff" for c in text)


def first_implausible(roles: Roles, columns: Columns) -> int | None:
    """The index of the record from which the log stopped being well-formed, or None.

    Where a torn record had others appended behind it, that is the torn record: it swallows the
    start of the next one, and from there on every field is read at a wrong place.

    One pass over the clocks decides nearly always (a fifth of a nanosecond a record).
    """
    import numpy as np

    clocks = columns[roles.clock]
    if not len(clocks) or (clocks.min() >= EARLIEST and clocks.max() <= LATEST):
        return None
    odd = (clocks < EARLIEST) | (clocks > LATEST)
    label = columns[roles.label]
    bad = ~np.fromiter(map(is_plausible_label, label.values), np.bool_, len(label.values))
    doubted = bad[label.codes] if len(bad) else np.zeros(len(odd), np.bool_)
    hits = np.flatnonzero(odd & doubted)
    if not len(hits):
        return None
    # The torn record itself has its own clock and a label that is half another record; what is
    # doubted and new right before the first hit belongs to the damage.
    first = int(hits[0])
    for index in range(first - 1, max(first - 1 - _LOOK_BACK, -1), -1):
        seen_before = bool((label.codes[:index] == label.codes[index]).any())
        if not (odd[index] or doubted[index]) or seen_before:
            break
        first = index
    return first


def size_of(schema: Schema, columns: Columns, count: int) -> int:
    """Bytes of the first `count` records."""
    import numpy as np

    size = schema.min_size * count
    for field in schema.texts:
        text = columns[field.name]
        sizes = [len(value.encode(ENCODING, ERRORS)) for value in text.values]
        lengths: NDArray[Any] = np.array(sizes, np.int64)
        size += int(lengths[text.codes[:count]].sum()) if count else 0
    return size
