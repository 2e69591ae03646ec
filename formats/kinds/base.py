"""Kinds of values with a fixed width: the base, raw bytes, padding, and values that are checked.

Guarantees: a kind reads exactly what `construct` reads from the same bytes, or refuses them as
`construct` does; what it builds are `construct`'s bytes. A value is refused, never cut or wrapped.
Kinds are immutable and comparable, and know no field: whoever has the field adds it to the error.

`struct` unpacks the bytes of a kind with one format character (`code`) into a *raw* value, which
`decode` turns into the value; `encode` is the inverse. Where both are the same (`is_raw`),
generated code leaves the call out.
"""

from __future__ import annotations

import math
import struct
from functools import cached_property
from typing import Any

from formats.errors import FieldValueError, FormatError, UnsupportedVersionError
from formats.kinds.value import Value


def shown(value: object) -> str:
    """A value in an error message, at most 60 characters long."""
    if isinstance(value, int) and abs(value) > 10**30:
        return f"an integer of {int(math.log10(abs(value))) + 1} digits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def expected(what: str, value: object) -> FieldValueError:
    """The error for a value of the wrong type."""
    found = "a masked value" if is_masked(value) else f"{type(value).__name__} {shown(value)}"
    return FieldValueError(f"expected {what}, got {found}")


def is_masked(value: Any) -> bool:
    """Whether an array hides an element, which its `item` returns as a number nevertheless."""
    # By attribute: NumPy may not be loaded, and other libraries have masked arrays as well.
    mask: Any = getattr(value, "mask", None)
    return getattr(getattr(mask, "dtype", None), "kind", "") == "b" and bool(mask.any())


class Kind(Value):
    """What the bytes of a field mean; the base of all kinds."""

    @property
    def width(self) -> int:
        """Size in bytes."""
        raise NotImplementedError

    @property
    def type_name(self) -> str:
        """The type's name in the specification, such as `u8`."""
        raise NotImplementedError

    @property
    def code(self) -> str:
        """The `struct` format character; for bytes with a count, such as `16s`."""
        return f"{self.width}s"

    @property
    def order(self) -> str:
        """`>` or `<`; where it makes no difference, `>`."""
        return ">"

    @property
    def dtype(self) -> Any:
        """The bytes as a NumPy dtype, or a description of one."""
        return f"V{self.width}"

    @property
    def range(self) -> tuple[int | float, int | float]:
        """Minimum and maximum of a number; of anything else, the size in bytes."""
        return self.width, self.width

    @property
    def limits(self) -> str:
        """What else the specification says about the values; empty if nothing."""
        return ""

    @property
    def is_raw(self) -> bool:
        """Whether the value is what `struct` unpacks."""
        return False

    @property
    def may_refuse(self) -> bool:
        """Whether some bytes of the right size are refused."""
        return False

    @property
    def has_value(self) -> bool:
        """Whether there is a value; padding has none."""
        return True

    @property
    def needs_value(self) -> bool:
        """Whether a value must be given to build it."""
        return True

    @property
    def is_float(self) -> bool:
        """Whether this is an IEEE 754 number."""
        return False

    @property
    def is_signed(self) -> bool:
        """Whether this is a number that may be negative."""
        return False

    def decode(self, raw: Any) -> Any:
        """The value, from what `struct` unpacked; FormatError if the bytes are refused."""
        return raw

    def encode(self, value: Any) -> Any:
        """What `struct` packs, from the value; FieldValueError if this kind has no such value."""
        raise NotImplementedError

    def parse(self, data: bytes) -> Any:
        """The value of `width` bytes."""
        return self.decode(struct.unpack(self.order + self.code, data)[0])

    def build(self, value: Any) -> bytes:
        """The bytes of a value."""
        return struct.pack(self.order + self.code, self.encode(value))


def as_bytes(value: Any) -> bytes:
    """A bytes-like value, or an item of a NumPy column of bytes, as bytes."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if getattr(getattr(value, "dtype", None), "kind", "") == "V" and value.shape == ():
        return bytes(value.tobytes())
    raise expected("bytes", value)


class RawBytes(Kind):
    """A fixed number of bytes, such as a digest."""

    size: int

    @property
    def width(self) -> int:
        return self.size

    @property
    def type_name(self) -> str:
        return f"bytes[{self.size}]"

    @property
    def is_raw(self) -> bool:
        return True

    def encode(self, value: Any) -> bytes:
        data = as_bytes(value)
        if len(data) != self.size:
            raise FieldValueError(f"is {len(data)} bytes, must be {self.size}")
        return data


class Padding(Kind):
    """Bytes without a meaning: anything when read, a pattern when written."""

    size: int
    pattern: bytes = b"\0"

    @property
    def width(self) -> int:
        return self.size

    @property
    def type_name(self) -> str:
        return f"padding[{self.size}]"

    @property
    def limits(self) -> str:
        return f"written as {self.pattern!r}, not read"

    @property
    def has_value(self) -> bool:
        return False

    @property
    def needs_value(self) -> bool:
        return False

    def decode(self, raw: bytes) -> None:
        return None

    def encode(self, value: Any) -> bytes:
        if value is not None:
            raise FieldValueError(f"is padding and has no value, got {shown(value)}")
        return self.pattern * self.size


class OfKind:
    """What has a kind, and takes the form of its bytes from it."""

    kind: Kind

    @cached_property
    def width(self) -> int:
        """Size in bytes; of a text or bytes with a length, of the length prefix."""
        return self.kind.width

    @property
    def type_name(self) -> str:
        """The type's name in the specification: `u8`, `i64`, `f64`, `text`."""
        return self.kind.type_name

    @property
    def code(self) -> str:
        """The `struct` format character; for bytes with a count, such as `16s`."""
        return self.kind.code

    @property
    def order(self) -> str:
        """`>` or `<`; one-byte fields count as big-endian."""
        return self.kind.order

    @property
    def dtype(self) -> Any:
        """The fixed-width part as a NumPy dtype string, such as `>i8`."""
        return self.kind.dtype

    @property
    def range(self) -> tuple[int | float, int | float]:
        """Minimum and maximum value; for a text, of its length in bytes."""
        return self.kind.range

    @property
    def is_float(self) -> bool:
        """Whether this is an IEEE 754 number, not an integer or a text."""
        return self.kind.is_float

    @property
    def is_signed(self) -> bool:
        """Whether this is a number that may be negative."""
        return self.kind.is_signed


class Checked(OfKind, Kind):
    """Another kind's bytes, of which only some are accepted; the base of such kinds."""

    kind: Kind

    @property
    def may_refuse(self) -> bool:
        return True


class Constant(Checked):
    """A kind with only one value; `is_version` if that is the format's version."""

    value: Any
    is_version: bool = False

    @property
    def limits(self) -> str:
        return f"= {self.value}"

    @property
    def needs_value(self) -> bool:
        return False

    @property
    def is_raw(self) -> bool:
        return self.kind.is_raw

    def decode(self, raw: Any) -> Any:
        value = self.kind.decode(raw)
        if value != self.value:
            what = "unsupported version" if self.is_version else "expected constant"
            error = UnsupportedVersionError if self.is_version else FormatError
            raise error(f"{what}: found {value}, supported is {self.value}")
        return value

    def encode(self, value: Any) -> Any:
        raw = self.kind.encode(self.value)
        if value is not None and self.kind.decode(self.kind.encode(value)) != self.value:
            raise FieldValueError(f"must be {self.value}, got {shown(value)}")
        return raw


class Choice(Checked):
    """A kind with only some of its values: the listed ones, or all others (`allowed` False)."""

    values: tuple[Any, ...]
    allowed: bool = True

    @property
    def limits(self) -> str:
        listed = ", ".join(map(repr, self.values[:20])) + (", ..." if len(self.values) > 20 else "")
        return f"{'one' if self.allowed else 'none'} of {listed}"

    def decode(self, raw: Any) -> Any:
        value = self.kind.decode(raw)
        if (value in self.values) is not self.allowed:
            raise FormatError(f"{shown(value)} is not {self.limits}")
        return value

    def encode(self, value: Any) -> Any:
        raw = self.kind.encode(value)
        if (self.kind.decode(raw) in self.values) is not self.allowed:
            raise FieldValueError(f"{shown(value)} is not {self.limits}")
        return raw
