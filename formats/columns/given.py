"""Columns as users have them: of NumPy, pandas, Arrow or polars, or plain sequences.

Guarantees: a column means the same whichever library it is from. A missing or masked item is
refused, never turned into a value; so is an item of another kind, with its index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.types import TextColumn
from formats.errors import FieldValueError
from formats.kinds.base import is_masked, shown
from formats.schema import Field

_PLAIN = {int, float}
_SHOWN = 60  # characters of a value in a message


def named_columns(given: Any) -> dict[str, Any]:
    """The columns of a mapping, a structured array, or a table of Arrow, pandas or polars.

    Raises:
        FieldValueError: it is none of these.
    """
    if isinstance(given, Mapping):
        return dict(given)
    names = getattr(given, "column_names", None)  # Arrow
    if names is None:
        names = getattr(given, "columns", None)  # pandas and polars
    if names is None:
        names = getattr(getattr(given, "dtype", None), "names", None)
    if names is None:
        found = type(given).__name__
        raise FieldValueError(
            f"expected a mapping of columns, or a table of Arrow, pandas or polars, got {found}"
        )
    return {name: given[name] for name in names}


def sequence(name: str, column: Any) -> Any:
    """A column as an array, a list or a tuple, whose items have positions from 0 on.

    Raises:
        FieldValueError: it is a single value, or an item is missing.
    """
    if isinstance(column, list | tuple):
        return column
    if isinstance(column, np.ndarray):
        if column.ndim:
            return column
        raise FieldValueError("expected a column, got an array without dimensions", field=name)
    is_single = isinstance(column, str | bytes | Mapping | set | frozenset)
    if is_single or not isinstance(column, Iterable):
        found = type(column).__name__
        raise FieldValueError(f"expected a column, got a value of type {found}", field=name)
    missing = _missing(column)
    if missing is not None:
        refuse(name, column, missing, "is missing")
    for method in ("to_pylist", "to_list", "tolist"):  # Arrow; polars and pandas; array.array
        if hasattr(column, method):
            values = _array(column)
            # Of items with parts, NumPy would make one array, in which a missing part is NaN.
            is_plain = values.ndim == 1 or missing is None
            is_array = is_plain and values.dtype.kind in "biuf"
            return values if is_array else getattr(column, method)()
    return list(column)


def _array(column: Any) -> NDArray[Any]:
    """The column as NumPy has it; an array of objects where there is no such array."""
    try:
        return np.asarray(column)
    except NotImplementedError:  # Arrow, of nested bytes
        return np.empty(0, object)


def _missing(column: Any) -> NDArray[np.bool_] | None:
    """Which items of a pandas, Arrow or polars column are null; None where it has no nulls.

    NumPy would make them NaN, which is a value of its own.
    """
    if hasattr(column, "isna"):  # pandas; of a NumPy type, where NaN is a value, it has no nulls
        dtype = getattr(column, "dtype", None)
        is_numpy = isinstance(dtype, np.dtype) and dtype.kind != "O"
        return None if is_numpy else np.asarray(column.isna(), np.bool_)
    if hasattr(column, "is_null"):  # Arrow and polars
        return np.asarray(column.is_null(), np.bool_)
    return None


def numbers(field: Field, column: Any) -> NDArray[Any]:
    """A column of numbers, checked to fit their field."""
    if isinstance(column, np.ma.MaskedArray):
        refuse(field.name, column.data, np.ma.getmaskarray(column), "is masked")
    column = sequence(field.name, column)
    invalid = f"is not a valid {field.type_name}"
    if not isinstance(column, np.ndarray) and not {*map(type, column)} <= _PLAIN:
        # Converting them would turn a masked value into NaN, and a bool into 0 or 1.
        masked = np.array([is_masked(value) for value in column])
        refuse(field.name, column, masked, "is masked")
        flags = np.array([isinstance(value, bool | np.bool_) for value in column])
        refuse(field.name, column, flags, invalid)
    try:
        values = np.asarray(column)
    except (TypeError, ValueError, OverflowError):  # nested, or larger than any integer type
        values = np.asarray(column, object)
    if values.size == 0:
        return np.empty(0, field.dtype)
    if values.ndim != 1 or values.dtype.kind not in ("iuf" if field.is_float else "iu"):
        if isinstance(column, np.ndarray) and values.dtype.kind != "O":
            raise FieldValueError(f"expected numbers, got {values.dtype}", field=field.name)
        wrong = [not _is_number(field, value) for value in column]
        refuse(field.name, column, np.array(wrong), invalid)
        # Integers that have no integer type in common, such as 1 and 2**63.
        if field.is_float:
            return np.array([_double(field, row, value) for row, value in enumerate(column)])
        return np.array([int(value) for value in column], np.dtype(field.dtype).newbyteorder("="))
    if field.is_float:
        with np.errstate(over="ignore"):
            narrow = values.astype(field.dtype)
        refuse(field.name, values, np.isinf(narrow) & ~np.isinf(values), "is out of range")
        return narrow
    low, high = field.range
    if values.min() < low or values.max() > high:
        refuse(field.name, values, (values < low) | (values > high), "is out of range")
    return values


def _double(field: Field, row: int, value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        reason = f"{shown(value)} is out of range"
        raise FieldValueError(reason, field=field.name, index=row) from None


def _is_number(field: Field, value: Any) -> bool:
    kinds: tuple[type, ...] = (int, np.integer)
    if field.is_float:
        kinds += (float, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    low, high = field.range
    number: Any = value
    return bool(field.is_float or low <= number <= high)


def coded(name: str, column: Any) -> tuple[Any, Any]:
    """A column of texts, or of bytes, as codes and the values that these are indices of.

    Args:
        name: of the field, for errors.
        column: a TextColumn, a pair of codes and texts, a dictionary of Arrow or a categorical of
            pandas, or any sequence.
    """
    if isinstance(column, TextColumn):
        return column.codes, column.values
    is_pair = isinstance(column, tuple) and len(column) == 2
    if is_pair and not isinstance(column[0], str | bytes):
        return column[0], column[1]
    if hasattr(column, "unify_dictionaries"):  # Arrow's chunks
        column = column.unify_dictionaries().combine_chunks()
    missing = _missing(column)
    if missing is not None:
        refuse(name, column, missing, "is missing")
    if hasattr(column, "indices") and hasattr(column, "dictionary"):  # Arrow
        return np.asarray(column.indices), column.dictionary.to_pylist()
    categorical = getattr(column, "cat", column)  # a Series of pandas, or what it holds
    if hasattr(categorical, "codes") and hasattr(categorical, "categories"):
        return np.asarray(categorical.codes), list(categorical.categories)
    values = sequence(name, column)
    codes: dict[Any, int] = {}
    try:
        found = [codes.setdefault(value, len(codes)) for value in values]
    except TypeError:  # not hashable, such as a bytearray
        return np.arange(len(values)), values
    return np.array(found, np.int64), list(codes)


def refuse(name: str, values: Any, wrong: NDArray[np.bool_], reason: str) -> None:
    """Raise for the first wrong value."""
    if wrong.any():
        index = int(wrong.argmax())
        value = values.iloc[index] if hasattr(values, "iloc") else values[index]
        # Formatted as a double, a longdouble may be "inf"; and a Fraction may have many digits.
        text = str(value) if len(str(value)) <= _SHOWN else shown(value)
        raise FieldValueError(f"{text} {reason}", field=name, index=index)
