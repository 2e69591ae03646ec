"""An experiment's files, annotated span by span: what each byte is, even in a damaged file.

Guarantees: nothing is changed; a log of any size is read in blocks, and only the requested records
are annotated. `formats.codec.spans` interprets the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from expstore.errors import MetadataNotFoundError
from expstore.model.values import METADATA_FORMAT, METRICS_FORMAT
from expstore.store.files import layout
from expstore.store.files.directory import Location, OpenLog
from expstore.store.files.place import open_log
from formats import Format, Span, annotate
from formats.schema import Schema

_BLOCK = 1 << 20  # bytes; much larger than a record, so a block without a whole record is torn
_EXTRA = 1 << 16  # bytes shown after the longest possible value


def format_of(path: Location) -> Format:
    """The format of a store's file, by its name; anything but meta.bin is taken to be a log."""
    return METADATA_FORMAT if path.name == layout.METADATA else METRICS_FORMAT


def iter_spans(path: Location, format: Format, records: slice = slice(None)) -> Iterator[Span]:
    """The spans of a file, in order.

    Args:
        path: meta.bin, metrics.bin, or a file in the same format.
        format: the file's format.
        records: for a sequence, which records; negative bounds count from the end, as in a list.
            Bytes after the last whole record count as one more record, which only an open or
            sufficiently large end reaches.

    Raises:
        ExperimentNotFoundError: the file's directory is missing.
        UnreadableFileError: not a regular file, or no permission.
        MetadataNotFoundError: a single value's file is missing; a missing log counts as empty.
    """
    with open_log(path) as log:
        if format.schema.is_sequence:
            yield from _iter_records(log, format.schema, records)
        elif log.exists:
            yield from _iter_value(log, format.schema)
        else:
            raise MetadataNotFoundError(f"{path}: no such file")


def _iter_value(log: OpenLog, schema: Schema) -> Iterator[Span]:
    for span in annotate(schema, log.read(0, schema.max_size + _EXTRA)):
        unread = log.size - span.end if span.part == "rest" else 0
        yield replace(span, note=f"{span.note}; {unread} more bytes") if unread > 0 else span


def _iter_records(log: OpenLog, schema: Schema, records: slice) -> Iterator[Span]:
    first, last = _resolve(log, schema, records)
    zeros = _zero_tail(log)
    for offset, index, data, starts in _iter_blocks(log, schema):
        if last is not None and index >= last:
            return
        # Where each record of the block begins, and where the last one ends.
        bounds = [*starts, len(data)] if len(starts) else [0, len(data)]
        start = max(first - index, 0)
        stop = len(bounds) - 1 if last is None else min(last - index, len(bounds) - 1)
        if start < stop:
            yield from annotate(
                schema,
                data[bounds[start] : bounds[stop]],
                offset=offset + int(bounds[start]),
                index=index + start,
                zeros=zeros,
            )


def _iter_blocks(log: OpenLog, schema: Schema) -> Iterator[tuple[int, int, bytes, Any]]:
    """Blocks of whole records, then any trailing bytes that are not a record.

    Yields:
        The block's offset, the index of its first record, its bytes, and the offsets in it at which
        records begin (empty for trailing bytes).
    """
    from formats.columns import record_starts

    offset = index = 0
    while offset < log.size:
        block = log.read(offset, _BLOCK)
        starts, end = record_starts(schema, block)
        yield offset, index, block[:end] if end else block, starts
        if not end:
            return
        offset += end
        index += len(starts)


def _resolve(log: OpenLog, schema: Schema, records: slice) -> tuple[int, int | None]:
    """The first record and the one after the last; None: to the end of the file."""
    first, last = records.start or 0, records.stop
    if first < 0 or (last is not None and last < 0):
        count = sum(len(starts) for *_, starts in _iter_blocks(log, schema))
        first = max(first + count, 0) if first < 0 else first
        last = max(last + count, 0) if last is not None and last < 0 else last
    return first, last


def _zero_tail(log: OpenLog) -> int:
    """The offset just after the file's last nonzero byte."""
    end = log.size
    while end > 0:
        start = max(end - _BLOCK, 0)
        kept = len(log.read(start, end - start).rstrip(b"\0"))
        if kept:
            return start + kept
        end = start
    return 0
