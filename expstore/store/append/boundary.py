"""Where the whole records of a log end, found by parsing what was added to it.

Guarantees: nothing is written. What looks like a torn record is called one only if the records
before it can be believed: in a misaligned log, whole records look like tears.
"""

from __future__ import annotations

import os
from pathlib import Path

from expstore.errors import TornTailError
from expstore.store.files.directory import OpenLog
from expstore.store.read.survey import scan_log
from formats import Format, FormatError, RecordCodec, TailStatus
from formats.codec.record import whole_size

_BLOCK = 1 << 22  # bytes read at a time
_LISTED = 1 << 16  # bytes whose records are parsed for a message


def last_boundary(
    codec: RecordCodec, descriptor: int, start: int, stop: int | None = None
) -> tuple[int, int]:
    """Parse from one boundary between records to the last.

    Args:
        codec: of one record.
        descriptor: the log, open for reading.
        start: the boundary to begin at, a byte offset. Before the first record, if a header is
            declared, it is 0.
        stop: the byte offset to end at; None: the end of the log.

    Returns:
        The offset after the last whole record, and how many bytes of another one follow.

    Raises:
        FormatError: the header is not the declared one, or a record is refused.
    """
    most = _BLOCK
    while True:
        size = most if stop is None else min(most, stop - start)
        block = os.pread(descriptor, size, start)
        used = whole_size(codec, block, start)
        start += used
        if len(block) < most:
            return start, len(block) - used
        # A record, such as one with a length of four bytes, may be longer than a block.
        most = _BLOCK if used else 2 * most


def describe(format: Format, descriptor: int, start: int, stop: int) -> str:
    """Which whole records are between two boundaries, as a message gives them."""
    where = f"between bytes {start} and {stop}"
    data = os.pread(descriptor, min(stop - start, _LISTED), start)
    counter = format.roles.counter if format.roles else None
    counts, found, offset = [], 0, 0
    while offset < len(data) and len(data) == stop - start:
        try:
            values, offset = format.codec.parse(data, offset)
        except FormatError:  # not the bytes that were appended
            return f"the records {where}"
        found += 1
        if counter is not None:
            counts.append(values[counter])
    if not found:
        return f"the records {where}"
    span = ""
    if counts:
        first, last = min(counts), max(counts)
        span = f" of {counter} {first}" if first == last else f" of {counter}s {first} to {last}"
    return f"{found} record{'s' * (found > 1)}{span}, {where},"


def tear_at(format: Format, path: Path, descriptor: int, offset: int, size: int) -> TailStatus:
    """The torn record that a log ends in.

    Args:
        format: of the log.
        path: the log, for messages.
        descriptor: the same, open for reading.
        offset, size: where the tear begins, and its bytes, as `last_boundary` found them.

    Raises:
        TornTailError: the log is misaligned, so what seems to be torn off may be whole records.
    """
    status, _ = scan_log(OpenLog.of(descriptor), format=format)
    if status.kind == "implausible":
        raise TornTailError(
            f"{path}: misaligned from byte {status.offset} on; salvage its whole records into a "
            "new log (in a store: `expstore salvage`), which can be logged to"
        )
    return TailStatus("torn", offset, size)
