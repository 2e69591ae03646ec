"""Kaitai schemas are derived and current, and generated parsers read what construct reads."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from construct import (
    Array,
    Const,
    ConstError,
    Float16b,
    Float32b,
    Float64b,
    GreedyRange,
    Int8sb,
    Int8ub,
    Int16ub,
    Int16ul,
    Int32ub,
    Int64sb,
    Int64ub,
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
    Schema,
    Text,
    UnsupportedSchema,
    annotate,
    to_ksy,
)
from formats.schema import Field
from tests.helpers.declarations import EVENT, same, values_of
from tests.helpers.paths import VECTORS
from tests.kaitai.languages import LANGUAGES, compiler_missing, generate

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
    assert meta["seq"] == [
        {"id": "version", "type": "u1", "valid": 1, "doc": Schema.of(META)["version"].doc},
        {"id": "timestamp", "type": "s8", "doc": Schema.of(META)["timestamp"].doc},
        {"id": "commit_id", "type": "text", "doc": Schema.of(META)["commit_id"].doc},
        *(
            {
                "id": name,
                "type": "text",
                "if": "not _io.eof",
                "doc": Schema.of(META)[name].doc,
            }
            for name in ("job_name", "user")
        ),
    ]
    assert [field["id"] for field in meta["types"]["text"]["seq"]] == ["len", "value"]
    assert meta["types"]["text"]["seq"][1] == {
        "id": "value",
        "size": "len",
        "type": "str",
        "encoding": "UTF-8",
    }
    metrics = yaml.safe_load(to_ksy(METRICS))
    assert metrics["seq"] == [{"id": "records", "type": "record", "repeat": "eos"}]
    record = metrics["types"]["record"]["seq"]
    assert [field["type"] for field in record] == ["s8", "u4", "f8", "text"]
    assert "torn tail" in metrics["doc"]


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=list(DECLARATIONS))
def test_schemas_have_no_instances(declaration: Any) -> None:
    """An instance that reads the stream does not compile in C#, fails in Rust, and caches in the
    read-write mode of Python what an edit changes."""
    assert "instances" not in to_ksy(declaration, id="x")


def test_texts_may_be_bytes() -> None:
    """Then no generated parser decodes them."""
    schema = yaml.safe_load(to_ksy(META, texts_as_bytes=True))
    assert schema["types"]["text"]["seq"][1] == {"id": "value", "size": "len"}
    assert "encoding" not in to_ksy(META, texts_as_bytes=True)


def test_each_length_prefix_has_its_own_type() -> None:
    """A text's type is named after its length prefix."""
    schema = yaml.safe_load(to_ksy(EVENT))
    assert list(schema["types"]) == ["text", "text_u2le"]
    assert schema["types"]["text_u2le"]["seq"][0]["type"] == "u2le"


@pytest.mark.parametrize("name", ["default", "end", "int", "text", "new", "read", "wait", "item"])
def test_reserved_names_are_changed(name: str) -> None:
    """The schema keeps the declared name beside the one that every language can use."""
    (field,) = yaml.safe_load(to_ksy(Struct(name / Int8ub)))["seq"]
    assert (field["id"], field["-orig-id"]) == (f"{name}_field", name)


def test_records_do_not_collide_with_their_log() -> None:
    """No class has a member of its own name: the default id is not that of a field."""
    schema = yaml.safe_load(to_ksy(GreedyRange(Struct("record" / Int8ub, "records" / Int8ub))))
    assert schema["meta"]["id"] == "log"
    record = schema["types"]["record"]["seq"]
    assert [field["id"] for field in record] == ["record_field", "records"]


@pytest.mark.parametrize("id", ["records", "text", "default", "string", "object"])
def test_an_id_that_a_language_reserves_is_refused(id: str) -> None:
    """The message says that another may be passed."""
    with pytest.raises(UnsupportedSchema, match="pass another id"):
        to_ksy(EVENT, id=id)


@pytest.mark.parametrize(
    ("number", "constant", "printed"),
    [
        (Int32ub, 2**31 - 1, 2**31 - 1),
        (Int32ub, 2**31, str(2**31)),
        (Int64ub, 2**64 - 1, str(2**64 - 1)),
        (Int64sb, -(2**63), str(-(2**63))),
        (Int8sb, -1, -1),
        (Float64b, 0.1, "0.1"),
        (Float64b, 1e300, "1e+300"),
        (Float32b, 2, "2.0"),
    ],
)
def test_constants_are_what_the_compiler_takes(number: Any, constant: Any, printed: Any) -> None:
    """It takes large and fractional numbers only as expressions, which are strings in YAML."""
    (field,) = yaml.safe_load(to_ksy(Struct("a" / Const(constant, number))))["seq"]
    assert (type(field["valid"]), field["valid"]) == (type(printed), printed)


def test_byte_orders_are_said_where_they_differ() -> None:
    """The first byte order is the default; a single byte has none."""
    declared = Struct("a" / Int8ub, "b" / Int16ul, "c" / Int16ub, "d" / Int8sb, "e" / Float64b)
    schema = yaml.safe_load(to_ksy(declared, id="orders"))
    assert schema["meta"]["endian"] == "le"
    assert [field["type"] for field in schema["seq"]] == ["u1", "u2", "u2be", "s1", "f8be"]
    assert "endian" not in yaml.safe_load(to_ksy(Struct("a" / Int8ub)))["meta"]
    schema = yaml.safe_load(to_ksy(Struct("a" / Array(2, Int16ub))))
    assert schema["meta"]["endian"] == "be"


def test_names_come_from_arguments_or_from_the_declaration() -> None:
    """The id and title may be given, declared, or defaults."""
    declared = "event" / Struct("a" / Int8ub) * "What happened"
    assert yaml.safe_load(to_ksy(declared))["meta"]["id"] == "event"
    assert yaml.safe_load(to_ksy(declared))["meta"]["title"] == "What happened"
    assert yaml.safe_load(to_ksy(RECORD))["meta"]["id"] == "item"
    assert yaml.safe_load(to_ksy(GreedyRange(EVENT)))["meta"]["id"] == "log"
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
        (Struct("a_b" / Int8ub, "ab" / Int8ub), "ab", "clashes"),
        (Struct("end_field" / Int8ub, "end" / Int8ub), "end", "clashes"),
        (Struct("tenth" / Const(0.1, Float32b)), "tenth", "is no f32"),
        (Struct("inf" / Const(math.inf, Float64b)), "inf", "no constant"),
        (Struct("list" / GreedyRange(Int8ub)), "list", "reads to the end"),
    ],
)
def test_what_kaitai_cannot_say_is_refused(declared: Any, field: str, message: str) -> None:
    """UnsupportedSchema names the field."""
    with pytest.raises(UnsupportedSchema, match=message) as caught:
        to_ksy(declared)
    assert caught.value.field == field


@pytest.fixture(scope="module")
def compiled() -> SimpleNamespace:
    """The generated `python` classes by name, and all `targets` that the schemas compile for."""
    if compiler_missing():
        pytest.skip(compiler_missing())
    sources = generate({n: yaml.safe_load(to_ksy(d, id=n)) for n, d in DECLARATIONS.items()})
    classes: dict[str, Any] = {}
    for source in sources["python"].values():
        exec(source, classes)
    return SimpleNamespace(python=classes, targets=set(sources))


def test_schemas_compile_for_every_language(compiled: SimpleNamespace) -> None:
    """The dozen languages of the specification's table."""
    assert set(LANGUAGES) <= compiled.targets


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


def read_field(value: Any, field: Field) -> Any:
    """What a generated Python parser has read for a field."""
    read = getattr(value, field.name, None)
    if read is None:
        return field.default
    return read.value if field.is_text else read


def assert_read_alike(declaration: Any, kind: Any, data: bytes) -> int:
    """The generated Python parser reads what construct reads, up to the first invalid text."""
    expected, why = oracle(declaration, data)
    values, stopped = read_in_python(kind, data)
    for value, right in zip(values, expected, strict=False):
        for field in Schema.of(declaration):
            assert same(read_field(value, field), right[field.name])
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
    assert (whole.user.len, whole.user.value) == (0, "")
    cut = compiled.python["Meta"](KaitaiStream(io.BytesIO(built[:-1])))
    assert not hasattr(cut, "user")
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
