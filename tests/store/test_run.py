"""Logging from a training script: `expstore.start`."""

from __future__ import annotations

import errno
import getpass
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import expstore
from expstore import (
    DurabilityError,
    ExperimentExistsError,
    ExperimentStore,
    FieldValueError,
    GitHeadError,
    InvalidCommitIdError,
    NoCommitWarning,
    NoSpaceError,
    StoreNotFoundError,
    SyncError,
    UnsupportedVersionError,
    WriterClosedError,
)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory outside any repository, with no root configured."""
    monkeypatch.delenv("EXPSTORE_ROOT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(outside: Path) -> str:
    """The commit at HEAD in the working directory."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_a_relative_root_stays_where_it_was(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of the working directory: logging, artifacts, a fork, a second start."""
    (outside / "elsewhere").mkdir()
    with expstore.start("relative", "abc") as run:
        monkeypatch.chdir(outside / "elsewhere")
        run.log({"loss": 0.5}, step=1)
        (run.files / "notes.txt").write_text("here")
        child = os.fork()
        if not child:
            try:
                run.log({"loss": 0.25}, step=2)
            except BaseException:
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        run.store.start_experiment("second").close()
    assert run.path == outside / "relative" / "abc"
    assert (outside / "relative" / "abc" / "files" / "notes.txt").read_text() == "here"
    assert run.store.get_metrics("abc").values.tolist() == [0.5, 0.25]
    assert run.store.list_experiments() == ["abc", "second"]
    assert list((outside / "elsewhere").iterdir()) == []


def test_a_relative_root_in_a_deleted_directory_is_refused(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a typed error that says so."""
    (outside / "gone").mkdir()
    monkeypatch.chdir(outside / "gone")
    (outside / "gone").rmdir()
    with pytest.raises(StoreNotFoundError, match="working directory no longer exists"):
        ExperimentStore("experiments")


@pytest.mark.parametrize("typed", ["~/runs", "$HOME/runs", "${HOME}/runs", "$BASE/runs"])
def test_a_typed_root_is_expanded(
    outside: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """By `start`, as text or as a path, and in EXPSTORE_ROOT; a program's path is literal."""
    monkeypatch.setenv("HOME", str(outside / "home"))
    monkeypatch.setenv("BASE", str(outside / "home"))
    expstore.start(typed, "one").close()
    expstore.start(Path(typed), "two").close()
    monkeypatch.setenv("EXPSTORE_ROOT", typed)
    expstore.start(commit_id="three").close()
    store = ExperimentStore(outside / "home" / "runs")
    assert store.list_experiments() == ["one", "three", "two"]
    assert [path.name for path in outside.iterdir()] == ["home"]
    assert ExperimentStore(typed).root == outside / typed


@pytest.mark.parametrize("typed", ["~no-such-user/runs", "$NO_SUCH/runs", "a/${NO_SUCH}/runs"])
def test_a_root_that_cannot_be_expanded_is_refused(
    outside: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """Instead of creating a directory named after it; one that exists is used."""
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(StoreNotFoundError, match="there is no"):
        expstore.start(typed, "abc")
    assert list(outside.iterdir()) == []
    (outside / typed).mkdir(parents=True)
    expstore.start(typed, "abc").close()
    assert ExperimentStore(outside / typed).list_experiments() == ["abc"]


def test_a_run_takes_commit_user_and_root_from_where_it_is(repository: str, outside: Path) -> None:
    """Without arguments: git's HEAD, the login name, and ./experiments, which is created."""
    with expstore.start() as run:
        run.log({"loss": 0.5, "accuracy": 0.75}, step=3)
    assert run.commit_id == repository
    assert run.path.resolve() == outside / "experiments" / repository
    assert run.files.is_dir()
    store = ExperimentStore(outside / "experiments")
    assert store.read_metadata(repository).user == getpass.getuser()
    assert [m[:3] for m in store.get_metrics(repository)] == [
        ("loss", 0.5, 3),
        ("accuracy", 0.75, 3),
    ]


def test_the_environment_names_the_root(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EXPSTORE_ROOT takes precedence over ./experiments; an argument over both."""
    monkeypatch.setenv("EXPSTORE_ROOT", str(outside / "env"))
    assert expstore.start(commit_id="a").path == outside / "env" / "a"
    assert expstore.start(outside / "arg", "a").path == outside / "arg" / "a"
    assert not (outside / "experiments").exists()


def test_outside_a_repository_the_id_is_of_time_and_chance(outside: Path) -> None:
    """With a warning that names the other way; two runs get different ids."""
    with pytest.warns(NoCommitWarning, match="pass commit_id for one of your own"):
        ids = [expstore.start().commit_id for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", commit_id) for commit_id in ids)
    assert ExperimentStore(outside / "experiments").list_experiments() == sorted(ids)


def test_what_needs_a_commit_is_refused_outside_a_repository(outside: Path) -> None:
    """A patch, and resuming without an id: a typed error, and nothing is created."""
    with pytest.raises(GitHeadError, match="save_patch"):
        expstore.start(save_patch=True)
    with pytest.raises(GitHeadError, match="give a commit_id, or work inside a git repository"):
        expstore.start(resume=True)
    assert not list(outside.iterdir())


def test_a_run_that_dies_keeps_what_it_logged(tmp_path: Path) -> None:
    """The exception propagates, and each logged step is in the file."""

    def train() -> None:
        with expstore.start(tmp_path, "a", job_name="train") as run:
            for step in range(5):
                run.log({"loss": 1 / (3 - step)}, step=step)

    with pytest.raises(ZeroDivisionError):
        train()
    table = ExperimentStore(tmp_path).get_metrics("a")
    assert table.steps.tolist() == [0, 1, 2]
    assert table.status


def test_a_killed_process_keeps_what_it_logged(tmp_path: Path) -> None:
    """Metrics are in the file when the call returns: nothing is buffered in the process."""
    script = (
        "import expstore, os, sys\n"
        "run = expstore.start(sys.argv[1], 'a')\n"
        "for step in range(50): run.log({'loss': 1.0}, step=step)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert len(ExperimentStore(tmp_path).get_metrics("a")) == 50


def test_starting_again_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """An existing experiment keeps its metadata and its metrics."""
    with expstore.start(tmp_path, "a", "first", "alice") as run:
        run.log({"loss": 1.0}, step=0)
    before = {path: path.read_bytes() for path in run.path.glob("*.bin")}
    with pytest.raises(ExperimentExistsError, match="choose another commit_id"):
        expstore.start(tmp_path, "a", "second", "bob")
    assert {path: path.read_bytes() for path in run.path.glob("*.bin")} == before


def test_resuming_appends_and_keeps_the_metadata(tmp_path: Path) -> None:
    """With resume=True the run continues; its user and its timestamp are kept."""
    with expstore.start(tmp_path, "a", "first", "alice", resume=True) as run:
        run.log({"loss": 1.0}, step=0)
    store = ExperimentStore(tmp_path)
    before = store.read_metadata("a")
    with expstore.start(tmp_path, "a", "second", "bob", resume=True) as run:
        run.log({"loss": 0.5}, step=1)
    assert store.read_metadata("a") == before
    assert store.get_metrics("a").values.tolist() == [1.0, 0.5]


def test_resuming_what_has_no_metadata_writes_it(store: ExperimentStore) -> None:
    """A directory that was only prepared is used."""
    store.create_experiment("a")
    expstore.start(store.root, "a", "job", "alice", resume=True).close()
    metadata = store.read_metadata("a")
    assert (metadata.job_name, metadata.user) == ("job", "alice")


def test_resuming_never_overwrites_metadata_it_cannot_read(store: ExperimentStore) -> None:
    """Foreign metadata is an error, and is kept."""
    store.create_experiment("a")
    store.metadata_path("a").write_bytes(b"\x02 not of this format")
    with pytest.raises(UnsupportedVersionError):
        expstore.start(store.root, "a", resume=True)
    assert store.metadata_path("a").read_bytes() == b"\x02 not of this format"


@pytest.mark.parametrize(
    ("commit_id", "job", "error"),
    [
        ("../a", "", InvalidCommitIdError),
        ("", "", InvalidCommitIdError),
        ("a", "x" * 256, FieldValueError),
    ],
)
def test_a_refused_start_leaves_no_experiment(
    tmp_path: Path, commit_id: str, job: str, error: type[Exception]
) -> None:
    """An id or a text that the format cannot represent leaves nothing of the experiment."""
    with pytest.raises(error):
        expstore.start(tmp_path / "root", commit_id, job)
    assert not list(tmp_path.glob("root/*"))
    assert not (tmp_path / "a").exists()


def _try_to_start(root: Path, barrier: object, won: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    try:
        expstore.start(root, "a").close()
    except ExperimentExistsError:
        return
    won.release()  # type: ignore[attr-defined]


def test_of_several_processes_that_start_one_experiment_one_succeeds(tmp_path: Path) -> None:
    """The workers of one training job may all try: exactly one owns the experiment."""
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(4), context.Semaphore(0)
    workers = [
        context.Process(target=_try_to_start, args=(tmp_path, barrier, won)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert won.get_value() == 1


def test_scalars_of_any_library_are_numbers(tmp_path: Path) -> None:
    """NumPy scalars, one-element arrays and any object with __float__ can be logged."""

    class Tensor:
        def __float__(self) -> float:
            return 0.25

    with expstore.start(tmp_path, "a") as run:
        run.log({"x": np.float32(0.5), "y": np.array([2.0]), "z": Tensor()}, step=np.int64(1))
    assert ExperimentStore(tmp_path).get_metrics("a").values.tolist() == [0.5, 2.0, 0.25]


@pytest.mark.parametrize("value", [True, "1", None, np.array([1.0, 2.0])])
def test_what_is_no_number_is_refused_whole(tmp_path: Path, value: object) -> None:
    """If one value of a step is bad, nothing of the step is written."""
    with expstore.start(tmp_path, "a") as run, pytest.raises(FieldValueError):
        run.log({"good": 1.0, "bad": value}, step=0)  # type: ignore[dict-item]
    assert len(ExperimentStore(tmp_path).get_metrics("a")) == 0


def test_a_run_that_has_ended_says_how_to_go_on(tmp_path: Path) -> None:
    """Parameters, tags and notes may still be added to it."""
    with expstore.start(tmp_path, "a") as run:
        run.log({"loss": 1.0})
    with pytest.raises(WriterClosedError, match=r"run a has ended.*commit_id='a', resume=True"):
        run.log({"loss": 2.0})
    run.log_params({"best": 1})
    run.add_tags("done")
    assert run.info.params == {"best": 1}
    assert run.store.status("a") == "finished"


def test_artifacts_stand_beside_the_metrics(tmp_path: Path) -> None:
    """`run.files` is the store's artifact directory."""
    with expstore.start(tmp_path, "a") as run:
        (run.files / "notes.txt").write_text("kept")
    assert (ExperimentStore(tmp_path).files_path("a") / "notes.txt").read_text() == "kept"


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`expstore.start` is available without NumPy, Typer, or an extra."""
    script = (
        "import sys, expstore; expstore.start; expstore.Run\n"
        "print(*{'numpy', 'typer', 'rich', 'matplotlib', 'uniplot'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_durability_is_the_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, new or resumed, syncs as requested; an invalid level is refused first."""
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    for step in (1, 2):
        with expstore.start(tmp_path, "abc", user="me", resume=True, durability="power") as run:
            before = len(synced)
            run.log({"loss": 0.5}, step=step)
            assert len(synced) == before + 1
    with pytest.raises(DurabilityError):
        expstore.start(tmp_path, "other", durability="forever")  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("wrong", [{"job_name": "x" * 256}, {"user": 5}, {"durability": "often"}])
def test_a_start_that_is_refused_leaves_all_as_it_was(
    outside: Path, wrong: dict[str, Any], prepared: bool
) -> None:
    """No root or experiment is created, and no prepared experiment is removed."""
    if prepared:
        (outside / "experiments" / "abc").mkdir(parents=True)
    with pytest.raises((FieldValueError, DurabilityError)):
        expstore.start(commit_id="abc", resume=prepared, **wrong)
    assert (outside / "experiments").exists() == prepared
    assert (outside / "experiments" / "abc").exists() == prepared


def full(*_: object, **__: object) -> None:
    """What a file system does that is full."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "call", ["mkdir", "files/", "metrics.bin", "meta.bin", "fsync", "link", "sync"]
)
def test_a_start_on_a_full_disk_leaves_nothing_and_can_be_repeated(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever call it is that fails."""
    root = tmp_path / "root"
    ExperimentStore(root).initialize()
    with monkeypatch.context() as patch:
        mkdir, opened = os.mkdir, os.open

        def no_directory(path: Any, *args: Any, **kwargs: Any) -> None:
            if (Path(path).name == "files") == (call == "files/"):
                full()
            mkdir(path, *args, **kwargs)

        def no_file(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if flags & os.O_CREAT and call in os.fsdecode(path):
                full()
            return opened(path, flags, *args, **kwargs)

        if call in ("mkdir", "files/"):
            patch.setattr(os, "mkdir", no_directory)
        elif call in ("metrics.bin", "meta.bin"):
            patch.setattr(os, "open", no_file)
        else:
            patch.setattr(os, "fdatasync" if call == "sync" else call, full)
        with pytest.raises((NoSpaceError, SyncError)):
            expstore.start(root, "a", user="me", durability="power")
    assert os.listdir(root) == []
    expstore.start(root, "a", user="me").close()
    assert ExperimentStore(root).read_metadata("a").user == "me"


def test_what_has_no_metadata_and_no_records_is_not_started(store: ExperimentStore) -> None:
    """As after a process that died while it started; what is there is kept."""
    path = store.create_experiment("a")
    (path / "metrics.bin").touch()
    (path / ".meta.bin.0123456789abcdef").write_bytes(b"unfinished")
    (path / "files" / "artifact").touch()
    expstore.start(store.root, "a", user="me").close()
    assert sorted(os.listdir(path)) == ["files", "meta.bin", "metrics.bin", "run.json"]
    assert os.listdir(path / "files") == ["artifact"]
    with pytest.raises(ExperimentExistsError):
        expstore.start(store.root, "a", user="me")
    store.create_experiment("b")
    store.log_metric("b", "loss", 0.5, 1)  # as by the reference, which needs no metadata
    with pytest.raises(ExperimentExistsError):
        expstore.start(store.root, "b", user="me")


def test_a_failed_start_removes_nothing_that_was_there(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prepared experiment stays prepared."""
    path = store.create_experiment("a")
    (path / "files" / "artifact").touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoSpaceError):
            expstore.start(store.root, "a", user="me")
    assert (path / "files" / "artifact").exists()


def test_a_start_that_fails_beside_another_leaves_it_alone(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has the experiment open, so it is in use."""
    writers = []

    def late(*_: object) -> None:
        if not writers:
            writers.append(store.writer("a"))
            full()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", late)
        with pytest.raises(NoSpaceError):
            expstore.start(store.root, "a", user="me")
    writers[0].log("loss", 0.5, 1)
    writers[0].close()
    assert len(store.get_metrics("a")) == 1


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_start_needs_no_hard_links(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have none."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    run = expstore.start(tmp_path, "a", user="me")
    assert sorted(os.listdir(run.path)) == ["files", "meta.bin", "metrics.bin", "run.json"]
    run.close()
    store = ExperimentStore(tmp_path)
    with pytest.raises(ExperimentExistsError):
        store.write_metadata(store.read_metadata("a"), new=True)
