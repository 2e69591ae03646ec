"""RecordCodec compared with construct, on the formats and on declarations with other fields."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
import pytest
from construct import (
    Float32b,
    Float64l,
    GreedyRange,
    Int8ub,
    Int16ub,
    Int16ul,
    Struct,
    VarInt,
)
from hypothesis import given
from hypothesis import strategies as st

from formats import (
    META,
    METRICS,
    RECORD,
    AbsentAtEnd,
    FieldValueError,
    FormatError,
    RecordCodec,
    Text,
    TruncatedError,
    UnsupportedSchema,
    UnsupportedVersionError,
    annotate,
)
from formats.schema import Schema
from tests.helpers.declarations import EVENT, same, values_of

FIXED = Struct("x" / Float64l, "n" / Int16ul)
DECLARATIONS = {"META": META, "RECORD": RECORD, "EVENT": EVENT, "FIXED": FIXED}


@pytest.mark.parametrize("name", DECLARATIONS)
@given(data=st.data())
def test_values_round_trip_as_in_construct(name: str, data: st.DataObject) -> None:
    """Building gives construct's bytes; parsing them returns the values."""
    declaration = DECLARATIONS[name]
    codec = RecordCodec(declaration)
    values = data.draw(values_of(declaration))
    built = codec.build(**values)
    assert built == declaration.build(values)
    parsed, end = codec.parse(b"\xff\xfe" + built + b"rest", 2)
    assert end == 2 + len(built)
    oracle = declaration.parse(built)
    for field in codec.schema:
        assert same(parsed[field.name], oracle[field.name])
        if not field.is_float:
            assert parsed[field.name] == values[field.name]


@pytest.mark.parametrize("name", DECLARATIONS)
@given(data=st.binary(max_size=120))
def test_any_bytes_are_parsed_or_refused_as_in_construct(name: str, data: bytes) -> None:
    """The codec and the declaration agree on garbage, and only FormatError is raised."""
    declaration = DECLARATIONS[name]
    codec = RecordCodec(declaration)
    try:
        oracle = declaration.parse(data)
    except Exception:  # any of construct's errors is a rejection
        oracle = None
    try:
        parsed, end = codec.parse(data)
    except FormatError as error:
        assert oracle is None
        assert error.field in [f.name for f in codec.schema]
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
    else:
        assert oracle is not None
        assert end <= len(data)
        assert all(same(parsed[f.name], oracle[f.name]) for f in codec.schema)


@pytest.mark.parametrize("name", DECLARATIONS)
@given(data=st.data())
def test_parser_of_some_fields_agrees_with_parse(name: str, data: st.DataObject) -> None:
    """For values and garbage: the requested fields in order, and the same errors."""
    codec = RecordCodec(DECLARATIONS[name])
    wanted = data.draw(st.lists(st.sampled_from([f.name for f in codec.schema]), min_size=1))
    parse = codec.parser(lambda *values: values, *wanted)
    built = codec.build(**data.draw(values_of(DECLARATIONS[name])))
    for given_bytes in (built, data.draw(st.binary(max_size=60))):
        try:
            values = codec.parse(given_bytes)[0]
        except FormatError as error:
            with pytest.raises(type(error)) as caught:
                parse(given_bytes)
            assert str(caught.value) == str(error)
        else:
            found = parse(given_bytes)
            assert len(found) == len(wanted)
            assert all(same(one, values[field]) for one, field in zip(found, wanted, strict=True))


def test_parser_of_an_unknown_field_is_refused() -> None:
    """The error is raised on creation, not on use."""
    with pytest.raises(KeyError, match="nothing"):
        RecordCodec(RECORD).parser(tuple, "nothing")


@pytest.mark.parametrize("name", DECLARATIONS)
@given(data=st.data())
def test_every_truncation_names_field_and_offset(name: str, data: st.DataObject) -> None:
    """A value cut anywhere raises TruncatedError for the field that is cut."""
    declaration = DECLARATIONS[name]
    codec = RecordCodec(declaration)
    built = codec.build(**data.draw(values_of(declaration)))
    for size in range(len(built)):
        try:
            end = codec.parse(built[:size])[1]
        except TruncatedError as error:
            assert error.offset is not None
            assert error.offset <= size
            assert error.field is not None
        else:  # only if the rest may be absent
            assert end == size
            assert any(f.default is not None for f in codec.schema)


@given(records=st.lists(values_of(EVENT), max_size=6), cut=st.integers(0, 10))
def test_columns_of_another_declaration_equal_construct(
    records: list[dict[str, Any]], cut: int
) -> None:
    """The columnar parser is derived too: other fields, other byte orders, two texts."""
    data = b"".join(EVENT.build(record) for record in records)
    data = data[: len(data) - cut]
    oracle = GreedyRange(EVENT).parse(data)
    columns = RecordCodec(EVENT).parse_columns(data)
    assert columns.count == len(oracle)
    assert columns.end == sum(len(EVENT.build(record)) for record in oracle)
    for field in Schema.of(EVENT):
        column = columns[field.name]
        if field.is_text:
            values = [column.values[code] for code in column.codes]
        else:
            values = column.tolist()
            assert column.dtype == np.dtype(field.dtype).newbyteorder("=")
        assert all(same(v, r[field.name]) for v, r in zip(values, oracle, strict=True))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("step", -1, "out of range 0 to 4294967295"),
        ("step", 2**32, "out of range"),
        ("step", 10**400, "401 digits"),
        ("step", True, "expected an integer, got bool"),
        ("step", np.True_, "expected an integer, got bool"),
        ("step", 1.0, "expected an integer, got float"),
        ("step", "1", "expected an integer, got str"),
        ("step", None, "expected an integer, got NoneType"),
        ("step", [1], "expected an integer, got list"),
        ("timestamp", 2**63, "out of range"),
        ("timestamp", -(2**63) - 1, "out of range"),
        ("value", "0.5", "expected a number, got str"),
        ("value", b"0", "expected a number, got bytes"),
        ("value", False, "expected a number, got bool"),
        ("value", np.bool_(True), "expected a number"),
        ("value", np.zeros(2), "expected a number, got ndarray"),
        ("value", 1j, "expected a number, got complex"),
        ("value", np.ma.masked, "expected a number, got a masked value"),
        ("value", np.ma.masked_array([0.5], [True]), "expected a number, got a masked value"),
        ("step", np.ma.masked_array(1, True), "expected an integer, got a masked value"),
        ("value", np.timedelta64(5, "ns"), "expected a number, got timedelta64"),
        ("timestamp", np.datetime64(5, "ns"), "expected an integer, got datetime64"),
        ("value", 10**400, "out of range for a double"),
        ("name", b"loss", "expected str, got bytes"),
        ("name", 3, "expected str, got int"),
        ("name", "n" * 256, "256 bytes of UTF-8, the limit is 255"),
        ("name", "é" * 128, "256 bytes"),
        ("name", "\ud800", "not encodable"),
    ],
)
def test_bad_value_is_refused_and_named(field: str, value: Any, message: str) -> None:
    """Out of range, wrong type, too long: FieldValueError with the field's name."""
    values = {"timestamp": 0, "step": 0, "value": 0.0, "name": "loss", field: value}
    with pytest.raises(FieldValueError, match=message) as caught:
        RecordCodec(RECORD).build(**values)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)


def test_float_beyond_a_narrow_field_is_refused() -> None:
    """A double that a 32-bit float cannot hold is an error; infinity is not."""
    codec = RecordCodec(Struct("x" / Float32b))
    with pytest.raises(FieldValueError, match="out of range"):
        codec.build(x=1e300)
    assert codec.build(x=math.inf) == b"\x7f\x80\0\0"


@pytest.mark.parametrize("value", [3, np.float32(3), np.int64(3), np.array(3.0), np.array([3])])
def test_numbers_of_other_libraries_are_numbers(value: Any) -> None:
    """NumPy scalars and one-element arrays are accepted as the number they hold."""
    plain = RecordCodec(RECORD).build(timestamp=0, step=3, value=3.0, name="x")
    assert RecordCodec(RECORD).build(timestamp=0, step=3, value=value, name="x") == plain
    if np.asarray(value).dtype.kind == "i":
        assert RecordCodec(RECORD).build(timestamp=0, step=value, value=3.0, name="x") == plain


def test_constant_has_a_default_and_no_other_value() -> None:
    """A version may be omitted, and cannot have another value."""
    codec = RecordCodec(META)
    values = {"timestamp": 1, "commit_id": "c"}
    assert codec.build(**values) == codec.build(version=1, **values)
    with pytest.raises(FieldValueError, match="must be 1, got 2"):
        codec.build(version=2, **values)


def test_wrong_version_and_wrong_constant_are_told_apart() -> None:
    """A wrong version raises UnsupportedVersionError with its number; a wrong constant does not."""
    with pytest.raises(UnsupportedVersionError, match="found 7, supported is 1") as caught:
        RecordCodec(META).parse(b"\x07")
    assert (caught.value.field, caught.value.offset) == ("version", 0)
    with pytest.raises(FormatError, match="expected constant") as other:
        RecordCodec(EVENT).parse(b"\x01t\xde\xad" + bytes(40))
    assert type(other.value) is FormatError
    assert (other.value.field, other.value.offset) == ("magic", 2)


def test_negative_offset_is_refused() -> None:
    """Python's negative indices would silently parse from the end."""
    with pytest.raises(ValueError, match="negative"):
        RecordCodec(RECORD).parse(bytes(50), -25)


def test_parse_takes_any_buffer() -> None:
    """bytes, bytearray and memoryview give the same values."""
    codec = RecordCodec(RECORD)
    data = codec.build(timestamp=1, step=2, value=3.0, name="loss")
    for buffer in (data, bytearray(data), memoryview(data)):
        assert codec.parse(buffer) == codec.parse(data)


def views(data: bytes) -> dict[str, Any]:
    """The same bytes, whose number is divisible by 4, in buffers of many kinds."""
    unsigned = np.frombuffer(data, np.uint8)
    return {
        "signed": memoryview(data).cast("b"),
        "four bytes an item": memoryview(data).cast("I"),
        "numpy": unsigned,
        "two dimensions": unsigned.reshape(-1, 2),
        "big-endian": unsigned.view(">u4"),
        "structured": unsigned.view([("a", "<i2"), ("b", "u2")]),
        "array": array.array("h", data),
    }


@pytest.mark.parametrize("name", views(b"1234"))
def test_items_of_any_type_are_read_as_their_bytes(name: str) -> None:
    """Values, ends, errors, columns and annotations do not depend on how bytes are viewed."""
    codec = RecordCodec(RECORD)
    long = codec.build(timestamp=-1, step=2**32 - 1, value=3.0, name="n" * 255)
    data = long * 4
    view = views(data)[name]
    at, count = 0, 0
    while at < len(data):
        values, end = codec.parse(view, at)
        assert (values, end) == codec.parse(data, at)
        at, count = end, count + 1
    assert count == 4
    assert codec.parse_columns(view).end == len(data)
    assert list(annotate(METRICS, view)) == list(annotate(METRICS, data))
    with pytest.raises(TruncatedError, match=r"step, byte 8"):
        codec.parse(views(data[:8])[name])


@pytest.mark.parametrize(
    "view",
    [memoryview(bytes(99))[::2], np.zeros((9, 9), np.uint8).T, "text", 7],
    ids=["strided", "transposed", "str", "int"],
)
def test_bytes_out_of_order_are_refused(view: Any) -> None:
    """A strided view, or no buffer at all, is a clear error."""
    for read in (RecordCodec(RECORD).parse, RecordCodec(RECORD).parse_columns):
        with pytest.raises(TypeError, match=r"contiguous|buffer of bytes"):
            read(view)
    with pytest.raises(TypeError, match=r"contiguous|buffer of bytes"):
        list(annotate(RECORD, view))


def test_dtype_is_the_fixed_part() -> None:
    """The declaration's numbers and length prefixes, packed, in their byte order."""
    dtype = RecordCodec(RECORD).dtype
    assert dtype.names == ("timestamp", "step", "value", "len_name")
    assert [dtype[name].str for name in dtype.names] == [">i8", ">u4", ">f8", "|u1"]
    assert dtype.itemsize == Schema.of(RECORD).min_size
    data = FIXED.build({"x": 1.5, "n": 7})
    assert np.frombuffer(data, RecordCodec(FIXED).dtype)[0].tolist() == (1.5, 7)


@pytest.mark.parametrize(
    ("declaration", "field", "message"),
    [
        (Struct("ok" / Int8ub, "wide" / VarInt), "wide", "a width that depends"),
        (Struct("items" / GreedyRange(Int8ub)), "items", "reads to the end"),
        (Struct("nested" / Struct("x" / VarInt)), "nested.x", "a width that depends"),
        (Struct("a" / Int8ub, "a" / Int8ub), "a", "declared twice"),
        (Struct(Int8ub), None, "plain name"),
        (Struct("class" / Int8ub), "class", "plain name"),
        (Struct("x" / AbsentAtEnd(Text, ""), "y" / Int8ub), "y", "may be absent"),
        (Struct(), None, "no bytes"),
        (Int8ub, None, "not a Struct"),
    ],
)
def test_what_cannot_be_derived_is_refused_by_name(
    declaration: Any, field: str | None, message: str
) -> None:
    """A declaration that the codec cannot express raises UnsupportedSchema, naming the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        RecordCodec(declaration)
    assert caught.value.field == field


def test_sequence_of_values_with_absent_fields_is_refused() -> None:
    """If a field may be absent at the end of the data, a sequence cannot be split into values."""
    with pytest.raises(UnsupportedSchema) as caught:
        RecordCodec(META).parse_columns(b"")
    assert caught.value.field == "job_name"


def test_adding_a_field_needs_no_other_edit() -> None:
    """The declaration is the only source: codec, columns and dtype follow it."""
    longer = Struct(*RECORD.subcons, "epoch" / Int16ub * "epoch, from 0")
    codec = RecordCodec(longer)
    data = codec.build(timestamp=1, step=2, value=3.0, name="loss", epoch=9)
    assert codec.parse(data)[0]["epoch"] == 9
    assert codec.parse_columns(data * 3)["epoch"].tolist() == [9, 9, 9]
    assert "epoch" in codec.dtype.names
