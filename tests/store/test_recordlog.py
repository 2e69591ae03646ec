"""RecordLog: logs of another format than the store's, through every operation on logs."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from construct import (
    Float64b,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16ub,
    Int32ub,
    Int64sb,
    Prefixed,
    Struct,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expstore import (
    FieldValueError,
    FormatError,
    LogNotFoundError,
    OutputExistsError,
    RecordLog,
    SelectionError,
    TailStatus,
    TornTailError,
    UnreadableFileError,
    UnsupportedSchema,
)
from expstore.store.append import boundary
from expstore.store.append.log import AppendLog
from formats import METRICS, AbsentAtEnd, Format, Roles, Text
from tests.helpers import samples
from tests.helpers.paths import ROOT
from tests.helpers.samples import FORMAT, HEADER, HEADER_VALUES, NO_ROLES, SIZE, sample, values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log that is not there yet, in a directory that is no experiment."""
    return tmp_path / "lab.smp"


def opened(path: Path, format: Any = FORMAT) -> RecordLog:
    """The log of samples."""
    return RecordLog(path, format, header=HEADER_VALUES)


def numbers(path: Path) -> list[int]:
    """Which samples a log holds."""
    return [int(time) - samples.NOW for time in opened(path).read()["time"]]


def test_first_append_writes_the_header_then_the_record(path: Path) -> None:
    """The golden bytes of a header and a sample; construct reads the same."""
    opened(path).append(**values(1))
    golden = bytes.fromhex(
        "534d5031 0064 03 6c6162  a55a 00060a24181e4001 00000001 01 3f000000 bf800000 00000000"
    )
    assert path.read_bytes() == golden
    assert HEADER + sample(1) == golden
    parsed = samples.SAMPLES.parse(golden)
    assert parsed.header.device == "lab"
    assert [parsed.samples[0].sensor, str(parsed.samples[0].state)] == [b"\0\0\0\1", "hot"]


def test_what_was_appended_is_read_as_columns(path: Path) -> None:
    """One by one and many at once; nothing else is in the directory."""
    log = opened(path)
    log.append(**values(0))
    log.append_many(
        {
            "time": samples.NOW + np.arange(1, 4),
            "sensor": [n.to_bytes(4, "big") for n in range(1, 4)],
            "state": [1, 0, 0],
            "axes": [[n / 2, -1.0, 0.0] for n in range(1, 4)],
        }
    )
    log.append(**values(4))
    assert path.read_bytes() == HEADER + b"".join(map(sample, range(5)))
    columns = log.read()
    assert columns.count == 5
    assert columns["axes"].shape == (5, 3)
    assert [bytes(item) for item in columns["sensor"]] == [n.to_bytes(4, "big") for n in range(5)]
    assert log.read_header() == {"magic": b"SMP1", **HEADER_VALUES}
    log.sync()
    assert os.listdir(path.parent) == [path.name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**64 - 1),
            st.binary(min_size=4, max_size=4),
            st.integers(0, 255),
            st.lists(st.floats(width=32), min_size=3, max_size=3),
        ),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_any_values_come_back(path: Path, rows: list[Any], single: int) -> None:
    """Bit for bit, whether appended one by one or as columns."""
    path.unlink(missing_ok=True)
    log = opened(path)
    names = "time", "sensor", "state", "axes"
    for row in rows[:single]:
        log.append(**dict(zip(names, row, strict=True)))
    if rest := rows[single:]:
        log.append_many(dict(zip(names, zip(*rest, strict=True), strict=True)))
    columns = log.read()
    assert columns.count == len(rows)
    for index, (time, sensor, state, axes) in enumerate(rows):
        assert int(columns["time"][index]) == time
        assert bytes(columns["sensor"][index]) == sensor
        assert int(columns["state"][index]) == state
        assert columns["axes"][index].tobytes() == np.array(axes, np.float32).tobytes()


@pytest.mark.parametrize("format", [FORMAT, NO_ROLES], ids=["roles", "no roles"])
@pytest.mark.parametrize("cut", range(1, SIZE))
def test_a_record_torn_anywhere_is_repaired(path: Path, cut: int, format: Format) -> None:
    """The torn bytes are kept next to the log; with or without roles."""
    path.write_bytes(HEADER + sample(1) + sample(2)[:cut])
    start = len(HEADER) + SIZE
    log = opened(path, format)
    assert numbers(path) == [1]
    (finding,) = log.check().findings
    assert (finding.kind, finding.offset, finding.size) == ("torn-tail", start, cut)
    report = log.repair()
    assert report.status == TailStatus("torn", start, cut)
    kept = path.with_name(f"lab.smp.torn-{start}")
    assert report.kept == kept
    assert kept.read_bytes() == sample(2)[:cut]
    assert log.check().ok
    log.append(**values(3))
    assert numbers(path) == [1, 3]


@pytest.mark.parametrize("cut", range(1, len(HEADER)))
def test_a_torn_header_is_set_aside_by_the_next_append(path: Path, cut: int) -> None:
    """A writer was killed in its first write; the next one begins anew."""
    path.write_bytes(HEADER[:cut])
    assert opened(path).read().count == 0
    assert [finding.kind for finding in opened(path).check().findings] == ["torn-tail"]
    opened(path).append(**values(1))
    assert path.read_bytes() == HEADER + sample(1)
    assert path.with_name("lab.smp.torn-0").read_bytes() == HEADER[:cut]


def test_append_after_a_tear_sets_it_aside_first(path: Path) -> None:
    """As an experiment's log does."""
    path.write_bytes(HEADER + sample(1)[:-1])
    opened(path).append(**values(2))
    assert path.read_bytes() == HEADER + sample(2)
    assert path.with_name(f"lab.smp.torn-{len(HEADER)}").exists()


def test_a_tail_of_zeros_is_cut(path: Path) -> None:
    """The constant refuses zeros, which are a hole of a power loss nevertheless."""
    path.write_bytes(HEADER + sample(1) + bytes(3 * SIZE))
    (finding,) = opened(path).check().findings
    assert (finding.kind, finding.size) == ("zero-tail", 3 * SIZE)
    assert opened(path).repair().ok
    assert path.read_bytes() == HEADER + sample(1)


def test_refused_record_ends_what_is_read_and_nothing_is_appended(path: Path) -> None:
    """What would be appended could not be read; the error names file, field and byte."""
    damaged = bytearray(HEADER + sample(1) + sample(2) + sample(3))
    at = len(HEADER) + SIZE
    damaged[at] = 0
    path.write_bytes(damaged)
    log = opened(path)
    columns = log.read()
    assert columns.count == 1
    assert columns.error is not None
    with pytest.raises(FormatError, match=rf"lab\.smp.*byte {at}\)") as caught:
        log.append(**values(4))
    assert caught.value.offset == at
    assert path.read_bytes() == damaged
    (finding,) = log.check().findings
    assert (finding.kind, finding.offset) == ("implausible", at)
    assert log.repair().kept is None


@pytest.mark.parametrize("block", [SIZE * 2, SIZE * 2 + 1, 1 << 22])
def test_another_writers_records_are_read_before_an_append(
    path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a log of several blocks, and if the records refuse nothing the first finds."""
    monkeypatch.setattr(boundary, "_BLOCK", block)
    one, other = opened(path), opened(path)
    for number in range(0, 8, 2):
        one.append(**values(number))
        other.append(**values(number + 1))
    assert numbers(path) == list(range(8))


def test_wrong_header_is_refused_before_anything_is_written(path: Path) -> None:
    """Another format's file, named with what is expected; by every operation."""
    path.write_bytes(b"GIF89a" + bytes(100))
    log = opened(path)
    calls: list[Any] = [lambda: log.append(**values(1)), log.read, log.read_header]
    calls.append(lambda: log.follow().poll())
    for call in calls:
        with pytest.raises(FormatError, match=r"lab\.smp: .*magic"):
            call()
    assert log.repair().kept is None
    assert path.read_bytes() == b"GIF89a" + bytes(100)
    assert "found b" in log.check().findings[0].detail
    assert "nothing was cut" in str(log.repair())


def test_follower_gives_each_record_once(path: Path) -> None:
    """Across the header, a record in two pieces, and a later follower at the same offset."""
    follower = opened(path).follow()
    assert follower.poll().count == 0
    path.write_bytes(HEADER[:5])
    assert (follower.poll().count, follower.offset) == (0, 0)
    path.write_bytes(HEADER + sample(1) + sample(2)[:9])
    columns = follower.poll()
    assert (columns.start, columns.end) == (len(HEADER), len(HEADER) + SIZE)
    assert columns["time"].tolist() == [samples.NOW + 1]
    path.write_bytes(HEADER + sample(1) + sample(2))
    assert follower.poll()["time"].tolist() == [samples.NOW + 2]
    opened(path).append(**values(3))
    later = opened(path).follow(follower.offset)
    assert next(iter(later))["time"].tolist() == [samples.NOW + 3]


@pytest.mark.parametrize("roles", [None, Roles("at")])
def test_follower_notices_an_offset_inside_a_record(roles: Roles | None, path: Path) -> None:
    """Without a label, any bytes look like records; those before the offset tell."""
    log = RecordLog(path, Struct("at" / Int64sb, "value" / Int64sb), roles=roles)
    log.append_many({"at": list(range(9)), "value": [0] * 9})
    for offset in (1, 8, 95):
        with pytest.raises(SelectionError, match=f"before it ends at byte {offset // 16 * 16}"):
            log.follow(offset).poll()
    assert log.follow(64).poll()["at"].tolist() == [4, 5, 6, 7, 8]


def test_follower_ends_with_an_error_at_a_refused_record(path: Path) -> None:
    """After it gave those before; an iterator that waited for ever would hide it."""
    path.write_bytes(HEADER + sample(1) + b"\1" + sample(2))
    tables = iter(opened(path).follow())
    assert next(tables).count == 1
    with pytest.raises(FormatError, match=rf"byte {len(HEADER) + SIZE}\)"):
        next(tables)


def test_salvage_finds_the_records_after_a_tear(path: Path, tmp_path: Path) -> None:
    """By their clock and their constant; the copy has the header, and the damage is a gap."""
    body = b"".join(map(sample, range(50)))
    tail = b"".join(map(sample, range(51, 99)))
    path.write_bytes(HEADER + body + sample(50)[:11] + tail)
    path.chmod(0o640)
    report = opened(path).salvage(tmp_path / "copy.smp")
    assert (tmp_path / "copy.smp").read_bytes() == HEADER + body + tail
    assert (report.records, report.gap_count, report.gap_bytes) == (98, 1, 11)
    assert report.gaps[0].offset == len(HEADER) + len(body)
    assert (tmp_path / "copy.smp").stat().st_mode & 0o777 == 0o640
    with pytest.raises(OutputExistsError, match="choose another"):
        opened(path).salvage(tmp_path / "copy.smp")
    assert sorted(os.listdir(tmp_path)) == ["copy.smp", "lab.smp"]


def test_salvage_replaces_a_damaged_header(path: Path, tmp_path: Path) -> None:
    """By the one whose values are given; without them there is none."""
    body = b"".join(map(sample, range(50)))
    path.write_bytes(b"X" + HEADER[1:] + body)
    with pytest.raises(UnsupportedSchema, match="header"):
        RecordLog(path, FORMAT).salvage(tmp_path / "copy.smp")
    opened(path).salvage(tmp_path / "copy.smp")
    assert (tmp_path / "copy.smp").read_bytes() == HEADER + body


def test_salvage_without_roles(path: Path, tmp_path: Path) -> None:
    """A torn log's whole records are copied; a misaligned one is refused, which says why."""
    path.write_bytes(HEADER + sample(1) + sample(2)[:5])
    log = opened(path, NO_ROLES)
    assert log.salvage(tmp_path / "copy.smp").records == 1
    assert (tmp_path / "copy.smp").read_bytes() == HEADER + sample(1)
    path.write_bytes(HEADER + sample(1) + sample(2)[1:] + sample(3))
    with pytest.raises(UnsupportedSchema, match=r"declares none.*Roles.*keep the 1 record "):
        log.salvage(tmp_path / "other.smp")
    assert sorted(os.listdir(tmp_path)) == ["copy.smp", "lab.smp"]


PLAIN = Struct("at" / Int64sb, "value" / Float64b)


def test_a_clock_alone_shows_misaligned_records(path: Path, tmp_path: Path) -> None:
    """Where nothing is refused and no label is declared; in a unit that is not seconds."""
    log = RecordLog(path, GreedyRange(PLAIN), roles=Roles("at"))
    log.append_many({"at": samples.NOW * 1000 + np.arange(40), "value": np.arange(40) / 7})
    assert log.check().ok
    whole = path.read_bytes()
    path.write_bytes(whole[:325] + whole[336:])
    (finding,) = log.check().findings
    assert (finding.kind, finding.offset) == ("implausible", 320)
    report = log.salvage(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == whole[:320] + whole[336:]
    assert report.records == 39
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TornTailError, match="misaligned from byte 320"):
        log.append(at=1, value=2.0)


def test_a_label_may_be_without_a_counter(path: Path, tmp_path: Path) -> None:
    """Roles of a clock and a label."""
    log = RecordLog(path, Struct("at" / Int64sb, "what" / Text), roles=Roles("at", label="what"))
    log.append_many({"at": [1_700_000_000] * 9, "what": ["start", "stop", "wait"] * 3})
    whole = path.read_bytes()
    path.write_bytes(whole[:14] + whole[20:])
    assert [finding.kind for finding in log.check().findings] == ["implausible"]
    assert log.salvage(tmp_path / "copy").records == 8


def test_roles_may_be_given_beside_a_format(path: Path) -> None:
    """A Format without roles takes them; one that has some keeps its own."""
    given = Roles("time")
    assert opened(path, NO_ROLES).format.roles is None
    log = RecordLog(path, NO_ROLES, header=HEADER_VALUES, roles=given)
    assert (log.format.roles, log.format.name) == (given, NO_ROLES.name)
    kept = RecordLog(path, FORMAT, header=HEADER_VALUES, roles=Roles("no such field"))
    assert kept.format.roles == FORMAT.roles
    with pytest.raises(UnsupportedSchema, match="clock"):
        RecordLog(path, NO_ROLES, header=HEADER_VALUES, roles=Roles("no such field"))


@pytest.mark.parametrize("missing", [2, 5, 9])
def test_salvage_finds_the_records_that_a_wrong_length_reaches_over(
    missing: int, path: Path, tmp_path: Path
) -> None:
    """Read in order, all that follows the damage is one torn record; none of it is cut off."""
    declaration = Struct("at" / Int64sb, "data" / Prefixed(Int32ub, GreedyBytes))
    log = RecordLog(path, declaration, roles=Roles("at"))
    log.append_many({"at": samples.NOW + np.arange(40), "data": [b"12345678"] * 40})
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + whole[200 + missing :])
    assert [finding.kind for finding in log.check().findings] == ["implausible"]
    assert log.repair().kept is None
    with pytest.raises(TornTailError, match="misaligned from byte 200"):
        log.append(at=samples.NOW, data=b"")
    assert path.read_bytes() == whole[:200] + whole[200 + missing :]
    report = log.salvage(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == whole[:200] + whole[220:]
    assert (report.records, report.gap_count, report.gap_bytes) == (39, 1, 20 - missing)


@pytest.mark.parametrize("size", [100, 3_000, 3_000_000])
def test_a_long_record_that_is_torn_is_repaired(size: int, path: Path) -> None:
    """Nothing in what is there of it looks like records."""
    declaration = Struct("at" / Int64sb, "data" / Prefixed(Int32ub, GreedyBytes))
    log = RecordLog(path, declaration, roles=Roles("at"))
    for _ in range(3):
        log.append(at=samples.NOW, data=bytes(range(256)) * (size // 256 + 1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert [finding.kind for finding in log.check().findings] == ["torn-tail"]
    log.append(at=samples.NOW, data=b"next")
    assert log.read().count == 3


def test_salvage_finds_the_few_records_that_a_torn_one_reaches_over(
    path: Path, tmp_path: Path
) -> None:
    """Where the length has one byte, a torn tail is cut, but not before it was salvaged."""
    log = RecordLog(path, Struct("at" / Int64sb, "what" / Text), roles=Roles("at", label="what"))
    log.append_many({"at": [1_700_000_000] * 30, "what": ["start", "stops", "waits"] * 10})
    whole = path.read_bytes()
    path.write_bytes(whole[: 14 * 20] + bytes(7) + b"\x00\xff" + whole[14 * 20 :])
    assert [finding.kind for finding in log.check().findings] == ["torn-tail"]
    assert log.salvage(tmp_path / "copy").records == 30
    assert (tmp_path / "copy").read_bytes() == whole


def test_the_stores_own_format_is_one_of_many(path: Path) -> None:
    """METRICS, without a Format around it."""
    log = RecordLog(path, METRICS)
    log.append(timestamp=1, step=2, value=0.5, name="loss")
    assert log.read()["name"].tolist() == ["loss"]
    assert log.read_header() is None


def test_records_may_be_longer_than_a_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with a length of four bytes, which looks torn in every smaller block."""
    from formats import LengthPrefixedText

    monkeypatch.setattr(boundary, "_BLOCK", 64)
    log = RecordLog(path, Struct("text" / LengthPrefixedText(Int32ub)))
    log.append(text="x" * 1000)
    RecordLog(path, log.format).append(text="y")
    assert [len(text) for text in log.read()["text"]] == [1000, 1]


def test_what_a_log_refuses(path: Path) -> None:
    """Each with a typed error, before anything is written."""
    log = opened(path)
    for wrong in ({"state": 1}, {**values(1), "speed": 3}, {**values(1), "sensor": b"abc"}):
        with pytest.raises(FieldValueError):
            log.append(**wrong)
        with pytest.raises(FieldValueError):
            log.append_many({name: [value] for name, value in wrong.items()})
    with pytest.raises(FieldValueError, match="rate"):
        RecordLog(path, FORMAT, header={"device": "lab"})
    with pytest.raises(FieldValueError, match="speed"):
        RecordLog(path, FORMAT, header={**HEADER_VALUES, "speed": 1})
    with pytest.raises(FieldValueError, match="no header"):
        RecordLog(path, PLAIN, header={})
    with pytest.raises(UnsupportedSchema, match="absent"):
        RecordLog(path, Struct("a" / Int8ub, "b" / AbsentAtEnd(Int8ub, 0)))
    for roles in (Roles("value"), Roles("at", counter="nope"), Roles("at", label="value")):
        with pytest.raises(UnsupportedSchema):
            RecordLog(path, PLAIN, roles=roles)
    with pytest.raises(TypeError, match="anew"):
        pickle.dumps(log)
    assert not path.exists()


def test_missing_files_and_directories_are_named(path: Path) -> None:
    """A missing file is an empty log, except where something must be there."""
    log = RecordLog(path, FORMAT)
    assert log.read().count == 0
    assert log.check().ok
    with pytest.raises(LogNotFoundError, match="give `header` values"):
        log.append(**values(1))
    assert not path.exists()
    path.touch()
    with pytest.raises(FieldValueError, match="header needs values"):
        log.append(**values(1))
    with pytest.raises(UnreadableFileError):
        RecordLog(path.with_name("none"), FORMAT).sync()
    away = opened(path.parent / "no" / "log")
    for call in (away.read, away.check, away.repair, lambda: away.append(**values(1))):
        with pytest.raises(LogNotFoundError, match="no such directory"):
            call()
    with pytest.raises(LogNotFoundError):
        opened(path.with_name("none")).salvage(path.with_name("copy"))


def test_an_append_without_the_header_is_impossible(path: Path) -> None:
    """Not even for a log that loses its bytes while it is open."""
    log = opened(path)
    log.append(**values(1))
    os.truncate(path, 0)
    log.append(**values(2))
    assert path.read_bytes() == HEADER + sample(2)
    path.unlink()
    log.append(**values(3))
    assert path.read_bytes() == HEADER + sample(3)
    path.write_bytes(b"")
    raw = AppendLog(path, FORMAT)
    with pytest.raises(FieldValueError, match="header"):
        raw.append(sample(4))
    raw.close()


def test_links_lead_to_the_log(path: Path, tmp_path: Path) -> None:
    """Unlike in a store, to whose directories nobody else should lead."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    log = opened(tmp_path / "linked" / "log")
    log.append(**values(1))
    assert (tmp_path / "real" / "log").read_bytes() == HEADER + sample(1)


def _append_some(path: Path, first: int, count: int) -> None:
    log = opened(path)
    for number in range(first, first + count):
        log.append(**values(number))


def test_two_processes_append_and_create_one_log(tmp_path: Path) -> None:
    """There is one header, and every record once, in the order of each process."""
    fork = multiprocessing.get_context("fork")
    for round in range(5):
        path = tmp_path / f"{round}.smp"
        both = [fork.Process(target=_append_some, args=(path, 1000 * n, 200)) for n in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join(60)
            assert process.exitcode == 0
        found = numbers(path)
        assert len(path.read_bytes()) == len(HEADER) + 400 * SIZE
        assert [n for n in found if n < 1000] == list(range(200))
        assert [n for n in found if n >= 1000] == list(range(1000, 1200))


def test_a_killed_writer_loses_nothing_that_was_appended(path: Path) -> None:
    """It says what it appended; all of that is there, and the next writer goes on."""
    code = (
        "from pathlib import Path; import sys\n"
        "from tests.store.test_recordlog import opened, values\n"
        "log = opened(Path(sys.argv[1])); number = 0\n"
        "while True:\n"
        "    log.append(**values(number)); number += 1\n"
        "    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 50:
                break
        writer.kill()
        said = int((writer.stdout.read() or f"{line}").split()[-1])
    opened(path).append(**values(10**6))
    found = numbers(path)
    assert found[:said] == list(range(said))
    assert found[-1] == 10**6
    assert len(found) - said in {1, 2}


def test_forked_children_share_a_log(path: Path) -> None:
    """An object that was used before the fork works in both."""
    log = opened(path)
    log.append(**values(0))
    child = os.fork()
    if not child:
        try:
            log.append(**values(1))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    log.append(**values(2))
    assert numbers(path) == [0, 1, 2]


def test_a_header_of_plain_fields(path: Path) -> None:
    """Fields beside the records, without a Struct around them; all with values of their own."""
    from construct import Const

    log = RecordLog(path, Struct(Const(b"L1"), "records" / GreedyRange(Struct("n" / Int16ub))))
    log.append(n=1)
    log.append(n=2)
    assert path.read_bytes() == b"L1\0\1\0\2"
    assert log.read()["n"].tolist() == [1, 2]
