"""The specification: tables and examples match the declarations; the command prints them."""

from __future__ import annotations

import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from construct import Const, Float32l, GreedyRange, Int8sb, Int8ub, Int16ul, Int32ul, Struct
from typer.testing import CliRunner

import expstore.cli.schema  # noqa: F401  importing it adds its commands
import formats
from expstore.cli.base import app
from formats import (
    FORMATS,
    META,
    METRICS,
    AbsentAtEnd,
    Format,
    LengthPrefixedText,
    Roles,
    Text,
    annotate,
    describe,
    to_cstruct,
    to_hexpat,
    to_ksy,
)
from formats.descriptions import spec
from formats.descriptions.dump import dump
from tests.helpers import commands

README = Path(formats.__file__).with_name("README.md").read_text()


def between(kind: str, name: str) -> str:
    """The text in the specification between two markers."""
    found = re.findall(rf"<!-- {kind} {name} -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert len(found) == 1, f"{kind} {name}"
    return str(found[0])


def example(name: str) -> tuple[str, bytes]:
    """A worked example's text, and the bytes in its hexadecimal column."""
    text = between("example", name).removeprefix("```text\n").removesuffix("\n```")
    columns = [line[12:35] for line in text.splitlines() if not line.startswith("record")]
    return text, bytes.fromhex("".join(columns))


@pytest.mark.parametrize("name", FORMATS)
def test_tables_are_the_declarations(name: str) -> None:
    """Sizes, offsets, types and limits in the text match the code."""
    assert between("table", name) == spec.markdown(FORMATS[name])


@pytest.mark.parametrize("name", FORMATS)
def test_examples_are_what_a_dump_shows(name: str) -> None:
    """The code reads the worked examples as the text shows."""
    text, data = example(name)
    assert data
    assert text == dump(annotate(FORMATS[name].schema, data))


def test_examples_parse_with_construct() -> None:
    """Construct reads the values shown in the examples."""
    meta = META.parse(example("meta")[1])
    assert (meta.commit_id, meta.timestamp, meta.job_name) == ("3f2a9c1d", 1700000000, "train")
    data = example("metrics")[1]
    (record,) = METRICS.parse(data)
    assert (record.name, record.value, record.step) == ("loss", 0.25, 7)
    assert data.endswith(b"val/ac")


def test_specification_names_every_format_and_its_schema() -> None:
    """Every format has a section, and every `.ksy` named in it exists."""
    for name in FORMATS:
        assert f"\n## {name}\n" in README
        assert f"`{name}.ksy`" in README
        assert Path(formats.__file__).with_name(f"{name}.ksy").exists()


def test_sizes_are_derived() -> None:
    """The sizes of the formats, and of a single value."""
    assert "10 to 777 bytes" in spec.sizes(FORMATS["meta"].schema)
    assert "so 12 or more" in spec.sizes(FORMATS["meta"].schema)
    assert "21 to 276 bytes" in spec.sizes(FORMATS["metrics"].schema)
    fixed = Format("f", Struct("a" / Int16ul), "", "")
    assert spec.sizes(fixed.schema) == "A value takes 2 to 2 bytes."


def test_table_of_another_declaration() -> None:
    """Other types, byte orders and limits, and escaping in a Markdown cell."""
    declared = Struct(
        "magic" / Const(7, Int16ul),
        "level" / Int8sb * "of a|b",
        "note" / LengthPrefixedText(Int16ul),
        "ratio" / Float32l,
        "count" / AbsentAtEnd(Int32ul, 3),
        "last" / AbsentAtEnd(Text, ""),
    )
    rows = spec.table(Format("x", declared, "", "").schema)
    assert [(row.offset, row.type, row.size, row.limits) for row in rows] == [
        ("0", "u16le", "2", "= 7"),
        ("2", "i8", "1", "-128 to 127"),
        ("3", "text[u16le]", "2 + length", "0 to 65535 bytes"),
        ("after note", "f32le", "4", "IEEE 754 binary32"),
        ("after note + 4", "u32le", "4", "0 to 2^32 - 1; if absent, 3"),
        ("after note + 8", "text", "1 + length", "0 to 255 bytes; if absent, ''"),
    ]
    lines = spec.markdown(Format("x", declared, "", "")).splitlines()
    assert r"of a\|b" in lines[5]
    assert len({len(line) for line in lines[2:]}) == 1


def run(*arguments: str) -> Any:
    """Run `expstore schema`."""
    return CliRunner().invoke(app, ["schema", *arguments])


def test_command_prints_what_belongs_between_the_markers() -> None:
    """Without a terminal the table is Markdown, for one format or for all."""
    for name in FORMATS:
        assert between("table", name) in run(name).stdout
    everything = run().stdout
    assert all(between("table", name) in everything for name in FORMATS)


def test_command_prints_kaitai_schemas() -> None:
    """One format prints the committed file; all formats print a stream of YAML documents."""
    assert run("metrics", "--format", "ksy").stdout == to_ksy(METRICS)
    documents = list(yaml.safe_load_all(run("--format", "ksy").stdout))
    assert [document["meta"]["id"] for document in documents] == list(FORMATS)


def test_command_prints_the_other_notations() -> None:
    """ImHex patterns, definitions for dissect.cstruct, and schemas with texts as bytes."""
    assert run("metrics", "--format", "hexpat").stdout == to_hexpat(METRICS)
    assert run("meta", "--format", "cstruct").stdout == to_cstruct(META)
    assert to_cstruct(METRICS) in run("--format", "cstruct").stdout
    shown = run("meta", "--format", "ksy", "--texts-as-bytes").stdout
    assert shown == to_ksy(META, texts_as_bytes=True)
    refused = run("meta", "--texts-as-bytes")
    assert refused.exit_code == 2
    assert "ksy" in refused.output


def test_command_prints_json() -> None:
    """Programs get every field with its limits."""
    (meta,) = json.loads(run("meta", "--format", "json").stdout)
    assert (meta["min_size"], meta["max_size"], meta["is_sequence"]) == (10, 777, False)
    user = meta["fields"][-1]
    assert (user["name"], user["after"], user["offset"]) == ("user", "job_name", 0)
    assert (user["may_be_absent"], user["default"], user["max"]) == (True, "", 255)
    assert meta["fields"][0]["constant"] == 1
    both = json.loads(run("--format", "json").stdout)
    assert [one["name"] for one in both] == list(FORMATS)
    assert both[1]["fields"][2]["max"] is None


def test_command_refuses_an_unknown_format() -> None:
    """The usage error lists the known formats."""
    refused = run("nope")
    assert refused.exit_code == 2
    assert "metrics" in refused.output


def test_a_sequence_of_a_sequence_is_no_format() -> None:
    """Only a Struct, or a GreedyRange of one, is accepted."""
    with pytest.raises(formats.UnsupportedSchema, match="GreedyRange is not a Struct"):
        to_ksy(GreedyRange(METRICS))


OWN = """
from construct import Const, GreedyRange, Int16ub, Struct
from formats import Format

SAMPLES = GreedyRange(Struct("n" / Int16ub * "a number"))
NAMED = Format("own", Struct("magic" / Const(7, Int16ub)), "Mine", "What it holds.")
"""


@pytest.mark.parametrize("notation", ["ksy", "hexpat", "cstruct", "table", "json"])
def test_a_declaration_of_ones_own_is_printed(
    notation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its module, found from the working directory, and its name there."""
    module = f"own_{notation}"  # a module is loaded once
    (tmp_path / f"{module}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    printed = run(f"{module}:SAMPLES", "--format", notation)
    assert (printed.exit_code, "n" in printed.stdout) == (0, True)
    named = run(f"{module}:NAMED", "--format", notation)
    assert named.exit_code == 0
    if notation == "ksy":
        assert "  id: samples\n" in printed.stdout
        assert "  id: own\n  title: Mine\n" in named.stdout
        assert "doc-ref" not in named.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "none of meta"),
        ("no_such_module:A", "No module named"),
        ("json:NOPE", "no attribute"),
        ("json:dumps", "expected a declaration of construct, got function"),
    ],
)
def test_what_is_no_declaration_is_refused(name: str, message: str) -> None:
    """With what is missing; no traceback."""
    done = commands.expstore("schema", name)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_a_format_of_ones_own_pickles_and_describes_itself() -> None:
    """Its codec and schema come with it."""
    own = Format("own", Struct("n" / Int8ub), "Mine", "What it holds.", Roles("n"))
    assert own.codec.build(n=7) == b"\7"
    copy = pickle.loads(pickle.dumps(own))
    assert copy.codec.build(n=7) == b"\7"
    assert (copy.name, copy.roles) == ("own", Roles("n"))
    assert describe(own)["title"] == "Mine"
    assert Format.of(own) is own
    assert Format.of("own" / Struct("n" / Int8ub)).name == "own"
