"""Following a log: each whole record once, as it is written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import (
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExperimentStore,
    Follower,
    SelectionError,
    UnreadableFileError,
)
from tests.helpers.logs import log
from tests.helpers.paths import ROOT

RECORD_SIZES = [25, 24]  # of the records of `log`, in turn


def followed(store: ExperimentStore, data: bytes = b"") -> tuple[Follower, Path]:
    """A follower of an experiment, and its log."""
    path = store.create_experiment("a") / "metrics.bin"
    if data:
        path.write_bytes(data)
    return store.follow("a"), path


def append(path: Path, data: bytes) -> None:
    """Append as another program would."""
    with open(path, "ab") as file:
        file.write(data)


def test_each_record_comes_once(store: ExperimentStore) -> None:
    """Each poll returns what is new since the last; nothing if nothing is."""
    follower, path = followed(store)
    assert len(follower.poll()) == 0
    append(path, log(3))
    assert follower.poll().steps.tolist() == [0, 0, 1]
    assert len(follower.poll()) == 0
    append(path, log(2, names=("lr",)))
    table = follower.poll()
    assert [m.name for m in table] == ["lr", "lr"]
    assert table.status
    assert follower.offset == path.stat().st_size


@given(cuts=st.lists(st.integers(0, 490), max_size=12))
def test_torn_tails_are_waited_out(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However a log grows, even byte by byte, its records come whole and in order."""
    directory = tmp_path_factory.mktemp("log")
    data = log(20)
    follower, given_so_far = Follower(directory / "metrics.bin"), []
    for end in [*sorted(cuts), len(data)]:
        (directory / "metrics.bin").write_bytes(data[:end])
        table = follower.poll()
        given_so_far += list(table)
        if follower.offset < min(end, len(data)):
            assert table.status.kind == "torn"
            assert table.status.offset == follower.offset
    assert [m.value for m in given_so_far] == [n / 7 for n in range(20)]
    shutil.rmtree(directory)


def test_zero_tail_is_not_given_until_it_is_records(store: ExperimentStore) -> None:
    """Zeros that a file system shows, briefly or permanently, are not metrics."""
    data = log(6)
    follower, path = followed(store, data[:49] + bytes(60))
    table = follower.poll()
    assert len(table) == 2
    assert (table.status.kind, table.status.offset) == ("zero", 49)
    assert "" not in table.names
    assert len(follower.poll()) == 0
    path.write_bytes(data)
    assert follower.poll().steps.tolist() == [1, 1, 2, 2]


def test_offset_can_be_resumed(store: ExperimentStore) -> None:
    """Another follower continues where the first stopped."""
    follower, path = followed(store, log(4))
    follower.poll()
    append(path, log(3))
    assert len(store.follow("a", follower.offset).poll()) == 3
    assert len(store.follow("a").poll()) == 7


def test_offset_inside_a_record_is_refused(store: ExperimentStore) -> None:
    """The error names the boundary before it; every boundary is accepted."""
    _, path = followed(store, log(40))
    boundaries = [n // 2 * 49 + n % 2 * 25 for n in range(41)]
    for offset in range(path.stat().st_size + 1):
        if offset in boundaries:
            assert len(store.follow("a", offset).poll()) == 40 - boundaries.index(offset)
        else:
            before = max(b for b in boundaries if b < offset)
            with pytest.raises(SelectionError, match=f"offset {offset}.* ends at byte {before};"):
                store.follow("a", offset).poll()


def test_offset_at_a_tear_is_a_boundary(store: ExperimentStore) -> None:
    """As for a follower that waits for a live writer's record."""
    _, path = followed(store, log(4)[:-3])
    follower = store.follow("a", 74)
    assert len(follower.poll()) == 0
    append(path, log(4)[-3:])
    assert len(follower.poll()) == 1


def test_offset_beyond_the_end_is_that_of_a_cut_log(store: ExperimentStore) -> None:
    """It was a follower's offset before the cut, so following goes on at the new end."""
    _, path = followed(store, log(4) + b"\1" * 3)
    follower = store.follow("a", 5000)
    assert len(follower.poll()) == 0
    assert (follower.cuts, follower.offset) == (1, 98)
    path.write_bytes(log(6))
    assert len(follower.poll()) == 2


def test_only_new_bytes_are_read(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polling a long log reads only from the last offset."""
    follower, path = followed(store, log(1000))
    follower.poll()
    append(path, log(1))
    read: list[tuple[int, int]] = []
    pread = os.pread

    def noted(descriptor: int, size: int, offset: int) -> bytes:
        read.append((offset, size))
        return pread(descriptor, size, offset)

    monkeypatch.setattr("expstore.store.files.local.os.pread", noted)
    start = follower.offset
    assert len(follower.poll()) == 1
    assert read == [(start - 64, 64 + 25)]  # 64 bytes, by which the log is recognized


def test_follower_far_behind_reads_in_parts(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long log comes as many tables, none of which reports a torn end."""
    monkeypatch.setattr("expstore.store.read.follow._MOST", 1000)
    follower, _ = followed(store, log(300))
    tables = [follower.poll()]
    while follower.is_behind:
        tables.append(follower.poll())
    assert len(tables) > 5
    assert all(table.status for table in tables)
    assert [m.value for table in tables for m in table] == [n / 7 for n in range(300)]


def test_no_descriptor_is_held_between_looks(store: ExperimentStore) -> None:
    """A writer that must repair a torn tail gets its lease even while the log is followed."""
    follower, path = followed(store, log(3)[:-1])
    assert len(follower.poll()) == 2
    assert store.repair("a").ok
    assert len(follower.poll()) == 0
    append(path, log(2))
    assert len(follower.poll()) == 2
    assert follower.cuts == 0


def test_shorter_log_is_followed_from_its_new_end(store: ExperimentStore) -> None:
    """Records cut off after they were returned count as a cut; nothing comes twice."""
    follower, path = followed(store, log(10))
    follower.poll()
    os.truncate(path, 49)
    assert len(follower.poll()) == 0
    assert (follower.cuts, follower.offset) == (1, 49)
    append(path, log(3))
    assert len(follower.poll()) == 3


def test_deleted_experiment_is_gone(store: ExperimentStore) -> None:
    """If its directory is gone, only its log is gone, or another has taken its place."""
    for delete in (
        lambda: store.delete_experiments(["a"]),
        lambda: store.metrics_path("a").unlink(),
        lambda: store.metrics_path("a").rename(store.metrics_path("a").with_name("old")),
    ):
        follower, _ = followed(store, log(3))
        follower.poll()
        delete()
        with pytest.raises(ExperimentGoneError, match="followed"):
            follower.poll()
    append(store.create_experiment("a") / "metrics.bin", log(3))
    with pytest.raises(ExperimentGoneError):
        follower.poll()


def test_bad_arguments_are_refused(store: ExperimentStore) -> None:
    """A missing experiment, negative numbers, and a file that is not a log."""
    with pytest.raises(ExperimentNotFoundError):
        store.follow("nope")
    path = store.create_experiment("a")
    for offset in (-1, True, 24.0, "24", None):
        with pytest.raises(SelectionError, match="offset must be an integer"):
            store.follow("a", offset)  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="negative"):
        store.follow("a", interval=float("nan"))
    (path / "metrics.bin").mkdir()
    with pytest.raises(UnreadableFileError):
        store.follow("a").poll()


def test_iteration_waits_between_looks(store: ExperimentStore) -> None:
    """It sleeps only when nothing is new, and ends with the experiment."""
    path = store.create_experiment("a") / "metrics.bin"
    path.write_bytes(log(2))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            append(path, log(5))
        else:
            shutil.rmtree(path.parent)

    tables = iter(Follower(path, interval=0.25, sleep=sleep))
    assert [len(next(tables)), len(next(tables))] == [2, 5]
    with pytest.raises(ExperimentGoneError):
        next(tables)
    assert slept == [0.25, 0.25]


class TestTail:
    """`expstore tail`."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as its own process."""
        program = "from expstore.cli import base, care; base.app()"
        return subprocess.Popen(
            [sys.executable, "-c", program, "tail", *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_last_metrics_are_printed(self, store: ExperimentStore) -> None:
        """As many as requested, ten by default, as lines or as JSON."""
        followed(store, log(30))
        root = ("a", "--root", str(store.root))
        for arguments, count in (((), 10), (("-n", "3"), 3), (("-n", "0"), 0), (("-n", "99"), 30)):
            output, error = self.start(*root, "--json", *arguments).communicate()
            rows = [json.loads(line) for line in output.splitlines()]
            assert [row["value"] for row in rows] == [n / 7 for n in range(30 - count, 30)]
            assert error == ""
        output, _ = self.start(*root, "-n", "1").communicate()
        assert output.split()[-3:] == ["14", "4.14286", "acc"]

    def test_new_metrics_are_printed_until_interrupted(self, store: ExperimentStore) -> None:
        """Each is printed at once, as one JSON object; Ctrl-C ends the command silently."""
        _, path = followed(store, log(4))
        arguments = ("-f", "a", "-n", "1", "--json", "--interval", "0.01")
        process = self.start(*arguments, "--root", str(store.root))
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["value"] == 3 / 7
            for n in range(3):
                store.log_metric("a", "loss", float(n), n)
                row = json.loads(process.stdout.readline())
                assert (row["name"], row["value"], row["step"]) == ("loss", n, n)
            append(path, log(1)[:-1])
            time.sleep(0.05)
            append(path, log(1)[-1:])
            assert json.loads(process.stdout.readline())["step"] == 0
            process.send_signal(signal.SIGINT)
            output, error = process.communicate(timeout=20)
        finally:
            process.kill()
        assert (output, error, process.returncode) == ("", "", 0)

    def test_cut_is_told_once_and_at_once(self, store: ExperimentStore) -> None:
        """Also if no metric follows; what is printed next begins at the new end."""
        _, path = followed(store, log(4))
        arguments = ("-f", "a", "-n", "1", "--json", "--interval", "0.01")
        process = self.start(*arguments, "--root", str(store.root))
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert json.loads(process.stdout.readline())["value"] == 3 / 7
            os.truncate(path, 49)
            assert "the log was cut to 49 bytes" in process.stderr.readline()
            append(path, log(1, names=("after",)))
            assert json.loads(process.stdout.readline())["name"] == "after"
            process.send_signal(signal.SIGINT)
            output, error = process.communicate(timeout=20)
        finally:
            process.kill()
        assert (output, error, process.returncode) == ("", "", 0)


def test_an_experiment_made_anew_is_another(store: ExperimentStore) -> None:
    """Even if the file system reuses the old log's inode number, as ext4 does."""
    for _ in range(5):
        follower, path = followed(store, log(3))
        assert len(follower.poll()) == 3
        store.delete_experiments(["a"])
        store.create_experiment("a")
        path.write_bytes(log(9, names=("longer name",)))
        with pytest.raises(ExperimentGoneError):
            follower.poll()
        store.delete_experiments(["a"])


def test_zeros_of_any_length_are_waited_out(store: ExperimentStore) -> None:
    """Even if one poll does not reach their end."""
    follower, path = followed(store, log(3) + bytes(21 * 300_000))
    assert len(follower.poll()) == 3
    assert len(follower.poll()) == 0
    assert not follower.is_behind
    append(path, log(2))
    given = [len(follower.poll()) for _ in range(4)]
    assert sum(given) == 300_002


class TestHolesOfZeros:
    """Zeros that a power loss or a sparse copy left, with records after them, or at the end."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The sizes of all reads, while a poll reads at most 1,000 bytes."""
        monkeypatch.setattr("expstore.store.read.follow._MOST", 1000)
        sizes: list[int] = []
        pread = os.pread

        def noted(descriptor: int, size: int, offset: int) -> bytes:
            data = pread(descriptor, size, offset)
            sizes.append(len(data))
            return data

        monkeypatch.setattr("expstore.store.files.local.os.pread", noted)
        return sizes

    def test_a_hole_is_read_twice_at_most(self, store: ExperimentStore, read: list[int]) -> None:
        """Following takes linear time, however long the hole, and gives all that it parses."""
        follower, path = followed(store, log(30) + bytes(21 * 5000) + log(30))
        given = len(follower.poll())
        while follower.is_behind:
            given += len(follower.poll())
        assert given == 5060
        assert sum(read) < 2.5 * path.stat().st_size

    def test_two_holes_are_told_from_the_tail(
        self, store: ExperimentStore, read: list[int]
    ) -> None:
        """What was learned of the first hole says nothing of the next, nor of zeros at the end."""
        hole = bytes(21 * 200)
        follower, path = followed(store, (log(30) + hole) * 3)
        given = len(follower.poll())
        while follower.is_behind:
            given += len(follower.poll())
        assert (given, follower.offset) == (490, path.stat().st_size - len(hole))

    def test_an_unchanged_tail_is_examined_once(
        self, store: ExperimentStore, read: list[int]
    ) -> None:
        """While the log is the same, a poll reads what it would give, and no more."""
        follower, path = followed(store, log(3) + bytes(21 * 5000))
        assert [len(follower.poll()) for _ in range(20)] == [3, *[0] * 19]
        assert sum(read) < path.stat().st_size + 20 * 1100
        with open(path, "r+b") as file:  # as a network file system may show what was written late
            file.seek(74 + 21 * 4000)
            file.write(log(1))
        os.utime(path, ns=(1, 1))
        given = len(follower.poll())
        while follower.is_behind:
            given += len(follower.poll())
        assert given > 3900


def test_a_log_cut_inside_a_record_is_followed_from_a_whole_one(store: ExperimentStore) -> None:
    """What is appended once the tear is cut is read at the right offsets."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for step in range(5):
            writer.log("m", step, step)
    follower = store.follow("abc")
    assert len(follower.poll()) == 5
    path = store.metrics_path("abc")
    size = path.stat().st_size // 5
    os.truncate(path, 2 * size + 3)
    assert len(follower.poll()) == 0
    assert (follower.cuts, follower.offset) == (1, 2 * size)
    with store.writer("abc") as writer:
        for step in range(100, 103):
            writer.log("m", step, step)
    assert [metric.step for metric in follower.poll()] == [100, 101, 102]
