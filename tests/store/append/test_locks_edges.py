"""The writer's lock: nothing waits in vain, nothing is leaked, and no lock outlives its use."""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from expstore import (
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExperimentStore,
    UnreadableFileError,
)
from expstore.store.append import locks
from expstore.store.append.locks import WriterLock, try_deletion_lock
from expstore.store.append.log import AppendLog
from expstore.store.files import system
from tests.faults.base import fork, join
from tests.helpers.descriptors import open_descriptors


@pytest.fixture
def path(store: ExperimentStore) -> Path:
    """An experiment's directory, with a log."""
    path = store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    return path


def is_locked(directory: Path) -> bool:
    """Whether a writer's lock keeps a deletion away."""
    descriptor = os.open(directory, system.DIRECTORY)
    try:
        return not try_deletion_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def watching(lock: WriterLock) -> Iterator[None]:
    """The lock watches the experiment's log, which is open, as a writer has it do."""
    log = AppendLog(lock.path / "metrics.bin", directory=lock.directory, create=False)
    lock.watch(log.identity())
    try:
        yield
    finally:
        log.close()


def test_writer_does_not_wait_for_what_is_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that holds the lock has renamed the directory: the writer sees that at once."""

    def never(_: float) -> None:
        pytest.fail("it waits")

    def held(_: int, operation: int) -> bool:
        if operation == fcntl.LOCK_SH:
            path.rename(path.with_name("elsewhere"))
        return False

    monkeypatch.setattr(locks.time, "sleep", never)
    monkeypatch.setattr(system, "try_lock", held)
    before = open_descriptors()
    with pytest.raises(ExperimentGoneError):
        WriterLock(path)
    assert open_descriptors() == before


def test_lock_that_is_never_given_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may keep the directory locked for any time."""
    monkeypatch.setattr(locks, "_PATIENCE", -1.0)
    holder = os.open(path, system.DIRECTORY)
    try:
        assert try_deletion_lock(holder)
        with pytest.raises(UnreadableFileError, match="locked by another program"):
            WriterLock(path)
    finally:
        os.close(holder)


def test_lock_that_was_refused_closes_nobody_elses_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor's number belongs to another file by the time that it is collected."""
    monkeypatch.setattr(locks, "_PATIENCE", -1.0)
    holder = os.open(path, system.DIRECTORY)
    gc.collect()  # what earlier tests left
    before = open_descriptors()
    try:
        assert try_deletion_lock(holder)
        with pytest.raises(UnreadableFileError) as caught:
            WriterLock(path)
        number = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free: the lock's
        del caught
        gc.collect()
        os.fstat(number)
        assert open_descriptors() == before | {number}
        os.close(number)
    finally:
        os.close(holder)


def test_forked_child_leaves_no_descriptor_open(path: Path) -> None:
    """It gives up the inherited lock for one of its own, which ends with the child's."""
    lock = WriterLock(path)

    def child() -> None:
        before = len(open_descriptors())
        for _ in range(2):
            lock.check()
            assert len(open_descriptors()) == before
        lock.close()
        assert len(open_descriptors()) == before - 1

    join(fork(child))
    lock.check()
    assert is_locked(path)
    lock.close()
    assert not is_locked(path)


def test_forked_child_that_cannot_open_the_directory_closes_it_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time that its lock is collected, the number belongs to another file."""
    lock = WriterLock(path)

    def deleted(path: Path) -> int:
        raise ExperimentNotFoundError(f"{path}: no such experiment")

    def child() -> None:
        before = len(open_descriptors())
        with monkeypatch.context() as patch:
            patch.setattr(system, "open_experiment", deleted)
            with pytest.raises(ExperimentNotFoundError):
                lock.check()
        number = os.open(os.devnull, os.O_RDONLY)  # that of the inherited lock
        for _ in range(2):
            with pytest.raises(ExperimentGoneError):
                lock.check()
        lock.close()
        os.fstat(number)
        assert len(open_descriptors()) == before

    join(fork(child))
    lock.check()
    lock.close()


def test_forked_child_whose_experiment_goes_while_it_locks_has_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each later use says that it is gone, and touches no other file."""
    lock = WriterLock(path)
    real = system.try_lock

    def gone(descriptor: int, operation: int) -> bool | None:
        if path.exists():
            path.rename(path.with_name("elsewhere"))
        return real(descriptor, operation)

    def child() -> None:
        with watching(lock), monkeypatch.context() as patch:
            patch.setattr(system, "try_lock", gone)
            before = len(open_descriptors())
            for _ in range(3):
                with pytest.raises(ExperimentGoneError):
                    lock.check()
                assert len(open_descriptors()) == before - 1
        lock.close()

    join(fork(child))
    lock.close()


def test_an_interrupted_forked_child_does_not_take_itself_for_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the lock and the look at the path: it would log to what may be deleted."""
    lock = WriterLock(path)
    real, looks = WriterLock._check_path, iter([False, True])

    def interrupted(self: WriterLock) -> None:
        if next(looks, False):
            raise KeyboardInterrupt
        real(self)

    def child() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(WriterLock, "_check_path", interrupted)
            with pytest.raises(KeyboardInterrupt):
                lock.check()
        with pytest.raises(ExperimentGoneError):
            lock.check()

    join(fork(child))
    lock.close()


def test_forked_child_keeps_its_lock_after_the_parents(path: Path) -> None:
    """The inherited lock would end when the parent closes its own."""
    lock = WriterLock(path)
    to_child, to_parent = os.pipe(), os.pipe()

    def child() -> None:
        lock.check()
        os.write(to_parent[1], b"x")
        os.read(to_child[0], 1)

    process = fork(child)
    os.read(to_parent[0], 1)
    lock.close()
    assert is_locked(path)
    os.write(to_child[1], b"x")
    join(process)
    assert not is_locked(path)
    for descriptor in (*to_child, *to_parent):
        os.close(descriptor)


@pytest.mark.parametrize("how", ["log deleted", "moved", "replaced"])
def test_lock_of_what_is_gone_is_released(how: str, path: Path) -> None:
    """So that what is left of it can be deleted while the writer lives."""
    lock = WriterLock(path)
    with watching(lock):
        left = path
        if how == "log deleted":
            (path / "metrics.bin").unlink()
        else:
            left = path.rename(path.with_name("elsewhere"))
        if how == "replaced":
            path.mkdir()
        assert is_locked(left)
        with pytest.raises(ExperimentGoneError):
            lock.check()
        assert not is_locked(left)
    lock.close()


def test_descriptor_0_is_released_like_any_other(path: Path) -> None:
    """A program without standard input gives it to the first file that it opens."""

    def child() -> None:
        os.close(0)
        lock = WriterLock(path)
        assert lock.directory == 0
        assert is_locked(path)
        with watching(lock):
            left = path.rename(path.with_name("elsewhere"))
            assert is_locked(left)
            with pytest.raises(ExperimentGoneError):
                lock.check()
            assert not is_locked(left)
        lock.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)

    join(fork(child))


def test_what_is_moved_back_is_locked_again(path: Path) -> None:
    """Its lock was released when it was found to be gone; and a writer may go on."""
    lock = WriterLock(path)
    before = open_descriptors()
    with watching(lock):
        elsewhere = path.rename(path.with_name("elsewhere"))
        for _ in range(2):
            with pytest.raises(ExperimentGoneError):
                lock.check()
        assert not is_locked(elsewhere)
        elsewhere.rename(path)
        lock.check()
        assert is_locked(path)
    assert len(open_descriptors()) == len(before)
    lock.close()
    assert not is_locked(path)


@pytest.mark.parametrize("links", [True, False])
def test_link_to_the_directory_is_not_the_directory(
    links: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be put in its place between opening and locking; nothing is logged through it."""
    real = system.try_lock

    def swap(descriptor: int, operation: int) -> bool | None:
        monkeypatch.setattr(system, "try_lock", real)
        elsewhere = path.rename(path.with_name("elsewhere"))
        if links:
            path.symlink_to(elsewhere)
        return real(descriptor, operation)

    monkeypatch.setattr(system, "try_lock", swap)
    before = open_descriptors()
    with pytest.raises(ExperimentGoneError):
        WriterLock(path)
    assert open_descriptors() == before
    assert not is_locked(path.with_name("elsewhere"))
