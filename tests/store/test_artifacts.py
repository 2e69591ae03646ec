"""Listing and copying what is in `files/`."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    ExpStoreError,
    OutputExistsError,
    OutputInStoreError,
    SelectionError,
    UnreadableFileError,
)
from expstore.store.files.directory import Entry
from expstore.store.files.local import LocalDirectory
from tests.helpers.application import run


@pytest.fixture
def store(tmp_path: Path) -> ExperimentStore:
    """An experiment with files, a directory of files, and links that lead out."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    with store.start_experiment("abc1"):
        pass
    (tmp_path / "secret").write_text("secret")
    files = store.files_path("abc1")
    (files / "ckpt").mkdir()
    (files / "notes.txt").write_text("notes")
    (files / "ckpt" / "1.pt").write_bytes(bytes(3_000_000))
    (files / "ckpt" / "2.pt").write_text("two")
    (files / "link").symlink_to(tmp_path / "secret")
    (files / "out").symlink_to(tmp_path)
    os.mkfifo(files / "pipe")
    return store


ALL = ["notes.txt", "ckpt/1.pt", "ckpt/2.pt"]


def found(directory: Path) -> list[str]:
    """The files below a directory."""
    return sorted(str(one.relative_to(directory)) for one in directory.rglob("*") if one.is_file())


def test_files_are_listed_and_copied(store: ExperimentStore, tmp_path: Path) -> None:
    """Whole, under their names; links and what is no file stay behind."""
    assert [one.name for one in store.iter_files("abc1")] == ALL
    calls: list[tuple[int, int]] = []
    target = tmp_path / "new" / "copy"
    written = store.copy_files("abc1", target, progress=lambda *call: calls.append(call))
    assert [str(path.relative_to(target)) for path in written] == ALL
    assert found(target) == sorted(ALL)
    for name in ALL:
        assert (target / name).read_bytes() == (store.files_path("abc1") / name).read_bytes()
    total = 3_000_000 + 8
    assert calls[-1] == (total, total)
    assert len(calls) > 3
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["notes.txt"], ["notes.txt"]),
        (["ckpt"], ["ckpt/1.pt", "ckpt/2.pt"]),
        (["ckpt/", "*.txt"], sorted(ALL)),
        (["ckpt/*2*", "ckpt/2.pt"], ["ckpt/2.pt"]),
    ],
)
def test_names_choose(
    names: list[str], chosen: list[str], store: ExperimentStore, tmp_path: Path
) -> None:
    """A file, a directory, or a pattern."""
    store.copy_files("abc1", tmp_path / "copy", names)
    assert found(tmp_path / "copy") == chosen


def test_nothing_is_overwritten_or_half_done(store: ExperimentStore, tmp_path: Path) -> None:
    """What is in the way is found first; --force replaces files, not directories."""
    target = tmp_path / "copy"
    (target / "ckpt").mkdir(parents=True)
    (target / "ckpt" / "2.pt").write_text("mine")
    with pytest.raises(OutputExistsError, match="force"):
        store.copy_files("abc1", target)
    assert found(target) == ["ckpt/2.pt"]
    store.copy_files("abc1", target, force=True)
    assert (target / "ckpt" / "2.pt").read_text() == "two"
    (target / "notes.txt").unlink()
    (target / "notes.txt").mkdir()
    with pytest.raises(OutputExistsError, match="not a regular file"):
        store.copy_files("abc1", target, force=True)


def test_no_link_in_the_target_is_followed(store: ExperimentStore, tmp_path: Path) -> None:
    """Neither one of a directory nor one of a file."""
    target, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (target / "ckpt").symlink_to(elsewhere)
    for force in False, True:
        with pytest.raises(OutputExistsError, match="in the way"):
            store.copy_files("abc1", target, force=force)
    (target / "ckpt").unlink()
    (target / "notes.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(OutputExistsError):
        store.copy_files("abc1", target)
    with pytest.raises(OutputExistsError, match="is a link"):
        store.copy_files("abc1", target, force=True)
    assert (tmp_path / "secret").read_text() == "secret"
    assert not found(elsewhere)


def test_what_cannot_be_copied_is_said(store: ExperimentStore, tmp_path: Path) -> None:
    """Before anything is made."""
    target = tmp_path / "copy"
    with pytest.raises(SelectionError, match="there are: notes"):
        store.copy_files("abc1", target, ["ckpt/3.pt"])
    with pytest.raises(SelectionError):
        store.copy_files("abc1", target, ["../meta.bin"])
    with pytest.raises(ExperimentNotFoundError):
        store.copy_files("gone", target)
    with store.start_experiment("empty"):
        pass
    with pytest.raises(SelectionError, match="no files to copy"):
        store.copy_files("empty", target)
    assert not target.exists()
    with pytest.raises(OutputInStoreError):
        store.copy_files("abc1", store.experiment_path("empty"))
    store.copy_files("abc1", store.files_path("empty"), ["notes.txt"])
    assert [one.name for one in store.iter_files("empty")] == ["notes.txt"]


def test_a_directory_that_cannot_be_listed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy without what is in it would pass for a whole one; nothing is copied then."""
    store = ExperimentStore(tmp_path / "store")
    files = store.files_path(store.create_experiment("a").name)
    for name in ("whole/a.txt", "bad/b.txt", "/".join("d" * 17) + "/deep.txt"):
        (files / name).parent.mkdir(parents=True)
        (files / name).write_text("x")
    entries = LocalDirectory.entries

    def fail(self: LocalDirectory) -> list[Entry]:
        if self.path.name == "bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return entries(self)

    monkeypatch.setattr(LocalDirectory, "entries", fail)
    faults: list[ExpStoreError] = []
    assert [one.name for one in store.iter_files("a", faults.append)] == ["whole/a.txt"]
    bad, deep = map(str, faults)
    assert "files/bad: Input/output error" in bad
    assert "d: more than 16 directories deep" in deep
    with pytest.raises(UnreadableFileError, match="files/bad: Input/output error"):
        store.copy_files("a", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    done = run(store, "files", "a", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (1, [{"name": "whole/a.txt", "size": 1}])
    (files / "bad" / "b.txt").unlink()
    (files / "bad").rmdir()
    (files / "bad").symlink_to(tmp_path)  # a link is no fault
    assert [one.name for one in store.iter_files("a", faults.append)] == ["whole/a.txt"]
    assert len(faults) == 3


def test_a_copy_of_a_store_at_a_url_has_files_too(store: ExperimentStore, tmp_path: Path) -> None:
    """They are read through fsspec."""
    fsspec = pytest.importorskip("fsspec")
    (store.files_path("abc1") / "pipe").unlink()
    fsspec.filesystem("memory").put(f"{store.root}/", "/artifacts/", recursive=True)
    copy = ExperimentStore("memory://artifacts")
    copy.copy_files("abc1", tmp_path / "copy", ["ckpt"])
    assert found(tmp_path / "copy") == ["ckpt/1.pt", "ckpt/2.pt"]
    assert (tmp_path / "copy" / "ckpt" / "1.pt").stat().st_size == 3_000_000


def test_the_commands_list_and_copy(store: ExperimentStore, tmp_path: Path) -> None:
    """By a prefix of the id."""
    done = run(store, "files", "abc", "--json")
    assert [line.split()[:2] for line in run(store, "files", "abc").stdout.splitlines()[2:]] == [
        ["notes.txt", "5"],
        ["ckpt/1.pt", "3,000,000"],
        ["ckpt/2.pt", "3"],
    ]
    assert '"notes.txt"' in done.stdout
    target = str(tmp_path / "copy")
    assert run(store, "cp", "abc", target, "--name", "ckpt").stdout == f"2 files in {target}\n"
    assert isinstance(run(store, "cp", "abc", target).exception, OutputExistsError)
    assert run(store, "cp", "abc", target, "--force", "--json").stdout.count(target) == 3
