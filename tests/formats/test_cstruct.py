"""dissect.cstruct reads with the derived definition what construct reads, and writes it again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import construct as c
import pytest
from construct import Const, GreedyRange, Int8ub, Int16ub, Int16ul, Int32sl, StreamError, Struct
from dissect.cstruct import cstruct
from hypothesis import given

from formats import META, METRICS, RECORD, Schema, Text, UnsupportedSchema, to_cstruct
from formats.schema import Field
from tests.helpers.declarations import EVENT, same, values_of
from tests.helpers.paths import VECTORS

META_FILES = sorted(VECTORS.glob("store/*/meta.bin"))
METRICS_FILES = sorted(VECTORS.glob("store/*/metrics.bin"))


def name(path: Path) -> str:
    """A vector's name, as the test id."""
    return path.parent.name


def value_of(read: Any, field: Field) -> Any:
    """What a struct has read for a field; a text is bytes."""
    value = getattr(read, field.name, None)
    if value is None:
        return field.default
    return value.value.decode("utf-8", "surrogateescape") if field.is_text else value


@pytest.mark.parametrize("path", METRICS_FILES, ids=name)
def test_metrics_are_read_and_written_as_by_construct(path: Path) -> None:
    """Record by record, bit for bit; a torn tail is an EOFError."""
    data, log = path.read_bytes(), cstruct(to_cstruct(METRICS), endian=">")
    stream, written = io.BytesIO(data), b""
    for right in METRICS.parse(data):
        record = log.record(stream)
        assert all(same(value_of(record, f), right[f.name]) for f in Schema.of(RECORD))
        written += record.dumps()
    assert data.startswith(written)
    with pytest.raises(EOFError):
        log.record(stream)


@pytest.mark.parametrize("path", META_FILES, ids=name)
def test_metadata_is_read_as_by_construct(path: Path) -> None:
    """The longest struct that fits is the value, unless bytes are left that it cannot explain."""
    data, file = path.read_bytes(), cstruct(to_cstruct(META), endian=">")
    kinds = [file.meta, file.meta_before_user, file.meta_before_job_name]
    read = None
    for kind in kinds:
        stream = io.BytesIO(data)
        try:
            found = kind(stream)
        except EOFError:
            continue
        if kind is file.meta or stream.tell() == len(data):
            read = found
            break
    try:
        right = META.parse(data)
    except StreamError:
        assert read is None
        return
    except Exception:  # a wrong version, which the library does not check
        assert read is not None
        assert read.version != 1
        return
    assert read is not None
    assert all(same(value_of(read, field), right[field.name]) for field in Schema.of(META))


SINGLE_ORDER = Struct(*(s for s in EVENT.subcons if s.name not in ("magic", "gain")))


@given(value=values_of(SINGLE_ORDER))
def test_another_declaration(value: dict[str, Any]) -> None:
    """Little-endian numbers, a wide length prefix and a text first."""
    text = to_cstruct(SINGLE_ORDER, name="event")
    read = cstruct(text, endian="<").event(SINGLE_ORDER.build(value))
    assert all(same(value_of(read, field), value[field.name]) for field in Schema.of(SINGLE_ORDER))


def test_the_byte_order_and_constants_are_said() -> None:
    """The library needs the one as an argument, and does not check the other."""
    text = to_cstruct("x" / Struct("a" / Const(7, Int16ul) * "what it is", "b" / Int32sl))
    assert text.startswith("// Generated from a declaration by formats.to_cstruct; little-endian")
    assert "struct x {\n    uint16 a; /* what it is; = 7 */\n    int32 b;\n};" in text


@pytest.mark.parametrize("field", ["dumps", "self"])
def test_reserved_names_are_changed(field: str) -> None:
    """The library can have fields of any other name, even C's words."""
    declared = Struct(field / Int8ub, "other" / Text)
    read = cstruct(to_cstruct(declared, name="x")).x(b"\x07\x01a")
    assert (getattr(read, f"{field}_field"), read.other.value) == (7, b"a")


@pytest.mark.parametrize("field", ["int", "struct", "char", "default", "read", "values", "size"])
def test_other_names_are_kept(field: str) -> None:
    """The library looks up types and names apart."""
    declared = Struct(field / Text, "other" / Text)
    read = cstruct(to_cstruct(declared, name="x")).x(b"\x01a\x01b")
    assert (getattr(read, field).value, read.other.value) == (b"a", b"b")


def test_a_name_that_is_a_type_is_refused() -> None:
    """The error says what to do."""
    types = [name for name in cstruct().typedefs if name.isidentifier()]
    for name in ("text", "struct", "read", "größe", "a b", *types):
        with pytest.raises(UnsupportedSchema, match="pass another name"):
            to_cstruct(RECORD, name=name)


def test_two_byte_orders_are_refused() -> None:
    """The error names the first field of the second order."""
    with pytest.raises(UnsupportedSchema, match="one byte order") as caught:
        to_cstruct(GreedyRange(Struct("a" / Int8ub, "b" / Int16ub, "c" / Int16ul, "d" / Int16ub)))
    assert caught.value.field == "c"


KINDS = Struct(
    "magic" / Const(b"LOGF"),
    "is_on" / c.Flag,
    c.Padding(2),
    "colour" / c.Enum(Int16ub, red=1, green=300),
    "bits" / c.FlagsEnum(Int8ub, q=1, r=2),
    "blob" / c.Prefixed(Int16ub, c.GreedyBytes),
    "point" / Struct("x" / c.Float32b, c.Padding(1), "colour" / c.Enum(Int8ub, blue=7)),
    "triple" / c.Array(3, c.Int24ub),
    "digests" / c.Bytes(3),
    "label" / c.PaddedString(6, "utf8"),
    "note" / c.FixedSized(6, c.PascalString(Int8ub, "utf8")),
    "choice" / c.OneOf(Int8ub, [1, 2]),
)


def test_other_kinds_are_read_and_written_as_by_construct() -> None:
    """Texts of fixed size are bytes with their padding; labels are an enum."""
    value = {
        **{"is_on": True, "colour": "green", "bits": {"r": True}, "blob": b"\xff\0"},
        **{"point": {"x": 0.5, "colour": 9}, "triple": [1, 2, 1 << 23], "digests": b"abc"},
        **{"label": "h\u00e9", "note": "yo", "choice": 2},
    }
    data = KINDS.build(value)
    read = cstruct(to_cstruct(KINDS, name="kinds"), endian=">").kinds(data)
    assert (read.magic, read.is_on, read.colour.name, read.bits) == (b"LOGF", 1, "green", 2)
    assert (read.blob.value, read.point.x, read.point.colour.value) == (b"\xff\0", 0.5, 9)
    assert (list(read.triple), read.digests, read.label) == (
        [1, 2, 1 << 23],
        b"abc",
        b"h\xc3\xa9\0\0\0",
    )
    assert (read.note.len, read.note.value, read.choice) == (2, b"yo\0\0\0", 2)
    assert read.dumps() == data


def test_a_header_is_a_struct_to_read_first() -> None:
    """The records follow it."""
    declared = Struct("head" / Struct("title" / Text), "rows" / GreedyRange(RECORD))
    record = {"timestamp": 1, "step": 2, "value": 0.5, "name": "loss"}
    stream = io.BytesIO(declared.build({"head": {"title": "t"}, "rows": [record]}))
    log = cstruct(to_cstruct(declared), endian=">")
    assert log.header(stream).title.value == b"t"
    assert log.record(stream).name.value == b"loss"


@pytest.mark.parametrize(
    ("subcon", "field", "message"),
    [
        (c.BytesInteger(5), "x", "no integer of 5 bytes"),
        (c.Array(2, c.Bytes(2)), "x", "no array of arrays"),
        (c.Enum(Int8ub, mro=1, mro_label=2), "x", "two labels would be 'mro_label'"),
        (Struct("größe" / Int8ub), "x.größe", "only names of ASCII"),
        (c.Enum(Int8ub, **{"a b": 1}), "x", "plain names"),
        (Struct("y" / c.BytesInteger(7)), "x.y", "no integer of 7 bytes"),
        (Struct("y" / Int16ul, "z" / Int16ub), "x", "one byte order"),
    ],
)
def test_what_the_library_lacks_is_refused(subcon: Any, field: str, message: str) -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        to_cstruct(Struct("x" / subcon))
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["self", "dumps", "cls"])
def test_fields_that_the_library_has_are_renamed(name: str) -> None:
    """Its structs take fields as keyword arguments, beside their own."""
    item = cstruct(to_cstruct(Struct(name / Int8ub)), endian=">").item
    assert item(**{f"{name}_field": 7}).dumps() == b"\x07"
    assert getattr(item(b"\x07"), f"{name}_field") == 7


@pytest.mark.parametrize("label", ["size", "type", "cs", "alignment", "dynamic", "mro", "None"])
def test_labels_that_the_library_has_are_renamed(label: str) -> None:
    """It cannot even load an enum that has one; all others keep their names."""
    declared = Struct("x" / c.Enum(Int8ub, **{label: 1, "name": 2, "read": 3}))
    item = cstruct(to_cstruct(declared), endian=">").item
    assert [item(bytes([n])).x.name for n in (1, 2, 3)] == [f"{label}_label", "name", "read"]


def test_two_types_of_one_name_are_refused() -> None:
    """A type is named after its field, and after the one around it."""
    inner = Struct("y" / Struct("z" / Int8ub))
    with pytest.raises(UnsupportedSchema, match="two types are called 'x_y_type'"):
        to_cstruct(Struct("x" / inner, "x_y" / Struct("other" / Int8ub)))
