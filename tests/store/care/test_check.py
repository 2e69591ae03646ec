"""Diagnosis and repair: classes of damage with their location, and tails that are cut and kept."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import (
    CheckReport,
    ExperimentNotFoundError,
    ExperimentStore,
    Metadata,
    StoreNotFoundError,
    TornTailError,
)
from expstore.model.values import META_CODEC
from expstore.store.care.findings import DAMAGE, NOTES
from expstore.store.files import layout
from expstore.store.read.parser import LogParser
from formats import RECORD, TailStatus, tail_status
from formats.columns import parse_columns
from formats.damage.plausible import EARLIEST, LATEST, is_plausible_label
from formats.damage.tail import TailWatch
from formats.metrics import ROLES
from formats.schema import Schema
from tests.helpers.logs import CODEC, NOW, log

SCHEMA = Schema.of(RECORD)


def status_of(data: bytes) -> Any:
    """A log's status, as get_metrics reports it."""
    return tail_status(SCHEMA, parse_columns(SCHEMA, data), len(data), ROLES)


def found(report: CheckReport) -> list[tuple[Any, ...]]:
    """A report as tuples."""
    return [(f.kind, f.path.name, f.offset, f.record, f.size) for f in report.findings]


@pytest.mark.parametrize("unit", [10**3, 10**6, 10**9])
def test_times_in_a_smaller_unit_are_noted(store: ExperimentStore, unit: int) -> None:
    """In the log, with the number of records and the first one, and in the metadata."""
    path = store.create_experiment("abc")
    (path / "metrics.bin").write_bytes(log(1) + log(5, NOW * unit))
    data = META_CODEC.build(timestamp=NOW * unit, commit_id="abc", job_name="", user="")
    (path / "meta.bin").write_bytes(data)
    report = store.check("abc")
    assert report.ok
    assert found(report) == [
        ("time-unit", "meta.bin", None, None, None),
        ("time-unit", "metrics.bin", None, 1, None),
    ]
    assert f"divide it by {unit:,}" in report.findings[0].detail
    assert report.findings[1].detail.startswith(f"5 records: {NOW * unit} is a time in ")


def test_times_in_a_smaller_unit_are_noted_beside_damage(store: ExperimentStore) -> None:
    """The whole records are judged, whatever the log's end is like."""
    path = store.create_experiment("abc")
    (path / "metrics.bin").write_bytes(log(5, NOW * 1000) + b"torn")
    kinds = [finding.kind for finding in store.check("abc").findings]
    assert kinds == ["no-metadata", "time-unit", "torn-tail"]


def test_without_roles_no_record_is_implausible() -> None:
    """The default: only the end of the data is judged."""
    data = log(20) + log(1)[:13] + log(20)
    columns = parse_columns(SCHEMA, data)
    assert status_of(data).kind == "implausible"
    assert tail_status(SCHEMA, columns, columns.end) == TailStatus("clean")
    assert tail_status(SCHEMA, columns, columns.end + 5) == TailStatus("torn", columns.end, 5)
    zeros = log(2) + bytes(21 * 3)
    status = tail_status(SCHEMA, parse_columns(SCHEMA, zeros), len(zeros))
    assert status == TailStatus("zero", len(log(2)), 63, 3)


def bad(count: int) -> bytes:
    """Records that cannot be what was written: an odd clock, and control characters."""
    return b"".join(
        CODEC.build(timestamp=7, step=n, value=0.5, name=f"\x01{n}") for n in range(count)
    )


def test_zeros_hide_no_damage_before_them() -> None:
    """Only the last record before them may be doubtful too, since zeros begin inside a record."""
    zeros, start = bytes(21 * 4), len(log(3))
    for data, kind in (
        (log(3) + bad(1) + zeros, "zero"),
        (log(3) + bad(2) + zeros, "implausible"),
        (log(3) + bad(1) + log(3) + zeros, "implausible"),
        (log(3) + bad(1), "implausible"),
    ):
        status = status_of(data)
        assert (status.kind, status.offset) == (kind, start)
        assert status.size == len(data) - start
        watch = TailWatch(SCHEMA, ROLES)
        position = 0
        for size in (start, len(data) - start):  # in two parts, as a large log is parsed
            columns = parse_columns(SCHEMA, data[position : position + size])
            position += columns.end
            watch.feed(columns, position)
        assert watch.status(len(data)) == status


@pytest.mark.parametrize("cut", [1, 7, 11, 20, 22])
def test_log_is_implausible_from_the_torn_record_on(cut: int) -> None:
    """If records follow a torn one, the status gives the tear's offset."""
    whole, rest = log(20), log(30)
    torn = CODEC.build(timestamp=NOW + 20, step=10, value=20 / 7, name="loss")[:cut]
    data = whole + torn + rest
    status = status_of(data)
    assert (status.kind, status.size) == ("implausible", len(data) - status.offset)
    # A tear shorter than a timestamp may combine with the next record's bytes into a whole one.
    assert len(whole) <= status.offset <= len(whole) + 2 * SCHEMA.max_size
    assert status.offset == len(whole) or cut == 1
    assert not status
    assert f"from byte {status.offset}" in str(status)


def test_vector_with_a_tear_in_its_middle_is_implausible(vectors: ExperimentStore) -> None:
    """The golden vector gives the same records as the reference, and the status doubts them."""
    table = vectors.get_metrics("torn-then-appended")
    assert len(table) == 7
    assert (table.status.kind, table.status.offset) == ("implausible", 125)
    assert (table.status.size, table.status.records) == (138, 2)


@pytest.mark.parametrize("timestamp", [0, -5, EARLIEST - 1, LATEST + 1, 2**40])
def test_odd_clock_alone_is_no_damage(timestamp: int) -> None:
    """A log with timestamps in another unit stays clean, and a torn tail stays torn."""
    data = log(50, timestamp)
    assert status_of(data).kind == "clean"
    assert status_of(data[:-3]).kind == "torn"


def test_odd_names_alone_are_no_damage() -> None:
    """Empty and unprintable names with plausible timestamps are accepted."""
    assert status_of(log(50, names=("", "\n", "\udcff"))).kind == "clean"


def test_zeros_that_start_inside_a_record_are_one_zero_tail() -> None:
    """A page of zeros may begin inside a record, which then belongs to the tail."""
    whole = log(10)
    for written in range(4, 23):
        torn = log(1)[:written]
        status = status_of(whole + torn + bytes(200))
        assert (status.kind, status.offset) == ("zero", len(whole)), written


def test_zeros_in_the_middle_are_implausible() -> None:
    """Records after a hole of zeros are misaligned, so the zeros are not a tail."""
    whole = log(10)
    status = status_of(whole + bytes(500) + log(10))
    assert (status.kind, status.offset) == ("implausible", len(whole))


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=4))
def test_status_does_not_depend_on_how_the_log_was_cut_into_parts(
    data: bytes, cuts: list[int]
) -> None:
    """Parsing a log in parts gives the same kind of status as parsing it at once."""
    data = log(5) + data
    whole = status_of(data)
    watch = TailWatch(SCHEMA, ROLES)
    rest = b""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        part = rest + data[start:end]
        columns = parse_columns(SCHEMA, part)
        watch.feed(columns, watch.end + columns.end)
        rest = part[columns.end :]
    status = watch.status(len(data))
    assert watch.end + len(rest) == len(data)
    if whole.kind in {"clean", "torn"}:
        assert status == whole
    else:  # the record before the damage may have been in a separate part
        assert status.kind in {"zero", "implausible"}
        assert status.offset is not None
        assert status.offset >= whole.offset


def test_labels_are_plausible_if_they_are_printable_text() -> None:
    """Control characters, lone surrogates and empty strings are implausible names."""
    assert all(map(is_plausible_label, ("loss", "val/acc", "größe", "損失", "a b", "\x7f")))
    assert not any(map(is_plausible_label, ("", "a\0", "\n", "lo\udcff", "\x1f")))


def test_clean_experiment_has_no_finding(store: ExperimentStore) -> None:
    """Neither a sound experiment nor a store of them has a finding."""
    with store.start_experiment("a", "job", "ann") as run:
        run.log("loss", 0.5, 1)
    report = store.check("a")
    assert (report.ok, report.findings, report.records) == (True, (), 1)
    assert report.size == store.metrics_path("a").stat().st_size
    assert [(r.commit_id, r.ok, r.findings) for r in store.check_all()] == [
        (None, True, ()),
        ("a", True, ()),
    ]


@pytest.mark.parametrize(
    ("commit_id", "kind", "place"),
    [
        ("torn-name", "torn-tail", ("metrics.bin", 125, 5, 24)),
        ("torn-20-bytes", "torn-tail", ("metrics.bin", 125, 5, 20)),
        ("zero-tail", "zero-tail", ("metrics.bin", 125, 5, 64)),
        ("torn-then-appended", "implausible", ("metrics.bin", 125, 5, 138)),
        ("cut-in-job", "truncated", ("meta.bin", 21, None, 23)),
        ("empty-file", "truncated", ("meta.bin", 0, None, 0)),
        ("bad-version", "unsupported-version", ("meta.bin", 0, None, 23)),
        ("trailing-bytes", "trailing-bytes", ("meta.bin", 30, None, 5)),
        ("no-metadata", "no-metadata", ("meta.bin", None, None, None)),
    ],
)
def test_damage_is_named_with_its_place(
    commit_id: str, kind: str, place: tuple[Any, ...], vectors: ExperimentStore
) -> None:
    """Class, file, byte offset, record index and size, for each vector."""
    report = vectors.check(commit_id)
    assert (kind, *place) in found(report)
    assert report.ok == (kind in NOTES)


def test_whole_store_is_checked_in_one_go(vectors: ExperimentStore) -> None:
    """The root has the first report, then every experiment has one."""
    reports = list(vectors.check_all())
    assert [r.commit_id for r in reports] == [None, *vectors.list_experiments()]
    assert found(reports[0]) == [("foreign", "a-plain-file", None, None, None)]
    assert sum(not r.ok for r in reports) == 11
    assert {f.kind for r in reports for f in r.findings} <= set(DAMAGE) | set(NOTES)


def test_metadata_of_another_experiment_is_noted(store: ExperimentStore) -> None:
    """A copied directory keeps the old id; an empty id, which old writers left, is fine."""
    for commit_id, named in (("a", "b"), ("c", "")):
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, NOW))
        data = store.metadata_path(commit_id).read_bytes()
        named_bytes = bytes([len(named)]) + named.encode()
        store.metadata_path(commit_id).write_bytes(data[:9] + named_bytes + data[11:])
    assert [f.kind for f in store.check("a").findings] == ["other-commit-id"]
    assert store.check("a").ok
    assert store.check("c").findings == ()


def test_leftovers_and_foreign_files_are_noted(store: ExperimentStore) -> None:
    """Files left by an interruption or another program are listed, but are not damage."""
    store.start_experiment("a").close()
    path = store.experiment_path("a")
    (path / ".meta.bin.0123456789abcdef").write_bytes(b"")
    (path / "metrics.bin.torn-26").write_bytes(b"half")
    (path / "notes.txt").write_text("mine")
    (path / "sub").mkdir()
    unfinished = [
        layout.temporary_name(prefix) for prefix in (".import-", ".pruning-", ".salvage-")
    ]
    for name in [*unfinished, ".wandb"]:
        (store.root / name).mkdir()
    (store.root / "link").symlink_to("a")
    report = store.check("a")
    assert report.ok
    assert found(report) == [
        ("leftover", ".meta.bin.0123456789abcdef", None, None, 0),
        ("set-aside", "metrics.bin.torn-26", None, None, 4),
        ("foreign", "notes.txt", None, None, 4),
        ("foreign", "sub", None, None, None),
    ]
    root = next(iter(store.check_all()))
    assert [(f.kind, f.path.name) for f in root.findings] == [
        *(("leftover", name) for name in unfinished),
        ("foreign", ".wandb"),
        ("foreign", "link"),
    ]


def test_many_foreign_files_are_counted(store: ExperimentStore) -> None:
    """A directory full of foreign files does not fill the report."""
    path = store.create_experiment("a")
    for number in range(250):
        (path / f"file{number}").touch()
    foreign = [f for f in store.check("a").findings if f.kind == "foreign"]
    assert len(foreign) == 101
    assert foreign[-1].detail == "and 150 more files"


def test_log_of_ever_new_names_is_looked_at_part_by_part(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting names along the way does not change the findings."""
    monkeypatch.setattr("expstore.store.read.survey._TEXTS", 10)
    monkeypatch.setattr("expstore.store.read.survey._BLOCK", 500)
    forget, forgotten = LogParser.forget, []

    def counted(parser: LogParser) -> None:
        forgotten.append(parser.texts_held)
        forget(parser)

    monkeypatch.setattr(LogParser, "forget", counted)
    names = tuple(f"name{number}" for number in range(400))
    whole = log(400, names=names)
    path = store.create_experiment("a") / "metrics.bin"
    path.write_bytes(whole + log(1)[:-2])
    report = store.check("a")
    assert report.records == 400
    assert found(report)[1:] == [("torn-tail", "metrics.bin", len(whole), 400, 23)]
    assert len(forgotten) > 10
    assert max(forgotten) < 40


def test_tear_that_a_writer_completes_is_none(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live writer may leave half a record for a moment; the check reads it again."""
    path = store.create_experiment("a") / "metrics.bin"
    data = log(10)
    path.write_bytes(data[:-5])
    monkeypatch.setattr("expstore.store.care.check.time.sleep", lambda _: path.write_bytes(data))
    report = store.check("a")
    assert (report.ok, report.records, report.size) == (True, 10, len(data))


def test_check_of_nothing_is_an_error(store: ExperimentStore) -> None:
    """A missing experiment and a missing store each raise their own error."""
    with pytest.raises(ExperimentNotFoundError):
        store.check("nope")
    with pytest.raises(StoreNotFoundError):
        list(ExperimentStore(store.root / "nope").check_all())


@pytest.mark.parametrize("commit_id", ["torn-name", "torn-header", "zero-tail"])
def test_repair_cuts_the_tail_and_keeps_it(commit_id: str, vectors_copy: ExperimentStore) -> None:
    """The log is clean afterwards; log and kept bytes together are the original."""
    path = vectors_copy.metrics_path(commit_id)
    before = path.read_bytes()
    report = vectors_copy.repair(commit_id)
    assert report.ok
    assert report.kept == path.with_name("metrics.bin.torn-125")
    assert path.read_bytes() + report.kept.read_bytes() == before
    assert vectors_copy.get_metrics(commit_id).status
    assert [f.kind for f in vectors_copy.check(commit_id).findings] == ["no-metadata", "set-aside"]
    again = vectors_copy.repair(commit_id)
    assert (again.ok, again.kept) == (True, None)
    assert "nothing to repair" in str(again)


def test_repair_cuts_the_record_in_which_zeros_begin(store: ExperimentStore) -> None:
    """Half a record and a page of zeros are cut together; nothing false is left in the log."""
    path = store.create_experiment("a") / "metrics.bin"
    whole, half = log(10), log(1)[:14]
    path.write_bytes(whole + half + bytes(4096))
    report = store.repair("a")
    assert path.read_bytes() == whole
    assert report.kept is not None
    assert report.kept.read_bytes() == half + bytes(4096)
    assert store.check("a").ok


def test_repair_leaves_a_misaligned_log_and_says_what_helps(vectors_copy: ExperimentStore) -> None:
    """Whole records follow the damage; cutting would lose them."""
    path = vectors_copy.metrics_path("torn-then-appended")
    before = path.read_bytes()
    report = vectors_copy.repair("torn-then-appended", force=True)
    assert (report.ok, report.kept) == (False, None)
    assert "salvage" in str(report)
    assert path.read_bytes() == before


def test_repair_waits_for_no_writer_and_cuts_nothing_under_it(
    vectors_copy: ExperimentStore,
) -> None:
    """While another process has the log open, repair is refused, unless forced."""
    path = vectors_copy.metrics_path("torn-name")
    before = path.read_bytes()
    with open(path, "ab"):
        with pytest.raises(TornTailError):
            vectors_copy.repair("torn-name")
        assert path.read_bytes() == before
        assert vectors_copy.repair("torn-name", force=True).ok
    assert len(path.read_bytes()) == 125


def test_repair_of_a_missing_log_creates_none(store: ExperimentStore) -> None:
    """If there is nothing to repair, nothing is written."""
    store.create_experiment("a")
    assert store.repair("a").ok
    assert not store.metrics_path("a").exists()
    with pytest.raises(ExperimentNotFoundError):
        store.repair("nope")


def test_writer_goes_on_behind_a_repaired_tail(store: ExperimentStore) -> None:
    """A store that wrote to the log before notices that it is shorter now."""
    store.create_experiment("a")
    store.log_metric("a", "loss", 0.5, 1)
    with open(store.metrics_path("a"), "ab") as file:
        file.write(bytes(42))
    assert store.repair("a").ok
    store.log_metric("a", "loss", 0.25, 2)
    assert store.get_metrics("a").steps.tolist() == [1, 2]
    assert np.all(store.get_metrics("a").timestamps > EARLIEST)


class TestCommands:
    """`expstore check` and `expstore repair`."""

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, check its exit code, and return its standard output."""
        from typer.testing import CliRunner

        from expstore.cli import care
        from expstore.cli.base import app

        assert care.DAMAGED == 3
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        return result.stdout

    def test_check_lists_findings_and_exits_with_3(self, vectors: ExperimentStore) -> None:
        """One line per finding, with its location; damage has its own exit code."""
        output = self.run("check", "--root", str(vectors.root), code=3)
        assert "torn-name/metrics.bin: torn-tail at byte 125, record 5: 24 bytes" in output
        assert "cut-in-job/meta.bin: truncated at byte 21: field job_name" in output
        assert output.endswith("25 checked, 11 damaged\n")

    def test_check_of_a_sound_experiment_exits_with_0(self, vectors: ExperimentStore) -> None:
        """Whether clean or with notes."""
        root = str(vectors.root)
        assert self.run("check", "3f2a9c1d", "--root", root) == "1 checked, 0 damaged\n"
        assert "trailing-bytes at byte 30" in self.run("check", "trailing-bytes", "--root", root)

    def test_check_prints_json(self, vectors: ExperimentStore) -> None:
        """Nothing else is on stdout, and the keys are the attributes of the finding."""
        result = json.loads(
            self.run("check", "zero-tail", "--json", "--root", str(vectors.root), code=3)
        )
        assert (result["experiments"], result["damaged"]) == (1, 1)
        assert result["findings"][1] == {
            "commit_id": "zero-tail",
            "kind": "zero-tail",
            "severity": "damage",
            "path": str(vectors.metrics_path("zero-tail")),
            "offset": 125,
            "record": 5,
            "size": 64,
            "field": None,
            "detail": "64 bytes, 3 records to the end",
        }

    def test_control_characters_in_file_names_are_shown(self, store: ExperimentStore) -> None:
        """A file name cannot control the terminal."""
        path = store.create_experiment("a")
        Path(os.fsencode(path).decode(), "x\x1b[2J").touch()
        output = self.run("check", "a", "--root", str(store.root))
        assert "\x1b" not in output
        assert "x\\x1b[2J" in output

    def test_repair_says_what_it_did(self, vectors_copy: ExperimentStore) -> None:
        """The kept file is named; a log that cannot be repaired gives exit code 3."""
        root = str(vectors_copy.root)
        assert "kept in metrics.bin.torn-125" in self.run("repair", "torn-name", "--root", root)
        result = json.loads(
            self.run("repair", "torn-then-appended", "--json", "--root", root, code=3)
        )
        assert (result["ok"], result["kind"], result["offset"]) == (False, "implausible", 125)

    def test_salvage_reports_each_gap(self, vectors_copy: ExperimentStore) -> None:
        """The offsets of the gaps, as text and as JSON."""
        root = str(vectors_copy.root)
        output = self.run("salvage", "torn-then-appended", "--to", "new", "--root", root)
        assert "gap at byte 125: 13 bytes" in output
        again = self.run("salvage", "torn-then-appended", "--to", "n2", "--json", "--root", root)
        assert json.loads(again)["gaps"] == [{"offset": 125, "size": 13}]
        assert json.loads(again)["records"] == len(vectors_copy.get_metrics("new")) == 10
