"""Which values a field accepts.

Guarantees: a rejected value raises a FieldValueError that names the field; an accepted one is
converted without loss of kind.
"""

from __future__ import annotations

from typing import Any

from formats.errors import FormatError
from formats.kinds.base import Constant
from formats.kinds.numbers import Number
from formats.kinds.texts import LengthPrefixed
from formats.schema import Field, named


def is_plain(field: Field) -> bool:
    """Whether `struct` itself packs the value, so that only its Python type must be checked."""
    kind = field.kind.kind if isinstance(field.kind, Constant) else field.kind
    return isinstance(kind, Number) and kind.is_raw


def coerce(field: Field, value: Any) -> Any:
    """The value of a number, text or constant as the field's own Python type; others unchanged.

    Raises:
        FieldValueError: a bool, a string for a number, a number for a text, and so on.
    """
    if value is None and field.written is not None:
        value = field.written
    kind = field.kind
    if isinstance(kind, LengthPrefixed) or (isinstance(kind, Number) and kind.is_raw):
        try:
            return kind.convert(value)
        except FormatError as error:
            raise named(field.name, error) from None
    return field.encode(value) if isinstance(kind, Constant) and kind.is_raw else value
