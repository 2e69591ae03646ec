"""The files of an experiment, span by span: what each byte is, also in a damaged file.

Guarantees: nothing is changed, and a log of any size is read in blocks, only those records being
annotated that were asked for. What the bytes mean, `formats.codec.spans` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from expstore.errors import MetadataNotFoundError
from expstore.store.files import layout
from expstore.store.files.directory import Location, OpenLog
from expstore.store.files.place import open_log
from formats import FORMATS, Format, Span, annotate
from formats.schema import Schema

_BLOCK = 1 << 20  # bytes; far more than a record, so a block without a whole record is torn
_EXTRA = 1 << 16  # bytes shown behind the longest possible value

METADATA_FORMAT = FORMATS["meta"]
METRICS_FORMAT = FORMATS["metrics"]


def format_of(path: Location) -> Format:
    """The format of a store's file, by its name; what is not meta.bin is taken for a log."""
    return METADATA_FORMAT if path.name == layout.METADATA else METRICS_FORMAT


def iter_spans(path: Location, format: Format, records: slice = slice(None)) -> Iterator[Span]:
    """The spans of a file, in order.

    Args:
        path: meta.bin, metrics.bin, or a file like them.
        format: what the file holds.
        records: of a sequence, which records; counts from the end where negative, as in a list.
            What stands behind the last whole record counts as one more, which only an open or
            a large end reaches.

    Raises:
        ExperimentNotFoundError: the file's directory is missing.
        UnreadableFileError: no regular file, or no permission.
        MetadataNotFoundError: a single value's file is missing; a missing log is an empty one.
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
    """Blocks of whole records, and at the end what is no record.

    Yields:
        The block's offset, the number of its first record, its bytes, and where in it records
        begin; nowhere in what is no record.
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
    """The first record and the one behind the last; None: to the end of the file."""
    first, last = records.start or 0, records.stop
    if first < 0 or (last is not None and last < 0):
        count = sum(len(starts) for *_, starts in _iter_blocks(log, schema))
        first = max(first + count, 0) if first < 0 else first
        last = max(last + count, 0) if last is not None and last < 0 else last
    return first, last


def _zero_tail(log: OpenLog) -> int:
    """The offset behind the file's last byte that is not zero."""
    end = log.size
    while end > 0:
        start = max(end - _BLOCK, 0)
        kept = len(log.read(start, end - start).rstrip(b"\0"))
        if kept:
            return start + kept
        end = start
    return 0
