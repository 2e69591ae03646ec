"""Salvage and repair at their edges: chunks, gaps, and failures half-way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from expstore import ExperimentStore, ExpStoreError, NoSpaceError
from expstore.store.care import salvage
from expstore.store.files import placing
from formats.damage.salvage import Gap
from tests.helpers.descriptors import open_descriptors
from tests.helpers.logs import log


@pytest.fixture
def path(store: ExperimentStore) -> Path:
    """The log of an experiment, with thirty records."""
    with store.start_experiment("abc", "train", "alice"):
        pass
    path = store.metrics_path("abc")
    path.write_bytes(log(30))
    return path


@pytest.mark.parametrize("chunk", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("tail", [b"", b"\x01" * 18, bytes(21 * 4), bytes(21 * 4 + 5)])
def test_aligned_log_is_copied_byte_for_byte(
    tail: bytes, chunk: int, path: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of any size; the only gap is its tail, if it has one."""
    monkeypatch.setattr(salvage, "_CHUNK", chunk)
    path.write_bytes(log(30) + tail)
    report = store.salvage("abc", "new")
    assert store.metrics_path("new").read_bytes() == log(30)
    assert path.read_bytes() == log(30) + tail
    assert (report.records, report.size) == (30, len(log(30)))
    assert report.gaps == ((Gap(len(log(30)), len(tail)),) if tail else ())
    assert (report.gap_count, report.gap_bytes) == (len(report.gaps), len(tail))


def test_log_without_a_record_is_one_gap(path: Path, store: ExperimentStore) -> None:
    """Nothing is copied, and a missing or empty log has no gap either."""
    path.write_bytes(bytes(50))
    report = store.salvage("abc", "zeros")
    assert (report.records, report.size, report.gaps) == (0, 0, (Gap(0, 50),))
    for target in ("empty", "missing"):
        path.write_bytes(b"")
        report = store.salvage("abc", target)
        assert (report.records, report.gaps, report.gap_count) == (0, (), 0)
        path.unlink()


def test_misaligned_log_is_copied_without_its_gaps(
    path: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All gaps are counted; only the first are listed."""
    monkeypatch.setattr(salvage, "_CHUNK", 7)
    monkeypatch.setattr(salvage, "_GAPS", 2)
    tear = log(1)[:13]
    path.write_bytes(tear.join([log(30)] * 5))
    report = store.salvage("abc", "new")
    assert store.metrics_path("new").read_bytes() == log(30) * 5
    size = len(log(30))
    assert report.gaps == (Gap(size, 13), Gap(2 * size + 13, 13))
    assert (report.gap_count, report.gap_bytes, report.records) == (4, 52, 150)


def test_salvage_leaves_no_descriptor_open(path: Path, store: ExperimentStore) -> None:
    """Neither with metadata nor without."""
    before = open_descriptors()
    assert not store.salvage("abc", "new").metadata_error
    store.metadata_path("abc").unlink()
    assert store.salvage("abc", "bare").metadata_error
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt(), MemoryError()]
)
def test_salvage_that_fails_leaves_nothing(
    error: BaseException, path: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part of the new experiment stays, and an error of the system is a typed one."""

    def failing(_: int) -> None:
        raise error

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        expected = ExpStoreError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected, match=r"new|^$"):
            store.salvage("abc", "new")
    assert os.listdir(store.root) == ["abc"]
    assert open_descriptors() == before
    assert path.read_bytes() == log(30)
    assert store.salvage("abc", "new").records == 30


@pytest.mark.parametrize("step", ["bytes", "metadata"])
def test_full_disk_is_told_from_other_errors(
    step: str, path: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the log or the metadata had no space, once, with the path and the remedy's class."""

    def full(path: object, *_: object) -> None:
        if step == "metadata":
            raise NoSpaceError(f"{path}: No space left on device; nothing was written")
        raise OSError(errno.ENOSPC, "No space left on device")

    target = (os, "fsync") if step == "bytes" else (placing, "build_experiment")
    monkeypatch.setattr(*target, full)
    with pytest.raises(NoSpaceError, match=r"^[^:]*: No space left on device; nothing was written"):
        store.salvage("abc", "new")
    assert os.listdir(store.root) == ["abc"]
