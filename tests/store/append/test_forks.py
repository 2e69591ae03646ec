"""Forking beside threads that log: the child neither hangs nor loses what it logs.

A forked child has only the thread that forked. A lock that another thread held at that moment is
never released there; each test forks at such a moment, and gives the child a deadline.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, MetricWriter
from expstore.store.append import log as append_log
from expstore.store.files.systems.native import fs
from tests.faults.base import fork, join, read_log

# Python 3.12 and later warn of exactly what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

DEADLINE = 20.0  # seconds; a child takes milliseconds


def forked(work: Callable[[], None]) -> None:
    """Run a function in a forked child, which must succeed before the deadline."""
    child = fork(work)
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the forked process hangs")


@contextmanager
def held(lock: Any) -> Iterator[None]:
    """Another thread holds a lock."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()


def use(writer: MetricWriter, name: str) -> None:
    """All that a worker may do with a writer."""
    writer.log(name, 0.5, 1)
    writer.log_many({name: 0.5}, 2)
    writer.append({"name": name, "value": [0.5], "step": [3]})
    writer.flush()
    writer.close()


@pytest.mark.parametrize("durability", ["process", "interval", "power"])
def test_lock_of_a_writer_may_be_held_by_another_thread(
    durability: str, store: ExperimentStore
) -> None:
    """The child gets a lock of its own."""
    store.create_experiment("abc")
    with store.writer("abc", durability=durability) as writer:  # type: ignore[arg-type]
        writer.log("parent", 0.5, 0)
        with held(writer._lock):
            forked(lambda: use(writer, "child"))
        writer.log("parent", 0.5, 1)
    records, rest = read_log(store.metrics_path("abc"))
    assert rest == 0
    assert [name for name, _, _ in records] == ["parent", *["child"] * 3, "parent"]


def test_lock_of_a_store_may_be_held_by_another_thread(store: ExperimentStore) -> None:
    """Also while that thread has a log open in the middle of an append."""
    store.create_experiment("abc")
    store.log_metric("abc", "parent", 0.5, 0)
    with held(store.lock):
        forked(lambda: store.log_metric("abc", "child", 0.5, 1))
    store.log_metrics("abc", {"parent": 0.5}, 2)
    assert read_log(store.metrics_path("abc")) == (
        [("parent", 0, 0.5), ("child", 1, 0.5), ("parent", 2, 0.5)],
        0,
    )


def test_fork_in_the_middle_of_an_append_of_the_store(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child closes what it inherited of the append, and makes its own."""
    store.create_experiment("abc")
    store.log_metric("abc", "parent", 0.5, 0)
    inside, done = threading.Event(), threading.Event()
    lseek = os.lseek

    def slowly(descriptor: int, offset: int, whence: int) -> int:
        if threading.current_thread() is thread and whence == os.SEEK_CUR:
            inside.set()
            done.wait()
        return lseek(descriptor, offset, whence)

    monkeypatch.setattr(append_log, "_lseek", slowly)
    thread = threading.Thread(target=store.log_metric, args=("abc", "parent", 0.5, 1))
    thread.start()
    inside.wait()

    def work() -> None:
        store.log_metric("abc", "child", 0.5, 2)
        assert not [link for link in open_files() if os.path.realpath(link).endswith("metrics.bin")]

    try:
        forked(work)
    finally:
        done.set()
        thread.join()
    assert [name for name, _, _ in read_log(store.metrics_path("abc"))[0]] == [
        "parent",
        "parent",
        "child",
    ]


def test_a_log_that_is_just_being_opened_is_not_open_in_the_child(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody there would ever close it, so that nobody could repair it."""
    store.create_experiment("abc")
    inside = threading.Event()
    open_, main = fs.open, threading.main_thread()

    def slowly(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor = open_(path, *args, **kwargs)
        if threading.current_thread() is not main and path == os.fsencode(log):
            inside.set()
            time.sleep(0.03)
        return descriptor

    log = store.metrics_path("abc")
    monkeypatch.setattr(fs, "open", slowly)
    store.log_metric("abc", "parent", 0.5, 0)
    thread = threading.Thread(target=store.log_metric, args=("abc", "parent", 0.5, 1))
    thread.start()
    assert inside.wait(10)
    forked(lambda: os._exit(any(os.path.realpath(link) == str(log) for link in open_files())))
    thread.join()
    assert len(read_log(log)[0]) == 2


def open_files() -> Iterator[Path]:
    """A link for each file that this process has open."""
    return Path("/proc/self/fd").iterdir()


def test_a_fork_within_an_append_does_not_wait_for_its_own_thread(store: ExperimentStore) -> None:
    """As a signal handler may do."""
    store.create_experiment("abc")
    with store.lock:
        forked(lambda: store.log_metric("abc", "child", 0.5, 1))
    store.log_metric("abc", "parent", 0.5, 2)
    assert len(read_log(store.metrics_path("abc"))[0]) == 2


def test_lock_may_be_held_by_the_thread_that_syncs(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `interval`, a thread of the writer's own holds the lock while it syncs."""
    store.create_experiment("abc")
    sync, inside, done = os.fdatasync, threading.Event(), threading.Event()
    parent = os.getpid()

    def slowly(descriptor: int) -> None:
        if os.getpid() == parent and threading.current_thread() is not threading.main_thread():
            inside.set()
            done.wait()
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slowly)
    with store.writer("abc", durability="interval", interval_seconds=0.001) as writer:
        writer.log("parent", 0.5, 0)
        assert inside.wait(10)
        try:
            forked(lambda: use(writer, "child"))
        finally:
            done.set()
    assert len(read_log(store.metrics_path("abc"))[0]) == 4


def test_child_syncs_in_time_what_it_logs(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent's thread is not in the child, which starts one of its own."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval", interval_seconds=0.01)
    writer.log("parent", 0.5, 0)

    def work() -> None:
        synced = threading.Event()
        monkeypatch.setattr(os, "fdatasync", lambda _: synced.set())
        writer.log("child", 0.5, 1)
        assert synced.wait(10)

    forked(work)
    writer.close()


def test_forks_beside_a_thread_that_logs(store: ExperimentStore) -> None:
    """At any moment of an append."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval", interval_records=7)
    stop = threading.Event()
    steps = 0

    def train() -> None:
        nonlocal steps
        while not stop.is_set():
            writer.log_many({"a": 0.5, "b": 0.5}, steps)
            store.log_metric("abc", "c", 0.5, steps)
            steps += 1

    thread = threading.Thread(target=train)
    thread.start()
    count = 40
    try:
        for number in range(count):

            def work(me: int = number) -> None:
                writer.log("child", 0.5, me)
                store.log_metric("abc", "child", 0.5, me)
                writer.close()

            forked(work)
    finally:
        stop.set()
        thread.join()
    writer.close()
    records, rest = read_log(store.metrics_path("abc"))
    assert rest == 0
    assert [step for name, step, _ in records if name == "a"] == list(range(steps))
    assert [step for name, step, _ in records if name == "c"] == list(range(steps))
    assert [step for name, step, _ in records if name == "child"] == [
        number for number in range(count) for _ in range(2)
    ]


def test_child_that_finds_the_experiment_gone_leaves_the_lock_to_the_parent(
    store: ExperimentStore,
) -> None:
    """The lock is shared with the child until it takes its own."""
    with store.start_experiment("abc", user="me") as writer:
        writer.log("parent", 0.5, 0)
        path = store.experiment_path("abc")
        path.rename(store.root / "moved")

        def work() -> None:
            with pytest.raises(LookupError):
                writer.log("child", 0.5, 1)

        join(fork(work))
        (store.root / "moved").rename(path)
        assert store.plan_prune(0).pruned == []
