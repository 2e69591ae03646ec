"""A start that fails raises its cause, whatever it has made by then."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import expstore
from expstore import (
    ExperimentExistsError,
    ExperimentStore,
    ExpStoreError,
    Metadata,
    NoSpaceError,
)
from expstore.store.files import atomic, system
from tests.helpers import commands
from tests.helpers.paths import ROOT


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


VERBS: dict[str, Callable[[Path], object]] = {
    "start": lambda root: expstore.start(root, "abc", user="me", params={"a": 1}),
    "start without an id": lambda root: expstore.start(root, user="me"),
    "start_experiment": lambda root: ExperimentStore(root).start_experiment("abc", user="me"),
    "create_experiment": lambda root: ExperimentStore(root).create_experiment("abc"),
    "initialize": lambda root: ExperimentStore(root).initialize(),
}


@pytest.mark.filterwarnings("ignore::expstore.NoCommitWarning")
@pytest.mark.parametrize("name", ["mkdir", "fsync", "write", "open", "link"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_failed_start_leaves_nothing_at_any_depth(
    verb: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its calls the full disk refuses: neither the experiment nor the store."""
    real = getattr(os, name)
    monkeypatch.chdir(tmp_path)  # outside git
    for failing in range(100):
        left = failing

        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            makes = name != "open" or bool(len(arguments) > 1 and arguments[1] & os.O_CREAT)
            if makes and left == 0:
                left -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left -= makes
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, call)
            try:
                made = VERBS[verb](tmp_path / "new" / "deep" / "root")
            except ExpStoreError:
                assert not list(tmp_path.iterdir())
                continue
        if hasattr(made, "close"):
            made.close()
        assert left >= 0  # nothing failed any more
        break
    assert (tmp_path / "new" / "deep" / "root").is_dir()


def test_a_start_that_comes_second_leaves_the_first_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its metadata is the same, and the first has ended and logged nothing."""
    write = ExperimentStore.write_metadata

    def after_another(store: ExperimentStore, metadata: Metadata, *, new: bool = False) -> None:
        write(store, metadata, new=True)
        store.change_run(metadata.commit_id, lambda run: replace(run, notes="the first"))
        write(store, metadata, new=new)

    monkeypatch.setattr(ExperimentStore, "write_metadata", after_another)
    with pytest.raises(ExperimentExistsError):
        expstore.start(tmp_path, "abc", "job", "user")
    store = ExperimentStore(tmp_path)
    assert store.read_metadata("abc").job_name == "job"
    assert store.read_run("abc").notes == "the first"


def test_run_that_is_pickled_says_what_to_pass_instead(tmp_path: Path) -> None:
    """As to a process that `spawn` starts."""
    with expstore.start(tmp_path, "abc") as run, pytest.raises(TypeError, match="commit_id"):
        pickle.dumps(run)


def test_runs_end_though_another_cannot(tmp_path: Path) -> None:
    """Of those that are still open when a program ends: each says how it ended."""
    program = (
        "import expstore\n"
        "runs = [expstore.start('root', name) for name in 'abcdefgh']\n"
        "(runs[3].path / 'run.json').write_text('{')\n"
        "raise ValueError\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    store = ExperimentStore(tmp_path / "root")
    ended = {name: store.status(name) for name in store.list_experiments() if name != "d"}
    assert ended == dict.fromkeys("abcefgh", "failed")


_FULL = """
import resource, signal
import expstore
from expstore.integrations.session import Session

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
{start}
run.log({{"loss": 0.5}}, step=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))  # as on a full disk
{end}
"""
_START = "run = expstore.start('store', 'abc')"
_SESSION = "session = Session(None, {'root': 'store', 'commit_id': 'abc'}); run = session.run"


@pytest.mark.parametrize(
    ("start", "end", "outcome"),
    [
        (_START, "", "finished"),
        (_START, "raise RuntimeError", "failed"),
        (_START, "del run", "finished"),
        (_SESSION, "", "finished"),
        (_SESSION, "del run, session", "finished"),
        (_SESSION, "raise RuntimeError", "failed"),
    ],
)
def test_an_end_that_cannot_be_recorded_is_told_in_one_line(
    start: str, end: str, outcome: str, tmp_path: Path
) -> None:
    """Where a program exits or drops a run, no caller could catch the error."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL.format(start=start, end=end)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("expstore: ")]
    (line,) = told
    assert line.startswith(f"expstore: run abc could not be closed: {tmp_path / 'store/abc'}/")
    remedy = f"expstore end --status {outcome} --root {tmp_path / 'store'} abc"
    assert f"`{remedy}`" in line
    assert commands.expstore(*remedy.split()[1:]).returncode == 0
    assert ExperimentStore(tmp_path / "store").status("abc") == outcome
    assert "ignored" not in done.stderr
    assert (done.stderr == f"{line}\n") == ("RuntimeError" not in end)
