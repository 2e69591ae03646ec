"""How a run is, without a heartbeat: by the writer's lock, its own word, or the age of its log."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import expstore
from expstore import ExperimentNotFoundError, ExperimentStore, RunState, UnreadableFileError
from expstore.store.append import locks
from expstore.store.care.state import QUIET
from expstore.store.files import system
from expstore.store.reader import StoreReader

HERE = os.uname().nodename


def killed(root: Path, host: str = HERE, age: float = 0.0) -> ExperimentStore:
    """A store with a run `a` that did not say that it ended, and last logged some time ago."""
    run = expstore.start(root, "a")
    run.log({"x": 1})
    run.close()
    run.store.change_run(
        "a",
        lambda info: replace(
            info,
            starts=(
                replace(info.starts[0], ended=None, outcome=None, host=host, started=time.time()),
            ),
        ),
    )
    then = time.time() - age
    os.utime(root / "a" / "metrics.bin", (then, then))
    return run.store


def test_a_run_is_running_while_it_is_open(tmp_path: Path) -> None:
    """Since it started; to every process, and also after it was resumed."""
    with expstore.start(tmp_path, "a") as run:
        (start,) = run.info.starts
        assert run.store.run_state("a") == RunState("running", start.started)
        script = "import sys, expstore; print(expstore.ExperimentStore(sys.argv[1]).status('a'))"
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=True
        )
        assert done.stdout == b"running\n"
    assert run.store.status("a") == "finished"
    with expstore.start(tmp_path, "a", resume=True) as run:
        assert run.store.status("a") == "running"


def test_it_then_is_as_it_says_itself(tmp_path: Path) -> None:
    """With the time, and the text of the exception."""
    with pytest.raises(ValueError, match="x"), expstore.start(tmp_path, "a"):
        raise ValueError("x")
    store = ExperimentStore(tmp_path)
    ended = store.read_run("a").starts[0].ended
    assert store.run_state("a") == RunState("failed", ended, "ValueError: x")


def test_one_that_was_killed_is_stopped_since_its_last_record(tmp_path: Path) -> None:
    """However short ago that is: no lock is held."""
    state = killed(tmp_path, age=-5).run_state("a")
    assert state.status == "stopped"
    assert state.since == pytest.approx(time.time() + 5, abs=2)
    assert "without saying so" in state.note


@pytest.mark.parametrize(("age", "status"), [(QUIET / 2, "running"), (QUIET * 2, "stopped")])
def test_one_on_another_host_is_judged_by_its_last_record(
    tmp_path: Path, age: float, status: str
) -> None:
    """And the answer says so."""
    state = killed(tmp_path, "node7", age).run_state("a")
    assert state.status == status
    assert "its lock on node7 cannot be seen here" in state.note
    assert f"{age:.0f} seconds ago" in state.note


def test_without_locks_it_is_judged_by_its_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system that has none."""
    store = killed(tmp_path, age=1)
    monkeypatch.setattr(system, "try_lock", lambda *_: None)
    assert store.status("a") == "running"


def test_at_a_url_it_is_judged_by_its_last_record(tmp_path: Path) -> None:
    """As its file system says when that was; else nothing tells."""
    import fsspec

    killed(tmp_path, age=QUIET * 2)
    for name in ("meta.bin", "run.json", "metrics.bin"):
        fsspec.filesystem("memory").pipe(f"/root/a/{name}", (tmp_path / "a" / name).read_bytes())
    try:
        state = StoreReader("memory://root").run_state("a")
        assert state.status == "running"  # the copy is new
        assert "cannot be seen here" in state.note
        fsspec.filesystem("memory").rm("/root/a/metrics.bin")
        assert StoreReader("memory://root").status("a") == "unknown"
        with expstore.start(tmp_path, "a", resume=True):
            pass
        fsspec.filesystem("memory").pipe(
            "/root/a/run.json", (tmp_path / "a" / "run.json").read_bytes()
        )
        assert StoreReader("memory://root").status("a") == "finished"
    finally:
        fsspec.filesystem("memory").rm("/root", recursive=True)


def test_without_run_json_it_is_unknown(store: ExperimentStore) -> None:
    """Unless a writer has it open."""
    with store.start_experiment("a", user="me"):
        assert store.run_state("a") == RunState("running")
    assert store.status("a") == "unknown"
    with pytest.raises(ExperimentNotFoundError):
        store.status("b")


def test_a_broken_run_json_does_not_break_a_listing(tmp_path: Path) -> None:
    """The state is unknown, and the note has the reason."""
    expstore.start(tmp_path, "a").close()
    (tmp_path / "a" / "run.json").write_text("{")
    state = ExperimentStore(tmp_path).run_state("a")
    assert state.status == "unknown"
    assert "run.json" in state.note
    (tmp_path / "a" / "run.json").unlink()
    (tmp_path / "a" / "run.json").mkdir()
    with pytest.raises(UnreadableFileError):
        ExperimentStore(tmp_path).status("a")


def test_asking_disturbs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who ask at once see no writer where none is, and keep neither writers nor deletions."""
    # Of threads that share one interpreter, one may hold the lock for long at any time.
    monkeypatch.setattr(locks, "_TRIES", 10_000)
    monkeypatch.setattr(locks, "_PATIENCE", 900.0)
    store = killed(tmp_path)
    stop, seen = threading.Event(), set()

    def ask() -> None:
        while not stop.is_set():
            seen.add(store.status("a"))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for number in range(30):
            store.create_experiment(f"e{number}")
            with store.writer(f"e{number}"):
                pass
            assert store.delete_experiments([f"e{number}"]) == [f"e{number}"]
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert seen == {"stopped"}


def test_a_lock_that_is_held_for_an_instant_is_no_writer(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another who asks, at the same moment; a deletion waits for that, too."""
    path = store.create_experiment("a")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        waits = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            fcntl.flock(descriptor, fcntl.LOCK_UN)

        monkeypatch.setattr(locks.time, "sleep", wait)
        assert store.status("a") == "unknown"
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert store.delete_experiments(["a"]) == ["a"]
        assert len(waits) == 2
    finally:
        os.close(descriptor)


def test_a_writer_is_seen_where_the_system_hides_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a process in another container, which /proc/locks does not list."""
    missing = tmp_path / "missing"
    monkeypatch.setattr(locks, "_LOCKS", str(missing))
    with expstore.start(tmp_path, "a") as run:
        assert run.store.status("a") == "running"
        with pytest.raises(expstore.DeletionError):
            run.store.delete_experiments(["a"])
    assert run.store.status("a") == "finished"
