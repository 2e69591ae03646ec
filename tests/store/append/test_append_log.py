"""AppendLog: nothing is appended after a tear, whoever made it, and a repair loses nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from expstore import (
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExperimentStore,
    NoSpaceError,
    ShortWriteError,
    TornTailError,
    UnreadableFileError,
)
from expstore.model.values import RECORD_CODEC
from expstore.store.append import cut, space
from expstore.store.append import log as append_log
from expstore.store.append.log import AppendLog
from expstore.store.append.reopened import ReopenedLog
from expstore.store.read.survey import tail_of
from formats import CLEAN, TailStatus
from tests.faults.base import fork, join, read_log
from tests.helpers.logs import names, record

TEAR = b"\x01" * 18


@pytest.fixture
def before_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Makes something happen between the check of the log's end and the next write."""

    def plan(act: Callable[[], None]) -> None:
        write = os.write

        def first(descriptor: int, data: bytes) -> int:
            monkeypatch.setattr(os, "write", write)
            act()
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", first)

    return plan


def add(path: Path, data: bytes) -> None:
    """Append as another program would."""
    with path.open("ab") as file:
        file.write(data)


def test_records_of_others_are_stepped_over(log: AppendLog, path: Path) -> None:
    """Whole records added by others in the meantime are accepted."""
    for number in range(3):
        add(path, record(f"other {number}") * 2)
        log.append(record(f"own {number}"))
    assert names(path)[1:] == [
        x for n in range(3) for x in (f"other {n}", f"other {n}", f"own {n}")
    ]


@pytest.mark.parametrize("looked", [False, True])
def test_record_that_came_in_between_is_no_harm(
    looked: bool, log: AppendLog, path: Path, before_write: Any
) -> None:
    """Others may append between the check and the write; the next boundary is right."""
    before_write(lambda: add(path, record("between")))
    log.append(record("own"), looked)
    assert log.boundary == path.stat().st_size
    log.append(record("next"))
    assert names(path) == ["first", "between", "own", "next"]


@pytest.mark.parametrize("looked", [False, True])
def test_tear_that_came_in_between_is_cut_when_alone(
    looked: bool, log: AppendLog, path: Path, before_write: Any
) -> None:
    """The record was written after the tear, so it is written again; the tear is kept."""
    before_write(lambda: add(path, TEAR))
    log.append(record("own"), looked)
    log.append(record("next"))
    assert names(path) == ["first", "own", "next"]
    (kept,) = path.parent.glob("*.torn-*")
    assert kept.read_bytes() == TEAR + record("own")


def test_tear_that_came_in_between_is_an_error_while_others_are_there(
    log: AppendLog, path: Path, before_write: Any
) -> None:
    """The record is not acknowledged; once the others are gone, the log is repaired."""
    before_write(lambda: add(path, TEAR))
    with path.open("rb"), pytest.raises(TornTailError, match=r"behind a tear at byte 26.*others"):
        log.append(record("own"))
    log.append(record("next"))
    assert names(path) == ["first", "next"]


def test_nobody_is_trusted_to_be_away_who_was_there(log: AppendLog, path: Path) -> None:
    """A recent check suffices for the only writer; once others append, each write is preceded by a
    check, and nothing is written after a tear that cannot be cut."""
    add(path, record("other"))
    log.append(record("own"), looked=True)
    assert names(path) == ["first", "other", "own"]
    add(path, TEAR)
    before = path.read_bytes()
    with path.open("rb"), pytest.raises(TornTailError, match="others have it open"):
        log.append(record("own"), looked=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("others", [0, 1, 2, 3])
@pytest.mark.parametrize("looked", [False, True])
def test_log_that_was_cut_since_the_look_is_an_error(
    looked: bool, others: int, log: AppendLog, path: Path
) -> None:
    """The old boundary means nothing in what others wrote instead; no tear is assumed, or cut."""
    os.truncate(path, 0)
    added = [f"another {number}" for number in range(others)]
    add(path, b"".join(map(record, added)))
    with pytest.raises(ExperimentGoneError) as caught:
        log.append(record("own"), looked)
    assert caught.value.end == log.boundary == 26
    assert ("still written" in str(caught.value)) == looked
    with pytest.raises(ExperimentGoneError):
        log.append(record("next"), looked)
    assert names(path) == added + ["own"] * looked
    assert not list(path.parent.glob("*.torn-*"))


def test_write_that_was_not_at_the_end_cuts_nothing(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without O_APPEND, where the content at that place is unknown."""
    real = os.lseek

    def astray(descriptor: int, offset: int, whence: int) -> int:
        return 30 if whence == os.SEEK_CUR else real(descriptor, offset, whence)

    with monkeypatch.context() as patch:
        patch.setattr(append_log, "_lseek", astray)
        with pytest.raises(ShortWriteError, match="24 of 24 bytes, but at byte 6"):
            log.append(record("own"))
    log.append(record("next"))
    assert names(path) == ["first", "own", "next"]


def test_transient_tear_is_waited_out(log: AppendLog, path: Path) -> None:
    """A live writer's partial record is completed a moment later."""
    other = record("other")
    add(path, other[:10])
    timer = threading.Timer(0.01, add, (path, other[10:]))
    timer.start()
    log.append(record("own"))
    timer.join()
    assert names(path) == ["first", "other", "own"]
    assert not list(path.parent.glob("*.torn-*"))


def test_tear_is_not_cut_while_others_have_the_log_open(log: AppendLog, path: Path) -> None:
    """Not even while someone only reads it; nothing is written and nothing is lost."""
    add(path, TEAR)
    before = path.read_bytes()
    with path.open("rb"), pytest.raises(TornTailError, match="others have it open"):
        log.append(record("own"))
    assert path.read_bytes() == before
    log.append(record("own"))
    assert names(path) == ["first", "own"]


def test_log_of_a_killed_process_can_be_mended_as_soon_as_it_is_gone(
    log: AppendLog, path: Path
) -> None:
    """Others that have it open get a moment to close it."""
    add(path, TEAR)
    with path.open("rb") as other:
        timer = threading.Timer(append_log._PATIENCE + 0.05, other.close)
        timer.start()
        log.append(record("own"))
        timer.join()
    assert names(path) == ["first", "own"]


def test_lease_can_be_taken_in_a_thread(log: AppendLog, path: Path) -> None:
    """A repair does not depend on the main thread's signals."""
    add(path, TEAR)
    thread = threading.Thread(target=log.append, args=(record("own"),))
    thread.start()
    thread.join()
    assert names(path) == ["first", "own"]


def test_others_wait_while_a_log_is_mended(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers and writers block instead of failing; the holder survives their signals."""
    store = ExperimentStore(path.parent.parent)
    commit_id = path.parent.name
    add(path, TEAR)
    children = []
    keep = append_log.set_aside

    def slowly(*arguments: Any) -> Path:
        children.append(fork(lambda: store.log_metric(commit_id, "other", 0.5, 1)))
        children.append(fork(lambda: names(path)))
        children.append(fork(lambda: store.writer(commit_id).log("writer", 0.5, 1)))
        time.sleep(0.1)
        return keep(*arguments)

    monkeypatch.setattr(append_log, "set_aside", slowly)
    log.append(record("own"))
    join(*children)
    assert sorted(names(path)) == ["first", "other", "own", "writer"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.EACCES, "another user"), (errno.EINVAL, "has no leases"), (errno.EIO, "output error")],
)
def test_lease_that_cannot_be_had_is_explained(
    code: int, reason: str, log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file of another user, and on file systems without leases, nothing is cut."""
    real = fcntl.fcntl

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(code, os.strerror(code))
        return real(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    add(path, TEAR)
    with pytest.raises(TornTailError, match=f"{reason}.*repair --force"):
        log.append(record("own"))
    kept = path.with_name("metrics.bin.torn-26")
    assert log.repair(tail_of, force=True) == (TailStatus("torn", 26, 18), kept)
    log.append(record("own"))
    assert names(path) == ["first", "own"]


def test_lease_that_lasted_too_long_cuts_nothing(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the kernel may have let others open the log."""
    monkeypatch.setattr(cut, "_TRUSTED", -1.0)
    add(path, TEAR)
    with pytest.raises(TornTailError, match="took too long"):
        log.append(record("own"))
    monkeypatch.undo()
    log.append(record("own"))
    assert names(path) == ["first", "own"]
    assert len(list(path.parent.glob("*.torn-*"))) == 1  # kept once, cut at the second try


def short_writes(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Limit every write to so many bytes, as on a full disk."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:size]))


def test_short_write_is_cut_off_again(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write raises, and the log is as before."""
    with monkeypatch.context() as patch:
        short_writes(patch, 18)
        with pytest.raises(ShortWriteError, match=r"only 18 of 24 bytes .* were cut off again"):
            log.append(record("own"))
    assert names(path) == ["first"]
    log.append(record("next"))
    assert names(path) == ["first", "next"]


def test_short_write_beside_others_blocks_appending_until_they_are_gone(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be cut off while others might append; none of our records is written after it."""
    with path.open("rb"):
        with monkeypatch.context() as patch:
            short_writes(patch, 18)
            with pytest.raises(ShortWriteError, match="others have it open"):
                log.append(record("own"))
        with pytest.raises(TornTailError, match="others have it open"):
            log.append(record("own"))
    log.append(record("next"))
    assert names(path) == ["first", "next"]


def test_short_write_that_another_program_appended_to_is_never_appended_to_again(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our later records would be lost; the error says how to recover the existing ones."""
    with path.open("ab") as other, monkeypatch.context() as patch:
        short_writes(patch, 18)
        with pytest.raises(ShortWriteError):
            log.append(record("own"))
        other.write(record("other"))
    size = path.stat().st_size
    for _ in range(2):
        with pytest.raises(TornTailError, match=r"byte 26 .* salvage"):
            log.append(record("next"))
    assert path.stat().st_size == size


def test_full_disk_is_told_before_anything_is_written(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Space is reserved first; if the extra space is refused, the needed space suffices."""
    asked = []

    def full(descriptor: int, offset: int, size: int) -> bool:
        asked.append(size)
        if len(asked) != 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return True

    monkeypatch.setattr(space, "_reserve", full)
    log._room.end = 0
    log.append(record("own"))
    with pytest.raises(NoSpaceError, match="No space left on device; nothing was written"):
        log.append(record("next"))
    assert asked[1::2] == [24, 25]
    assert names(path) == ["first", "own"]


def test_reserving_shows_nowhere_and_wastes_little(path: Path) -> None:
    """The size is that of the records; the allocation exceeds it by little over an eighth."""
    log = AppendLog(path)
    for _ in range(200):
        log.append(record("x") * 40)
        found = path.stat()
        assert found.st_size == log.boundary
        assert found.st_blocks * 512 <= log.boundary * 9 // 8 + 3 * 4096
    log.close()
    assert names(path) == ["x"] * 8000


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_reserving_will_do(
    answer: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reserving is optional."""
    monkeypatch.setattr(space, "_fallocate", lambda: lambda *_: answer)
    log = AppendLog(path)
    log.append(record("own"))
    log.close()
    assert names(path) == ["own"]


def test_log_that_was_cut_or_replaced_is_parsed_anew(path: Path) -> None:
    """What is cached of a log between two appends is valid only for that log."""
    log = ReopenedLog(path)
    log.append_once(record("first") * 3)
    path.unlink()
    add(path, record("a longer name") * 3 + TEAR)
    log.append_once(record("own"))
    assert names(path) == ["a longer name"] * 3 + ["own"]
    os.truncate(path, 0)
    add(path, record("third") * 2)
    log.append_once(record("own"))
    assert names(path) == ["third"] * 2 + ["own"]


@pytest.mark.parametrize("kind", ["link", "linked directory", "fifo", "directory", "nothing"])
def test_path_that_became_something_else_is_refused_or_made_anew(kind: str, tmp_path: Path) -> None:
    """Also on the fast path for a log that was appended to before."""
    store = ExperimentStore(tmp_path / "root")
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    path = store.metrics_path("abc")
    outside = tmp_path / "outside"
    outside.mkdir()
    target = outside / "metrics.bin"
    target.write_bytes(record("a file of someone else"))
    path.unlink()
    if kind == "link":
        path.symlink_to(target)
    elif kind == "linked directory":
        store.files_path("abc").rmdir()
        path.parent.rmdir()
        path.parent.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    if kind == "nothing":
        store.log_metric("abc", "again", 0.5, 1)
        assert names(path) == ["again"]
    else:
        with pytest.raises((UnreadableFileError, ExperimentNotFoundError)):
            store.log_metric("abc", "loss", 0.5, 1)
    assert target.read_bytes() == record("a file of someone else")


def test_log_that_was_never_appended_to_is_opened_with_care(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file reached through a link ends where the empty log did, but is another file."""
    store = ExperimentStore(tmp_path / "root")
    path = store.create_experiment("abc")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: os.read(-1, 1))
        with pytest.raises(UnreadableFileError, match="Bad file descriptor"):
            store.log_metric("abc", "loss", 0.5, 1)
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(ExperimentNotFoundError):
        store.log_metric("abc", "loss", 0.5, 1)
    assert (outside / "metrics.bin").read_bytes() == b""


def test_large_addition_is_parsed_too(log: AppendLog, path: Path) -> None:
    """A large addition with a tear at its end is parsed completely."""
    add(path, record("other") * 5000 + TEAR)
    log.append(record("own"))
    assert names(path) == ["first", *["other"] * 5000, "own"]


def test_repair_of_a_clean_log_does_nothing(log: AppendLog, path: Path) -> None:
    """An empty log is clean too."""
    assert log.repair(tail_of) == (CLEAN, None)
    log.append(record("own"))
    assert names(path) == ["first", "own"]
    empty = AppendLog(path.with_name("empty"))
    assert empty.repair(tail_of) == (CLEAN, None)
    empty.close()


@pytest.mark.parametrize("zeros", [21, 21 * 5, 21 * 5 + 7, 7, 21 * 400_000])
def test_repair_cuts_zeros_and_keeps_them(log: AppendLog, path: Path, zeros: int) -> None:
    """What a power failure leaves: whole records of zeros, and part of one."""
    add(path, bytes(zeros))
    status = TailStatus("zero" if zeros >= 21 else "torn", 26, zeros, zeros // 21)
    kept = path.with_name("metrics.bin.torn-26")
    assert log.repair(tail_of) == (status, kept)
    assert kept.read_bytes() == bytes(zeros)
    log.append(record("own"))
    assert names(path) == ["first", "own"]


@pytest.mark.parametrize("name", ["\0" * 60, ""])
def test_zeros_that_belong_to_a_record_are_not_cut(log: AppendLog, path: Path, name: str) -> None:
    """Neither a name of zero bytes nor a record that only ends in zeros is cut."""
    log.append(RECORD_CODEC.build(timestamp=1_700_000_000, step=0, value=0.0, name=name) * 2)
    assert log.repair(tail_of) == (CLEAN, None)
    add(path, bytes(21))
    assert log.repair(tail_of)[0].size == 21
    assert names(path) == ["first", name, name]


@pytest.mark.parametrize("zeros", [21, 21 * 2, 21 * 2 + 5, 5, 21 * 400_000])
@pytest.mark.parametrize("kind", [AppendLog, ReopenedLog])
def test_zeros_that_a_power_cut_left_are_set_aside_before_appending(
    kind: type[AppendLog], zeros: int, path: Path
) -> None:
    """Appended to, they would be buried, and no repair could cut them any more."""
    path.write_bytes(record("first") + bytes(zeros))
    log = kind(path)
    log.append(record("own"))
    log.close()
    assert names(path) == ["first", "own"]
    assert path.with_name("metrics.bin.torn-26").read_bytes() == bytes(zeros)


def test_zeros_are_not_appended_to_while_others_have_the_log_open(path: Path) -> None:
    """The error says what to do; once the others are gone, the zeros are set aside."""
    path.write_bytes(record("first") + bytes(21))
    log = AppendLog(path)
    with path.open("rb"), pytest.raises(TornTailError, match="expstore repair"):
        log.append(record("own"))
    os.truncate(path, 26)  # as a forced repair does; nothing that this log wrote is lost
    log.append(record("own"))
    log.close()
    assert names(path) == ["first", "own"]


def test_zeros_that_are_completed_a_moment_later_are_a_record(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems show a write's place before its bytes."""
    monkeypatch.setattr(append_log, "_PATIENCE", 60.0)  # the machine may be busy
    begin = time.monotonic()
    other = record("other")
    add(path, bytes(len(other)))

    def complete() -> None:
        with path.open("r+b") as file:
            file.seek(26)
            file.write(other)

    timer = threading.Timer(0.01, complete)
    timer.start()
    log.append(record("own"))
    timer.join()
    assert names(path) == ["first", "other", "own"]
    assert not list(path.parent.glob("*.torn-*"))
    assert time.monotonic() < begin + 30  # it went on as soon as the record was there


def test_zeros_that_a_log_wrote_itself_are_records(log: AppendLog, path: Path) -> None:
    """Unlikely as they are; what others tear after them is cut alone."""
    log.append(bytes(21 * 2))
    add(path, TEAR)
    log.append(record("next"))
    assert names(path) == ["first", "", "", "next"]
    (kept,) = path.parent.glob("*.torn-*")
    assert kept.read_bytes() == TEAR


def test_name_that_ends_in_zeros_is_no_tail(path: Path) -> None:
    """The log is appended to even if others have it open."""
    path.write_bytes(record("first\0" + "\0" * 40))
    log = AppendLog(path)
    with path.open("rb"):
        log.append(record("own"))
    log.close()
    assert names(path)[1:] == ["own"]


def test_repair_beside_others_is_refused_unless_forced(log: AppendLog, path: Path) -> None:
    """Forcing is safe only if the others write nothing."""
    add(path, TEAR)
    with path.open("rb"):
        with pytest.raises(TornTailError, match="others have it open"):
            log.repair(tail_of)
        _, kept = log.repair(tail_of, force=True)
    assert kept is not None
    assert kept.read_bytes() == TEAR
    assert names(path) == ["first"]


def test_repair_makes_no_log(path: Path) -> None:
    """A missing log is an error, and is not created."""
    with pytest.raises(ExperimentNotFoundError, match="no such experiment or log"):
        AppendLog(path, create=False)
    assert not path.exists()


def test_kept_bytes_are_never_overwritten(log: AppendLog, path: Path) -> None:
    """A second tear at the same offset gets another name; equal bytes are kept once."""
    for number, tear in enumerate([TEAR, b"\x02" * 5, TEAR]):
        add(path, tear)
        assert log.repair(tail_of)[1] is not None
        kept = sorted(file.read_bytes() for file in path.parent.glob("*.torn-26*"))
        assert kept == sorted([TEAR, b"\x02" * 5][: number + 1])


def test_what_cannot_be_kept_is_not_cut(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without space for the cut bytes, the log is unchanged and no partial copy is left."""
    add(path, TEAR)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoSpaceError, match="torn-26: No space left"):
            log.append(record("own"))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_forked_processes_share_a_writer(store: ExperimentStore) -> None:
    """Each opens the log for itself; no acknowledged record is cut or misread."""
    store.create_experiment("abc")
    steps, width = 400, 3
    with store.writer("abc") as writer:
        writer.log("first", 0.5, 0)

        def work(me: int) -> None:
            for step in range(steps):
                writer.log_many({f"{me}" * (1 + me): 0.5, f"{me}/second": 0.5}, step)

        # Damage by a shared file position is a matter of luck, so the position itself is tested.
        before = os.lseek(writer._log._descriptor, 0, os.SEEK_CUR)
        join(fork(partial(work, 0)))
        assert os.lseek(writer._log._descriptor, 0, os.SEEK_CUR) == before
        children = [fork(partial(work, me)) for me in range(1, width)]
        work(width)
        join(*children)
    records, rest = read_log(store.metrics_path("abc"))
    assert rest == 0
    assert len(records) == 1 + 2 * steps * (width + 1)
    assert not list(store.experiment_path("abc").glob("*.torn-*"))


def test_a_fork_of_a_deleted_log_says_so(store: ExperimentStore) -> None:
    """By then the log of that name belongs to another experiment."""
    store.create_experiment("abc")
    writer = store.writer("abc")
    writer.log("first", 0.5, 0)

    def work() -> None:
        time.sleep(0.2)
        with pytest.raises(ExperimentGoneError):
            writer.log("late", 0.5, 1)

    child = fork(work)
    store.delete_experiments(["abc"], force=True)
    store.create_experiment("abc")
    store.log_metric("abc", "new", 0.5, 1)
    join(child)
    with pytest.raises(ExperimentGoneError, match="1 record of step 0"):
        writer.close()
    assert names(store.metrics_path("abc")) == ["new"]


def test_a_misaligned_log_is_left_to_salvage(vectors_copy: ExperimentStore) -> None:
    """The bytes that look like a torn record are whole records."""
    commit_id = "torn-then-appended"
    path = vectors_copy.metrics_path(commit_id)
    data = path.read_bytes()
    with pytest.raises(TornTailError, match="salvage"):
        vectors_copy.log_metric(commit_id, "loss", 0.5, 1)
    assert path.read_bytes() == data
    assert not list(path.parent.glob("*.torn-*"))
    assert vectors_copy.salvage(commit_id, "mended").records == 10
    vectors_copy.log_metric("mended", "loss", 0.5, 1)
    assert len(vectors_copy.get_metrics("mended")) == 11


def test_what_stands_where_a_tear_is_kept_is_not_waited_for(log: AppendLog, path: Path) -> None:
    """A FIFO or link of that name is left alone, and the tear is kept under the next name."""
    os.mkfifo(path.with_name("metrics.bin.torn-26"))
    path.with_name("metrics.bin.torn-26.1").symlink_to("nowhere")
    add(path, TEAR)
    log.append(record("own"))
    assert names(path) == ["first", "own"]
    assert path.with_name("metrics.bin.torn-26.2").read_bytes() == TEAR
