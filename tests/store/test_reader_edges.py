"""StoreReader: ids are checked first, and the system's errors are typed."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from expstore import ExperimentStore, InvalidCommitIdError, UnreadableFileError


@pytest.mark.parametrize("commit_id", ["../x", "", ".", "a/b", "/etc"])
def test_sizes_are_asked_of_experiments_only(commit_id: str, store: ExperimentStore) -> None:
    """An id that would lead out of the store is refused, also after a good one."""
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    outside = store.root.parent / "x"
    outside.mkdir()
    (outside / "metrics.bin").write_bytes(bytes(50))
    assert store.log_sizes(iter(["abc"])) == {"abc": 25}
    with pytest.raises(InvalidCommitIdError):
        store.log_sizes(["abc", commit_id])


def test_experiment_of_which_the_system_says_nothing_is_an_error(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as in a root that one may not search: it neither exists nor is missing."""

    def refuse(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(UnreadableFileError, match=r"abc: permission denied"):
        store.experiment_exists("abc")
