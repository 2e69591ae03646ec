"""A start that fails raises its cause, whatever it has made by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import expstore
from expstore import ExperimentStore, NoSpaceError
from expstore.store.files import atomic, system


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("step", ["system.make_inside", "atomic.write_atomically"])
def test_start_that_fails_raises_the_cause(
    step: str, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty directory, one that has content, and one that another program made."""
    root = tmp_path / "root"
    if exists:
        ExperimentStore(root).create_experiment("abc")

    def full(path: Path, *_: Any, **__: Any) -> None:
        raise NoSpaceError(f"{path}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"expstore.store.files.{step}", full)
        with pytest.raises(NoSpaceError, match="No space left"):
            expstore.start(root, "abc", resume=exists)
    assert (root / "abc").exists() or not exists
    with expstore.start(root, "abc", resume=True) as run:
        run.log({"loss": 0.5}, step=1)
    assert len(ExperimentStore(root).get_metrics("abc")) == 1


def test_start_that_made_an_empty_directory_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it can be started again without `resume`."""

    def full(path: Path, *_: Any, **__: Any) -> None:
        raise NoSpaceError(f"{path}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(system, "make_inside", full)
        with pytest.raises(NoSpaceError, match="No space left"):
            expstore.start(tmp_path, "abc")
    assert not (tmp_path / "abc").exists()
    expstore.start(tmp_path, "abc").close()


def test_start_that_cannot_remove_what_it_made_raises_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program has put an artifact there meanwhile, which stays."""
    artifact = tmp_path / "abc" / "files" / "artifact"

    def full(path: Path, *_: Any, **__: Any) -> None:
        artifact.touch()
        raise NoSpaceError(f"{path}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_atomically", full)
        with pytest.raises(NoSpaceError, match="No space left"):
            expstore.start(tmp_path, "abc")
    assert artifact.exists()
    expstore.start(tmp_path, "abc").close()
    assert artifact.exists()
