"""run.json: what is read, refused and kept, and changes by several programs at once."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    NoSpaceError,
    RunFileError,
    RunInfo,
    RunStart,
    UnreadableFileError,
)
from expstore.model.params import merged, removed
from expstore.store import runfile
from expstore.store.files import system


@pytest.fixture
def path(store: ExperimentStore) -> Path:
    """The run.json of an experiment `a`, which has none yet."""
    return store.create_experiment("a") / "run.json"


def test_without_the_file_all_is_empty(store: ExperimentStore, path: Path) -> None:
    """And of an experiment that does not exist, the error says so."""
    assert store.read_run("a") == RunInfo()
    assert not path.exists()
    with pytest.raises(ExperimentNotFoundError):
        store.read_run("b")
    with pytest.raises(ExperimentNotFoundError):
        store.update_run("b", notes="x")
    assert store.list_experiments() == ["a"]


def test_what_is_written_is_read(store: ExperimentStore, path: Path) -> None:
    """All fields; what is empty is not in the file."""
    info = RunInfo(
        {"lr": 0.1, "m": {"d": 3}},
        ("x", "y"),
        "text",
        {"host": "h", "new": 1},
        (
            RunStart(1.0),
            RunStart(2.5, 3.5, "failed", "ValueError: x", "h", 7, 100, 5, {"later": [1]}),
        ),
        {"unknown": {"x": 1}},
    )
    assert store.change_run("a", lambda old: info) == info
    assert store.read_run("a") == info
    assert json.loads(path.read_text())["starts"][0] == {"started": 1.0, "records": 0}
    store.change_run("a", lambda old: RunInfo())
    assert path.read_text() == "{}\n"


def test_unknown_keys_survive_a_rewrite(store: ExperimentStore, path: Path) -> None:
    """At the top, in the origin and in a start."""
    values = {
        "later": {"x": [1]},
        "origin": {"gpu": "x"},
        "starts": [{"started": 1, "records": 0, "mood": "good"}],
    }
    path.write_text(json.dumps(values))
    store.update_run("a", tags=["t"])
    assert json.loads(path.read_text()) == {**values, "tags": ["t"]}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[]", "object"),
        ('{"tags": "x"}', "tags"),
        ('{"starts": [{"started": "1"}]}', r"starts\[0\]\.started"),
        ('{"params": {"x": NaN}}', "NaN"),
    ],
)
def test_a_broken_file_is_reported_and_kept(
    store: ExperimentStore, path: Path, text: str, named: str
) -> None:
    """By every call that reads it; the message names the file and the key."""
    path.write_text(text)
    for call in (lambda: store.read_run("a"), lambda: store.update_run("a", notes="x")):
        with pytest.raises(RunFileError, match=named) as error:
            call()
        assert str(path) in str(error.value)
    assert path.read_text() == text
    assert [(f.kind, f.path) for f in store.check("a").findings if f.severity == "damage"] == [
        ("unreadable", path)
    ]


@pytest.mark.parametrize("half", ["", '{"params": {"lr": 0'])
def test_a_change_waits_for_a_file_that_is_being_written_in_place(
    store: ExperimentStore, path: Path, half: str
) -> None:
    """As editors and other programs do; a run's end is then not lost, nor what they wrote."""
    path.write_text(half)
    writing = threading.Timer(0.1, path.write_text, ['{"params": {"lr": 0.1}}'])
    writing.start()
    try:
        store.update_run("a", tags=["t"])
    finally:
        writing.join()
    assert store.read_run("a") == RunInfo({"lr": 0.1}, ("t",))


def test_a_large_file_is_read(store: ExperimentStore, path: Path) -> None:
    """Up to the limit; beyond it, nothing is written."""
    notes = "é" * (1 << 18)
    store.update_run("a", notes=notes)
    assert store.read_run("a").notes == notes
    with pytest.raises(RunFileError, match="keep what is large as a file in files/"):
        store.update_run("a", params={"x": "x" * runfile.LIMIT})
    assert store.read_run("a").notes == notes
    path.write_bytes(b" " * (runfile.LIMIT + 1))
    with pytest.raises(RunFileError, match="longer than"):
        store.read_run("a")


def test_whole_numbers_may_have_a_point(store: ExperimentStore, path: Path) -> None:
    """JSON does not tell 3.0 from 3; another program may write either."""
    path.write_text('{"starts": [{"started": 1, "records": 3.0, "from_step": 2e0, "pid": 7.0}]}')
    (start,) = store.read_run("a").starts
    assert [type(n) for n in (start.records, start.from_step, start.pid)] == [int] * 3


def test_params_tags_and_notes_are_changed(store: ExperimentStore, path: Path) -> None:
    """Added, replaced and removed; a tag is there once."""
    store.update_run("a", params={"lr": 0.1, "m": {"d": 3}}, tags=["x", "y", "x"], notes="n")
    info = store.update_run(
        "a", params={"m.d": 4}, tags="z", remove_tags=["x", "missing"], remove_params=["lr"]
    )
    assert info == store.read_run("a") == RunInfo({"m.d": 4}, ("y", "z"), "n")
    assert store.update_run("a", notes="").notes == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"params": 5},
        {"tags": [""]},
        {"tags": [5]},
        {"tags": [["a", "b"]]},
        {"notes": 5},
        {"remove_tags": [None]},
    ],
)
def test_wrong_values_are_refused_before_anything_is_written(
    store: ExperimentStore, path: Path, wrong: dict[str, Any]
) -> None:
    """With one kind of error."""
    with pytest.raises(RunFileError):
        store.update_run("a", **wrong)
    assert not path.exists()


def test_an_equal_value_is_not_written(store: ExperimentStore, path: Path) -> None:
    """The file stays the same one."""
    store.update_run("a", tags=["x"])
    before = path.stat()
    store.update_run("a", tags=["x"])
    assert path.stat() == before


def test_a_full_disk_keeps_the_old_file(
    store: ExperimentStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says so, and no temporary file is left."""
    store.update_run("a", tags=["x"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoSpaceError):
            store.update_run("a", tags=["y"])
    assert store.read_run("a").tags == ("x",)
    assert sorted(os.listdir(path.parent)) == ["files", "run.json"]


def test_a_link_is_not_followed(store: ExperimentStore, path: Path, tmp_path: Path) -> None:
    """Neither for reading nor for writing."""
    (tmp_path / "outside").write_text("{}")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(UnreadableFileError, match="symbolic link"):
        store.read_run("a")
    with pytest.raises(UnreadableFileError):
        store.update_run("a", notes="x")
    assert (tmp_path / "outside").read_text() == "{}"


def _add_tags(root: Path, worker: int, count: int) -> None:
    store = ExperimentStore(root)
    for number in range(count):
        store.update_run("a", tags=[f"{worker}-{number}"], params={f"p{worker}": number})


def test_concurrent_changes_lose_nothing(store: ExperimentStore, path: Path) -> None:
    """Of several processes, from the first change on; no lock file is left behind."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_tags, args=(store.root, n, 8)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    info = store.read_run("a")
    assert sorted(info.tags) == sorted(f"{w}-{n}" for w in range(4) for n in range(8))
    assert info.params == {f"p{w}": 7 for w in range(4)}
    assert sorted(os.listdir(path.parent)) == ["files", "run.json"]


def test_the_lock_disturbs_neither_writers_nor_deletions(
    store: ExperimentStore, path: Path
) -> None:
    """Another program that changes the file makes only further changes wait."""
    store.update_run("a", notes="x")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with store.writer("a") as writer:
            writer.log("loss", 0.5, 1)
        assert store.read_run("a").notes == "x"
        waiting = threading.Thread(target=lambda: store.update_run("a", notes="y"))
        waiting.start()
        time.sleep(0.02)
        assert store.read_run("a").notes == "x"
        fcntl.flock(file, fcntl.LOCK_UN)
        waiting.join(10)
        assert store.read_run("a").notes == "y"
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.delete_experiments(["a"]) == ["a"]


def test_a_lock_that_is_never_released_is_an_error(
    store: ExperimentStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, instead of waiting for ever."""
    monkeypatch.setattr(runfile, "_PATIENCE", 0.02)
    store.update_run("a", notes="x")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UnreadableFileError, match="locked by another program"):
            store.update_run("a", notes="y")


def test_without_locks_changes_are_made(
    store: ExperimentStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some network file systems."""
    monkeypatch.setattr(system, "try_lock", lambda *_: None)
    store.update_run("a", tags=["x"])
    store.update_run("a", tags=["y"])
    assert store.read_run("a").tags == ("x", "y")


def test_a_forked_child_does_not_keep_the_lock(store: ExperimentStore, path: Path) -> None:
    """A process that was forked while the file was being changed may live for long."""
    children = []

    def change(info: RunInfo) -> RunInfo:
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
        children.append(child)
        return replace(info, notes=info.notes + "x")

    try:
        store.change_run("a", change)
        store.change_run("a", change)
        began = time.monotonic()
        assert store.update_run("a", tags=["t"]).notes == "xx"
        assert time.monotonic() - began < 5
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


def test_a_deletion_during_a_change_is_reported(store: ExperimentStore, path: Path) -> None:
    """The change was for an experiment that is gone."""

    def change(info: RunInfo) -> RunInfo:
        store.delete_experiments(["a"])
        return replace(info, notes="x")

    with pytest.raises(ExperimentNotFoundError):
        store.change_run("a", change)
    assert store.list_experiments() == []


def test_a_listing_has_an_error_for_each_broken_file(store: ExperimentStore) -> None:
    """And all others, whatever their size."""
    for number in range(40):
        store.create_experiment(f"e{number:02}")
        store.update_run(f"e{number:02}", notes="x" * number * 4000)
    (store.root / "e07" / "run.json").write_text("{")
    (store.root / "e08" / "run.json").unlink()
    (store.root / "e09" / "run.json").unlink()
    (store.root / "e09" / "run.json").mkdir()
    found = dict(runfile.read_all(store.location, store.list_experiments()))
    assert len(found) == 40
    assert isinstance(found.pop("e07"), RunFileError)
    assert found.pop("e08") == RunInfo()
    assert isinstance(found.pop("e09"), UnreadableFileError)
    assert found == {i: RunInfo(notes="x" * int(i[1:]) * 4000) for i in found}


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.integers(0, 5) | st.text(max_size=3) | st.dictionaries(NAMES, st.floats(0, 1))
PARAMS = st.dictionaries(NAMES, VALUES, max_size=3)
TAGS = st.lists(st.sampled_from("xyz"), max_size=2)


class Rewriting(RuleBasedStateMachine):
    """Any sequence of changes by this and another program gives what a model of them gives."""

    @initialize(extra=PARAMS)
    def begin(self, extra: dict[str, Any]) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.store = ExperimentStore(self.directory.name)
        self.path = self.store.create_experiment("a") / "run.json"
        self.extra = {f"later-{name}": value for name, value in extra.items()}
        self.path.write_text(json.dumps(self.extra))
        self.params: dict[str, Any] = {}
        self.tags: tuple[str, ...] = ()
        self.notes = ""

    @rule(params=PARAMS, tags=TAGS, notes=st.none() | st.text(max_size=3))
    def update(self, params: dict[str, Any], tags: list[str], notes: str | None) -> None:
        self.store.update_run("a", params=params, tags=tags, notes=notes)
        self.params = merged(self.params, params)
        self.tags = tuple(dict.fromkeys((*self.tags, *tags)))
        self.notes = self.notes if notes is None else notes

    @rule(names=st.lists(NAMES, max_size=2), tags=TAGS)
    def remove(self, names: list[str], tags: list[str]) -> None:
        self.store.update_run("a", remove_params=names, remove_tags=tags)
        self.params = removed(self.params, names)
        self.tags = tuple(tag for tag in self.tags if tag not in tags)

    @rule(key=NAMES, value=VALUES)
    def another_program_adds_a_key(self, key: str, value: object) -> None:
        values = json.loads(self.path.read_text()) | {f"later-{key}": value}
        self.path.write_text(json.dumps(values))
        self.extra[f"later-{key}"] = value

    @invariant()
    def all_is_there(self) -> None:
        if hasattr(self, "store"):
            wanted = RunInfo(self.params, self.tags, self.notes, extra=self.extra)
            assert self.store.read_run("a") == wanted

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.directory.cleanup()


TestRewriting = Rewriting.TestCase
TestRewriting.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)
