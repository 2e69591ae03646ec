"""Modes and owners: what is new follows the umask, and what replaces or copies a file keeps its."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import expstore
from expstore import ExperimentStore, Metadata
from expstore.exchange.export import export_file
from expstore.exchange.imports import import_experiments
from expstore.exchange.tensorboard import export_tensorboard
from expstore.report import write_report
from expstore.store.files import atomic
from tests.faults.base import fork, join
from tests.helpers.paths import MEMORY

_GROUP, _USER = 12_345, 54_321
HEADER = "name,value,step,timestamp\n"


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The process's umask, for the length of a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_what_is_new_follows_the_umask(tmp_path: Path, umask: int) -> None:
    """Every file and directory of a store, and every export, whatever made it."""
    store = ExperimentStore(tmp_path / "store")
    expstore.start(tmp_path / "store", "started").close()
    store.create_experiment("created")
    store.log_metric("created", "loss", 0.5, 1)
    store.write_metadata(Metadata("created", 1))
    (tmp_path / "in.csv").write_text(HEADER + "loss,1,1,1\n")
    import_experiments(store, "csv", tmp_path / "in.csv", to_id="imported")
    store.salvage("created", "salvaged")
    store.delete_experiments(["started"])
    expstore.start(tmp_path / "store", "started").close()
    export_file(store, None, tmp_path / "out.csv", "csv")
    export_tensorboard(store, None, tmp_path / "runs")
    write_report(store, tmp_path / "report.html")
    paths = [path for path in tmp_path.rglob("*") if path.name != "in.csv"]
    assert len(paths) > 20
    for path in paths:
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert mode(path) == wanted, f"{path}: {mode(path):o}, not {wanted:o}"


def test_a_group_can_share_a_store(tmp_path: Path) -> None:
    """With setgid and umask 002, whatever is made in it belongs to the group, which may write."""
    root = tmp_path / "store"
    root.mkdir()
    if os.geteuid() == 0:
        os.chown(root, -1, _GROUP)
    os.chmod(root, 0o2775)
    group = root.stat().st_gid
    before = os.umask(0o002)
    try:
        store = ExperimentStore(root)
        with expstore.start(root, "started") as run:
            run.log({"loss": 0.5}, step=1)
        (tmp_path / "in.csv").write_text(HEADER + "loss,1,1,1\n")
        import_experiments(store, "csv", tmp_path / "in.csv", to_id="imported")
        store.salvage("started", "salvaged")
        store.write_metadata(Metadata("started", 1))
    finally:
        os.umask(before)
    for path in root.rglob("*"):
        assert path.stat().st_gid == group, path
        assert mode(path) == (0o2775 if path.is_dir() else 0o664), f"{path}: {mode(path):o}"


def _rewrite(store: ExperimentStore) -> list[Path]:
    store.write_metadata(Metadata("abc", 2))
    return [store.metadata_path("abc")]


def _repair(store: ExperimentStore) -> list[Path]:
    with store.metrics_path("abc").open("ab") as file:
        file.write(b"torn")
    kept = store.repair("abc").kept
    assert kept is not None
    return [kept, store.metrics_path("abc")]


def _salvage(store: ExperimentStore) -> list[Path]:
    store.salvage("abc", "new")
    return [store.metadata_path("new"), store.metrics_path("new")]


def _replace(store: ExperimentStore) -> list[Path]:
    output = store.root.with_name("out.csv")
    output.touch()
    _restrict(output)
    export_file(store, ["abc"], output, "csv", force=True)
    return [output]


def _replace_report(store: ExperimentStore) -> list[Path]:
    output = store.root.with_name("report.html")
    output.touch()
    _restrict(output)
    write_report(store, output)
    return [output]


def _replace_run(store: ExperimentStore) -> list[Path]:
    output = store.root.with_name("runs")
    export_tensorboard(store, ["abc"], output)
    files = list((output / "abc").iterdir())
    for path in files:
        _restrict(path)
    export_tensorboard(store, ["abc"], output, force=True)
    assert list((output / "abc").iterdir()) == files
    return files


def _restrict(path: Path) -> None:
    """Give a file the owner and the mode that are to be kept."""
    if os.geteuid() == 0:
        os.chown(path, _USER, _GROUP)
    os.chmod(path, 0o640)


@pytest.mark.parametrize(
    "act", [_rewrite, _repair, _salvage, _replace, _replace_report, _replace_run]
)
def test_what_replaces_or_copies_a_file_keeps_its_mode_and_owner(
    store: ExperimentStore, act: Callable[[ExperimentStore], list[Path]]
) -> None:
    """What was private stays private, and its owner can still read it."""
    store.create_experiment("abc")
    store.write_metadata(Metadata("abc", 1))
    store.log_metric("abc", "loss", 0.5, 1)
    for path in (store.metadata_path("abc"), store.metrics_path("abc")):
        _restrict(path)
    wanted = store.metrics_path("abc").stat()
    for path in act(store):
        found = path.stat()
        assert (oct(mode(path)), found.st_uid, found.st_gid) == (
            "0o640",
            wanted.st_uid,
            wanted.st_gid,
        )


def test_a_salvaged_experiment_is_as_private_as_its_source(store: ExperimentStore) -> None:
    """The directory too, and `files/`."""
    store.create_experiment("abc").chmod(0o700)
    store.files_path("abc").chmod(0o750)
    store.log_metric("abc", "loss", 0.5, 1)
    store.salvage("abc", "new")
    assert mode(store.experiment_path("new")) == 0o700
    assert mode(store.files_path("new")) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_who_cannot_keep_the_group_gives_it_nothing() -> None:
    """A user of another group replaces a file: the mode stays, but for the rights of the group."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:  # which other users can reach
        path = Path(place, "meta.bin")
        path.write_bytes(b"old")
        os.chown(path, 0, _GROUP)
        path.chmod(0o664)
        path.parent.chmod(0o777)

        def replace() -> None:
            os.setgroups([])
            os.setgid(_USER)
            os.setuid(_USER)
            atomic.write_atomically(path, b"new", os.open(place, os.O_RDONLY))

        join(fork(replace))
        assert path.read_bytes() == b"new"
        found = path.stat()
        assert (found.st_uid, found.st_gid, oct(mode(path))) == (_USER, _USER, "0o644")
