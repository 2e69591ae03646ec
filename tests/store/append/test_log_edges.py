"""AppendLog at its edges: forks, descriptor 0, errors on closing, and what it must forget."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from expstore import (
    ExperimentGoneError,
    ExperimentStore,
    ShortWriteError,
    UnreadableFileError,
)
from expstore.store.append.log import AppendLog
from expstore.store.append.reopened import ReopenedLog
from formats import TailStatus
from tests.faults.base import fork, join
from tests.helpers.descriptors import open_descriptors
from tests.helpers.logs import names, record


def test_each_forked_process_has_an_open_file_of_its_own(log: AppendLog, path: Path) -> None:
    """Its writes move no other process's file position, by which each finds its own records."""

    def position() -> int:
        return os.lseek(log._descriptor, 0, os.SEEK_CUR)

    def child() -> None:
        log.append(record("child"))
        before = position()
        join(fork(lambda: log.append(record("grandchild"))))
        assert position() == before
        log.append(record("child again"))

    before = position()
    join(fork(child))
    assert position() == before
    log.append(record("parent"))
    assert names(path) == ["first", "child", "grandchild", "child again", "parent"]


@pytest.mark.parametrize("gone", ["metrics.bin", "its directory"])
def test_forked_child_that_cannot_open_the_log_has_none(gone: str, tmp_path: Path) -> None:
    """What it inherited is closed by then, and its number may belong to another file."""
    path = tmp_path / "abc" / "metrics.bin"
    path.parent.mkdir()
    log = AppendLog(path)
    log.append(record("parent"))

    def child() -> None:
        number = log._descriptor
        if gone == "metrics.bin":
            path.unlink()
        else:
            path.parent.rename(tmp_path / "elsewhere")
        with pytest.raises(ExperimentGoneError):
            log.append(record("child"))
        assert log.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), number)
        log.close()
        os.fstat(number)

    join(fork(child))
    log.close()


def test_child_that_writes_right_after_its_parent_does_no_harm(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent still finds where its own record went: nothing is cut, or written twice."""
    write = os.write

    def then_the_child(descriptor: int, data: bytes) -> int:
        written = write(descriptor, data)
        monkeypatch.setattr(os, "write", write)
        join(fork(lambda: log.append(record("child"))))
        return written

    monkeypatch.setattr(os, "write", then_the_child)
    log.append(record("parent"))
    log.append(record("parent again"))
    assert names(path) == ["first", "parent", "child", "parent again"]
    assert not list(path.parent.glob("*.torn-*"))


def test_short_write_that_was_cut_off_is_forgotten(
    log: AppendLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another program then writes at its place is no reason to refuse an append."""
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:18]))
        with pytest.raises(ShortWriteError, match="were cut off again"):
            log.append(record("own"))
    with path.open("ab") as other:
        other.write(record("other") * 3)
    log.append(record("next"))
    log.append(record("last"))
    assert names(path) == ["first", "other", "other", "other", "next", "last"]


@pytest.mark.parametrize("force", [False, True])
def test_only_what_can_be_cut_is_cut(log: AppendLog, path: Path, force: bool) -> None:
    """A log that became implausible since it was last examined has whole records at its end."""
    log.append(record("second"))
    before = path.read_bytes()
    found = TailStatus("implausible", len(record("first")), len(record("second")), 1)
    assert log.repair(lambda _: found, force=force) == (found, None)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_descriptor_0_is_open(
    path: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without standard input gives it to the next file that is opened."""
    store.create_experiment("abc")
    write, used = os.write, []

    def noted(descriptor: int, data: bytes) -> int:
        used.append(descriptor)
        return write(descriptor, data)

    def child() -> None:
        directory = os.open(path.parent, os.O_RDONLY)
        os.close(0)
        log = AppendLog(path, directory=directory)
        assert log._descriptor == 0
        assert not log.closed
        log.append(record("own"))
        log.close()
        assert log.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
        log = ReopenedLog(path)
        monkeypatch.setattr(os, "write", noted)
        for name in ("open", "reopened"):
            log.append_once(record(name))
            assert log.closed
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(0)
        assert used[-1] == 0
        with store.writer("abc") as writer:
            assert writer._writer_lock.directory == 0
            writer.log("loss", 0.5, 1)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)

    join(fork(child))
    assert names(path) == ["own", "open", "reopened"]
    assert names(store.metrics_path("abc")) == ["loss"]


@pytest.fixture
def failing_close(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Closing a file works, but is reported as failed while the list is empty."""
    close, works = os.close, ["for now"]

    def failing(descriptor: int) -> None:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        close(descriptor)
        if is_file and not works:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    # Before anything is opened: that is when a descriptor takes the function that closes it.
    monkeypatch.setattr(os, "close", failing)
    yield works
    works.append("again")


def test_error_on_closing_is_reported(path: Path, failing_close: list[str]) -> None:
    """A network file system may say only then that a write failed; the log is closed anyway."""
    before = open_descriptors()
    log = AppendLog(path)
    log.append(record("own"))
    failing_close.clear()
    with pytest.raises(UnreadableFileError, match=r"metrics\.bin: Input/output error"):
        log.close()
    assert log.closed
    assert open_descriptors() == before
    log.close()


def test_error_on_closing_after_one_append_is_reported(
    path: Path, failing_close: list[str]
) -> None:
    """Of a log that stays open between appends no longer than that; the next opens it again."""
    before = open_descriptors()
    log = ReopenedLog(path)
    failing_close.clear()
    for name in ("first", "second"):
        with pytest.raises(UnreadableFileError, match=r"metrics\.bin: Input/output error"):
            log.append_once(record(name))
        assert log.closed
        assert open_descriptors() == before
    assert names(path) == ["first", "second"]


def test_log_that_two_interrupts_left_open_is_closed_by_the_next_append(path: Path) -> None:
    """The second one kept the first from closing it."""
    before = open_descriptors()
    log = ReopenedLog(path)
    log.append_once(record("first"))
    next(log._by_path.opening)
    for name in ("second", "third"):
        log.append_once(record(name))
        assert open_descriptors() == before
    assert names(path) == ["first", "second", "third"]


def test_forked_child_appends_to_a_log_that_is_closed_between_appends(path: Path) -> None:
    """It has a descriptor of its own each time, and leaves none open."""
    log = ReopenedLog(path)
    log.append_once(record("parent"))

    def child() -> None:
        before = open_descriptors()
        for _ in range(2):
            log.append_once(record("child"))
            assert open_descriptors() == before

    join(fork(child))
    log.append_once(record("parent"))
    assert names(path) == ["parent", "child", "child", "parent"]
