"""The meaning of each byte of some data, found by slowly walking the declaration over it.

Guarantees: for any bytes, the spans cover the data in order, without gaps or overlaps. Torn,
wrong and leftover bytes get spans too, which say why. Errors match those of `RecordCodec.parse`,
which gets them from here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from formats.errors import FormatError, TruncatedError, UnsupportedVersionError
from formats.fields import ENCODING, ERRORS
from formats.schema import Field, Schema


@dataclass(frozen=True)
class Span:
    """A range of bytes and its meaning.

    Attributes:
        offset: the offset of the first byte in the file.
        data: the bytes; empty if the data ends before a required field.
        part: `value`, a number or a text's bytes; `length`, a text's length prefix; `rest`, bytes
            that belong to no field.
        field: the declared field; None for `rest`.
        value: int, float or str; None if the bytes are torn or belong to no field.
        index: the record's number in a sequence, from 0; None if this is not a sequence.
        error: what is wrong here, or None.
        note: a remark for the reader, where the bytes parse without an error.
    """

    offset: int
    data: bytes
    part: Literal["value", "length", "rest"]
    field: Field | None = None
    value: Any = None
    index: int | None = None
    error: FormatError | None = None
    note: str = ""

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + len(self.data)

    @property
    def name(self) -> str:
        """The field's name, with `len_` in front for its length prefix; empty for `rest`."""
        if self.field is None:
            return ""
        return self.field.length_name if self.part == "length" else self.field.name

    def __str__(self) -> str:
        """The span on one line that is safe to show: control characters are escaped."""
        if self.part == "rest":
            return f"{len(self.data)} bytes {self.note}"
        text = self.name if self.value is None else f"{self.name} = {self.value!r}"
        if self.error is None:
            return text
        torn = "torn: " if isinstance(self.error, TruncatedError) else ""
        return f"{text}: {torn}{self.error.reason}"


def annotate(
    schema: Schema, data: bytes, *, offset: int = 0, index: int = 0, zeros: int | None = None
) -> Iterator[Span]:
    """The spans of a whole file, or of a part of a log that begins at a record boundary.

    Args:
        schema: the declaration; one value, or a sequence of records.
        data: the bytes.
        offset: where `data` begins in its file.
        index: the number of the first record in `data`.
        zeros: the offset from which the file holds only zeros; default: found in `data`. Records
            that begin there or later get a note.
    """
    if not schema.is_sequence:
        zeros = len(data)
    elif zeros is None:
        zeros = len(data.rstrip(b"\0"))
    else:
        zeros -= offset
    position = 0
    while position < len(data) or (position == 0 and not schema.is_sequence):
        note = "all zeros, as after a power loss" if position >= zeros else ""
        record = index if schema.is_sequence else None
        for span in annotate_value(schema, data, position, record):
            position = span.end
            yield _moved(span, offset, note)
            if span.error is not None:
                if position < len(data):
                    yield Span(
                        offset + position, data[position:], "rest", index=record, note="not read"
                    )
                return
        index += 1
        if not schema.is_sequence:
            break
    if position < len(data):
        yield Span(offset + position, data[position:], "rest", note="after the last field")


def annotate_value(
    schema: Schema, data: bytes | bytearray | memoryview, offset: int, index: int | None = None
) -> Iterator[Span]:
    """The spans of the value at `offset`; stops at the first error."""
    position = offset
    for field in schema:
        if field.default is not None and position == len(data):
            continue
        span = _number(field, data, position, index)
        yield span
        if span.error is not None:
            return
        position = span.end
        if field.is_text:
            span = _text(field, data, position, span.value, index)
            yield span
            if span.error is not None:
                return
            position = span.end


def _number(field: Field, data: Any, position: int, index: int | None) -> Span:
    raw = bytes(data[position : position + field.width])
    part: Literal["value", "length"] = "length" if field.is_text else "value"
    if len(raw) < field.width:
        return Span(
            position, raw, part, field, None, index, _truncated(field, field.width, raw, position)
        )
    (number,) = struct.unpack(field.format, raw)
    error = None
    if field.constant is not None and number != field.constant:
        kind = UnsupportedVersionError if field.is_version else FormatError
        what = "unsupported version" if field.is_version else "expected constant"
        reason = f"{what}: found {number}, supported is {field.constant}"
        error = kind(reason, field=field.name, offset=position)
    return Span(position, raw, part, field, number, index, error)


def _text(field: Field, data: Any, position: int, length: int, index: int | None) -> Span:
    raw = bytes(data[position : position + length])
    if len(raw) < length:
        error = _truncated(field, length, raw, position)
        return Span(position, raw, "value", field, None, index, error)
    return Span(position, raw, "value", field, raw.decode(ENCODING, ERRORS), index)


def _truncated(field: Field, wanted: int, raw: bytes, position: int) -> FormatError:
    left = f"{len(raw)} {'is' if len(raw) == 1 else 'are'} left"
    reason = f"needs {wanted} byte{'s' if wanted > 1 else ''}, {left}"
    return TruncatedError(reason, field=field.name, offset=position)


def _moved(span: Span, offset: int, note: str) -> Span:
    """The span with its offset in the file."""
    if span.error is not None:
        span.error.at(index=span.index, offset=offset)
    return Span(
        span.offset + offset,
        span.data,
        span.part,
        span.field,
        span.value,
        span.index,
        span.error,
        span.note or note,
    )
