"""Outputs: whole or not there, never among a store's own files, and nothing is left of them."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from expstore import ExperimentStore, OutputInStoreError
from expstore.cluster import directory
from expstore.compare.curves import curves
from expstore.compare.plot import save
from expstore.exchange.export import export_file
from expstore.exchange.tensorboard import export_tensorboard
from expstore.report.page import write_report
from expstore.store.files import mounts, output
from expstore.store.files.output import unfinished_directory, whole_file
from expstore.store.files.systems import native
from tests.faults.base import fork
from tests.helpers.application import run

OUTPUTS: dict[str, Callable[[ExperimentStore, Path], object]] = {
    "csv": lambda store, path: export_file(store, None, path, "csv", force=True),
    "parquet": lambda store, path: export_file(store, None, path, "parquet", force=True),
    "report": write_report,
    "plot": lambda store, path: save(curves(store, None, ["loss"]), path.with_suffix(".svg")),
}


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """A store with one experiment."""
    with store.start_experiment("abc", user="me") as writer:
        writer.log("loss", 0.5, 1)
    return store


def content(path: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("name", ["metrics.bin", "meta.bin", "SHA256SUMS", "new"])
@pytest.mark.parametrize("form", OUTPUTS)
def test_no_output_is_written_among_the_files_of_a_store(
    form: str, name: str, filled: ExperimentStore
) -> None:
    """Neither over one nor beside them, and not through a link; the error says where to."""
    before = content(filled.root)
    link = filled.root.parent / "link"
    link.symlink_to(filled.experiment_path("abc"))
    for place in (filled.experiment_path("abc"), link):
        with pytest.raises(OutputInStoreError, match="below files/"):
            OUTPUTS[form](filled, place / name)
    assert content(filled.root) == before


@pytest.mark.parametrize("form", OUTPUTS)
def test_outputs_may_be_artifacts(form: str, filled: ExperimentStore) -> None:
    """A picture of a run is one of its files."""
    OUTPUTS[form](filled, filled.files_path("abc") / "output")
    assert len(os.listdir(filled.files_path("abc"))) == 1


def test_directories_of_an_export_are_no_experiments(filled: ExperimentStore) -> None:
    """A run of TensorBoard has the experiment's id, and so its name in the store."""
    before = content(filled.root)
    with pytest.raises(OutputInStoreError):
        export_tensorboard(filled, None, filled.root, force=True)
    with pytest.raises(OutputInStoreError):
        directory.begin(filled.experiment_path("abc"), {})
    with pytest.raises(OutputInStoreError):
        directory.begin(filled.experiment_path("abc") / "parts", {})
    assert content(filled.root) == before


def test_the_commands_refuse_too(filled: ExperimentStore) -> None:
    """With one line."""
    log = str(filled.metrics_path("abc"))
    for arguments in (("export", "--to", "csv", "-o", log, "--force"), ("report", "-o", log)):
        result = run(filled, *arguments)
        assert result.exit_code != 0
        assert isinstance(result.exception, OutputInStoreError)


def leave(directory: Path, act: Callable[[], None]) -> Path:
    """What a process leaves in a directory that is killed while it writes, made to look older."""
    before = set(directory.iterdir())
    pid = fork(act)
    for _ in range(10_000):
        if set(directory.iterdir()) - before:
            break
        time.sleep(0.001)
    time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    (left,) = set(directory.iterdir()) - before
    os.utime(left, (1, 1))
    return left


def half_a_file(path: Path) -> None:
    """Write for ever."""
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        time.sleep(60)


def test_what_a_killed_program_left_of_an_output_is_removed(tmp_path: Path) -> None:
    """By the next that writes the same output; what is of another one stays."""
    mine = leave(tmp_path, lambda: half_a_file(tmp_path / "a.csv"))
    other = leave(tmp_path, lambda: half_a_file(tmp_path / "b.csv"))
    output.write_output(tmp_path / "a.csv", b"whole")
    assert {*tmp_path.iterdir()} == {tmp_path / "a.csv", other}
    assert mine != other


def test_what_a_living_program_writes_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what has just been made, nor what another machine may be writing."""
    path = tmp_path / "a.csv"
    with whole_file(path) as file:
        file.write(b"first")
        (living,) = tmp_path.iterdir()
        os.utime(living, (1, 1))
        output.write_output(path, b"second")
        assert living.exists()
    assert path.read_bytes() == b"first"
    left = leave(tmp_path, lambda: half_a_file(path))
    os.utime(left)
    output.write_output(path, b"third")
    os.utime(left, (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(mounts, "file_system", lambda _: "nfs4")
        output.write_output(path, b"fourth")
    assert left.exists()
    output.write_output(path, b"fifth")
    assert not left.exists()


def test_what_a_killed_export_to_tensorboard_left_is_removed(
    tmp_path: Path, filled: ExperimentStore
) -> None:
    """A directory; nothing else in the output is touched."""

    def half_a_directory() -> None:
        with unfinished_directory(runs / "run") as building:
            (building / "events").write_bytes(b"half")
            time.sleep(60)

    runs = tmp_path / "runs"
    runs.mkdir()
    leave(runs, half_a_directory)
    (runs / "notes").touch()
    export_tensorboard(filled, None, runs)
    assert sorted(os.listdir(runs)) == ["abc", "notes"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """Neither of a file nor of a directory; the old output is kept."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(bytes(1 // 0))
    with pytest.raises(ZeroDivisionError), unfinished_directory(path) as building:
        (building / "x").write_bytes(bytes(1 // 0))
    assert content(tmp_path) == {"a.csv": b"old"}
    shutil.rmtree(tmp_path)


def test_a_large_output_goes_to_the_medium_as_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of it once, so that the end does not wait for all; the bytes are those given."""
    told: list[tuple[int, int]] = []
    begin = native.own.begin_sync

    def begin_sync(descriptor: int, offset: int, size: int) -> None:
        told.append((offset, size))
        begin(descriptor, offset, size)

    monkeypatch.setattr(native.own, "begin_sync", begin_sync)
    monkeypatch.setattr(output, "_SYNCED", 1 << 18)
    pieces = [bytes([number]) * (number * 1000 + 1) for number in range(60)]
    with whole_file(tmp_path / "large") as file:
        for piece in pieces:
            file.write(piece)
    assert (tmp_path / "large").read_bytes() == b"".join(pieces)
    ends = [0, *(offset + size for offset, size in told)]
    assert [offset for offset, _ in told] == ends[:-1]
    assert len(told) > 3
    assert sum(map(len, pieces)) - ends[-1] < (1 << 18) + output._BUFFER


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such call")
def test_an_output_is_written_where_the_system_refuses_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some sandboxes do; nothing depends on it."""
    refused: list[int] = []

    def refuse(descriptor: int, offset: int, size: int, advice: int) -> None:
        refused.append(offset)
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    monkeypatch.setattr(output, "_SYNCED", 1 << 18)
    output.write_output(tmp_path / "large", bytes(1 << 20))
    assert (tmp_path / "large").read_bytes() == bytes(1 << 20)
    assert refused
