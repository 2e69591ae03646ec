"""Kinds made of one number: the numbers themselves, flags, and integers with labels.

Guarantees: as in `base`. A bool is a flag's value and never a number's; a float is never taken for
an integer.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, cast

from formats.errors import FieldValueError
from formats.kinds.base import Kind, expected, is_masked, shown

_TIMES = frozenset("mM")  # kinds of NumPy types whose `item` may be a bare count of nanoseconds


class Number(Kind):
    """An integer or an IEEE 754 number of a width that `struct` has.

    Attributes:
        format: `struct` format, with byte order.
    """

    format: str

    @cached_property
    def width(self) -> int:
        return struct.calcsize(self.format)

    @property
    def code(self) -> str:
        return self.format[-1]

    @property
    def order(self) -> str:
        return self.format[0]

    @property
    def is_raw(self) -> bool:
        return True

    @cached_property
    def is_float(self) -> bool:
        return self.code in "efd"

    @cached_property
    def is_signed(self) -> bool:
        return self.is_float or self.code.islower()

    @cached_property
    def dtype(self) -> Any:
        return f"{self.order}{self._letter}{self.width}"

    @property
    def type_name(self) -> str:
        little = "le" if self.width > 1 and self.order == "<" else ""
        return f"{self._letter}{8 * self.width}{little}"

    @property
    def _letter(self) -> str:
        return "f" if self.is_float else "i" if self.is_signed else "u"

    @property
    def range(self) -> tuple[int | float, int | float]:
        if self.is_float:
            return -math.inf, math.inf
        bits = 8 * self.width
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.is_signed else (0, (1 << bits) - 1)

    def convert(self, value: Any) -> Any:
        """The value as int or float; bools and strings are refused.

        A number is rounded to a double: to 0 if it is too small. One too large is refused, and only
        infinity becomes infinity.
        """
        given = value
        try:
            if is_masked(value):
                raise TypeError
            if hasattr(value, "item"):  # NumPy, PyTorch and JAX scalars and one-element arrays
                if getattr(getattr(value, "dtype", None), "kind", "") in _TIMES:
                    raise TypeError
                value = value.item()
            if isinstance(value, bool | str | bytes | bytearray):
                raise TypeError
            if not self.is_float:
                return operator.index(value)
            number = float(value)
            if math.isinf(number) and number != value:  # a Decimal or a longdouble
                raise OverflowError
            return number
        except OverflowError:
            raise FieldValueError(f"{shown(given)} is out of range for a double") from None
        except (TypeError, ValueError, RuntimeError):  # a tensor of two elements: RuntimeError
            raise expected("a number" if self.is_float else "an integer", given) from None

    def check(self, number: Any) -> None:
        """Refuse a converted number that is out of range."""
        if self.is_float:
            try:
                struct.pack(self.format, number)
            except OverflowError:
                raise FieldValueError(f"{number} is out of range") from None
        else:
            low, high = self.range
            if not low <= number <= high:
                raise FieldValueError(f"{shown(number)} is out of range {low} to {high}")

    def encode(self, value: Any) -> Any:
        number = self.convert(value)
        self.check(number)
        return number


class OddInteger(Number):
    """An integer of 3, 5, 6 or 7 bytes.

    Attributes:
        format: as in Number, of the next wider integer that `struct` has.
        size: its own size in bytes.
    """

    size: int

    @property
    def width(self) -> int:
        return self.size

    @property
    def code(self) -> str:
        return f"{self.size}s"

    @property
    def is_raw(self) -> bool:
        return False

    @property
    def is_float(self) -> bool:
        return False

    @property
    def is_signed(self) -> bool:
        return self.format[-1].islower()

    @property
    def dtype(self) -> Any:
        return f"V{self.size}"

    @property
    def byteorder(self) -> Literal["big", "little"]:
        """The byte order as `int` has it."""
        return "little" if self.order == "<" else "big"

    def decode(self, raw: bytes) -> int:
        return int.from_bytes(raw, self.byteorder, signed=self.is_signed)

    def encode(self, value: Any) -> bytes:
        number = cast("int", super().encode(value))
        return number.to_bytes(self.size, self.byteorder, signed=self.is_signed)


class Flag(Kind):
    """One byte: false if zero, otherwise true."""

    @property
    def width(self) -> int:
        return 1

    @property
    def code(self) -> str:
        return "B"

    @property
    def dtype(self) -> Any:
        return ">u1"

    @property
    def type_name(self) -> str:
        return "bool"

    @property
    def limits(self) -> str:
        return "0 is false, 1 (or any other) is true"

    def decode(self, raw: int) -> bool:
        return raw != 0

    def encode(self, value: Any) -> int:
        if hasattr(value, "item"):
            value = value.item()
        if value not in (False, True) or not isinstance(value, int):
            raise expected("a bool", value)
        return int(value)


class _Labelled(Kind):
    """An integer whose values, or bits, have names; the base of both."""

    number: Number
    labels: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        return self.number.width

    @property
    def code(self) -> str:
        return self.number.code

    @property
    def order(self) -> str:
        return self.number.order

    @property
    def dtype(self) -> Any:
        return self.number.dtype

    @property
    def range(self) -> tuple[int | float, int | float]:
        return self.number.range

    @property
    def is_signed(self) -> bool:
        return self.number.is_signed

    @property
    def limits(self) -> str:
        return ", ".join(f"{value} = {name}" for name, value in self.labels)

    def value_of(self, label: str) -> int:
        """The integer with this label."""
        for name, value in self.labels:
            if name == label:
                return value
        names = ", ".join(name for name, _ in self.labels)
        raise FieldValueError(f"{shown(str(label))} is none of the labels {names}")


class Enum(_Labelled):
    """A value is the label of its integer, or the integer where it has none."""

    @property
    def type_name(self) -> str:
        return f"enum of {self.number.type_name}"

    def decode(self, raw: Any) -> str | int:
        number = self.number.decode(raw)
        # From the end: of two labels for one integer, the later one counts, as in construct.
        found = (name for name, value in reversed(self.labels) if value == number)
        return next(found, number)

    def encode(self, value: Any) -> Any:
        return self.number.encode(self.value_of(value) if isinstance(value, str) else value)


class Flags(_Labelled):
    """A value is a dict of bools by label; further bits are lost, except in columns."""

    @property
    def type_name(self) -> str:
        return f"flags of {self.number.type_name}"

    def decode(self, raw: Any) -> dict[str, bool]:
        number = self.number.decode(raw)
        return {name: number & value == value for name, value in self.labels}

    def encode(self, value: Any) -> Any:
        if isinstance(value, str):
            value = {name.strip(): True for name in value.split("|") if name.strip()}
        if isinstance(value, Mapping):
            bits = 0
            for name, is_set in value.items():
                if not name.startswith("_"):  # construct's own, in what it has parsed
                    bits |= self.value_of(name) if is_set else 0
            value = bits
        return self.number.encode(value)
