"""Schema: a declaration as a list of fields, or an error that names the field."""

from __future__ import annotations

import math
from typing import Any

import pytest
from construct import (
    Array,
    Bytes,
    Const,
    CString,
    Default,
    Enum,
    Flag,
    Float32b,
    Float64b,
    GreedyRange,
    If,
    Int8sb,
    Int8ub,
    Int16ub,
    Int16ul,
    Int16un,
    Int24ub,
    Int32ub,
    Int64sb,
    Int64sl,
    Int64ub,
    Optional,
    Padding,
    PascalString,
    Prefixed,
    Rebuild,
    Struct,
    VarInt,
)

from formats import (
    META,
    METRICS,
    RECORD,
    AbsentAtEnd,
    LengthPrefixedText,
    Schema,
    Text,
    UnsupportedSchema,
    Version,
)
from tests.helpers.declarations import EVENT


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Int8ub, "Int8ub|FormatField is not a Struct"),
        (GreedyRange(Int8ub), "FormatField is not a Struct"),
        (GreedyRange(GreedyRange(RECORD)), "GreedyRange is not a Struct"),
        (Array(3, RECORD), "Array is not a Struct"),
        (Struct(), "takes no bytes"),
    ],
)
def test_only_a_struct_or_a_sequence_of_one_is_walked(declared: Any, message: str) -> None:
    """Other declarations are rejected without naming a field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        Schema.of(declared)
    assert caught.value.field is None


@pytest.mark.parametrize("bad", ["class", "_hidden", "two words", "1st", ""])
def test_names_are_plain_identifiers(bad: str) -> None:
    """Names become parameters, so private names and non-identifiers are rejected."""
    with pytest.raises(UnsupportedSchema, match="plain name"):
        Schema.of(Struct("ok" / Int8ub, bad / Int8ub))


@pytest.mark.parametrize(
    "subcon",
    [
        Int24ub,
        VarInt,
        Bytes(4),
        CString("utf8"),
        PascalString(Int8ub, "utf8"),
        Prefixed(Int8ub, Bytes(1)),
        Array(2, Int8ub),
        GreedyRange(Int8ub),
        Struct("inner" / Int8ub),
        Optional(Int8ub),
        Default(Int8ub, 1),
        Rebuild(Int8ub, 1),
        If(True, Int8ub),
        Enum(Int8ub, a=1),
        Flag,
        Padding(3),
        Const(b"magic"),
    ],
    ids=lambda subcon: type(subcon).__name__,
)
def test_other_kinds_of_fields_are_refused(subcon: Any) -> None:
    """Only fixed-width numbers, constants, texts and fields absent at the end are supported."""
    with pytest.raises(UnsupportedSchema, match="no fixed width") as caught:
        Schema.of(Struct("first" / Int8ub, "bad" / subcon, "last" / Int8ub))
    assert caught.value.field == "bad"
    assert "bad" in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("declared", "field", "message"),
    [
        (Struct("x" / Int16un), "x", "not portable"),
        (Struct("x" / LengthPrefixedText(Int8sb)), "x", "unsigned length"),
        (Struct("x" / LengthPrefixedText(Int64ub)), "x", "unsigned length"),
        (Struct("x" / LengthPrefixedText(Float32b)), "x", "unsigned length"),
        (Struct("x" / LengthPrefixedText(VarInt)), "x", "no fixed width"),
        (Struct("x" / Const("abc", Text)), "x", "unsigned length"),
        (Struct("x" / Const(256, Int8ub)), "x", "constant 256 does not fit"),
        (Struct("x" / Version("1", Int8ub)), "x", "constant '1' does not fit"),
        (Struct("x" / AbsentAtEnd(Int8ub, None)), "x", "needs a default"),
        (Struct("x" / AbsentAtEnd(Int8ub, 1), "y" / Text), "y", "may be absent"),
        (Struct("x" / Int8ub, "y" / Int8ub, "x" / Text), "x", "declared twice"),
        (Struct("name" / Text, "len_name" / Int8ub), "len_name", "length of a text"),
    ],
)
def test_fields_that_cannot_be_derived_are_refused(declared: Any, field: str, message: str) -> None:
    """Each error has its reason and its field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        Schema.of(declared)
    assert caught.value.field == field


def test_names_and_docs_of_declarations_are_looked_through() -> None:
    """A named or documented Struct, or a GreedyRange of one, gives the same list of fields."""
    plain = Schema.of(RECORD)
    assert not plain.is_sequence
    assert Schema.of("record" / RECORD * "doc") == plain
    assert Schema.of(METRICS).fields == plain.fields
    named = "log" / GreedyRange("record" / RECORD) * "doc"
    assert Schema.of(named) == Schema.of(METRICS)
    assert Schema.of(named).is_sequence


def test_a_field_says_what_was_declared() -> None:
    """Names, docs on one line, constants and defaults."""
    declared = Struct(
        "version" / Version(2, Int16ul) * "the\n   version",
        "magic" / Const(7, Int8ub),
        "user" / AbsentAtEnd(Text * "inner doc", "nobody") * "who",
    )
    version, magic, user = Schema.of(declared)
    assert (version.doc, version.constant, version.is_version) == ("the version", 2, True)
    assert (magic.doc, magic.constant, magic.is_version) == ("", 7, False)
    assert (user.doc, user.default, user.is_text) == ("who", "nobody", True)
    assert Schema.of(declared)["user"] is not None
    with pytest.raises(KeyError):
        Schema.of(declared)["nobody"]


@pytest.mark.parametrize(
    ("subcon", "type_name", "dtype", "minimum", "maximum"),
    [
        (Int8ub, "u8", ">u1", 0, 255),
        (Int8sb, "i8", ">i1", -128, 127),
        (Int16ul, "u16le", "<u2", 0, 65535),
        (Int64sb, "i64", ">i8", -(2**63), 2**63 - 1),
        (Int64sl, "i64le", "<i8", -(2**63), 2**63 - 1),
        (Float64b, "f64", ">f8", -math.inf, math.inf),
        (Text, "text", ">u1", 0, 255),
        (LengthPrefixedText(Int16ul), "text[u16le]", "<u2", 0, 65535),
    ],
    ids=str,
)
def test_types_and_limits_follow_from_the_number(
    subcon: Any, type_name: str, dtype: str, minimum: float, maximum: float
) -> None:
    """The type in the specification and in NumPy, and the range for checks."""
    (field,) = Schema.of(Struct("x" / subcon))
    assert (field.type_name, field.dtype, field.range) == (type_name, dtype, (minimum, maximum))


def test_runs_end_at_texts_absent_fields_and_other_byte_orders() -> None:
    """All offsets within a run are known."""

    def names(declared: Any) -> list[list[str]]:
        return [[field.name for field in run.fields] for run in Schema.of(declared).runs]

    assert names(META) == [["version", "timestamp", "commit_id"], ["job_name"], ["user"]]
    assert names(EVENT) == [
        ["tag"],
        ["magic"],
        ["count", "note"],
        ["ratio"],
        ["level", "gain"],
        ["serial"],
    ]
    first, second = Schema.of(Struct("a" / Int32ub, "t" / Text, "b" / Int16ub)).runs
    assert (first.format, first.width, first.text and first.text.name) == (">LB", 5, "t")
    assert (second.format, second.width, second.text) == (">H", 2, None)


def test_sizes_are_of_the_shortest_and_the_longest_value() -> None:
    """Compared with what construct builds."""
    shortest = {"timestamp": 0, "commit_id": "", "job_name": "", "user": ""}
    longest = {key: "x" * 255 if value == "" else value for key, value in shortest.items()}
    schema = Schema.of(META)
    assert schema.max_size == len(META.build(longest)) == 777
    assert schema.min_size == len(META.build(shortest)) - 2 == 10
    assert META.parse(META.build(shortest)[:10]).user == ""
    assert (Schema.of(METRICS).min_size, Schema.of(METRICS).max_size) == (21, 276)
