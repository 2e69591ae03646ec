"""What value a field takes, and why not.

Guarantees: what is refused is refused by a FieldValueError that names the field; what is taken
loses nothing of its kind.
"""

from __future__ import annotations

import math
import operator
import struct
from typing import Any, SupportsIndex

from formats.errors import FieldValueError
from formats.fields import ENCODING, ERRORS
from formats.schema import Field


def coerce(field: Field, value: Any) -> Any:
    """The value as the field's own Python type: int, float or str.

    Raises:
        FieldValueError: a bool, a string for a number, a number for a text, and the like.
    """
    if field.is_text:
        if isinstance(value, str):
            return str.__str__(value)  # of a subclass too, such as an Enum that shows otherwise
        raise FieldValueError(f"expected str, got {type(value).__name__}", field=field.name)
    given = value
    try:
        if hasattr(value, "item"):  # NumPy, PyTorch and JAX scalars and one-element arrays
            value = value.item()
        if isinstance(value, bool | str | bytes | bytearray):
            raise TypeError
        if field.is_float:
            return float(value)
        return operator.index(value)
    except OverflowError:
        raise FieldValueError("number is beyond every double", field=field.name) from None
    except (TypeError, ValueError, RuntimeError):  # a tensor of two elements: RuntimeError
        kind = "a number" if field.is_float else "an integer"
        said = f"expected {kind}, got {type(given).__name__} {_short(given)}"
        raise FieldValueError(said, field=field.name) from None


def check_range(field: Field, value: Any) -> None:
    """Raise FieldValueError where a value of the right kind does not fit its field."""
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
        least, greatest = field.range
        if not least <= value <= greatest:
            reason = f"{_short(value)} is out of range {least} to {greatest}"
            raise FieldValueError(reason, field=field.name)


def _short(value: SupportsIndex | object) -> str:
    if isinstance(value, int) and abs(value) > 10**30:
        return f"an integer of {int(math.log10(abs(value))) + 1} digits"
    said = repr(value)
    return said if len(said) <= 60 else said[:57] + "..."
