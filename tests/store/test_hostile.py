"""Files that no writer creates: refused with a typed error, without blocking, in bounded memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    FormatError,
    Metadata,
    TooManyTextsError,
    UnreadableFileError,
)
from formats import META, RecordCodec
from tests.helpers.logs import log
from tests.helpers.paths import ROOT

READERS: dict[str, Callable[[ExperimentStore], Any]] = {
    "get_metrics": lambda store: store.get_metrics("a"),
    "follow": lambda store: store.follow("a").poll(),
    "repair": lambda store: store.repair("a"),
    "salvage": lambda store: store.salvage("a", "new"),
    "log_metric": lambda store: store.log_metric("a", "loss", 1.0, 1),
}


@pytest.fixture(autouse=True)
def _not_hanging() -> Iterator[None]:
    """A test that blocks on a FIFO fails instead of hanging."""

    def hung(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_link(path: Path) -> None:
    """A link to a good file outside the experiment."""
    good = path.parent.parent.parent / "good.bin"
    good.write_bytes(
        log(3)
        if path.name == "metrics.bin"
        else RecordCodec(META).build(timestamp=0, commit_id="a")
    )
    path.symlink_to(good)


def make_device(path: Path) -> None:
    """A device that yields zeros forever."""
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"devices cannot be made or opened here: {error.strerror}")


KINDS: dict[str, Callable[[Path], Any]] = {
    "FIFO": os.mkfifo,
    "link": make_link,
    "directory": os.mkdir,
    "device": make_device,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_log_that_is_no_regular_file_is_refused(
    reader: str, kind: str, store: ExperimentStore
) -> None:
    """Everything that opens a log refuses it at once, names it, and creates nothing."""
    path = store.create_experiment("a") / "metrics.bin"
    KINDS[kind](path)
    before = sorted(store.root.rglob("*"))
    with pytest.raises(UnreadableFileError, match=r"metrics\.bin: "):
        READERS[reader](store)
    assert sorted(store.root.rglob("*")) == before
    assert [f.kind for f in store.check("a").findings if f.path == path] == ["unreadable"]


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_that_is_no_regular_file_is_refused(kind: str, store: ExperimentStore) -> None:
    """It is refused at once; a listing continues past it."""
    for commit_id in ("a", "b"):
        store.create_experiment(commit_id)
    KINDS[kind](store.metadata_path("a"))
    store.write_metadata(Metadata("b", 1))
    with pytest.raises((UnreadableFileError, FormatError)):
        store.read_metadata("a")
    listed = dict(store.iter_metadata())
    assert isinstance(listed["a"], UnreadableFileError | FormatError)
    assert listed["b"] == Metadata("b", 1)
    assert not store.check("a").ok


def test_linked_experiment_is_none(store: ExperimentStore) -> None:
    """A link to a directory is not followed by any operation."""
    store.create_experiment("real")
    (store.root / "a").symlink_to("real")
    assert store.list_experiments() == ["real"]
    for reader in (*READERS.values(), lambda s: s.check("a"), lambda s: s.read_metadata("a")):
        with pytest.raises((ExperimentNotFoundError, UnreadableFileError)):
            reader(store)
    assert sorted(path.name for path in store.root.iterdir()) == ["a", "real"]


def test_linked_files_directory_is_noted(store: ExperimentStore) -> None:
    """`files` must be a directory of its own, not a link."""
    path = store.create_experiment("a") / "files"
    path.rmdir()
    path.symlink_to("/")
    assert [f.path for f in store.check("a").findings if f.severity == "damage"] == [path]


def test_metadata_is_never_read_past_its_limit(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only 777 bytes are read, however large the file; further bytes are a note."""
    path = store.metadata_path("a")
    store.create_experiment("a")
    store.write_metadata(Metadata("a", 1, "j", "u"))
    size = path.stat().st_size
    os.truncate(path, 1 << 40)
    read: list[int] = []
    pread = os.pread

    def noted(descriptor: int, count: int, offset: int) -> bytes:
        data = pread(descriptor, count, offset)
        read.append(offset + len(data))
        return data

    monkeypatch.setattr("expstore.store.files.place.os.pread", noted)
    assert store.read_metadata("a") == Metadata("a", 1, "j", "u")
    (finding,) = store.check("a").findings
    assert (finding.kind, finding.offset, finding.size) == (
        "trailing-bytes",
        size,
        (1 << 40) - size,
    )
    assert read
    assert max(read) == 777


def test_millions_of_names_are_a_typed_error(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit no table is built; the log can still be read in parts, and checked."""
    names = tuple(f"name{number}" for number in range(300))
    (store.create_experiment("a") / "metrics.bin").write_bytes(log(300, names=names))
    monkeypatch.setattr("expstore.store.read.tables.BRIEF", 0)  # which holds fewer than the limit
    monkeypatch.setattr("expstore.store.read.tables.MAX_NAMES", 300)
    assert len(store.get_metrics("a").names) == 300
    monkeypatch.setattr("expstore.store.read.tables.MAX_NAMES", 299)
    with pytest.raises(TooManyTextsError, match=r"metrics\.bin: more than 299 distinct"):
        store.get_metrics("a")
    assert len(store.follow("a").poll()) == 300
    assert [f.kind for f in store.check("a").findings] == ["no-metadata"]


READ_ONLY = {
    "read_metadata": lambda s: s.read_metadata("a"),
    "iter_metadata": lambda s: list(s.iter_metadata()),
    "get_metrics": lambda s: s.get_metrics("torn-name"),
    "plan_prune": lambda s: s.plan_prune(1),
    "check_all": lambda s: list(s.check_all()),
    "follow": lambda s: s.follow("torn-name").poll(),
}


@pytest.mark.parametrize("reader", READ_ONLY)
def test_reading_needs_no_write_permission_and_leaves_nothing(
    reader: str, vectors_copy: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is opened for writing, created or changed."""
    store = vectors_copy
    store.create_experiment("a")
    store.write_metadata(Metadata("a", 1))
    before = {path: path.lstat().st_mtime_ns for path in store.root.rglob("*")}
    real, opened = os.open, []

    def noted(path: Any, flags: int, *more: Any, **named: Any) -> int:
        opened.append((path, flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", noted)
    READ_ONLY[reader](store)
    assert opened
    assert all(writing == 0 for _, writing in opened)
    assert {path: path.lstat().st_mtime_ns for path in store.root.rglob("*")} == before


LIMITED = """
import resource, sys
from expstore import ExperimentStore
from formats.columns import parse_columns
from formats.damage.salvage import resync
import expstore.cli.care, mmap, numpy
store = ExperimentStore(sys.argv[1])
store.check("small"); store.follow("small").poll(); store.salvage("small", "warm")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""


def run_limited(store: ExperimentStore, spare: int, program: str) -> str:
    """Run a program that may use only `spare` bytes more than a small store needs."""
    path = store.create_experiment("small") / "metrics.bin"
    path.write_bytes(log(50) + b"\0\0\0" + log(50))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED + program, str(store.root), str(spare)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
class TestBoundedMemory:
    """Address space is limited to a few blocks more than a small store needs."""

    def test_sparse_log_is_salvaged(self, store: ExperimentStore) -> None:
        """A hole far larger than memory between records is a gap."""
        path = store.create_experiment("a") / "metrics.bin"
        whole = log(40)
        with open(path, "wb") as file:
            file.write(whole)
            file.seek(1 << 28)
            file.write(whole)
        program = (
            "from formats.metrics import ROLES\n"
            "from expstore.model.values import RECORD_CODEC\n"
            "from expstore.store.files.place import open_log\n"
            "with open_log(store.metrics_path('a')) as log:\n"
            "    pieces = resync(RECORD_CODEC.schema, ROLES, log.read, log.size)\n"
            "    print([(piece.offset, piece.size) for piece in pieces])"
        )
        size = len(whole)
        output = run_limited(store, 96 << 20, program)
        assert output == f"{[(0, size), (size, (1 << 28) - size), (1 << 28, size)]}"

    def test_garbage_of_one_byte_is_checked_and_followed(self, store: ExperimentStore) -> None:
        """Data that parses as long records is checked in parts."""
        path = store.create_experiment("a") / "metrics.bin"
        block = b"\xff" * (1 << 20)
        with open(path, "wb") as file:
            for _ in range(128):
                file.write(block)
        program = (
            "report = store.check('a')\n"
            "assert store.follow('a').poll()\n"
            "print(report.findings[-1].kind, report.records)"
        )
        assert run_limited(store, 96 << 20, program) == f"implausible {(128 << 20) // 276}"

    def test_sparse_metadata_is_listed(self, store: ExperimentStore) -> None:
        """A version byte followed by a terabyte of zeros is metadata with empty texts."""
        path = store.create_experiment("a") / "meta.bin"
        path.write_bytes(b"\x01")
        os.truncate(path, 1 << 40)
        assert run_limited(store, 32 << 20, "print(store.read_metadata('a').timestamp)") == "0"
