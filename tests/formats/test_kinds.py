"""Every kind of field: its values, bytes, column, and place in all descriptions."""

from __future__ import annotations

import json
from typing import Any

import construct as c
import numpy as np
import pytest

from formats import (
    RECORD,
    ColumnParser,
    FieldValueError,
    FormatError,
    RecordCodec,
    Schema,
    Text,
    TruncatedError,
    UnsupportedVersionError,
    Version,
    annotate,
    build_columns,
    describe,
    tail_status,
    to_ksy,
)
from formats.codec.record import whole_size
from formats.columns import parse_columns, record_starts
from formats.descriptions.dump import dump
from formats.descriptions.spec import markdown, sizes, table

DIGEST = bytes(range(4))
COLOUR = c.Enum(c.Int16ul, red=1, green=300)
BITS = c.FlagsEnum(c.Int8ub, read=1, write=2)
POINT = c.Struct("x" / c.Float32b, c.Padding(1), "y" / c.Default(c.Int8ub, 7))

# The declaration, a value, its bytes, the item of its column, and its type.
KINDS: dict[str, tuple[Any, Any, str, Any, str]] = {
    "bytes": (c.Bytes(4), DIGEST, "00010203", DIGEST, "bytes[4]"),
    "length and bytes": (
        c.Prefixed(c.Int16ub, c.GreedyBytes),
        b"ab",
        "00026162",
        b"ab",
        "bytes[u16]",
    ),
    "bool": (c.Flag, True, "01", True, "bool"),
    "enum": (COLOUR, "green", "2c01", 300, "enum of u16le"),
    "enum without a label": (COLOUR, 9, "0900", 9, "enum of u16le"),
    "flags": (BITS, {"read": True, "write": False}, "01", 1, "flags of u8"),
    "array": (c.Array(3, c.Int16ub), [1, 2, 3], "000100020003", [1, 2, 3], "u16[3]"),
    "array of arrays": (
        c.Array(2, c.Array(1, c.Int8sb)),
        [[1], [-1]],
        "01ff",
        [[1], [-1]],
        "i8[1][2]",
    ),
    "struct": (
        POINT,
        {"x": 0.5, "y": 1},
        "3f0000000001",
        (0.5, 1),
        "(x: f32, -: padding[1], y: u8)",
    ),
    "24 bits": (c.Int24sb, -2, "fffffe", -2, "i24"),
    "24 bits little": (c.Int24ul, 0x010203, "030201", 0x010203, "u24le"),
    "40 bits": (c.BytesInteger(5, signed=True), -2, "fffffffffe", -2, "i40"),
    "padded text": (c.PaddedString(4, "utf8"), "é", "c3a90000", "é", "utf-8 text[4]"),
    "pascal text": (
        c.FixedSized(4, c.PascalString(c.Int8ub, "ascii")),
        "a\0",
        "02610000",
        "a\0",
        "u8 length, ascii text[3]",
    ),
    "default": (c.Default(c.Int8ub, 3), 4, "04", 4, "u8"),
    "hexadecimal": (c.Hex(c.Int16ub), 258, "0102", 258, "u16"),
    "one of": (c.OneOf(c.Int8ub, [1, 2]), 2, "02", 2, "u8"),
    "none of": (c.NoneOf(c.Int8ub, [1, 2]), 3, "03", 3, "u8"),
    "constant bytes": (c.Const(b"LOG"), b"LOG", "4c4f47", b"LOG", "bytes[3]"),
    "constant of 24 bits": (c.Const(5, c.Int24ub), 5, "000005", 5, "u24"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_follows_from_its_declaration(name: str) -> None:
    """Codec, columns, types, the specification, JSON and the dump; the oracle is construct."""
    subcon, value, bytes_, item, type_name = KINDS[name]
    declared = c.Struct("first" / c.Int8ub, "it" / subcon * "what it is", "last" / Text)
    codec, data = RecordCodec(declared), bytes.fromhex("07" + bytes_ + "0178")
    values = {"first": 7, "it": value, "last": "x"}
    assert codec.build(**values) == declared.build(values) == data
    parsed = declared.parse(data)
    assert codec.parse(data) == ({"first": 7, "it": value, "last": "x"}, len(data))
    assert codec.parse(data)[0]["it"] == parsed["it"]
    columns = codec.parse_columns(data * 3 + b"\7")
    assert columns["it"].tolist() == [item] * 3
    assert build_columns(declared, columns) == data * 3
    as_list = {"first": [7] * 3, "it": [value] * 3, "last": ["x"] * 3}
    assert build_columns(declared, as_list) == data * 3
    assert codec.dtype.itemsize == sum(field.width for field in codec.schema)
    row = table(declared)[1]
    assert (row.type, row.meaning) == (type_name, "what it is")
    described = json.loads(json.dumps(describe(declared)))["fields"][1]
    assert (described["type"], described["doc"]) == (type_name, "what it is")
    assert f"it = {value!r}" in dump(annotate(declared, data))
    for size in range(len(data)):
        with pytest.raises(TruncatedError):
            codec.parse(data[:size])


@pytest.mark.parametrize(
    ("subcon", "value", "message"),
    [
        (c.Bytes(4), b"abc", "is 3 bytes, must be 4"),
        (c.Bytes(4), "abcd", "expected bytes, got str"),
        (c.Prefixed(c.Int8ub, c.GreedyBytes), bytes(256), "256 bytes, the limit is 255"),
        (c.Flag, 2, "expected a bool"),
        (COLOUR, "blue", "none of the labels red, green"),
        (COLOUR, 1 << 16, "out of range"),
        (BITS, {"execute": True}, "none of the labels read, write"),
        (c.Array(3, c.Int8ub), [1, 2], "has 2 items, must have 3"),
        (c.Array(3, c.Int8ub), [1, 2, 256], r"out of range.*it\[2\]"),
        (c.Array(2, c.Int8ub), b"ab", "expected a sequence of 2"),
        (POINT, {"y": 1}, r"expected a number.*it\.x"),
        (POINT, {"x": 1, "z": 1}, r"not declared.*it\.z"),
        (c.Struct("a" / c.Array(2, c.Int8ub)), {"a": [0, True]}, r"it\.a\[1\]"),
        (c.Int24ub, 1 << 24, "out of range 0 to 16777215"),
        (c.PaddedString(3, "utf8"), "abcd", "4 bytes of utf-8, the limit is 3"),
        (c.PaddedString(3, "utf8"), "a\0", "lost as padding"),
        (c.PaddedString(3, "ascii"), "é", "not encodable as ascii"),
        (c.FixedSized(4, c.PascalString(c.Int8ub, "utf8")), "abcd", "the limit is 3"),
        (c.OneOf(c.Int8ub, [1, 2]), 3, "3 is not one of 1, 2"),
        (c.NoneOf(c.Int8ub, [1, 2]), 2, "2 is not none of 1, 2"),
        (c.Const(b"LOG"), b"LOX", "must be b'LOG'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(subcon: Any, value: Any, message: str) -> None:
    """By the codec and by columns, with the name of the part."""
    declared = c.Struct("it" / subcon)
    with pytest.raises(FieldValueError, match=message):
        RecordCodec(declared).build(it=value)
    with pytest.raises(FieldValueError) as caught:
        build_columns(declared, {"it": [value]})
    assert str(caught.value.field).startswith("it")
    assert caught.value.index == 0


@pytest.mark.parametrize(
    ("subcon", "bad", "message"),
    [
        (c.OneOf(c.Int8ub, [1, 2]), b"\3", "3 is not one of 1, 2"),
        (c.Const(b"LOG"), b"LOX", "expected constant: found b'LOX', supported is b'LOG'"),
        (Version(2, c.Int8ub), b"\3", "unsupported version: found 3, supported is 2"),
        (c.PaddedString(2, "utf8"), b"\xff\0", "is not utf-8"),
        (c.FixedSized(3, c.PascalString(c.Int8ub, "utf8")), b"\3ab", "length 3 is beyond"),
        (c.Array(2, c.OneOf(c.Int8ub, [1])), b"\1\2", r"2 is not one of 1 \(field it\[1\]"),
        (c.Struct("v" / Version(1, c.Int8ub)), b"\2", r"unsupported version.*it\.v"),
    ],
)
def test_refused_bytes_are_one_error_everywhere(subcon: Any, bad: bytes, message: str) -> None:
    """The codec, columns and the dump give the same error, at the same place."""
    declared = c.Struct("n" / c.Int8ub, "it" / subcon)
    with pytest.raises(Exception, match=r"."):
        declared.parse(b"\0" + bad)
    codec = RecordCodec(declared)
    with pytest.raises(FormatError, match=message) as caught:
        codec.parse(b"\0" + bad)
    error = parse_columns(declared, b"\0" + bad).error
    assert error is not None
    assert type(error) is type(caught.value)
    assert str(error) == str(caught.value.at(index=0))
    assert caught.value.offset == 1
    (marked,) = [span for span in annotate(declared, b"\0" + bad) if span.error is not None]
    assert str(marked.error) == str(codec_error(codec, b"\0" + bad))


def codec_error(codec: RecordCodec, data: bytes) -> FormatError:
    """The error of parsing."""
    with pytest.raises(FormatError) as caught:
        codec.parse(data)
    return caught.value


def test_a_wrong_version_is_one_error_in_codec_and_columns() -> None:
    """It is UnsupportedVersionError in both."""
    error = parse_columns(c.Struct("v" / Version(1, c.Int8ub)), b"\2").error
    assert isinstance(error, UnsupportedVersionError)


def test_parts_without_a_name_have_no_value() -> None:
    """Padding and constants are written and skipped; a constant is still checked."""
    declared = c.Struct(c.Const(b"R"), "n" / c.Int8ub, c.Padding(2, b"-"), "pad" / c.Padding(1))
    codec = RecordCodec(declared)
    data = codec.build(n=5)
    assert data == declared.build({"n": 5}) == b"R\5--\0"
    assert codec.parse(b"R\5...")[0] == {"n": 5, "pad": None}
    assert list(codec.parse_columns(data)) == ["n"]
    assert build_columns(declared, {"n": [5]}) == data
    assert codec_error(codec, b"X\5...").offset == 0
    assert tail_status(declared, codec.parse_columns(bytes(3)), 3).kind == "torn"


def test_values_that_need_not_be_given() -> None:
    """Defaults are written where nothing is given, also in columns and nested."""
    declared = c.Struct("n" / c.Default(c.Int8ub, 3), "p" / c.Struct("y" / c.Default(c.Flag, True)))
    codec = RecordCodec(declared)
    assert codec.build() == declared.build({}) == b"\3\1"
    assert codec.build(n=None, p={"y": False}) == b"\3\0"
    assert build_columns(declared, {"p": [{}, {"y": False}]}) == b"\3\1\3\0"


def test_columns_of_arrays_and_structs() -> None:
    """One more dimension; a structured type; bits of labelled integers that have no label."""
    declared = c.Struct("m" / c.Array(2, c.Int24sb), "p" / POINT, "bits" / BITS)
    data = b"\0\0\1\xff\xff\xff" + bytes.fromhex("3f0000000001") + b"\xf1"
    found = parse_columns(declared, data * 2)
    assert found["m"].tolist() == [[1, -1]] * 2
    assert found["m"].dtype == np.int32
    assert found["p"]["x"].tolist() == [0.5, 0.5]
    assert found["bits"].tolist() == [0xF1] * 2
    assert build_columns(declared, found) == data * 2
    table = found.to_arrow()
    assert table["p"].to_pylist() == [{"x": 0.5, "y": 1}] * 2
    assert table["m"].to_pylist() == [[1, -1]] * 2


INLINE = c.Struct("magic" / c.Const(b"LOG1"), "title" / Text, "rows" / c.GreedyRange(RECORD))
NESTED = c.Struct(
    "head" / c.Struct("magic" / c.Const(b"LOG1"), "title" / Text), "rows" / c.GreedyRange(RECORD)
)


@pytest.mark.parametrize("declared", [INLINE, NESTED], ids=["inline", "nested"])
def test_a_header_comes_before_the_records(declared: Any) -> None:
    """Codec, columns in pieces, boundaries, the tail, and every description know it."""
    codec = RecordCodec(declared)
    assert codec.header is not None
    header = codec.header.build(title="runs")
    record = codec.build(timestamp=1_700_000_000, step=2, value=0.5, name="loss")
    data = header + record * 3
    assert len(declared.parse(data).rows) == 3
    parser, count = ColumnParser(declared), 0
    for at in range(0, len(data), 5):
        part = parser.feed(data[at : at + 5])
        count += part.count
    assert (count, part.end) == (3, len(data))
    assert parser.header == {"magic": b"LOG1", "title": "runs"}
    assert whole_size(codec, data[:-1]) == len(header) + 2 * len(record)
    assert whole_size(codec, header[:-1]) == 0
    assert record_starts(declared, data)[0].tolist()[0] == len(header)
    columns = codec.parse_columns(data[:-1])
    status = tail_status(declared, columns, len(data) - 1)
    assert (status.kind, status.offset) == ("torn", len(header) + 2 * len(record))
    spans = list(annotate(declared, data))
    assert b"".join(span.data for span in spans) == data
    assert [span.index for span in spans if span.part == "value"][:3] == [None, None, 0]
    assert "A header takes 5 to 260 bytes" in sizes(declared)
    assert "| title " in markdown(declared)
    assert [field["name"] for field in describe(declared)["header"]["fields"]] == ["magic", "title"]
    assert "type: file_header" in to_ksy(declared)


def test_a_wrong_header_is_an_error() -> None:
    """No record is read after it, and nothing may be appended."""
    columns = parse_columns(NESTED, b"LOG2" + bytes(60))
    assert (columns.count, columns.end) == (0, 0)
    assert columns.error is not None
    assert (columns.error.field, columns.error.offset) == ("magic", 0)
    for size in (60, 1 << 15):
        with pytest.raises(FormatError, match="expected constant"):
            whole_size(RecordCodec(NESTED), b"LOG2" + bytes(size))


def test_headers_and_records_need_names() -> None:
    """What cannot be derived is refused by name."""
    for bad in (
        c.Struct(c.Struct("a" / c.Int8ub), "rows" / c.GreedyRange(RECORD)),
        c.Struct("a" / c.Int8ub, c.GreedyRange(RECORD)),
        c.Struct("rows" / c.Int8ub, "rows" / c.GreedyRange(RECORD)),
        c.Struct("rows" / c.GreedyRange(RECORD), "a" / c.Int8ub),
    ):
        with pytest.raises(FormatError):
            Schema.of(bad)
