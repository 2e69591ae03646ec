"""Columns with missing, masked or misplaced items: refused, never turned into a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from construct import Array, Const, Float64b, Int8ub, Int64ub, Struct

from formats import FieldValueError, RecordCodec, Text, UnsupportedSchema, build_columns

MISSING: dict[str, Callable[[list[Any]], Any]] = {
    "arrow": pa.array,
    "arrow chunks": lambda items: pa.chunked_array([items[:1], items[1:]]),
    "polars": pl.Series,
    "pandas array": lambda items: pd.array(items, dtype="Float64"),
    "pandas series": lambda items: pd.Series(items, dtype="Float64"),
}


def built(field: Any, column: Any) -> bytes:
    """One column of one field."""
    return build_columns(Struct("e" / field), {"e": column})


@pytest.mark.parametrize("make", MISSING.values(), ids=MISSING)
def test_a_missing_number_is_no_nan(make: Callable[[list[Any]], Any]) -> None:
    """NumPy would make it one, and a NaN is a value of its own."""
    with pytest.raises(FieldValueError, match=r"is missing \(field e, record 1\)"):
        built(Float64b, make([1.0, None]))
    assert built(Float64b, make([1.0, 2.0])) == built(Float64b, [1.0, 2.0])


def test_a_missing_integer_is_refused() -> None:
    """Of pandas' own integers, which have a mask as masked arrays do."""
    with pytest.raises(FieldValueError, match="is missing"):
        built(Int64ub, pd.array([1, None], dtype="Int64"))
    assert built(Int64ub, pd.array([1], dtype="Int64")) == bytes(7) + b"\x01"


def test_a_nan_of_numpy_is_a_value() -> None:
    """A Series of NumPy's floats has no nulls, only NaN."""
    nan = float("nan")
    assert built(Float64b, pd.Series([nan])) == built(Float64b, [nan])


def test_masked_items_are_refused_wherever_they_are() -> None:
    """In arrays of arrays, and among the codes of texts."""
    with pytest.raises(FieldValueError, match="masked"):
        built(Array(2, Int8ub), np.ma.array([[1, 2]], mask=[[0, 1]], dtype="u1"))
    with pytest.raises(FieldValueError, match="masked"):
        built(Text, (np.ma.array([0, 1], mask=[0, 1]), ["a", "b"]))


def test_parts_in_another_order_are_refused() -> None:
    """A structured array has names: its items are not taken by their position."""
    pair = Struct("a" / Int8ub, "b" / Int8ub)
    with pytest.raises(FieldValueError, match="has the parts b, a"):
        built(pair, np.array([(1, 2)], [("b", "u1"), ("a", "u1")]))
    assert built(pair, np.array([(1, 2)], [("a", "u1"), ("b", "u1")])) == b"\x01\x02"


def test_arrays_of_arrays_of_parts_are_built_again() -> None:
    """What was parsed has the parts of its declaration, at any depth."""
    deep = Struct("e" / Array(2, Array(3, Struct("a" / Array(2, Struct("b" / Int8ub))))))
    data = bytes(range(24))
    columns = RecordCodec(deep).parse_columns(data)
    assert columns["e"].shape == (2, 2, 3)
    assert build_columns(deep, columns) == data


def test_pointers_are_not_read_as_bytes() -> None:
    """An array of objects is a buffer of addresses."""
    with pytest.raises(TypeError, match="pointers"):
        RecordCodec(Struct("a" / Int64ub)).parse(np.array([b"a"], object))


def test_a_declaration_without_a_name_has_no_columns() -> None:
    """It ended in a bare StopIteration."""
    with pytest.raises(UnsupportedSchema, match="no columns"):
        RecordCodec(Struct(Const(b"ab"))).parse_columns(b"abab")
