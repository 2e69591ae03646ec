"""Kaitai schemas are derived and current, and generated parsers read what construct reads."""

from __future__ import annotations

import io
import json
import math
import shutil
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from construct import (
    Const,
    ConstError,
    Float16b,
    Float64b,
    GreedyRange,
    Int8sb,
    Int8ub,
    Int16ub,
    Int16ul,
    StreamError,
    Struct,
)
from hypothesis import given
from hypothesis import strategies as st
from kaitaistruct import KaitaiStream, ValidationNotEqualError

import formats
from formats import (
    FORMATS,
    META,
    METRICS,
    RECORD,
    AbsentAtEnd,
    Schema,
    Text,
    UnsupportedSchema,
    annotate,
    to_ksy,
)
from tests.helpers.declarations import EVENT, same, values_of
from tests.helpers.paths import TESTS, VECTORS

KAITAI = TESTS / "kaitai"
META_FILES = sorted(VECTORS.glob("store/*/meta.bin"))
METRICS_FILES = sorted(VECTORS.glob("store/*/metrics.bin"))
DECLARATIONS = {"meta": META, "metrics": METRICS, "events": GreedyRange(EVENT)}


def name(path: Path) -> str:
    """A vector's name, as the test id."""
    return path.parent.name


@pytest.mark.parametrize("format", FORMATS.values(), ids=list(FORMATS))
def test_committed_schema_is_current(format: formats.Format) -> None:
    """The file in the package matches the declaration."""
    committed = Path(formats.__file__).with_name(f"{format.name}.ksy").read_text()
    assert committed == to_ksy(format.declaration)


def test_schema_has_the_style_of_the_gallery() -> None:
    """Title, docs and references; a text is its length, then its bytes; a log is records."""
    meta = yaml.safe_load(to_ksy(META))
    assert meta["meta"] == {
        "id": "meta",
        "title": "Experiment metadata",
        "ks-version": 0.9,
        "endian": "be",
    }
    assert meta["doc"].startswith("Describes one experiment")
    assert "README.md" in meta["doc-ref"]
    ids = [field["id"] for field in meta["seq"]]
    assert ids[:4] == ["version", "timestamp", "len_commit_id", "commit_id"]
    assert ids[4:] == ["len_job_name", "job_name", "len_user", "user"]
    assert meta["seq"][0] == {
        "id": "version",
        "type": "u1",
        "valid": 1,
        "doc": Schema.of(META)["version"].doc,
    }
    assert meta["seq"][7] == {
        "id": "user",
        "type": "str",
        "size": "len_user",
        "encoding": "UTF-8",
        "if": "has_user",
        "doc": Schema.of(META)["user"].doc,
    }
    assert meta["instances"]["has_user"]["value"] == "not _io.eof"
    metrics = yaml.safe_load(to_ksy(METRICS))
    assert metrics["seq"] == [{"id": "records", "type": "record", "repeat": "eos"}]
    assert [field["type"] for field in metrics["types"]["record"]["seq"]] == (
        ["s8", "u4", "f8", "u1", "str"]
    )
    assert "torn tail" in metrics["doc"]


def test_byte_orders_are_said_where_they_differ() -> None:
    """The first byte order is the default; a single byte has none."""
    declared = Struct("a" / Int8ub, "b" / Int16ul, "c" / Int16ub, "d" / Int8sb, "e" / Float64b)
    schema = yaml.safe_load(to_ksy(declared, id="mixed"))
    assert schema["meta"]["endian"] == "le"
    assert [field["type"] for field in schema["seq"]] == ["u1", "u2", "u2be", "s1", "f8be"]
    assert "endian" not in yaml.safe_load(to_ksy(Struct("a" / Int8ub)))["meta"]


def test_names_come_from_arguments_or_from_the_declaration() -> None:
    """The id and title may be given, declared, or defaults."""
    declared = "event" / Struct("a" / Int8ub) * "What happened"
    assert yaml.safe_load(to_ksy(declared))["meta"]["id"] == "event"
    assert yaml.safe_load(to_ksy(declared))["meta"]["title"] == "What happened"
    assert yaml.safe_load(to_ksy(RECORD))["meta"]["id"] == "record"
    assert yaml.safe_load(to_ksy(GreedyRange(EVENT)))["meta"]["id"] == "records"
    given = yaml.safe_load(to_ksy(META, id="x", title="T", doc="D", doc_ref="R"))
    assert (given["meta"]["id"], given["meta"]["title"], given["doc-ref"]) == ("x", "T", "R")
    assert given["doc"].startswith("D")


@given(
    doc=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    constant=st.integers(0, 255),
)
def test_any_doc_survives_yaml(doc: str, constant: int) -> None:
    """A YAML parser reads back any doc."""
    declared = Struct("a" / Const(constant, Int8ub) * doc)
    (field,) = yaml.safe_load(to_ksy(declared))["seq"]
    assert field.get("doc", "") == Schema.of(declared)["a"].doc
    assert field["valid"] == constant


@pytest.mark.parametrize(
    ("declared", "field", "message"),
    [
        (Struct("ok" / Int8ub, "half" / Float16b), "half", "half-precision"),
        (Struct("Upper" / Int8ub), "Upper", "a-z"),
        (Struct("len_name" / Int8ub, "name" / Text), "len_name", "length of a text"),
        (Struct("has_x" / Int8ub, "x" / AbsentAtEnd(Int8ub, 0)), "has_x", "clashes"),
        (Struct("inf" / Const(math.inf, Float64b)), "inf", "no constant"),
        (Struct("list" / GreedyRange(Int8ub)), "list", "reads to the end"),
    ],
)
def test_what_kaitai_cannot_say_is_refused(declared: Any, field: str, message: str) -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        to_ksy(declared)
    assert caught.value.field == field


def node(script: str, job: Any) -> Any:
    """The answer of a script next to the compiler."""
    ran = subprocess.run(
        ["node", KAITAI / script],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The generated parsers: `python`, classes by name; `javascript`, files by declaration.

    `languages` are all those the schemas were compiled for.
    """
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")
    if not (KAITAI / "node_modules" / "kaitai-struct-compiler").is_dir():
        pytest.skip("needs the Kaitai Struct compiler; tests/kaitai/setup installs it")
    schemas = {n: yaml.safe_load(to_ksy(d, id=n)) for n, d in DECLARATIONS.items()}
    sources = node("compile.js", schemas)
    folder = tmp_path_factory.mktemp("kaitai")
    (folder / "node_modules").symlink_to(KAITAI / "node_modules")
    classes: dict[str, Any] = {}
    for source in sources["python"].values():
        exec(source, classes)
    for file, source in sources["javascript"].items():
        (folder / file).write_text(source)
    files = {n: str(folder / f"{n.title()}.js") for n in DECLARATIONS}
    return SimpleNamespace(python=classes, javascript=files, languages=set(sources))


def test_schemas_compile_for_every_language(compiled: SimpleNamespace) -> None:
    """A dozen languages, as the specification says."""
    assert {"cpp_stl", "csharp", "go", "java", "python", "ruby", "rust"} <= compiled.languages
    assert len(compiled.languages) >= 12


def oracle(declaration: Any, data: bytes) -> tuple[list[Any], str | None]:
    """The values that construct reads one by one, and what stops it before the end of the data."""
    stream, values = io.BytesIO(data), []
    while stream.tell() < len(data) or not values:
        try:
            values.append(declaration.parse_stream(stream))
        except StreamError:
            return values, "torn"
        except ConstError:
            return values, "constant"
        if declaration is META:
            break
    return values, None


def is_utf8(value: Any) -> bool:
    """Whether all texts of a value are valid UTF-8."""
    return not any(
        0xDC80 <= ord(c) <= 0xDCFF for text in value.values() if isinstance(text, str) for c in text
    )


def read_in_python(kind: Any, data: bytes) -> tuple[list[Any], str | None]:
    """The same from a generated Python parser; `text` if it finds invalid UTF-8."""
    stream, values = KaitaiStream(io.BytesIO(data)), []
    while not stream.is_eof() or not values:
        try:
            values.append(kind(stream))
        except EOFError:
            return values, "torn"
        except ValidationNotEqualError:
            return values, "constant"
        except UnicodeDecodeError:
            return values, "text"
        if kind.__name__ == "Meta":
            break
    return values, None


def assert_read_alike(declaration: Any, kind: Any, data: bytes) -> int:
    """The generated Python parser reads what construct reads, up to the first invalid text."""
    expected, why = oracle(declaration, data)
    values, stopped = read_in_python(kind, data)
    for value, right in zip(values, expected, strict=False):
        for field in Schema.of(declaration):
            assert same(getattr(value, field.name, field.default), right[field.name])
    if stopped == "text":
        # The text may precede a tear in the same record, so construct may have no value.
        log = Schema(Schema.of(declaration).fields, is_sequence=True)
        spans = [span for span in annotate(log, data) if span.index == len(values)]
        assert not is_utf8({span.offset: span.value for span in spans})
    else:
        assert (len(values), stopped) == (len(expected), why)
        assert all(map(is_utf8, expected))
    return len(values)


@pytest.mark.parametrize("path", META_FILES, ids=name)
def test_python_parser_reads_metadata_as_construct(path: Path, compiled: SimpleNamespace) -> None:
    """Same values, same errors; absent fields are omitted."""
    data = path.read_bytes()
    assert_read_alike(META, compiled.python["Meta"], data)
    for size in range(min(len(data), 40)):
        assert_read_alike(META, compiled.python["Meta"], data[:size])


@pytest.mark.parametrize("path", METRICS_FILES, ids=name)
def test_python_parser_reads_metrics_as_construct(path: Path, compiled: SimpleNamespace) -> None:
    """Record by record up to a torn tail, or the whole file at once if there is none."""
    data = path.read_bytes()
    kind = compiled.python["Metrics"]
    expected, why = oracle(RECORD, data) if data else ([], None)
    if data:
        assert_read_alike(RECORD, kind.Record, data)
    if why == "torn":
        with pytest.raises(EOFError):
            kind(KaitaiStream(io.BytesIO(data)))
    elif all(map(is_utf8, expected)):
        assert len(kind(KaitaiStream(io.BytesIO(data))).records) == len(METRICS.parse(data))


def test_an_absent_text_differs_from_a_torn_one(compiled: SimpleNamespace) -> None:
    """A length byte without its text is torn; an empty last text is present."""
    built = META.build({"timestamp": 1, "commit_id": "c", "job_name": "j", "user": ""})
    whole = compiled.python["Meta"](KaitaiStream(io.BytesIO(built)))
    assert (whole.has_user, whole.user) == (True, "")
    cut = compiled.python["Meta"](KaitaiStream(io.BytesIO(built[:-1])))
    assert not cut.has_user
    with pytest.raises(EOFError):
        compiled.python["Meta"](KaitaiStream(io.BytesIO(built[:-1] + b"\x05")))


@given(data=st.data())
def test_python_parser_of_another_declaration_reads_as_construct(
    compiled: SimpleNamespace, data: st.DataObject
) -> None:
    """Mixed byte orders, a wide length prefix and a constant, torn or whole."""
    built = b"".join(
        EVENT.build(value) for value in data.draw(st.lists(values_of(EVENT), min_size=1))
    )
    cut = data.draw(st.integers(0, len(built) - 1))
    assert_read_alike(EVENT, compiled.python["Events"].Record, built[: len(built) - cut])


def camel(text: str) -> str:
    """A field's name in JavaScript."""
    first, *rest = text.split("_")
    return first + "".join(map(str.title, rest))


def same_in_javascript(value: Any, right: Any) -> bool:
    """Whether JavaScript read the value, within the limits of its numbers and UTF-8 decoder."""
    if isinstance(right, str):
        return bool(value == right.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    bits = bytes.fromhex(value["bits"]) if isinstance(value, dict) else struct.pack(">d", value)
    return bits == struct.pack(">d", right)


def test_javascript_parser_reads_all_vectors_as_construct(compiled: SimpleNamespace) -> None:
    """Every vector, record by record; integers up to JavaScript's 53 bits."""
    jobs, rights = [], []
    for declaration, kind, file, paths in (
        (META, "Meta", "meta", META_FILES),
        (RECORD, "Metrics.Record", "metrics", METRICS_FILES),
        (EVENT, "Events.Record", "events", []),
    ):
        data = [path.read_bytes() for path in paths]
        if declaration is EVENT:
            numbers = {"count": -3, "ratio": 0.1, "level": -8, "gain": 0.5, "serial": 9}
            data = [EVENT.build({"tag": "ü", "note": "n" * 300} | numbers) * 2 + b"\x01"]
        for content in filter(None, data):
            jobs.append([compiled.javascript[file], kind, content.hex()])
            rights.append((declaration, *oracle(declaration, content)))
    answers = node("parse.js", jobs)
    errors = {"torn": "EOFError", "constant": "ValidationNotEqualError", None: None}
    read = 0
    for answer, (declaration, expected, why) in zip(answers, rights, strict=True):
        assert answer["error"] == errors[why]
        assert len(answer["values"]) == len(expected)
        for value, right in zip(answer["values"], expected, strict=True):
            for field in Schema.of(declaration):
                read += 1
                assert same_in_javascript(
                    value.get(camel(field.name), field.default), right[field.name]
                )
    assert read > 600
