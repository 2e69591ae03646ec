"""Kaitai schemas of all kinds of fields: generated parsers read what construct reads."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from typing import Any

import construct as c
import pytest
import yaml
from kaitaistruct import KaitaiStream, ValidationNotEqualError

from formats import RECORD, Text, UnsupportedSchema, to_ksy
from tests.helpers.paths import TESTS

KAITAI = TESTS / "kaitai"
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
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")
    if not (KAITAI / "node_modules" / "kaitai-struct-compiler").is_dir():
        pytest.skip("needs the Kaitai Struct compiler; tests/kaitai/setup installs it")
    schemas = {
        "all_kinds": yaml.safe_load(to_ksy(ALL_KINDS, id="all_kinds")),
        "with_header": yaml.safe_load(to_ksy(WITH_HEADER, id="with_header")),
    }
    ran = subprocess.run(
        ["node", KAITAI / "compile.js"],
        input=json.dumps(schemas),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    classes: dict[str, Any] = {}
    for source in json.loads(ran.stdout)["python"].values():
        exec(source, classes)
    return classes


def test_every_kind_is_read_as_by_construct(compiled: dict[str, Any]) -> None:
    """Each field of a generated parser; labels are members of an enum."""
    read = compiled["AllKinds"]
    found = read(KaitaiStream(io.BytesIO(ALL_KINDS.build(VALUES))))
    assert (found.magic, found.digest, found.is_on) == (b"LOGF", b"\0\1\2\3", 1)
    assert (found.colour.name, found.blob, found.triple) == ("green", b"\xff\0", [1, 2, 1 << 23])
    assert (found.point.x, found.point.y, found.small) == (0.5, 7, 0x010203)
    assert (found.bits, found.label, found.note.value) == (2, "h\u00e9", "yo")
    with pytest.raises(ValidationNotEqualError):
        read(KaitaiStream(io.BytesIO(b"LOGX" + bytes(60))))


def test_a_header_is_a_field_before_the_records(compiled: dict[str, Any]) -> None:
    """Of a type of its own."""
    record = {"timestamp": 1, "step": 2, "value": 0.5, "name": "loss"}
    data = WITH_HEADER.build({"head": {"title": "t"}, "rows": [record] * 2})
    found = compiled["WithHeader"](KaitaiStream(io.BytesIO(data)))
    assert found.header.title == "t"
    assert [row.name for row in found.records] == ["loss", "loss"]


@pytest.mark.parametrize(
    ("subcon", "field", "message"),
    [
        (c.Int24sb, "x", "no signed integer"),
        (c.Array(2, c.Array(2, c.Byte)), "x", "no array of arrays"),
        (c.OneOf(c.Bytes(1), [b"a"]), "x", "only integers"),
        (c.NoneOf(c.Byte, [1]), "x", "not of excluded ones"),
        (c.Enum(c.Byte, Red=1), "x", "labels may use only"),
        (c.Struct("y" / c.Float16b), "x.y", "half-precision"),
    ],
)
def test_what_kaitai_has_not_is_refused(subcon: Any, field: str, message: str) -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        to_ksy(c.Struct("x" / subcon))
    assert caught.value.field == field
