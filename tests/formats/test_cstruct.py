"""dissect.cstruct reads with the derived definition what construct reads, and writes it again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

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
    with pytest.raises(UnsupportedSchema, match="pass another name"):
        to_cstruct(RECORD, name="text")


def test_two_byte_orders_are_refused() -> None:
    """The error names the first field of the second order."""
    with pytest.raises(UnsupportedSchema, match="one byte order") as caught:
        to_cstruct(GreedyRange(Struct("a" / Int8ub, "b" / Int16ub, "c" / Int16ul, "d" / Int16ub)))
    assert caught.value.field == "c"
