"""The meaning of each byte of some data, found by slowly walking the declaration over it.

Guarantees: for any bytes, the spans cover the data in order, without gaps or overlaps. Torn,
wrong and leftover bytes get spans too, which say why. Errors match those of `RecordCodec.parse`,
which gets them from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from formats.errors import FormatError, TruncatedError
from formats.schema import Field, Schema
from formats.walk import flat, walk


@dataclass(frozen=True)
class Span:
    """A range of bytes and its meaning.

    Attributes:
        offset: the offset of the first byte in the file.
        data: the bytes; empty if the data ends before a required field.
        part: `value`, a number or a text's bytes; `length`, a text's length prefix; `rest`, bytes
            that belong to no field.
        field: the declared field; None for `rest`.
        value: of the field; None if the bytes are torn or belong to no field.
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
    declaration: Any, data: Any, *, offset: int = 0, index: int = 0, zeros: int | None = None
) -> Iterator[Span]:
    """The spans of a whole file, or of a part of a log that begins at a record boundary.

    Args:
        declaration: one value, or a sequence of records; or its Schema.
        data: the bytes, in any C-contiguous buffer.
        offset: where `data` begins in its file. A header, if one is declared, is expected at 0.
        index: the number of the first record in `data`.
        zeros: the offset from which the file holds only zeros; default: found in `data`. Records
            that begin there or later get a note.

    Raises:
        TypeError: `data` is not such a buffer.
    """
    return _annotate(Schema.of(declaration), bytes(flat(data)), offset, index, zeros)


def _annotate(
    schema: Schema, data: bytes, offset: int, index: int, zeros: int | None
) -> Iterator[Span]:
    if not schema.is_sequence:
        zeros = len(data)
    elif zeros is None:
        zeros = len(data.rstrip(b"\0"))
    else:
        zeros -= offset
    position, header = 0, None if offset else schema.header
    while position < len(data) or (position == 0 and not schema.is_sequence):
        note = "all zeros, as after a power loss" if position >= zeros else ""
        record = index if schema.is_sequence and header is None else None
        for span in annotate_value(header or schema, data, position, record):
            position = span.end
            yield _moved(span, offset, note)
            if span.error is not None:
                if position < len(data):
                    yield Span(
                        offset + position, data[position:], "rest", index=record, note="not read"
                    )
                return
        index, header = index + (header is None), None
        if not schema.is_sequence:
            break
    if position < len(data):
        yield Span(offset + position, data[position:], "rest", note="after the last field")


def annotate_value(
    schema: Schema, data: Any, offset: int, index: int | None = None
) -> Iterator[Span]:
    """The spans of the value at `offset`; stops at the first error."""
    for step in walk(schema, data, offset):
        yield Span(step.offset, step.data, step.part, step.field, step.value, index, step.error)


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
