"""One value read field by field, slowly: for what is read once, and to find what is wrong.

Guarantees: the fields are read in order, up to the first that cannot be; its error has the field
and the offset. Every other reader gets its errors from here, so they agree.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from formats.errors import FormatError, TruncatedError
from formats.kinds.texts import LengthPrefixed
from formats.schema import Field, Schema, named


class Step(NamedTuple):
    """The bytes of a field, or of its length prefix, and what they mean."""

    field: Field
    part: Literal["value", "length"]
    offset: int
    data: bytes
    value: Any
    error: FormatError | None = None

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + len(self.data)


def flat(data: Any) -> Any:
    """Any C-contiguous buffer as bytes or a view of unsigned bytes.

    Raises:
        TypeError: not a buffer, or one whose bytes are not in order.
    """
    if isinstance(data, bytes | bytearray):
        return data
    try:
        view = memoryview(data)
    except (TypeError, ValueError) as error:
        raise TypeError(f"expected a buffer of bytes, got {type(data).__name__}") from error
    if "O" in view.format:
        raise TypeError("an array of objects holds pointers, not the bytes of a file")
    if not view.c_contiguous:
        raise TypeError("the buffer's bytes are not contiguous; make a copy of them first")
    if view.format == "B" and view.ndim == 1:
        return view
    try:
        return view.cast("B")
    except (TypeError, ValueError, NotImplementedError):
        return view.tobytes()  # an empty one, or items of a type that Python does not know


def walk(schema: Schema, data: Any, offset: int) -> Iterator[Step]:
    """The steps of the value at `offset`; stops at the first error."""
    position = offset
    for field in schema:
        if field.default is not None and position == len(data):
            continue
        step = _fixed(field, data, position)
        yield step
        if step.error is not None:
            return
        if field.is_variable:
            step = _variable(field, data, step.end, step.value)
            yield step
            if step.error is not None:
                return
        position = step.end


def read_value(schema: Schema, data: Any, offset: int = 0) -> tuple[dict[str, Any], int]:
    """The values by field name, and the offset of the end.

    Raises:
        FormatError: as `RecordCodec.parse`.
    """
    values = {field.name: copy.deepcopy(field.default) for field in schema.named}
    end = offset
    for step in walk(schema, data, offset):
        if step.error is not None:
            raise step.error
        if step.part == "value" and step.field.has_name:
            values[step.field.name] = step.value
        end = step.end
    return values, end


def _fixed(field: Field, data: Any, position: int) -> Step:
    raw = bytes(data[position : position + field.width])
    part: Literal["value", "length"] = "length" if field.is_variable else "value"
    if len(raw) < field.width:
        return Step(field, part, position, raw, None, _truncated(field, field.width, raw, position))
    (value,) = struct.unpack(field.format, raw)
    if field.is_variable:
        return Step(field, part, position, raw, value)
    try:
        return Step(field, part, position, raw, field.kind.decode(value))
    except FormatError as error:
        error.offset = position
        # The number is known, even where it is not the right one.
        shown = value if field.kind.is_raw else None
        return Step(field, part, position, raw, shown, named(field.name, error))


def _variable(field: Field, data: Any, position: int, length: int) -> Step:
    assert isinstance(field.kind, LengthPrefixed)
    raw = bytes(data[position : position + length])
    if len(raw) < length:
        error = _truncated(field, length, raw, position)
        return Step(field, "value", position, raw, None, error)
    return Step(field, "value", position, raw, field.kind.content(raw))


def _truncated(field: Field, wanted: int, raw: bytes, position: int) -> FormatError:
    left = f"{len(raw)} {'is' if len(raw) == 1 else 'are'} left"
    reason = f"needs {wanted} byte{'s' if wanted > 1 else ''}, {left}"
    return TruncatedError(reason, field=field.name, offset=position)
