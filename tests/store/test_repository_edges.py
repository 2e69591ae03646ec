"""Creating an experiment beside a prune."""

from __future__ import annotations

from pathlib import Path

import pytest

from expstore import ExperimentNotFoundError, ExperimentStore
from expstore.store.files import system


@pytest.mark.parametrize("times", [1, 3])
def test_experiment_that_is_pruned_while_it_is_created_is_created_anew(
    times: int, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path is returned, and leads to the experiment."""
    make = system.make_inside
    pruned = []

    def after_a_prune(path: Path, name: str) -> None:
        if len(pruned) < times:
            pruned.append(path)
            path.rmdir()
            raise ExperimentNotFoundError(f"{path}: no such experiment")
        make(path, name)

    monkeypatch.setattr(system, "make_inside", after_a_prune)
    assert store.create_experiment("abc") == store.root / "abc"
    assert store.files_path("abc").is_dir()
    assert len(pruned) == times
