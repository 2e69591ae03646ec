"""Annotated bytes: every byte appears once, as construct reads it, in bytes, files and dumps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from construct import GreedyRange
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import expstore.cli.schema  # noqa: F401  importing it adds its commands
import formats
from expstore import ExperimentNotFoundError, ExperimentStore, MetadataNotFoundError
from expstore.cli.base import app
from expstore.model.values import METADATA_FORMAT, METRICS_FORMAT
from expstore.store.care import annotate as annotate_files
from expstore.store.care.annotate import format_of, iter_spans
from formats import (
    FORMATS,
    META,
    METRICS,
    RECORD,
    FormatError,
    RecordCodec,
    Schema,
    Span,
    TruncatedError,
    annotate,
)
from formats.descriptions.dump import dump, rows
from tests.helpers.declarations import EVENT, same, values_of
from tests.helpers.paths import VECTORS

META_FILES = sorted(VECTORS.glob("store/*/meta.bin"))
METRICS_FILES = sorted(VECTORS.glob("store/*/metrics.bin"))
SCHEMAS = {
    "meta": FORMATS["meta"].schema,
    "metrics": FORMATS["metrics"].schema,
    "event": Schema.of(EVENT),
    "events": Schema.of(GreedyRange(EVENT)),
}


def record(step: int) -> bytes:
    """One record, whose length depends on the step."""
    return RecordCodec(RECORD).build(timestamp=1, step=step, value=0.5, name="n" * (step % 5))


def name(path: Path) -> str:
    """A vector's name, for the test's id."""
    return path.parent.name


def values(spans: list[Span]) -> dict[str, Any]:
    """The values by field, without the length prefixes."""
    return {s.field.name: s.value for s in spans if s.field is not None and s.part == "value"}


def assert_covers(spans: list[Span], data: bytes, offset: int = 0) -> None:
    """Each byte is in exactly one span, in order."""
    assert b"".join(span.data for span in spans) == data
    for span in spans:
        assert span.offset == offset
        offset = span.end


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
@given(data=st.binary(max_size=200), offset=st.integers(0, 1000))
def test_any_bytes_are_covered_without_gap(schema: Schema, data: bytes, offset: int) -> None:
    """Even garbage is covered byte by byte, at any offset."""
    spans = list(annotate(schema, data, offset=offset))
    assert_covers(spans, data, offset)
    assert sum(span.error is not None for span in spans) <= 1
    assert all(span.data for span in spans if span.part == "rest")


@given(events=st.lists(values_of(EVENT), max_size=4), cut=st.integers(0, 60))
def test_spans_are_constructs_values(events: list[dict[str, Any]], cut: int) -> None:
    """The whole records of a cut log, then the tear, at the field that is cut."""
    data = b"".join(map(EVENT.build, events))
    data = data[: max(len(data) - cut, 0)]
    spans = list(annotate(SCHEMAS["events"], data))
    whole = GreedyRange(EVENT).parse(data)
    for index, right in enumerate(whole):
        read = values([span for span in spans if span.index == index])
        assert all(same(read[field], right[field]) for field in read)
        assert len(read) == len(SCHEMAS["events"].fields)
    codec, end = RecordCodec(EVENT), sum(len(EVENT.build(value)) for value in whole)
    if end == len(data):
        assert not any(span.error for span in spans)
        return
    error = spans[-1].error
    assert error is not None
    with pytest.raises(TruncatedError) as caught:
        codec.parse(data, end)
    assert (error.field, error.offset) == (caught.value.field, caught.value.offset)
    assert error.index == len(whole)


@pytest.mark.parametrize("path", META_FILES + METRICS_FILES, ids=str)
def test_vectors_are_told_as_construct_reads_them(path: Path) -> None:
    """The values that construct reads, or an error if it raises one."""
    data = path.read_bytes()
    schema = format_of(path).schema
    spans = list(annotate(schema, data))
    assert_covers(spans, data)
    if schema.is_sequence:
        read = [
            values([s for s in spans if s.index == i]) for i, _ in enumerate(METRICS.parse(data))
        ]
        rights = METRICS.parse(data)
    else:
        try:
            rights = [META.parse(data)]
        except Exception:  # construct refuses it, with any exception
            assert any(span.error for span in spans)
            return
        read = [values(spans)]
        for field in schema:
            if field.default is not None:
                read[0].setdefault(field.name, field.default)
    for value, right in zip(read, rights, strict=True):
        assert all(same(value[field.name], right[field.name]) for field in schema)


def test_bytes_behind_the_last_field_and_behind_an_error_are_told() -> None:
    """Bytes that belong to no field are a separate span, with the reason."""
    whole = META.build({"timestamp": 1, "commit_id": "c", "job_name": "", "user": ""})
    *_, extra = annotate(SCHEMAS["meta"], whole + b"EXTRA")
    assert (extra.part, extra.data, extra.note) == ("rest", b"EXTRA", "after the last field")
    version, rest = annotate(SCHEMAS["meta"], b"\x02" + whole[1:])
    assert version.value == 2
    assert version.error is not None
    assert (rest.data, rest.note) == (whole[1:], "not read")


def test_records_of_zeros_are_doubted_only_at_the_end() -> None:
    """A record of zeros between others is valid."""
    zero = bytes(21)
    data = record(1) + zero + record(2) + zero + zero + b"\0\0"
    noted = {span.index for span in annotate(SCHEMAS["metrics"], data) if span.note}
    assert noted == {3, 4, 5}


def test_dump_shows_every_byte_once() -> None:
    """The hexadecimal column holds the data; damage is marked; headings number the records."""
    data = record(3) + record(4)[:-1]
    text = dump(annotate(SCHEMAS["metrics"], data))
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("record")] == ["record 0", "record 1"]
    spelled = "".join(line[12:35] for line in lines if not line.startswith("record"))
    assert bytes.fromhex(spelled) == data
    assert lines[-1].startswith("! ")
    assert lines[-1].endswith("name: torn: needs 4 bytes, 3 are left")


@given(text=st.binary(max_size=60).map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_dump_of_hostile_texts_is_plain(text: str) -> None:
    """No control character, lone surrogate or bidi override reaches the reader."""
    data = META.build(
        {"timestamp": 1, "commit_id": text + "\x1b[31m\u202e", "job_name": "", "user": ""}
    )
    for row in rows(annotate(SCHEMAS["meta"], data)):
        assert str(row).isprintable()


@pytest.fixture
def logged(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, bytes]:
    """A log of 40 records and a tear, read in blocks of a few records."""
    monkeypatch.setattr(annotate_files, "_BLOCK", 300)
    data = b"".join(map(record, range(40))) + record(41)[:-1]
    store.create_experiment("abc")
    path = store.metrics_path("abc")
    path.write_bytes(data)
    return path, data


def indices(spans: list[Span]) -> list[int]:
    """The records that spans belong to, each once."""
    return sorted({span.index for span in spans if span.index is not None})


def test_a_file_in_blocks_is_told_as_its_bytes(logged: tuple[Path, bytes]) -> None:
    """Blocks do not show: offsets, record numbers and the tear are those of the file."""
    path, data = logged
    spans = list(iter_spans(path, METRICS_FORMAT))
    assert_covers(spans, data)
    assert list(map(str, spans)) == list(map(str, annotate(METRICS_FORMAT.schema, data)))
    assert indices(spans) == list(range(41))
    assert spans[-1].error is not None
    assert (spans[-1].error.index, spans[-1].error.offset) == (40, spans[-1].offset)


@pytest.mark.parametrize("start", [None, 0, 7, 39, 40, 99, -1, -3, -40, -99])
@pytest.mark.parametrize("stop", [None, 0, 8, 40, 41, 99, -1, -38])
def test_records_are_chosen_as_in_a_list(
    logged: tuple[Path, bytes], start: int | None, stop: int | None
) -> None:
    """A slice of the whole records; the tear comes after them if the end is open."""
    path, data = logged
    spans = list(iter_spans(path, METRICS_FORMAT, slice(start, stop)))
    chosen = list(range(40))[start:stop]
    # Negative bounds count whole records only; the tear is number 40.
    if (stop is None or stop > 40) and (start is None or start <= 40):
        chosen.append(40)
    assert indices(spans) == chosen
    if chosen:
        assert_covers(spans, data[spans[0].offset : spans[-1].end], spans[0].offset)


def test_a_tail_of_zeros_is_seen_across_blocks(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros are doubted only if nothing else follows in the whole file, not just the block."""
    monkeypatch.setattr(annotate_files, "_BLOCK", 300)
    store.create_experiment("abc")
    path = store.metrics_path("abc")
    path.write_bytes(bytes(21 * 20) + record(1) + bytes(21 * 30))
    noted = {span.index for span in iter_spans(path, METRICS_FORMAT) if span.note}
    assert noted == set(range(21, 51))


def test_missing_files_are_named(store: ExperimentStore) -> None:
    """A missing log is empty; missing metadata and a missing experiment are errors."""
    store.create_experiment("abc")
    assert list(iter_spans(store.metrics_path("abc"), METRICS_FORMAT)) == []
    with pytest.raises(MetadataNotFoundError, match=r"meta\.bin"):
        list(iter_spans(store.metadata_path("abc"), METADATA_FORMAT))
    with pytest.raises(ExperimentNotFoundError):
        list(iter_spans(store.metrics_path("nope"), METRICS_FORMAT))


def test_metadata_is_read_no_further_than_it_can_reach(store: ExperimentStore) -> None:
    """For a huge file, the bytes that are not shown are counted."""
    store.create_experiment("abc")
    path = store.metadata_path("abc")
    path.write_bytes(META.build({"timestamp": 1, "commit_id": "abc"}) + bytes(1_000_000))
    *_, rest = iter_spans(path, METADATA_FORMAT)
    assert len(rest.data) < 100_000
    assert rest.note.endswith(f"; {path.stat().st_size - rest.end} more bytes")


def run(*arguments: object) -> Any:
    """`expstore hexdump` on the golden vectors."""
    root = str(VECTORS / "store")
    return CliRunner().invoke(app, ["--root", root, "hexdump", *map(str, arguments)])


@pytest.mark.parametrize("path", META_FILES + METRICS_FILES, ids=str)
def test_command_dumps_every_vector(path: Path) -> None:
    """By file or by experiment, the text is the same as from bytes; damage is not an error."""
    spans = list(annotate(format_of(path).schema, path.read_bytes()))
    expected = dump(spans) + "\n" if spans else ""
    options = ["--metadata"] if path.name == "meta.bin" else []
    for answer in (run(path), run(name(path), *options)):
        assert answer.exit_code == 0, answer.output
        assert answer.stdout == expected
        assert "\x1b" not in answer.stdout


def test_command_prints_json() -> None:
    """Each range of bytes with its field, value and fault."""
    read = json.loads(run("torn-name", "--json", "--records", "-1:").stdout)
    assert {entry["record"] for entry in read} == {4, 5}
    assert read[0] == {
        "offset": 100,
        "size": 8,
        "hex": "000000005f5e1004",
        "record": 4,
        "field": "timestamp",
        "value": 1600000004,
        "error": None,
        "note": None,
    }
    assert read[-1]["error"] == "needs 4 bytes, 3 are left"
    assert json.loads(run("no-metrics", "--json").stdout) == []


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--records", "1:3"], [1, 2]),
        (["--records", "2"], [2]),
        (["--records", "-1"], [4, 5]),
        (["--limit", "2"], [0, 1]),
        (["--records", "3:", "--limit", "1"], [3]),
    ],
)
def test_command_shows_the_records_asked_for(options: list[str], shown: list[int]) -> None:
    """Python's slices, a single record, and a limit."""
    read = json.loads(run("torn-name", "--json", *options).stdout)
    assert sorted({entry["record"] for entry in read}) == shown


def test_command_refuses_what_is_not_there(tmp_path: Path) -> None:
    """Errors are typed and name the file; wrong usage exits with code 2."""
    assert isinstance(run("nope").exception, ExperimentNotFoundError)
    assert isinstance(run("no-metadata", "--metadata").exception, MetadataNotFoundError)
    assert str(tmp_path) in str(run(tmp_path).exception)
    assert run("torn-name", "--records", "x").exit_code == 2
    assert run("torn-name", "--limit", "0").exit_code == 2
    assert "nothing there" in run("no-metrics").stderr


def test_command_colours_by_field_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR simulates a terminal: one colour per field, red for damage, the same text."""
    plain = run("torn-name").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = run("torn-name").stdout
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()


def test_parse_and_annotate_blame_the_same_field() -> None:
    """The codec takes its errors from the annotation, so the two agree."""
    for path in META_FILES:
        data = path.read_bytes()
        errors = [span.error for span in annotate(SCHEMAS["meta"], data) if span.error]
        try:
            RecordCodec(META).parse(data)
        except FormatError as error:
            assert [str(found) for found in errors] == [str(error)]
        else:
            assert errors == []


def test_importing_the_store_loads_no_tool() -> None:
    """Dumps, schemas and tables are loaded on demand."""
    code = (
        "import sys, expstore, formats; before = set(sys.modules); formats.annotate;"
        "tools = 'formats.codec.spans', 'formats.descriptions.ksy', 'formats.columns';"
        "print([m in before for m in tools],"
        "'formats.codec.spans' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[False, False, False] True\n"
    with pytest.raises(AttributeError, match="nope"):
        formats.nope  # noqa: B018
