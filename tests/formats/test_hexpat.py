"""ImHex patterns are derived, name every field, and place only what is whole.

With `PLCLI` naming ImHex's command-line program (`plcli`, with its standard library in
`PLCLI_INCLUDES`), the patterns are also run over the vectors.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import construct as c
import pytest
from construct import Const, Float16b, Float64l, GreedyRange, Int8ub, Int16ub, Int32ul, Struct

from formats import META, METRICS, RECORD, Schema, Text, UnsupportedSchema, to_hexpat
from tests.helpers.declarations import EVENT
from tests.helpers.paths import VECTORS

PLCLI = os.environ.get("PLCLI") or shutil.which("plcli")


def test_metadata_is_a_value_with_optional_fields() -> None:
    """Fields that the file ends before are not placed; a wrong version is a warning."""
    text = to_hexpat(META)
    assert "#pragma description Experiment metadata" in text
    assert "import std.io;\nimport std.mem;\n" in text  # where std::warning and std::mem::eof are
    assert "    u8 version " in text
    assert 'if (version != 1) std::warning("version is not 1");' in text
    assert "    be s64 timestamp " in text
    assert re.findall(r"if \(!std::mem::eof\(\)\) Text (\w+)", text) == ["job_name", "user"]
    assert text.endswith("Value meta @ std::mem::base_address();\n")


def test_a_log_places_whole_records_and_shows_the_torn_tail() -> None:
    """The size of a record is known before it is placed: 21 bytes, then the name."""
    text = to_hexpat(METRICS)
    assert "Record records[while(!std::mem::eof() && is_whole_record())];" in text
    assert "u8 torn_tail[while(!std::mem::eof())];" in text
    sizes = re.findall(r"end = end \+ (\d+);|read_unsigned\(end - (\d+), (\d+), .*::(\w+)\)", text)
    assert sizes == [("21", "", "", ""), ("", "1", "1", "Big")]


def test_another_log() -> None:
    """Each run and each length prefix counts, in its byte order."""
    text = to_hexpat(GreedyRange(EVENT), name="events")
    schema = Schema.of(EVENT)
    assert [int(n) for n in re.findall(r"end = end \+ (\d+);", text)] == [
        run.width for run in schema.runs
    ]
    assert "read_unsigned(end - 2, 2, std::mem::Endian::Little)" in text
    assert "struct Text16le {\n    le u16 len;\n    char value[len];\n};" in text
    fields = re.findall(r"^    (?:[bl]e )?\w+ (\w+);$", text, re.MULTILINE)
    assert [name for name in fields if name not in ("len", "stop", "end")] == [
        field.name for field in schema
    ]


@pytest.mark.parametrize("name", ["u8", "padding", "sizeof", "parent"])
def test_reserved_names_are_changed(name: str) -> None:
    """Keywords and types of the pattern language."""
    assert f"    u8 {name}_field;" in to_hexpat(Struct(name / Int8ub))


def test_docs_are_escaped() -> None:
    """A quotation mark or a backslash does not end the comment."""
    text = to_hexpat(Struct("a" / Int8ub * 'say "a\\b"'))
    assert r'[[comment("say \"a\\b\"")]]' in text


def test_what_the_language_lacks_is_refused() -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match="half-precision") as caught:
        to_hexpat(Struct("a" / Int8ub, "half" / Float16b))
    assert caught.value.field == "half"


@pytest.mark.skipif(PLCLI is None, reason="needs plcli, ImHex's command-line program (set PLCLI)")
@pytest.mark.parametrize(
    ("declaration", "path"),
    [(META, path) for path in sorted(VECTORS.glob("store/*/meta.bin")) if path.stat().st_size]
    + [(METRICS, path) for path in sorted(VECTORS.glob("store/*/metrics.bin"))],
    ids=lambda value: value.parent.name if isinstance(value, Path) else "",
)
def test_imhex_reads_the_vectors(declaration: Any, path: Path, tmp_path: Path) -> None:
    """It places what construct reads; a metadata file that is cut is an error."""
    (tmp_path / "pattern.hexpat").write_text(to_hexpat(declaration))
    includes = os.environ.get("PLCLI_INCLUDES", "")
    done = subprocess.run(
        [
            *(str(PLCLI), "format", "-f", "json", "-i", str(path), "-I", includes),
            *("-p", str(tmp_path / "pattern.hexpat"), "-o", str(tmp_path / "out.json")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    whole = path.parent.name not in ("cut-in-commit", "cut-in-job", "cut-in-user", "too-short")
    assert (done.returncode == 0) == whole, done.stdout + done.stderr
    if declaration is METRICS:
        placed = (tmp_path / "out.json").read_text()
        assert placed.count('"step"') == len(METRICS.parse(path.read_bytes()))


def test_constants_of_other_kinds() -> None:
    """Large integers and floats are literals of the language."""
    declared = Struct(
        "a" / Const(2**31, Int32ul), "b" / Const(-2.5, Float64l), "c" / Const(7, Int16ub)
    )
    text = to_hexpat(declared)
    assert "if (a != 2147483648)" in text
    assert "if (b != -2.5)" in text
    assert "if (c != 7)" in text


def test_names_come_from_the_declaration() -> None:
    """Its own name, or what is passed."""
    assert "Value event @" in to_hexpat("event" / Struct("a" / Text))
    assert "Log log @" in to_hexpat(GreedyRange(RECORD))
    assert "Value x @" in to_hexpat(META, name="x")
    for name in ("struct", "u8", "Value", "größe", "a b"):
        with pytest.raises(UnsupportedSchema, match="pass another name"):
            to_hexpat(META, name=name)


def test_a_description_is_one_line() -> None:
    """Its second line would be read as a part of the pattern."""
    assert "#pragma description two lines\n" in to_hexpat(META, description="two\nlines")


def test_other_kinds_have_their_own_types() -> None:
    """Labels, bytes, arrays, nested Structs and padding."""
    declared = Struct(
        "magic" / Const(b"LOGF"),
        "is_on" / c.Flag,
        c.Padding(2),
        "colour" / c.Enum(c.Int16ul, red=1, green=300),
        "bits" / c.FlagsEnum(Int8ub, q=1),
        "blob" / c.Prefixed(Int16ub, c.GreedyBytes),
        "point" / Struct("x" / c.Float32b, "u8" / c.Array(3, c.Int24ub)) * "where",
        "label" / c.PaddedString(6, "utf8"),
        Const(7, Int8ub),
    )
    text = to_hexpat(declared)
    assert "enum colour_label : le u16 {\n    red = 1,\n    green = 300,\n};" in text
    assert "struct SizedBytes16be {\n    be u16 len;\n    u8 value[len];\n};" in text
    assert "struct point_type {\n    be float x;\n    be u24 u8_field[3];\n};" in text
    assert text.partition("struct Value {\n")[2].partition("};")[0].splitlines() == [
        """    u8 magic[4] [[comment("= b'LOGF'")]];""",
        "    bool is_on;",
        "    padding[2];",
        "    colour_label colour;",
        '    u8 bits [[comment("1 = q")]];',
        "    SizedBytes16be blob;",
        '    point_type point [[comment("where")]];',
        "    char label[6];",
        "    u8 _8;",
        '    if (_8 != 7) std::warning("_8 is not 7");',
    ]


def test_a_header_is_placed_before_the_records() -> None:
    """It has a struct of its own."""
    declared = Struct("head" / Struct("magic" / Const(7, Int8ub)), "rows" / GreedyRange(RECORD))
    text = to_hexpat(declared)
    assert "struct Header {\n    u8 magic;\n    if (magic != 7)" in text
    assert "import std.io;" in text
    assert "struct Log {\n    Header header;\n    Record records[" in text


@pytest.mark.parametrize(
    ("subcon", "field", "message"),
    [
        (c.BytesInteger(5), "x", "no integer of 5 bytes"),
        (c.Array(2, c.Bytes(2)), "x", "no array of arrays"),
        (c.Enum(Int8ub, match=1, match_label=2), "x", "two labels would be 'match_label'"),
        (Struct("größe" / Int8ub), "x.größe", "only names of ASCII"),
        (Struct("y" / Float16b), "x.y", "half-precision"),
    ],
)
def test_other_kinds_that_the_language_lacks_are_refused(
    subcon: Any, field: str, message: str
) -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        to_hexpat(Struct("x" / subcon))
    assert caught.value.field == field
