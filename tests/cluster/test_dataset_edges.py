"""A part that cannot be written is an error, never counted as written."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, ExportError, NoSpaceError, UnreadableFileError
from expstore.cluster import dataset, directory, workers
from expstore.cluster.export import export_parquet
from expstore.cluster.sections import Section


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """A store with one experiment."""
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    return store


NAME = "part-abc-000000000000000-0123456789abcdef.parquet"
PART = dataset.Part(NAME, (Section("abc", 0, 25),), None, False)


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, NoSpaceError), (errno.EIO, UnreadableFileError)]
)
def test_part_that_cannot_be_written_is_an_error(
    code: int,
    expected: type[Exception],
    filled: ExperimentStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It raises in the worker, and is not there."""
    output = tmp_path / "output"
    number = directory.begin(output, {})

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(expected):
            dataset.write_part(filled, output, number, PART)
    assert [name for name in os.listdir(output) if name.startswith("part-")] == []
    assert dataset.write_part(filled, output, number, PART).rows == 1


def test_export_with_a_part_that_cannot_be_written_is_not_complete(
    filled: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises what the part raised, and does not say `_SUCCESS`; run again, it is complete."""
    output = tmp_path / "output"
    whole_file = dataset.whole_file

    def full(path: Path, **_: bool) -> Any:
        raise NoSpaceError(f"{path}: No space left on device; nothing was written")

    # In this process instead of in a worker's.
    monkeypatch.setattr(workers, "chosen_client", nullcontext)
    monkeypatch.setattr(
        workers,
        "completed",
        lambda _, call, calls: ((index, call(*each)) for index, each in enumerate(calls)),
    )
    monkeypatch.setattr(dataset, "whole_file", full)
    with pytest.raises(NoSpaceError):
        export_parquet(filled, output)
    assert not (output / "_SUCCESS").exists()
    monkeypatch.setattr(dataset, "whole_file", whole_file)
    assert export_parquet(filled, output).rows == 1
    assert (output / "_SUCCESS").exists()


def test_unfinished_part_that_another_export_deleted_is_explained(
    filled: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other export is the reason, not the missing file."""
    output = tmp_path / "output"
    number = directory.begin(output, {})
    replace = os.replace

    def after_another(source: Any, target: Any, **options: Any) -> None:
        monkeypatch.setattr(os, "replace", replace)
        directory.begin(output, {})
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", after_another)
    with pytest.raises(ExportError, match="does not find this export"):
        dataset.write_part(filled, output, number, PART)
    assert os.listdir(output) == ["_expstore_export.parquet"]


@pytest.mark.parametrize("secret", ["hunter2", b"hunter2", object(), {"Authorization": "Bearer x"}])
def test_names_of_parts_have_no_trace_of_a_secret(secret: object) -> None:
    """Nobody can guess a password by them, and a new one renames nothing."""

    def name(**options: object) -> str:
        store = ExperimentStore("memory://store", storage_options=options)
        section = Section("abc", 0, 25)
        return dataset.part_of(
            store, [section], {section: ""}, {"abc": ValueError()}, None, True
        ).name

    assert name(token=secret) == name()
    assert name(client_kwargs={"headers": secret}) == name(client_kwargs={})
    assert name(endpoint="http://user:secret@one") == name(endpoint="http://user:other@one")
    assert name(endpoint="http://one") != name(endpoint="http://two")
