"""Kinds of several values: arrays and nested Structs.

Guarantees: as in `base`; an error names the part, as in `position.x` or `matrix[3]`. All parts have
a fixed width, so the whole has one, and all its parts have known places.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from formats.errors import FieldValueError, FormatError
from formats.kinds.base import Kind, expected
from formats.kinds.numbers import Number
from formats.kinds.value import Value


class Part(Value):
    """A part of a Group: a kind with a name, which is empty if the part is not one of its values.

    Attributes:
        default: what is written where no value is given; None if a value is required.
    """

    name: str
    doc: str
    kind: Kind
    default: Any = None


class Group(Kind):
    """Parts one after another; a value is a dict."""

    parts: tuple[Part, ...]

    @cached_property
    def width(self) -> int:
        return sum(part.kind.width for part in self.parts)

    @property
    def dtype(self) -> Any:
        parts = enumerate(self.parts)
        return [(part.name or f"_{at}", part.kind.dtype) for at, part in parts]

    @property
    def type_name(self) -> str:
        inner = (f"{part.name or '-'}: {part.kind.type_name}" for part in self.parts)
        return f"({', '.join(inner)})"

    @property
    def limits(self) -> str:
        inner = ((part.name or "-", part.kind.limits) for part in self.parts)
        return "; ".join(f"{name}: {limits}" for name, limits in inner if limits)

    @property
    def may_refuse(self) -> bool:
        return any(part.kind.may_refuse for part in self.parts)

    @property
    def has_value(self) -> bool:
        return any(part.name and part.kind.has_value for part in self.parts)

    @property
    def needs_value(self) -> bool:
        return any(part.default is None and part.kind.needs_value for part in self.parts)

    def decode(self, raw: bytes) -> dict[str, Any]:
        values, start = {}, 0
        for part in self.parts:
            end = start + part.kind.width
            try:
                value = part.kind.parse(raw[start:end])
            except FormatError as error:
                raise _within(part.name, error) from None
            if part.name:
                values[part.name] = value
            start = end
        return values

    def encode(self, value: Any) -> bytes:
        given, names = self._mapping(value), {part.name for part in self.parts}
        for name in given:
            if name not in names and not str(name).startswith("_"):
                raise FieldValueError("is not declared", field=str(name))
        built = []
        for part in self.parts:
            item = given.get(part.name) if part.name else None
            try:
                built.append(part.kind.build(part.default if item is None else item))
            except FormatError as error:
                raise _within(part.name, error) from None
        return b"".join(built)

    def _mapping(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        if value is None and not self.needs_value:
            return {}
        names = [part.name for part in self.parts if part.name and part.kind.has_value]
        if getattr(getattr(value, "dtype", None), "names", None) == tuple(names):
            value = value.tolist()  # a row of a NumPy column
        if isinstance(value, tuple) and len(value) == len(names):
            return dict(zip(names, value, strict=True))
        raise expected("a mapping", value)


class Array(Kind):
    """A fixed number of items of one kind; a value is a list."""

    item: Kind
    count: int

    @cached_property
    def width(self) -> int:
        return self.item.width * self.count

    @property
    def dtype(self) -> Any:
        return self.item.dtype, (self.count,)

    @property
    def type_name(self) -> str:
        return f"{self.item.type_name}[{self.count}]"

    @property
    def limits(self) -> str:
        return self.item.limits and f"each {self.item.limits}"

    @property
    def may_refuse(self) -> bool:
        return self.item.may_refuse

    @cached_property
    def _format(self) -> str:
        """The format of all items at once, if `struct` reads them; otherwise empty."""
        if not isinstance(self.item, Number) or not self.item.is_raw:
            return ""
        return f"{self.item.order}{self.count}{self.item.code}"

    def decode(self, raw: bytes) -> list[Any]:
        if self._format:
            return list(struct.unpack(self._format, raw))
        size, values = self.item.width, []
        for index in range(self.count):
            try:
                values.append(self.item.parse(raw[index * size : (index + 1) * size]))
            except FormatError as error:
                raise _within(f"[{index}]", error) from None
        return values

    def encode(self, value: Any) -> bytes:
        if hasattr(value, "tolist"):
            value = value.tolist()  # an array of NumPy or of another library
        if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
            raise expected(f"a sequence of {self.count}", value)
        if len(value) != self.count:
            raise FieldValueError(f"has {len(value)} items, must have {self.count}")
        built = []
        for index, item in enumerate(value):
            try:
                built.append(self.item.build(item))
            except FormatError as error:
                raise _within(f"[{index}]", error) from None
        return b"".join(built)


def _within(part: str, error: FormatError) -> FormatError:
    """The error with the part's name in front of the name of the part inside it."""
    inner = error.field or ""
    error.field = part + inner if inner.startswith("[") or not inner else f"{part}.{inner}"
    return error
