"""Where whole records end: for who appends to a sequence, and needs to know no more of it.

Guarantees: few bytes are walked one record at a time, without loading NumPy, which would cost more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.errors import TruncatedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from formats.codec import RecordCodec

_FEW = 1 << 14  # bytes


def spans(codec: RecordCodec, data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each whole record."""
    start = 0
    try:
        while start < len(data):
            _, end = codec.parse(data, start)
            yield start, end
            start = end
    except TruncatedError:
        return


def whole_size(codec: RecordCodec, data: bytes) -> int:
    """How many bytes of the data are whole records."""
    if len(data) > _FEW:
        from formats.columns import record_starts

        return int(record_starts(codec.schema, data)[1])
    end = 0
    for _, end in spans(codec, data):  # noqa: B007 - only the last end is wanted
        pass
    return end
