"""Texts of fixed size, and texts and bytes with a length in front.

Guarantees: as in `base`. A text of fixed size is refused if it is invalid, as by `construct`; one
with a length keeps invalid UTF-8 as lone surrogates (see `formats.fields`).
"""

from __future__ import annotations

from typing import Any

from formats.errors import FieldValueError, FormatError
from formats.fields import ENCODING, ERRORS
from formats.kinds.base import Kind, as_bytes, expected
from formats.kinds.numbers import Number


class SizedText(Kind):
    """A text in a fixed number of bytes, filled up with NUL; invalid texts are refused."""

    size: int

    @property
    def width(self) -> int:
        return self.size

    @property
    def room(self) -> int:
        """The text's maximum size in bytes."""
        return self.size

    @property
    def limits(self) -> str:
        return f"0 to {self.room} bytes, filled up with NUL"

    @property
    def may_refuse(self) -> bool:
        return True


class PaddedText(SizedText):
    """A text filled up with NUL bytes, which are not part of it."""

    encoding: str

    @property
    def type_name(self) -> str:
        return f"{self.encoding} text[{self.size}]"

    def decode(self, raw: bytes) -> str:
        return _decoded(raw.rstrip(b"\0"), self.encoding)

    def encode(self, value: Any) -> bytes:
        data = _encoded(value, self.encoding, self.room)
        if data.endswith(b"\0"):
            raise FieldValueError("ends in NUL, which would be lost as padding")
        return data.ljust(self.size, b"\0")


class PascalText(SizedText):
    """A length, a text, and NUL bytes up to a fixed size."""

    length: Number
    encoding: str

    @property
    def type_name(self) -> str:
        return f"{self.length.type_name} length, {self.encoding} text[{self.room}]"

    @property
    def room(self) -> int:
        return min(self.size - self.length.width, int(self.length.range[1]))

    def decode(self, raw: bytes) -> str:
        size = self.length.parse(raw[: self.length.width])
        if size > self.size - self.length.width:
            raise FormatError(f"length {size} is beyond its {self.size} bytes")
        start = self.length.width
        return _decoded(raw[start : start + size], self.encoding)

    def encode(self, value: Any) -> bytes:
        data = _encoded(value, self.encoding, self.room)
        return (self.length.build(len(data)) + data).ljust(self.size, b"\0")


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FormatError(f"is not {encoding}: {error.reason}") from None


def _encoded(value: Any, encoding: str, limit: int) -> bytes:
    if not isinstance(value, str):
        raise expected("str", value)
    try:
        data = str.__str__(value).encode(encoding)
    except UnicodeEncodeError as error:
        raise FieldValueError(f"not encodable as {encoding}: {error.reason}") from None
    if len(data) > limit:
        raise FieldValueError(f"text is {len(data)} bytes of {encoding}, the limit is {limit}")
    return data


class LengthPrefixed(Kind):
    """A length, then that many bytes or a text of that many: the only kind of variable width.

    Its width, code and range are those of the length.

    Attributes:
        length: an unsigned integer.
        is_text: whether the bytes are a text; one of invalid UTF-8 keeps its bytes.
    """

    length: Number
    is_text: bool

    @property
    def width(self) -> int:
        return self.length.width

    @property
    def code(self) -> str:
        return self.length.code

    @property
    def order(self) -> str:
        return self.length.order

    @property
    def dtype(self) -> Any:
        return self.length.dtype

    @property
    def range(self) -> tuple[int | float, int | float]:
        return self.length.range

    @property
    def type_name(self) -> str:
        name, number = "text" if self.is_text else "bytes", self.length.type_name
        return name if self.is_text and number == "u8" else f"{name}[{number}]"

    def content(self, data: bytes) -> str | bytes:
        """The value, from the bytes after the length."""
        return data.decode(ENCODING, ERRORS) if self.is_text else data

    def convert(self, value: Any) -> str | bytes:
        """The value as str or bytes."""
        if not self.is_text:
            return as_bytes(value)
        if isinstance(value, str):
            return str.__str__(value)  # a subclass, such as an Enum, may override __str__
        raise FieldValueError(f"expected str, got {type(value).__name__}")

    def check(self, value: str | bytes) -> None:
        """Refuse a converted value that is too long, or no text."""
        self.encode(value)

    def encode(self, value: Any) -> bytes:
        """The bytes after the length."""
        what, data = "bytes", self.convert(value)
        if isinstance(data, str):
            what = "bytes of UTF-8"
            try:
                data = data.encode(ENCODING, ERRORS)
            except UnicodeEncodeError as error:
                reason = f"not encodable as UTF-8: {error.reason}"
                raise FieldValueError(reason) from None
        limit = self.length.range[1]
        if len(data) > limit:
            subject = "text is " if self.is_text else "is "
            raise FieldValueError(f"{subject}{len(data)} {what}, the limit is {limit}")
        return data

    def build(self, value: Any) -> bytes:
        data = self.encode(value)
        return self.length.build(len(data)) + data
