"""Interrupts and failures around the log: what is raised says what became of the record.

Interrupts at every place of the store's code are in tests/faults/interrupts.py.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, SyncThreadError
from expstore.store.append import cut, durability
from expstore.store.files import mounts
from expstore.store.files.descriptor import Descriptor, ReopenedFile
from tests.faults import apart
from tests.helpers.descriptors import open_descriptors


def test_thread_that_cannot_be_started_is_told_before_anything_is_written(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that logging the record again does not double it."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval")

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(durability, "start_new_thread", refuse)
        with pytest.raises(SyncThreadError, match=r"can't start new thread.*nothing was logged"):
            writer.log("loss", 0.5, 1)
        with pytest.raises(RuntimeError):
            writer.log_many({"loss": 0.5}, 1)
        writer.flush()
        assert store.metrics_path("abc").stat().st_size == 0
    writer.log("loss", 0.5, 1)
    writer.close()
    assert store.get_metrics("abc").steps.tolist() == [1]


def test_interval_needs_one_thread_however_often_it_syncs(store: ExperimentStore) -> None:
    """It ends when nothing is pending, and at once when the writer is closed."""
    store.create_experiment("abc")
    before = set(os.listdir("/proc/self/task"))  # others may end meanwhile

    def made() -> int:
        return len(set(os.listdir("/proc/self/task")) - before)

    with store.writer(
        "abc", durability="interval", interval_records=3, interval_seconds=60
    ) as writer:
        for step in range(100):
            writer.log_many({"a": 0.5, "b": 0.5}, step)
        assert made() == 1
    until = time.monotonic() + 10
    while made() and time.monotonic() < until:
        time.sleep(0.001)
    assert not made()


def test_record_that_an_interrupt_left_unnoted_is_synced_too(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt right after the write keeps the writer from counting the record."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval")
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(durability.Syncer, "appended", interrupt)
        with pytest.raises(KeyboardInterrupt):
            writer.log("loss", 0.5, 1)
    writer.flush()
    assert len(synced) == 1
    writer.close()


def test_interrupt_while_a_lease_is_taken_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, others wait until the kernel breaks it."""
    path = tmp_path / "log"
    path.touch()

    def interrupt(_: int) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(mounts, "file_system", interrupt)
    with Descriptor(path, os.O_RDWR) as descriptor:
        with pytest.raises(KeyboardInterrupt), cut.Lease(descriptor):
            pass
        opened = threading.Thread(target=path.read_bytes, daemon=True)
        opened.start()
        opened.join(5)
        assert not opened.is_alive()


def test_descriptor_is_closed_once(tmp_path: Path) -> None:
    """Its number may be another file's afterwards."""
    file = Descriptor(tmp_path, os.O_RDONLY)
    number = file.number
    file.close()
    with Descriptor(tmp_path, os.O_RDONLY) as other:
        assert other == number
        file.close()
        del file
        assert os.fstat(other)
    with pytest.raises(FileNotFoundError):
        Descriptor(tmp_path / "missing", os.O_RDONLY)
    made = Descriptor(tmp_path / "made", os.O_RDWR | os.O_CREAT, mode=0o600)
    assert os.fstat(made.number).st_mode & 0o777 == 0o600


def test_file_that_is_opened_again_and_again_is_closed_each_time(tmp_path: Path) -> None:
    """Also after one that cannot be opened; and a file that was forgotten open."""
    before, path = open_descriptors(), tmp_path / "file"
    file = ReopenedFile(path, os.O_RDONLY)
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            next(file.opening)
        assert not file.held
        path.touch()
        next(file.opening)
        assert open_descriptors() - before == set(file.held)
        file.close()
        file.close()
        assert open_descriptors() == before
        path.unlink()
    path.touch()
    next(file.opening)
    del file
    assert open_descriptors() == before


def test_interrupt_while_many_files_are_read_leaves_none_open(tmp_path: Path) -> None:
    """As of `compare`: a log that stays open cannot be repaired while the process lives."""
    figures = apart.run("tests.faults.interrupts", tmp_path, every=2, names=["read many"])
    assert figures["interrupts"] > 20
