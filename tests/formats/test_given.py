"""Columns of any library to bytes, and back to columns of other libraries."""

from __future__ import annotations

import array
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from construct import (
    Array,
    Bytes,
    Const,
    Default,
    Enum,
    Float64b,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int64sb,
    Int64ub,
    PaddedString,
    Prefixed,
    Struct,
)

from expstore import ExperimentStore
from formats import (
    RECORD,
    ColumnParser,
    FieldValueError,
    RecordCodec,
    Schema,
    Text,
    UnsupportedSchema,
    build_columns,
    describe,
)

TEXTS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "objects": lambda texts: np.array(texts, object),
    "unicode": np.array,
    "pair": lambda texts: (np.arange(len(texts)), texts),
    "arrow": pa.array,
    "arrow large": lambda texts: pa.array(texts, pa.large_string()),
    "arrow dictionary": lambda texts: pa.array(texts).dictionary_encode(),
    "arrow chunks": lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
    "arrow dictionary chunks": lambda texts: pa.chunked_array(
        [pa.array(part, pa.string()).dictionary_encode() for part in (texts[:1], texts[1:])]
    ),
    "pandas": pd.Series,
    "pandas index": lambda texts: pd.Series(texts, index=range(7, 7 + len(texts))),
    "pandas string": lambda texts: pd.Series(texts, dtype="string"),
    "pandas categorical": lambda texts: pd.Series(texts, dtype="category"),
    "pandas Categorical": pd.Categorical,
    "polars": pl.Series,
    "polars categorical": lambda texts: pl.Series(texts, dtype=pl.Categorical),
}
TABLES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "arrow": pa.table,
    "arrow batch": lambda columns: pa.table(columns).to_batches()[0],
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
}
PAIR = Struct("n" / Int64sb, "t" / Text)


def built(field: Any, column: Any) -> bytes:
    """One column of one field."""
    return build_columns(Struct("e" / field), {"e": column})


@pytest.mark.parametrize("texts", [["a", "b"], ["x"], ["loss", "acc", "loss", ""]])
@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS)
def test_texts_of_any_library_are_the_same(make: Any, texts: list[str]) -> None:
    """Two texts as well, which are no pair of codes and texts."""
    assert built(Text, make(texts)) == b"".join(bytes([len(t)]) + t.encode() for t in texts)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None]),
        pa.array(["a", None]).dictionary_encode(),
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", None]),
        pd.Series(["a", None], dtype="category", index=[5, 6]),
        pl.Series(["a", None]),
    ],
    ids=lambda column: f"{type(column).__module__}-{getattr(column, 'dtype', 'arrow')}",
)
def test_a_missing_text_is_refused(column: Any) -> None:
    """With the index of its record."""
    with pytest.raises(FieldValueError, match=r"is missing \(field e, record 1\)"):
        built(Text, column)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_is_its_columns(make: Any) -> None:
    """Of each library; one column too many is named."""
    columns = {"n": [1, -2], "t": ["a", "b"]}
    assert build_columns(PAIR, make(columns)) == build_columns(PAIR, columns)
    with pytest.raises(FieldValueError, match=r"not declared.*field more"):
        build_columns(PAIR, make({**columns, "more": [1, 2]}))


def test_a_structured_array_is_its_columns() -> None:
    """By the names of its parts."""
    both = Struct("n" / Int8ub, "m" / Int8ub)
    rows = np.array([(1, 2), (3, 4)], [("n", "u1"), ("m", "u1")])
    assert build_columns(both, rows) == b"\1\2\3\4"


@pytest.mark.parametrize("wrong", [None, 5, ["n", "t"], "n"])
def test_what_has_no_columns_is_refused(wrong: Any) -> None:
    """With what was expected."""
    with pytest.raises(FieldValueError, match="expected a mapping of columns, or a table"):
        build_columns(PAIR, wrong)


@pytest.mark.parametrize("field", [Text, Int8ub, Bytes(1)])
@pytest.mark.parametrize("wrong", [5, "a", b"a", None, {"a": 1}, np.array(1)])
def test_a_single_value_is_no_column(field: Any, wrong: Any) -> None:
    """A text is not a column of its characters."""
    with pytest.raises(FieldValueError, match="expected a column"):
        built(field, wrong)


def test_integers_on_both_sides_of_two_to_the_63() -> None:
    """NumPy has no integer type for both, and would round them to floats."""
    for values in ([1, 2**63 + 5], [2**64 - 1, 0], [np.int64(1), np.uint64(2**63)]):
        golden = b"".join(int(value).to_bytes(8, "big") for value in values)
        assert built(Int64ub, values) == golden
        assert built(Int64ub, tuple(values)) == golden
        assert built(Int64ub, np.array(values, object)) == golden
    with pytest.raises(FieldValueError, match=r"18446744073709551616 .*record 1"):
        built(Int64ub, [1, 2**64])
    with pytest.raises(FieldValueError, match=r"9223372036854775808 .*record 1"):
        built(Int64sb, [-1, 2**63])


def test_the_wrong_item_is_blamed() -> None:
    """Not an earlier one that is an integer or a float of NumPy."""
    with pytest.raises(FieldValueError, match=r"x is not a valid u8 \(field e, record 2\)"):
        built(Int8ub, [np.int64(1), np.int32(2), "x"])
    with pytest.raises(FieldValueError, match=r"x is not a valid f64 \(field e, record 2\)"):
        built(Float64b, [np.float32(1), 2, "x"])


def test_other_sequences_of_numbers() -> None:
    """Generators, ranges, and arrays of the standard library."""
    for column in ((n for n in (1, 2)), range(1, 3), array.array("i", [1, 2]), pa.array([1, 2])):
        assert built(Int8ub, column) == b"\1\2"
    assert built(Array(2, Int8ub), pa.array([[1, 2], [3, 4]])) == b"\1\2\3\4"
    assert built(Bytes(2), pa.array([b"ab", b"cd"])) == b"abcd"


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_writer_takes_the_same_tables(make: Any, tmp_path: Path) -> None:
    """As `build_columns` does; also with an index of its own."""
    columns = {"name": ["a", "b"], "value": [1.0, 2.0], "step": [1, 2], "timestamp": [9, 9]}
    store = ExperimentStore(tmp_path)
    with store.start_experiment("e") as run:
        run.append(make(columns))
        run.append(pd.DataFrame(columns, index=[5, 6]))
        with pytest.raises(FieldValueError, match="is missing"):
            run.append({**columns, "value": pa.array([1.0, None])})
    assert store.get_metrics("e").names == ("a", "b")
    assert len(store.get_metrics("e")) == 4


DECLARED = Struct(
    "t" / Text,
    "b" / Prefixed(Int8ub, GreedyBytes),
    "p" / PaddedString(2, "utf8"),
    "h" / Bytes(2),
    "a" / Array(2, Int8ub),
)


def test_types_in_arrow_follow_from_the_declaration() -> None:
    """Not from the data, so that tables of one format can always be put together."""
    codec = RecordCodec(DECLARED)
    data = codec.build(t="x", b=b"y", p="z", h=b"ab", a=[1, 2])
    full, empty = codec.parse_columns(data), codec.parse_columns(b"")
    assert full.to_arrow().schema == empty.to_arrow().schema
    assert pa.concat_tables([full.to_arrow(), empty.to_arrow()]).num_rows == 1
    assert build_columns(DECLARED, full.to_arrow()) == data
    odd = codec.parse_columns(b"\1\xff" + data[2:])
    with pytest.raises(FieldValueError, match="as_bytes=True"):
        odd.to_arrow()
    assert odd["t"].to_arrow(as_bytes=True).to_pylist() == [b"\xff"]


def test_columns_in_pandas() -> None:
    """Bytes stay bytes; an array is a list in each row, which a DataFrame cannot do by itself."""
    data = RecordCodec(DECLARED).build(t="x", b=b"y", p="z", h=b"a\0", a=[1, 2])
    columns = RecordCodec(DECLARED).parse_columns(data * 2)
    frame = columns.to_pandas()
    assert frame.iloc[1].to_dict() == {"t": "x", "b": b"y", "p": "z", "h": b"a\0", "a": [1, 2]}
    empty = RecordCodec(DECLARED).parse_columns(b"").to_pandas()
    assert empty.dtypes.to_dict() == frame.dtypes.to_dict()
    del columns["a"]
    assert pd.DataFrame(columns)["h"].tolist() == [b"a\0"] * 2
    odd = RecordCodec(DECLARED).parse_columns(b"\1\xff" + data[2:])
    with pytest.raises(FieldValueError, match="as_bytes=True"):
        odd.to_pandas()
    assert odd.to_pandas(as_bytes=True)["t"].tolist() == [b"\xff"]


def test_a_column_parser_pickles() -> None:
    """In the middle of a record, and of a header; it goes on as the original does."""
    record = RecordCodec(RECORD).build(timestamp=1, step=2, value=3.0, name="loss")
    parser = ColumnParser(RECORD)
    parser.feed(record * 3 + record[:9])
    copy = pickle.loads(pickle.dumps(parser))
    for each in (parser, copy):
        columns = each.feed(record[9:] + record)
        assert (columns.count, columns.start, columns.end) == (2, 3 * len(record), 5 * len(record))
        assert columns["name"].tolist() == ["loss"] * 2
    whole = Struct(Const(b"AB"), "records" / GreedyRange(Struct("n" / Int8ub)))
    begun = ColumnParser(whole)
    begun.feed(b"A")
    assert pickle.loads(pickle.dumps(begun)).feed(b"B\7")["n"].tolist() == [7]


def test_constants_that_no_bytes_or_no_number_can_be_are_refused() -> None:
    """With the reason: NaN equals nothing, and a bool is no integer."""
    with pytest.raises(UnsupportedSchema, match=r"NaN, which equals nothing.*field e"):
        RecordCodec(Struct("e" / Const(float("nan"), Float64b)))
    with pytest.raises(UnsupportedSchema, match=r"bool; as a number it is 1.*field e"):
        RecordCodec(Struct("e" / Const(True, Int8ub)))
    for wrong in (None, 5, "RECORD", RecordCodec):
        with pytest.raises(UnsupportedSchema, match="expected a declaration of construct"):
            Schema.of(wrong)


def test_descriptions_are_valid_json() -> None:
    """Also of numbers that JSON does not have."""
    for value, shown in ((float("inf"), "Infinity"), (-float("inf"), "-Infinity")):
        described = describe(Struct("e" / Default(Float64b, value)))
        json.dumps(described, allow_nan=False)
        assert described["fields"][0]["written"] == shown
    described = describe(Struct("e" / Default(Float64b, float("nan"))))
    assert json.loads(json.dumps(described, allow_nan=False))["fields"][0]["written"] == "NaN"


def test_labels_are_still_integers_in_columns() -> None:
    """An Enum's column may be integers, labels, or both in one list."""
    field = Enum(Int8ub, a=1, b=2)
    for column in ([1, 2], ["a", "b"], np.array([1, 2]), np.array(["a", "b"]), ["a", 2]):
        assert built(field, column) == b"\1\2"
