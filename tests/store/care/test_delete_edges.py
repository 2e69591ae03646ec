"""Deletion beside others that delete: what is reported as gone is gone, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore
from expstore.store.care import delete as module
from expstore.store.care.delete import empty_directory
from expstore.store.files import layout, system
from tests.helpers.descriptors import open_descriptors


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Directories in directories, with files."""
    tree = tmp_path / "tree"
    for name in ("a", "b", "c"):
        (tree / name / "deep" / "er").mkdir(parents=True)
        (tree / name / "file").touch()
        (tree / name / "deep" / "file").touch()
        (tree / name / "empty").mkdir()
    (tree / "file").touch()
    return tree


def empty(tree: Path) -> None:
    """Delete everything in a directory."""
    descriptor = os.open(tree, system.DIRECTORY)
    try:
        empty_directory(descriptor)
    finally:
        os.close(descriptor)


def test_hidden_directory_that_another_sweeps_is_made_anew(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be removed between being opened and being locked; the experiment is deleted anyway."""
    store.create_experiment("abc")
    lock = module.try_deletion_lock
    swept = []

    def sweep_first(descriptor: int) -> bool:
        if not swept:
            (hidden,) = store.root.glob(f"{layout.PRUNING}*")
            hidden.rmdir()
            swept.append(hidden.name)
        return lock(descriptor)

    monkeypatch.setattr(module, "try_deletion_lock", sweep_first)
    assert store.delete_experiments(["abc"]) == ["abc"]
    assert swept
    assert os.listdir(store.root) == []


def test_link_that_replaces_a_directory_is_not_followed(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leads to is untouched, and the error says that something is left."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "file").touch()
    clear = module._clear

    def then_swap(directory: int) -> list[str]:
        names = clear(directory)
        monkeypatch.setattr(module, "_clear", clear)
        (tree / names[0]).rename(tmp_path / "moved")
        (tree / names[0]).symlink_to(outside)
        return names

    monkeypatch.setattr(module, "_clear", then_swap)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        empty(tree)
    assert sorted(os.listdir(outside)) == ["deep", "file"]
    empty(tree)
    assert os.listdir(tree) == []
    assert sorted(os.listdir(outside)) == ["deep", "file"]


def test_deleting_a_tree_leaves_no_descriptor_open(tree: Path) -> None:
    """However many directories it has."""
    before = open_descriptors()
    empty(tree)
    assert open_descriptors() == before
    assert os.listdir(tree) == []


@pytest.mark.parametrize("call", ["unlink", "rmdir", "open"])
def test_what_another_deletes_at_the_same_time_is_gone(
    call: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file and directory may have been deleted between the listing and its turn."""
    real = getattr(os, call)
    lost = []

    def too_late(path: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str) and path in {"file", "empty", "b"} and path not in lost:
            lost.append(path)
            found = f"/proc/self/fd/{options['dir_fd']}/{path}"
            if path == "b":
                os.rename(found, tree.parent / "gone")
            elif path == "empty":
                os.rename(found, tree.parent / "gone too")
            else:
                os.rename(found, tree.parent / "gone file")
            raise FileNotFoundError(2, "No such file or directory", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, call, too_late)
    empty(tree)
    assert lost
    assert os.listdir(tree) == []
