"""Columns with missing, masked or misplaced items: refused, never turned into a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from construct import Array, Bytes, Const, Flag, Float64b, Int8ub, Int64ub, Struct

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


@pytest.mark.parametrize(
    ("field", "items", "where"),
    [
        (
            Array(2, Float64b),
            pl.Series([[1.0, 2.0], [1.0, None]], dtype=pl.Array(pl.Float64, 2)),
            "[1]",
        ),
        (Array(2, Int8ub), pl.Series([[1, 2], [None, 2]], dtype=pl.Array(pl.UInt8, 2)), "[0]"),
        (Array(2, Float64b), pa.array([[1.0, 2.0], [1.0, None]], pa.list_(pa.float64(), 2)), "[1]"),
        (Struct("x" / Float64b), pl.Series([{"x": 1.0}, {"x": None}]), ".x"),
    ],
)
def test_a_missing_part_of_an_item_is_no_nan(field: Any, items: Any, where: str) -> None:
    """NumPy would make one array of such items, with NaN for what is missing."""
    with pytest.raises(FieldValueError) as caught:
        build_columns(Struct("a" / field), {"a": items})
    assert (caught.value.field, caught.value.index) == (f"a{where}", 1)


def test_items_with_parts_are_the_same_in_any_library() -> None:
    """Structs and arrays of polars and Arrow, as lists and dicts are."""
    declaration = Struct("p" / Struct("x" / Float64b, "on" / Flag), "v" / Array(2, Int8ub))
    rows = [{"p": {"x": 0.5, "on": True}, "v": [1, 2]}, {"p": {"x": 2.0, "on": False}, "v": [3, 4]}]
    expected = b"".join(RecordCodec(declaration).build(**row) for row in rows)
    fixed = {"v": pl.Array(pl.UInt8, 2)}
    arrow = pa.Table.from_pylist(rows)
    for table in (pl.DataFrame(rows), pl.DataFrame(rows, schema_overrides=fixed), arrow):
        assert build_columns(declaration, table) == expected


def test_arrays_of_bytes_go_through_arrow() -> None:
    """Which NumPy cannot have of it."""
    declaration = Struct("a" / Array(2, Bytes(3)))
    data = b"abcdefghi\0\0\0"
    table = RecordCodec(declaration).parse_columns(data).to_arrow()
    assert build_columns(declaration, table) == data
    assert build_columns(declaration, table.slice(0, 0)) == b""


def test_a_wrong_text_is_named_by_its_record() -> None:
    """Not by its code, which whoever gives a list of texts has never seen."""
    for items in (["a", "b", "é" * 128], (np.array([0, 0, 1]), ["a", "é" * 128])):
        with pytest.raises(FieldValueError, match="256 bytes of UTF-8") as caught:
            build_columns(Struct("a" / Text), {"a": items})
        assert (caught.value.field, caught.value.index) == ("a", 2)
        assert "code" not in str(caught.value)
