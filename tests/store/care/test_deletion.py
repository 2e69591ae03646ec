"""Deletion: whole or gone, on a full disk, and alongside others; and leftovers of metadata."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expstore import (
    DeletionError,
    ExperimentNotFoundError,
    ExperimentStore,
    InvalidCommitIdError,
    Metadata,
    NoSpaceError,
    UnreadableFileError,
)
from expstore.report import write_report
from expstore.store.care import delete as deletion
from expstore.store.files import layout
from tests.faults.base import read_log

NOW = 1_700_000_000


@pytest.fixture
def full(store: ExperimentStore) -> ExperimentStore:
    """A store with three experiments, each with artifacts."""
    for age, commit_id in enumerate("abc"):
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, NOW - age))
        store.log_metric(commit_id, "loss", 0.5, 1)
        (store.files_path(commit_id) / "deep" / "er").mkdir(parents=True)
        (store.files_path(commit_id) / "deep" / "file").write_bytes(b"x")
    return store


def test_prune_works_on_a_full_disk(full: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no room even for a directory: that is when a prune is needed most."""
    mkdir = os.mkdir

    def refuse(path: Any, *args: Any, **kwargs: Any) -> None:
        if str(path).startswith(layout.PRUNING):
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(os, "mkdir", refuse)
    assert full.prune_experiments(1) == ["b", "c"]
    assert os.listdir(full.root) == ["a"]


def test_what_another_prune_is_deleting_is_left_to_it(
    full: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what nobody has locked is a leftover; a second prune during one does no harm."""
    other = ExperimentStore(full.root)
    empty = deletion.empty_directory
    seen = []

    def in_the_middle(directory: int) -> None:
        if not seen:
            seen.append(sorted(os.listdir(full.root)))
            assert other.prune_experiments(1) == ["c"]
            seen.append(sorted(os.listdir(full.root)))
        empty(directory)

    monkeypatch.setattr(deletion, "empty_directory", in_the_middle)
    assert full.prune_experiments(1) == ["b", "c"]
    (pruning,) = [name for name in seen[0] if name.startswith(layout.PRUNING)]
    assert seen == [[pruning, "a", "c"], [pruning, "a"]]
    assert os.listdir(full.root) == ["a"]


@pytest.mark.parametrize("nested", [True, False])
def test_leftovers_are_swept_by_a_prune_that_deletes_nothing(
    nested: bool, full: ExperimentStore
) -> None:
    """However an interrupted prune had hidden them."""
    hidden = full.root / layout.temporary_name(layout.PRUNING)
    if nested:
        hidden.mkdir()
        (full.root / "b").rename(hidden / "b")
    else:
        (full.root / "b").rename(hidden)
    assert full.list_experiments() == ["a", "c"]
    assert full.prune_experiments(5) == []
    assert sorted(os.listdir(full.root)) == ["a", "c"]


def test_leftover_that_is_a_link_is_not_followed(full: ExperimentStore, tmp_path: Path) -> None:
    """It is not deleted either: no prune created it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (full.root / layout.temporary_name(layout.PRUNING)).symlink_to(outside)
    full.prune_experiments(0)
    assert (outside / "precious").exists()


def test_files_that_appear_while_deleting_are_deleted_too(
    full: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may still be adding files to a directory it has open."""
    empty = deletion.empty_directory
    rounds = []

    def beside(directory: int) -> None:
        rounds.append(directory)
        empty(directory)
        if len(rounds) == 1:
            os.close(os.open("late", os.O_CREAT | os.O_WRONLY, dir_fd=directory))

    monkeypatch.setattr(deletion, "empty_directory", beside)
    assert full.delete_experiments(["a"]) == ["a"]
    assert len(rounds) == 2
    assert sorted(os.listdir(full.root)) == ["b", "c"]


def test_a_tree_of_any_depth_is_deleted(full: ExperimentStore) -> None:
    """Deeper than Python's recursion limit and than the limit on open files."""
    inner = os.open(full.files_path("b"), os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=inner)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
        deeper = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)
    assert full.prune_experiments(1) == ["b", "c"]
    assert os.listdir(full.root) == ["a"]


def test_links_below_are_deleted_and_not_followed(full: ExperimentStore, tmp_path: Path) -> None:
    """Whether to a file or to a directory, at any level."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "precious").touch()
    (full.files_path("b") / "link").symlink_to(outside)
    (full.files_path("b") / "deep" / "link").symlink_to(outside / "deep")
    (full.files_path("b") / "deep" / "file-link").symlink_to(outside / "deep" / "precious")
    assert full.delete_experiments(["b"]) == ["b"]
    assert (outside / "deep" / "precious").exists()


def test_what_is_put_in_the_place_of_an_experiment_is_not_deleted(
    full: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a link, which may lead anywhere, nor the directory that was moved away."""
    moved = tmp_path / "moved"
    rename = os.rename

    def swapped(source: Any, target: Any, **descriptors: int) -> None:
        if source == "b" and not moved.exists():
            rename(full.root / "b", moved)
            (full.root / "b").symlink_to(moved)
        rename(source, target, **descriptors)

    monkeypatch.setattr(os, "rename", swapped)
    assert full.prune_experiments(1) == ["c"]
    assert (full.root / "b").is_symlink()
    assert sorted(os.listdir(moved)) == ["files", "meta.bin", "metrics.bin"]
    assert len(read_log(moved / "metrics.bin")[0]) == 1


def test_files_of_others_are_no_leftovers(full: ExperimentStore, tmp_path: Path) -> None:
    """Only complete temporary names are swept, not every name with the same prefix."""
    path = full.experiment_path("a")
    names = {".meta.bin.swp", ".meta.bin.notes", ".meta.bin.0123456789ABCDEF"}
    for name in names:
        (path / name).write_bytes(b"precious")
    (path / ".meta.bin.0123456789abcdef").mkdir()
    mine = full.root / f"{layout.PRUNING}my-backup"
    mine.mkdir()
    full.write_metadata(Metadata("a", NOW, "new"))
    full.prune_experiments(5)
    assert {".meta.bin.0123456789abcdef", *names} <= set(os.listdir(path))
    assert mine.exists()
    (tmp_path / ".report.html.swp").touch()
    write_report(full, tmp_path / "report.html")
    assert (tmp_path / ".report.html.swp").exists()


def test_deleting_by_name(full: ExperimentStore) -> None:
    """In the given order, once each; a missing one counts as gone; a bad id deletes nothing."""
    with pytest.raises(InvalidCommitIdError):
        full.delete_experiments(["a", "../b"])
    assert full.delete_experiments(["b", "missing", "a"]) == ["b", "missing", "a"]
    assert full.list_experiments() == ["c"]
    (full.root / "plain").touch()
    with pytest.raises(DeletionError, match="plain: Not a directory") as caught:
        full.delete_experiments(["plain", "c"])
    assert caught.value.deleted == ["c"]


def test_leftover_metadata_is_removed_by_the_next_write(full: ExperimentStore) -> None:
    """An interrupted write leaves a hidden file, which readers ignore."""
    path = full.experiment_path("a")
    (path / ".meta.bin.0123456789abcdef").write_bytes(b"half")
    assert full.read_metadata("a") == Metadata("a", NOW)
    full.write_metadata(Metadata("a", NOW, "new"))
    assert sorted(os.listdir(path)) == ["files", "meta.bin", "metrics.bin"]


def test_metadata_being_written_is_no_leftover(full: ExperimentStore) -> None:
    """Its writer holds a lock on it."""
    path = full.experiment_path("a") / ".meta.bin.0123456789abcdef"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        full.write_metadata(Metadata("a", NOW, "new"))
        assert path.exists()
    assert full.read_metadata("a").job_name == "new"


def test_metadata_whose_temporary_file_is_taken_away_is_written_all_the_same(
    full: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is locked, another writer may mistake it for a leftover."""
    real, taken = fcntl.flock, []

    def take(file: Any, operation: int) -> None:
        if operation == fcntl.LOCK_EX | fcntl.LOCK_NB and not taken:
            (leftover,) = full.experiment_path("a").glob(".meta.bin.*")
            leftover.unlink()
            taken.append(leftover)
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", take)
    full.write_metadata(Metadata("a", NOW, "new"))
    assert taken
    assert full.read_metadata("a").job_name == "new"


@pytest.fixture
def writing(full: ExperimentStore) -> Iterator[list[BaseException]]:
    """Threads that rewrite the metadata of `a` continuously; yields what they raised."""
    stop, errors = threading.Event(), []

    def write(me: int) -> None:
        other = ExperimentStore(full.root)
        try:
            while not stop.is_set():
                other.write_metadata(Metadata("a", NOW, f"job {me}" * 20))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(me,)) for me in range(3)]
    for thread in threads:
        thread.start()
    yield errors
    stop.set()
    for thread in threads:
        thread.join()


def test_reader_sees_metadata_whole(full: ExperimentStore, writing: list[BaseException]) -> None:
    """Old or new, never mixed or missing, while several threads write it."""
    for _ in range(300):
        job = full.read_metadata("a").job_name
        assert job in {"", *(f"job {me}" * 20 for me in range(3))}
    assert not writing


def test_metadata_without_room_keeps_the_old(
    full: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says so, and nothing of the new metadata is left."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(NoSpaceError, match=r"meta\.bin: No space left"):
            full.write_metadata(Metadata("a", NOW, "new"))
    assert full.read_metadata("a").job_name == ""
    assert sorted(os.listdir(full.experiment_path("a"))) == ["files", "meta.bin", "metrics.bin"]


@pytest.mark.parametrize("kind", ["link", "file", "files is a file"])
def test_experiment_is_created_only_in_a_directory_of_its_own(
    kind: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """Nothing is created through a link, or if something else has the name."""
    outside = tmp_path / "outside"
    outside.mkdir()
    path = store.experiment_path("abc")
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "file":
        path.touch()
    else:
        path.mkdir()
        store.files_path("abc").touch()
    with pytest.raises((ExperimentNotFoundError, UnreadableFileError), match="abc"):
        store.create_experiment("abc")
    with pytest.raises((ExperimentNotFoundError, UnreadableFileError), match="abc"):
        store.start_experiment("abc")
    assert os.listdir(outside) == []
