"""Kaitai schemas of all kinds of fields: generated parsers read what construct reads."""

from __future__ import annotations

import io
from typing import Any

import construct as c
import pytest
import yaml
from kaitaistruct import KaitaiStream, ValidationNotEqualError

from formats import RECORD, AbsentAtEnd, LengthPrefixedText, Text, UnsupportedSchema, to_ksy
from tests.kaitai.languages import LANGUAGES, compiler_missing, generate

ALL_KINDS = c.Struct(
    "magic" / c.Const(b"LOGF"),
    "digest" / c.Bytes(4),
    "is_on" / c.Flag,
    c.Padding(2),
    "colour" / c.Enum(c.Int16ul, red=1, green=300),
    "blob" / c.Prefixed(c.Int16ub, c.GreedyBytes),
    "point" / c.Struct("x" / c.Float32b, c.Padding(1), "y" / c.Default(c.Byte, 7)),
    "triple" / c.Array(3, c.Int24ub),
    "small" / c.Int24ul,
    "bits" / c.FlagsEnum(c.Byte, q=1, r=2),
    "label" / c.PaddedString(6, "utf8"),
    "note" / c.FixedSized(6, c.PascalString(c.Byte, "utf8")),
    c.Const(b"END"),
    "choice" / c.OneOf(c.Byte, [1, 2]),
)
WITH_HEADER = c.Struct(
    "head" / c.Struct("magic" / c.Const(b"LOG1"), "title" / Text), "rows" / c.GreedyRange(RECORD)
)
RESERVED = c.Struct(
    "end" / c.Struct("int" / c.Byte, "end_type" / c.Byte),
    "state" / c.Enum(c.Byte, default=1, unknown=2, go=3) * "what it does",
    "new" / c.Prefixed(c.Byte, c.GreedyBytes),
    "limit" / c.Const(2**40, c.Int64ul),
    "do" / AbsentAtEnd(c.Array(2, c.Byte), [0, 0]),
)
DECLARATIONS = {"all_kinds": ALL_KINDS, "with_header": WITH_HEADER, "reserved": RESERVED}
VALUES = {
    "digest": b"\0\1\2\3",
    "is_on": True,
    "colour": "green",
    "blob": b"\xff\0",
    "point": {"x": 0.5},
    "triple": [1, 2, 1 << 23],
    "small": 0x010203,
    "bits": {"r": True},
    "label": "h\u00e9",
    "note": "yo",
    "choice": 2,
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """The generated Python classes by name."""
    if compiler_missing():
        pytest.skip(compiler_missing())
    schemas = {
        name: yaml.safe_load(to_ksy(declaration, id=name))
        for name, declaration in DECLARATIONS.items()
    }
    generated = generate(schemas, ["python"])
    classes: dict[str, Any] = {}
    for source in generated["python"].values():
        exec(source, classes)
    return classes


def test_every_kind_is_read_as_by_construct(compiled: dict[str, Any]) -> None:
    """Each field of a generated parser; labels are members of an enum."""
    read = compiled["AllKinds"]
    found = read(KaitaiStream(io.BytesIO(ALL_KINDS.build(VALUES))))
    assert (found.magic, found.digest, found.is_on) == (b"LOGF", b"\0\1\2\3", 1)
    assert (found.colour.name, found.blob.value, found.triple) == (
        "green",
        b"\xff\0",
        [1, 2, 1 << 23],
    )
    assert (found.point.x, found.point.y, found.small) == (0.5, 7, 0x010203)
    assert (found.bits, found.label, found.note.value) == (2, "h\u00e9", "yo")
    with pytest.raises(ValidationNotEqualError):
        read(KaitaiStream(io.BytesIO(b"LOGX" + bytes(60))))


def test_a_header_is_a_field_before_the_records(compiled: dict[str, Any]) -> None:
    """Of a type of its own."""
    record = {"timestamp": 1, "step": 2, "value": 0.5, "name": "loss"}
    data = WITH_HEADER.build({"head": {"title": "t"}, "rows": [record] * 2})
    found = compiled["WithHeader"](KaitaiStream(io.BytesIO(data)))
    assert found.header.title.value == "t"
    assert [row.name.value for row in found.records] == ["loss", "loss"]


def test_reserved_names_are_changed_in_every_kind(compiled: dict[str, Any]) -> None:
    """Of fields, of their parts, and of labels; what the data ends before is absent."""
    value = {"end": {"int": 1, "end_type": 2}, "state": "default", "new": b"\xff", "do": [3, 4]}
    data = RESERVED.build(value)
    found = compiled["Reserved"](KaitaiStream(io.BytesIO(data)))
    assert (found.end_field.int_field, found.end_field.end_type_field) == (1, 2)
    assert (found.state.name, found.new_field.value, found.limit) == (
        "default_label",
        b"\xff",
        2**40,
    )
    assert found.do_field == [3, 4]
    assert not hasattr(compiled["Reserved"](KaitaiStream(io.BytesIO(data[:-2]))), "do_field")
    schema = yaml.safe_load(to_ksy(RESERVED))
    assert schema["enums"]["state_label"] == {1: "default_label", 2: "unknown_label", 3: "go"}
    assert schema["seq"][0]["-orig-id"] == "end"
    assert schema["seq"][3]["valid"] == str(2**40)
    assert "32-bit" in schema["doc"]
    assert "In Rust, integers of 3" in to_ksy(ALL_KINDS)


def test_all_kinds_compile_for_every_language() -> None:
    """The names of types, of unnamed fields and of labels are no problem for any."""
    if compiler_missing():
        pytest.skip(compiler_missing())
    schemas = {n: yaml.safe_load(to_ksy(d, id=n)) for n, d in DECLARATIONS.items()}
    assert set(LANGUAGES) <= set(generate(schemas))


def test_every_text_may_be_bytes() -> None:
    """Also one of fixed size, and one in a part."""
    text = to_ksy(c.Struct("part" / c.Struct("a" / ALL_KINDS.label, "b" / ALL_KINDS.note)))
    assert text.count("encoding: UTF-8") == 2
    as_bytes = to_ksy(ALL_KINDS, texts_as_bytes=True)
    assert "encoding" not in as_bytes
    assert "pad-right: 0" in as_bytes


@pytest.mark.parametrize(
    ("subcon", "field", "message"),
    [
        (c.Int24sb, "x", "no signed integer"),
        (c.Array(2, c.Array(2, c.Byte)), "x", "no array of arrays"),
        (c.OneOf(c.Bytes(1), [b"a"]), "x", "only integers"),
        (c.NoneOf(c.Byte, [1]), "x", "not of excluded ones"),
        (c.Enum(c.Byte, Red=1), "x", "labels may use only"),
        (c.Struct("y" / c.Float16b), "x.y", "half-precision"),
        (c.Struct("Y" / c.Byte), "x.Y", "a-z"),
        (c.Struct("a_b" / c.Byte, "ab" / c.Byte), "x.ab", "clashes"),
        (c.Struct("x" / c.Struct("y" / c.Byte)), "x.x", "one around it"),
        (c.Enum(c.Byte, a_b=1, ab=2), "x", "clashes"),
        (c.Const(0.1, c.Float32b), "x", "is no f32"),
        (c.OneOf(c.Byte, [256, 0.5]), "x", "not of excluded ones"),
    ],
)
def test_what_kaitai_has_not_is_refused(subcon: Any, field: str, message: str) -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        to_ksy(c.Struct("x" / subcon))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("id", "fields"),
    [
        (
            "text_u2be",
            c.Struct("x" / LengthPrefixedText(c.Int16ul), "y" / LengthPrefixedText(c.Int16ub)),
        ),
        ("file_header", WITH_HEADER),
        ("x_type", c.Struct("x" / c.Struct("y" / c.Byte))),
        ("x_label", c.Struct("x" / c.Enum(c.Byte, a=1))),
    ],
)
def test_an_id_that_a_type_has_is_refused(id: str, fields: Any) -> None:
    """In some languages a class in another may not have its name."""
    with pytest.raises(UnsupportedSchema, match=r"pass another id|one around it"):
        to_ksy(fields, id=id)


def test_a_field_with_the_name_of_a_type_is_refused() -> None:
    """In C# a class may not have a member and a class of one name."""
    declared = c.Struct("x" / c.Struct("y" / c.Byte), "x_type" / c.Byte)
    with pytest.raises(UnsupportedSchema, match="clashes with 'x_type'"):
        to_ksy(declared)
