"""Files on a file system: the modes they are made with, and a replacement that never succeeds."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from expstore import ExperimentStore, Metadata, UnreadableFileError
from expstore.store.files import atomic, system
from expstore.store.files.descriptor import Descriptor
from tests.helpers.descriptors import open_descriptors


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_is_made_has_the_modes_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    """Nothing is executable, and nobody is given more than by any other program."""
    before = os.umask(umask)
    try:
        store = ExperimentStore(tmp_path / "new" / "root")
        store.initialize()
        with store.start_experiment("abc", user="alice") as writer:
            writer.log("loss", 0.5, 1)
        store.write_metadata(Metadata("abc", 2))
        store.create_experiment("def")
        store.log_metric("def", "loss", 0.5, 1)
        store.metrics_path("abc").open("ab").write(b"\x01" * 5)
        store.salvage("abc", "ghi")
    finally:
        os.umask(before)
    found = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert len(found) == 13
    for name, mode in found.items():
        base = 0o666 if name.endswith(".bin") else 0o777
        assert mode == base & ~umask, name


def test_replacement_that_never_succeeds_is_an_error(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never reported as written; the old content is kept."""
    store.create_experiment("abc")
    store.write_metadata(Metadata("abc", 1))
    tried = []
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_replace", lambda *arguments, new: tried.append(arguments))
        with pytest.raises(UnreadableFileError, match=r"meta\.bin.*keeps removing"):
            store.write_metadata(Metadata("abc", 2))
    assert len(tried) == 100
    assert store.read_metadata("abc").timestamp == 1
    assert sorted(os.listdir(store.experiment_path("abc"))) == ["files", "meta.bin"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no file system refuses new names")
def test_directory_that_a_file_system_refuses_is_an_error() -> None:
    """/proc says of every new name that there is no such directory; it is not asked for ever."""
    with pytest.raises(UnreadableFileError, match="/proc/new: No such file"):
        ExperimentStore("/proc/new/root").initialize()


def test_a_file_that_cannot_be_opened_leaves_its_directory_closed(tmp_path: Path) -> None:
    """Nothing stays open of an attempt that failed."""
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            Descriptor.inside(str(tmp_path), "missing", system.READ)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ELOOP, "is a symbolic link, which a store does not follow"),
        (errno.EISDIR, "is a directory"),
        (errno.ENXIO, "is not a regular file"),
        (errno.EIO, os.strerror(errno.EIO)),
        (None, "odd"),
    ],
)
def test_an_error_of_the_system_is_told_in_words_of_the_store(
    number: int | None, words: str
) -> None:
    """Where there are some; otherwise in the system's, or the library's."""
    error = OSError("odd") if number is None else OSError(number, os.strerror(number))
    assert str(system.unreadable("a/meta.bin", error)) == f"a/meta.bin: {words}"
