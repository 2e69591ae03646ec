"""Where the whole records of a log end, found by parsing what was added to it.

Guarantees: nothing is written. What looks like a torn record is called one only if the records
before it can be believed: in a misaligned log, whole records look like tears.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from expstore.errors import ExperimentGoneError, TornTailError
from expstore.store.files.systems.native import fs
from expstore.store.read.survey import tail_of
from formats import Format, FormatError, RecordCodec, TailStatus
from formats.codec.record import whole_size
from formats.errors import counted

ANCHOR = 64
"""Bytes before a boundary by which a log is recognised."""

_BLOCK = 1 << 22  # bytes read at a time
_LISTED = 1 << 16  # bytes whose records are parsed for a message


def last_boundary(
    codec: RecordCodec, descriptor: int, start: int, stop: int | None = None
) -> tuple[int, int]:
    """Parse from one boundary between records to the last.

    Args:
        codec: of one record.
        descriptor: the log, open for reading.
        start: the boundary to begin at, a byte offset; 0 is that before the header, if one is
            declared.
        stop: the byte offset to end at; None: the end of the log.

    Returns:
        The offset after the last whole record, and how many bytes of another one follow.

    Raises:
        FormatError: the header is not the declared one, or a record is refused.
    """
    most = _BLOCK
    while True:
        size = most if stop is None else min(most, stop - start)
        block = fs.pread(descriptor, size, start)
        used = whole_size(codec, block, start)
        start += used
        if len(block) < most:
            return start, len(block) - used
        # A record, such as one with a length of four bytes, may be longer than a block.
        most = _BLOCK if used else 2 * most


def boundary_after(
    format: Format, path: Path, descriptor: int, start: int, stop: int | None = None
) -> tuple[int, int]:
    """See `last_boundary`; zeros that the format refuses are no whole records.

    Raises:
        FormatError: see there; it names the log.
    """
    try:
        return last_boundary(format.codec, descriptor, start, stop)
    except FormatError as error:
        if stop is None and tail_of(descriptor, format).kind == "zero":
            return start, os.fstat(descriptor).st_size - start
        raise error.at(source=str(path)) from None


def describe(format: Format, descriptor: int, start: int, stop: int) -> str:
    """Which whole records are between two boundaries, as a message gives them."""
    where = f"between bytes {start} and {stop}"
    data = fs.pread(descriptor, min(stop - start, _LISTED), start)
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
    return f"{counted(found, 'record')}{span}, {where},"


def lost(path: Path, how: str, start: int, end: int) -> ExperimentGoneError:
    """The error for a log that has lost the records between two offsets."""
    return ExperimentGoneError(
        f"{path}: {how} by another program while a writer had it open; the records between bytes "
        f"{start} and {end} are lost, unless what is there now has them; read back what it holds, "
        "and log the rest with a new writer",
        start,
        end,
    )


def bytes_before(descriptor: int, offset: int, size: int = ANCHOR) -> bytes:
    """So many bytes before an offset, or all that there are."""
    size = min(size, offset)
    return fs.pread(descriptor, size, offset - size)


def is_known(descriptor: int, offset: int, anchor: bytes) -> bool:
    """Whether the bytes before an offset are still those that were found there."""
    return bytes_before(descriptor, offset).endswith(anchor[-ANCHOR:])


def ends_in_zeros(format: Format, descriptor: int, start: int, end: int) -> bool:
    """Whether the records between two boundaries end in zeros, as after a power cut."""
    # Nearly always settled by a few bytes; else all of the log is parsed, as by a repair.
    if start == end or any(bytes_before(descriptor, end, format.schema.min_size)):
        return False
    return tail_of(descriptor, format).kind == "zero"


def bad_end(format: Format, path: Path, descriptor: int, known: int) -> TailStatus:
    """The torn record, or the zeros, that a log ends in.

    Args:
        format: of the log.
        path: the log, for messages.
        descriptor: the same, open for reading.
        known: a boundary; what precedes it is known to be whole, even if it is zeros.

    Raises:
        TornTailError: the log is misaligned, so what seems to be torn off may be whole records.
    """
    status = tail_of(descriptor, format)
    if status.kind == "implausible":
        raise TornTailError(
            f"{path}: misaligned from byte {status.offset} on; salvage its whole records into a "
            "new log (in a store: `expstore salvage`), which can be logged to"
        )
    start = max(status.offset or 0, known)
    size = (status.offset or 0) + status.size - start
    return replace(status, offset=start, size=size)
