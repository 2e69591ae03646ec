"""File systems that other machines write to: nothing is cut there, since no lease excludes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from expstore import ExperimentStore, ShortWriteError, TornTailError
from expstore.store.files import mounts
from tests.faults.base import read_log

TEAR = b"\x01" * 18


@pytest.fixture
def fuse(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A directory, and a FUSE file system through which it is seen, as by another machine."""
    if not shutil.which("bindfs") or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("bindfs is not installed, or there is no FUSE here")
    behind, seen = tmp_path / "behind", tmp_path / "seen"
    behind.mkdir()
    seen.mkdir()
    done = subprocess.run(["bindfs", behind, seen], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"bindfs cannot mount here: {done.stderr.strip()}")
    try:
        yield behind, seen
    finally:
        subprocess.run(["umount", "-l", seen], check=True)


def test_log_on_fuse_is_not_cut_while_another_machine_may_write(fuse: tuple[Path, Path]) -> None:
    """This kernel grants a lease there, although the log is open behind its back."""
    behind, seen = fuse
    store = ExperimentStore(seen)
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    path = behind / "abc" / "metrics.bin"
    with path.open("ab", buffering=0) as other:
        other.write(TEAR)
        for mend in (
            lambda: store.log_metric("abc", "loss", 0.5, 2),
            lambda: store.writer("abc").log("loss", 0.5, 2),
            lambda: store.repair("abc"),
        ):
            with pytest.raises(TornTailError, match=r"another machine.*fuse.*repair --force"):
                mend()
    assert path.read_bytes().endswith(TEAR)
    assert store.repair("abc", force=True).ok
    store.log_metric("abc", "loss", 0.5, 2)
    assert read_log(path) == ([("loss", 1, 0.5), ("loss", 2, 0.5)], 0)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "ceph", "lustre", "fuse.sshfs", ""])
def test_only_a_file_system_known_to_be_local_is_trusted(
    kind: str, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file system and the way out."""
    store.create_experiment("abc")
    path = store.metrics_path("abc")
    path.write_bytes(TEAR)
    monkeypatch.setattr(mounts, "file_system", lambda _: kind)
    with pytest.raises(TornTailError, match=f"{kind or 'unknown'}.*repair --force"):
        store.repair("abc")
    assert path.read_bytes() == TEAR
    assert not list(path.parent.glob("*.torn-*"))


def test_writer_goes_on_after_a_forced_repair(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own torn record, which it could not cut, is no longer there."""
    store.create_experiment("abc")
    monkeypatch.setattr(mounts, "file_system", lambda _: "fuse.sshfs")
    with store.writer("abc") as writer:
        writer.log("loss", 0.5, 1)
        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))
            with pytest.raises(ShortWriteError, match="another machine"):
                writer.log("loss", 0.5, 2)
        with pytest.raises(TornTailError):
            writer.log("loss", 0.5, 2)
        store.repair("abc", force=True)
        writer.log("loss", 0.5, 2)
        store.log_metric("abc", "other", 0.5, 3)
        writer.log("loss", 0.5, 4)
    assert [step for _, step, _ in read_log(store.metrics_path("abc"))[0]] == [1, 2, 3, 4]


def test_kind_of_the_file_system_is_found(tmp_path: Path) -> None:
    """By the mount that a file was opened through, since a device number may be none of its own."""
    for path, kinds in ((Path("/proc/version"), {"proc"}), (Path("/dev/shm"), {"tmpfs"})):
        if not path.exists():
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            assert mounts.file_system(descriptor) in kinds
        finally:
            os.close(descriptor)
    assert mounts.file_system(-1) == ""
    assert mounts.is_local("ext4")
    assert not mounts.is_local("")
