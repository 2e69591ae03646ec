"""Which values a field accepts.

Guarantees: a rejected value raises a FieldValueError that names the field; an accepted one is
converted without loss of kind.
"""

from __future__ import annotations

import math
import operator
import struct
from typing import Any, SupportsIndex

from formats.errors import FieldValueError
from formats.fields import ENCODING, ERRORS, is_masked
from formats.schema import Field

_TIMES = frozenset("mM")  # kinds of NumPy types whose `item` may be a bare count of nanoseconds


def coerce(field: Field, value: Any) -> Any:
    """The value as the field's own Python type: int, float or str.

    Raises:
        FieldValueError: a bool, a string for a number, a number for a text, and so on.
    """
    if field.is_text:
        if isinstance(value, str):
            return str.__str__(value)  # a subclass, such as an Enum, may override __str__
        raise FieldValueError(f"expected str, got {type(value).__name__}", field=field.name)
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
        if field.is_float:
            return float(value)
        return operator.index(value)
    except OverflowError:
        raise FieldValueError("number is out of range for a double", field=field.name) from None
    except (TypeError, ValueError, RuntimeError):  # a tensor of two elements: RuntimeError
        kind = "a number" if field.is_float else "an integer"
        shown = f"{type(given).__name__} {_short(given)}"
        reason = f"expected {kind}, got {'a masked value' if is_masked(given) else shown}"
        raise FieldValueError(reason, field=field.name) from None


def check_range(field: Field, value: Any) -> None:
    """Raise FieldValueError if a value of the right type does not fit its field."""
    if field.is_text:
        try:
            length = len(value.encode(ENCODING, ERRORS))
        except UnicodeEncodeError as error:
            reason = f"not encodable as UTF-8: {error.reason}"
            raise FieldValueError(reason, field=field.name) from None
        if length > field.range[1]:
            raise FieldValueError(
                f"text is {length} bytes of UTF-8, the limit is {field.range[1]}", field=field.name
            )
    elif field.constant is not None and value != field.constant:
        raise FieldValueError(f"must be {field.constant}, got {value}", field=field.name)
    elif field.is_float:
        try:
            struct.pack(field.format, value)
        except OverflowError:
            raise FieldValueError(f"{value} is out of range", field=field.name) from None
    else:
        minimum, maximum = field.range
        if not minimum <= value <= maximum:
            reason = f"{_short(value)} is out of range {minimum} to {maximum}"
            raise FieldValueError(reason, field=field.name)


def _short(value: SupportsIndex | object) -> str:
    if isinstance(value, int) and abs(value) > 10**30:
        return f"an integer of {int(math.log10(abs(value))) + 1} digits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
