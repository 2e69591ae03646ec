"""The golden vectors, both ways: read as by the reference, and written to the same bytes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, FormatError, Metadata, TruncatedError
from formats import META, METRICS, RECORD, RecordCodec, UnsupportedVersionError
from tests.helpers.paths import VECTORS

META_FILES = sorted(VECTORS.glob("store/*/meta.bin"))
METRICS_FILES = sorted(VECTORS.glob("store/*/metrics.bin"))
CUT = {"cut-in-commit": "commit_id", "cut-in-job": "job_name", "cut-in-user": "user"}


def name(path: Path) -> str:
    """A vector's name, as the test id."""
    return path.parent.name


def text(hexed: str) -> str:
    """The text whose bytes have this hex."""
    return bytes.fromhex(hexed).decode("utf-8", "surrogateescape")


def test_vectors_are_all_there(expected: dict[str, Any]) -> None:
    """No vector is missing from the repository."""
    assert len(META_FILES) == 18
    assert len(METRICS_FILES) == 8
    assert sum(len(e["metrics"] or []) for e in expected["experiments"].values()) == 148


def test_listing_is_the_references(vectors: ExperimentStore, expected: dict[str, Any]) -> None:
    """Directories are experiments; plain files are not."""
    assert vectors.list_experiments() == expected["list"]


@pytest.mark.parametrize("path", META_FILES, ids=name)
def test_metadata_is_read_as_the_reference_reads_it(
    path: Path, vectors: ExperimentStore, expected: dict[str, Any]
) -> None:
    """The results equal the reference's, except where those are defects."""
    commit_id = name(path)
    entry = expected["experiments"][commit_id]
    if commit_id in CUT:
        with pytest.raises(TruncatedError) as caught:
            vectors.read_metadata(commit_id)
        assert caught.value.field == CUT[commit_id]
        assert caught.value.source == str(path)
    elif entry["metadata"] is None:
        with pytest.raises(FormatError) as caught:
            vectors.read_metadata(commit_id)
        assert isinstance(caught.value, TruncatedError | UnsupportedVersionError)
    else:
        assert vectors.read_metadata(commit_id) == Metadata(
            commit_id=text(entry["metadata"]["commit_id_hex"]),
            timestamp=entry["metadata"]["timestamp"],
            job_name=text(entry["metadata"]["job_name_hex"]),
            user=text(entry["metadata"]["user_hex"]),
        )


@pytest.mark.parametrize("path", METRICS_FILES, ids=name)
def test_metrics_are_read_as_the_reference_reads_them(
    path: Path, vectors: ExperimentStore, expected: dict[str, Any]
) -> None:
    """Every record is equal bit for bit; a torn tail is dropped."""
    table = vectors.get_metrics(name(path))
    rows = [
        [
            m.timestamp,
            m.step,
            struct.pack(">d", m.value).hex(),
            m.name.encode("utf-8", "surrogateescape").hex(),
        ]
        for m in table
    ]
    assert rows == (expected["experiments"][name(path)]["metrics"] or [])


@pytest.mark.parametrize(
    ("commit_id", "kind", "offset"),
    [
        ("3f2a9c1d", "clean", None),
        ("empty-metrics", "clean", None),
        ("torn-header", "torn", 125),
        ("torn-20-bytes", "torn", 125),
        ("torn-name", "torn", 125),
        ("zero-tail", "zero", 125),
    ],
)
def test_tail_is_told(
    commit_id: str, kind: str, offset: int | None, vectors: ExperimentStore
) -> None:
    """The table's status reports what the reference hides."""
    status = vectors.get_metrics(commit_id).status
    assert (status.kind, status.offset) == (kind, offset)


@pytest.mark.parametrize("path", META_FILES, ids=name)
def test_metadata_builds_to_the_same_bytes(path: Path) -> None:
    """Parsed metadata builds to the same bytes, except for absent fields and trailing bytes."""
    data = path.read_bytes()
    codec = RecordCodec(META)
    try:
        values, end = codec.parse(data)
    except FormatError:
        assert name(path) in {*CUT, "bad-version", "empty-file", "too-short"}
        return
    built = codec.build(**values)
    assert built == META.build(values)
    assert built.rstrip(b"\0") == data[:end].rstrip(b"\0")
    assert len(built) - end in (0, 1, 2)


@pytest.mark.parametrize("path", METRICS_FILES, ids=name)
def test_metrics_build_to_the_same_bytes(path: Path, tmp_path: Path) -> None:
    """A table written to a new log, in either way, gives the bytes it was read from."""
    data = path.read_bytes()
    whole = b"".join(map(RECORD.build, METRICS.parse(data)))
    assert data.startswith(whole)
    table = ExperimentStore(path.parent.parent).get_metrics(name(path))
    clock = 0
    store = ExperimentStore(tmp_path, clock=lambda: clock)
    for commit_id in ("columns", "single"):
        store.create_experiment(commit_id)
    with store.writer("columns") as writer:
        writer.append(table)
    with store.writer("single") as writer:
        for metric in table:
            clock = metric.timestamp
            writer.log(metric.name, metric.value, metric.step)
    for commit_id in ("columns", "single"):
        path = store.metrics_path(commit_id)
        assert (path.read_bytes() if path.exists() else b"") == whole


@pytest.mark.parametrize("path", META_FILES, ids=name)
def test_every_truncation_of_metadata_agrees_with_construct(path: Path) -> None:
    """A cut file is parsed exactly if construct parses it; otherwise the error locates the cut."""
    data = path.read_bytes()
    codec = RecordCodec(META)
    for size in range(len(data) + 1):
        cut = data[:size]
        try:
            oracle: dict[str, Any] | None = {k: v for k, v in META.parse(cut).items() if k != "_io"}
        except Exception:  # any of construct's errors is a rejection
            oracle = None
        try:
            values = codec.parse(cut)[0]
        except FormatError as error:
            assert oracle is None, size
            assert error.field is not None
            assert error.offset is not None
            assert 0 <= error.offset <= size
        else:
            assert values == oracle, size


@pytest.mark.parametrize("path", METRICS_FILES, ids=name)
def test_every_truncation_of_metrics_agrees_with_construct(path: Path) -> None:
    """A cut log gives exactly the whole records before the cut."""
    data = path.read_bytes()
    codec = RecordCodec(RECORD)
    ends = [0]
    for record in METRICS.parse(data):
        ends.append(ends[-1] + len(RECORD.build(record)))
    for size in range(0, len(data) + 1, 1 if len(data) < 1000 else 7):
        columns = codec.parse_columns(data[:size])
        whole = sum(end <= size for end in ends) - 1
        assert columns.count == whole, size
        assert columns.end == ends[whole], size
