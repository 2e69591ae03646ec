"""Schema: a declaration as a list of fields, or an error that names the field."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from typing import Any

import pytest
from construct import (
    Adapter,
    Array,
    BitStruct,
    Bytes,
    BytesInteger,
    Computed,
    Const,
    CString,
    Default,
    Enum,
    ExprValidator,
    Float32b,
    Float64b,
    GreedyBytes,
    GreedyRange,
    GreedyString,
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
    Lazy,
    Nibble,
    Optional,
    Padded,
    PaddedString,
    PascalString,
    Pointer,
    Prefixed,
    Rebuild,
    RepeatUntil,
    Struct,
    Switch,
    Union,
    VarInt,
    ZigZag,
)

from formats import (
    FORMATS,
    META,
    METRICS,
    RECORD,
    AbsentAtEnd,
    ColumnParser,
    LengthPrefixedText,
    RecordCodec,
    Schema,
    Text,
    UnsupportedSchema,
    Version,
    annotate,
    build_columns,
    describe,
    tail_status,
)
from tests.helpers.declarations import EVENT
from tests.helpers.paths import ROOT


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


class Celsius(Adapter):  # type: ignore[type-arg]
    """An adapter, as users write them."""

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return obj - 273

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        return obj + 273


def subclass_of(kind: Any) -> Any:
    """A subclass that may behave in another way."""
    return type(f"My{kind.__name__}", (kind,), {"_decode": lambda *_: None})


def replaced(subcon: Any, name: str) -> Any:
    """The construct with a method replaced on the object."""
    setattr(subcon, name, lambda *_: 7)
    return subcon


REFUSED = {
    "VarInt has a width that depends on its value": VarInt,
    "ZigZag has a width": ZigZag,
    "NullTerminated ends at a terminator": CString("utf8"),
    "PascalString refuses invalid UTF-8": PascalString(Int8ub, "utf8"),
    "Prefixed has a length, but is neither bytes nor a text": Prefixed(Int8ub, Bytes(1)),
    "a length that counts itself": Prefixed(Int8ub, GreedyBytes, includelength=True),
    "GreedyRange reads to the end": GreedyRange(Int8ub),
    "GreedyBytes reads to the end": GreedyBytes,
    "GreedyBytes reads to the end of": GreedyString("utf8"),
    "Select depends on a condition": Optional(Int8ub),
    "IfThenElse depends on a condition": If(True, Int8ub),
    "Switch depends on a condition": Switch(1, {1: Int8ub}),
    "RepeatUntil ends at a condition": RepeatUntil(True, Int8ub),
    "ExprValidator has a condition of its own": ExprValidator(Int8ub, lambda *_: True),
    "Rebuild is computed": Rebuild(Int8ub, 1),
    "Computed is computed": Computed(1),
    "a default that is computed": Default(Int8ub, lambda _: 1),
    "Union gives the same bytes several meanings": Union(0, "a" / Int8ub),
    "is made of bits": BitStruct("a" / Nibble, "b" / Nibble),
    "Pointer reads from elsewhere": Pointer(3, Int8ub),
    "Lazy is read later": Lazy(Int8ub),
    "Bytes has a size that depends on other fields": Bytes(lambda _: 3),
    "Array has a size that depends": Array(lambda _: 3, Int8ub),
    "Bytes takes no bytes": Bytes(0),
    "wider than 8 bytes": BytesInteger(9),
    "a value before it": Padded(4, Int8ub),
    "neither utf8 nor ascii": PaddedString(4, "utf16"),
    "a text or bytes need an unsigned length": Prefixed(Int24ub, GreedyBytes),
    "is not of fixed width": Array(2, Text),
    "has a variable width": Struct("inner" / Text),
    "VarInt has a width": Struct("inner" / Struct("deep" / VarInt)),
    "is a default for something without a name": Array(2, Default(Int8ub, 1)),
    "is a constant of several values": Const([1, 2], Array(2, Int8ub)),
    "is not known to anything derived": Celsius(Int16ub),
    "MyLengthPrefixedText": subclass_of(LengthPrefixedText)(Int8ub),
    "MyFormatField is a subclass": subclass_of(type(Int8ub))(">", "B"),
    "MyConst is a subclass": subclass_of(Const)(b"x"),
    "MyVersion is a subclass": subclass_of(Version)(1, Int8ub),
    "MyEnum is a subclass": subclass_of(Enum)(Int8ub, a=1),
    "MyStruct is a subclass": subclass_of(Struct)("a" / Int8ub),
    "has its own _decode": replaced(Enum(Int8ub, a=1), "_decode"),
    "has its own _parse": replaced(Bytes(3), "_parse"),
    "has a hook": Int8ub * (lambda obj, context: None),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_other_kinds_of_fields_are_refused(reason: str) -> None:
    """The error names the field and the reason, so that what is derived never lies."""
    subcon = REFUSED[reason]
    with pytest.raises(UnsupportedSchema, match=reason) as caught:
        Schema.of(Struct("first" / Int8ub, "bad" / subcon, "last" / Int8ub))
    assert str(caught.value.field).startswith("bad")
    assert "bad" in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_overridden_behaviour_of_the_whole_is_refused() -> None:
    """A subclass of Struct or GreedyRange, or a hook on one, is not looked through."""
    strange = [
        subclass_of(Struct)("a" / Int8ub),
        subclass_of(GreedyRange)(RECORD),
        GreedyRange(subclass_of(Struct)("a" / Int8ub)),
        RECORD * (lambda obj, context: None),
        replaced(Struct("a" / Int8ub), "_parse"),
    ]
    for declared in strange:
        with pytest.raises(UnsupportedSchema):
            Schema.of(declared)


@pytest.mark.parametrize("name", ["\ufb01eld", "\u212aelvin"])
def test_names_that_python_normalizes_are_refused(name: str) -> None:
    """As a parameter such a name would become another one."""
    with pytest.raises(UnsupportedSchema, match="plain name"):
        Schema.of(Struct(name / Int8ub))


def test_a_declaration_and_its_schema_are_taken_alike() -> None:
    """Every function takes either, or a Format."""
    schema, data = (
        Schema.of(METRICS),
        RECORD.build({"timestamp": 1, "step": 2, "value": 0.5, "name": "x"}),
    )
    for one in (METRICS, schema, FORMATS["metrics"]):
        assert Schema.of(one) is schema or Schema.of(one) == schema
        assert len(list(annotate(one, data))) == 5
        columns = ColumnParser(one).feed(data)
        assert build_columns(one, columns) == data
        assert tail_status(one, columns, len(data)).kind == "clean"
        assert describe(one)["min_size"] == 21
        assert RecordCodec(one).parse(data)[1] == len(data)


PUBLIC = ["ColumnParser", "Columns", "TextColumn", "build_columns", "describe"]


@pytest.mark.parametrize("name", PUBLIC)
def test_names_for_columns_are_public_and_load_on_first_use(name: str) -> None:
    """Importing the package imports no NumPy."""
    program = (
        "import sys, formats\n"
        "assert 'numpy' not in sys.modules\n"
        f"assert formats.{name} and {name!r} in formats.__all__\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("declared", [META, RECORD, METRICS, EVENT], ids=str)
def test_declarations_and_codecs_pickle(declared: Any) -> None:
    """Worker processes get them; a copy declares the same."""
    again = pickle.loads(pickle.dumps(declared))
    assert Schema.of(again) == Schema.of(copy.deepcopy(declared)) == Schema.of(declared)
    codec = pickle.loads(pickle.dumps(RecordCodec(declared)))
    assert codec.schema == Schema.of(declared)


@pytest.mark.parametrize(
    ("declared", "field", "message"),
    [
        (Struct("x" / Int16un), "x", "not portable"),
        (Struct("x" / LengthPrefixedText(Int8sb)), "x", "unsigned length"),
        (Struct("x" / LengthPrefixedText(Int64ub)), "x", "unsigned length"),
        (Struct("x" / LengthPrefixedText(Float32b)), "x", "unsigned length"),
        (Struct("x" / LengthPrefixedText(VarInt)), "x", "VarInt has a width"),
        (Struct("x" / Const("abc", Text)), "x", "is not of fixed width"),
        (Struct("x" / Const(b"abc", Bytes(2))), "x", "must be 2"),
        (Struct("x" / AbsentAtEnd(Int8ub, 300)), "x", "default 300 does not fit"),
        (Struct("x" / AbsentAtEnd(Text, 3)), "x", "default 3 does not fit"),
        (Struct("x" / Default(Int8ub, "1")), "x", "default '1' does not fit"),
        (Struct("x" / Enum(Int8ub, a=256)), "x", "does not fit"),
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
