"""Programs that log to a run that another one started, and runs that others create and end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import expstore
from expstore import (
    ExperimentExistsError,
    ExperimentNotFoundError,
    ExperimentStore,
    InvalidCommitIdError,
    LiveWriterError,
    RunFileError,
    SelectionError,
)
from expstore.store.create import create
from expstore.store.run import Run
from expstore.store.start import begin


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run that a program started, which tells the others of it."""
    root = tmp_path / "experiments"
    with begin(root, "outer", "job", params={"lr": 0.1}, command=["train", "--lr", "0.1"]) as run:
        monkeypatch.setenv("EXPSTORE_ROOT", str(root))
        monkeypatch.setenv("EXPSTORE_RUN", "outer")
        yield run


def test_a_program_joins_the_run_that_it_is_part_of(outer: Run) -> None:
    """There is one experiment, with the parameters of both, one start, and no end yet."""
    with expstore.start(params={"depth": 3}, tags="x", notes="n", job_name="other") as run:
        assert (run.commit_id, run.joined) == ("outer", True)
        run.log({"loss": 1.0})
    with expstore.start() as run:
        run.log({"loss": 0.5})
        assert run.last_step == 1
    store, info = outer.store, outer.info
    assert store.list_experiments() == ["outer"]
    assert (info.params, info.tags, info.notes) == ({"lr": 0.1, "depth": 3}, ("x",), "n")
    assert [(start.ended, start.outcome) for start in info.starts] == [(None, None)]
    assert info.origin["argv"] == ["train", "--lr", "0.1"]
    assert store.read_metadata("outer").job_name == "job"
    assert store.status("outer") == "running"
    outer.close()
    assert store.status("outer") == "finished"
    assert store.get_metrics("outer").steps.tolist() == [0, 1]


def test_an_exception_is_noted_for_the_program_that_ends_the_run(outer: Run) -> None:
    """The one that joined does not end it."""
    with pytest.raises(ValueError, match="bad"), expstore.start():
        raise ValueError("bad")
    (start,) = outer.info.starts
    assert (start.ended, start.outcome, start.error) == (None, None, "ValueError: bad")
    outer.close()
    (start,) = outer.info.starts
    assert (start.outcome, start.error) == ("finished", "")


def test_another_id_or_root_is_another_run(outer: Run, tmp_path: Path) -> None:
    """Only what is not said is taken from the environment."""
    with expstore.start(commit_id="inner") as run:
        assert (run.commit_id, run.joined) == ("inner", False)
    with expstore.start(tmp_path / "elsewhere", "outer") as run:
        assert not run.joined
    with begin(commit_id="third", command=["x"]) as run:
        assert not run.joined
    with pytest.raises(ExperimentExistsError):
        begin(commit_id="outer", command=["x"])
    root = os.path.relpath(outer.store.root)
    with expstore.start(root) as run:
        assert run.joined
    with expstore.start(root, "outer") as run:
        assert run.joined


def test_a_resume_inside_supersedes_from_its_step(outer: Run) -> None:
    """The start is the outer program's; the lowest step counts."""
    for step, kept in ((5, 5), (3, 3), (4, 3)):
        with expstore.start(resume=True, from_step=step):
            assert outer.info.starts[-1].from_step == kept
    with expstore.start(resume=True):
        assert outer.info.starts[-1].from_step == 3


def test_a_run_that_is_gone_is_an_error(outer: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which variable names it."""
    monkeypatch.setenv("EXPSTORE_RUN", "gone")
    with pytest.raises(ExperimentNotFoundError, match="unset EXPSTORE_RUN"):
        expstore.start()
    monkeypatch.setenv("EXPSTORE_RUN", "../outer")
    with pytest.raises(InvalidCommitIdError):
        expstore.start()


def test_an_experiment_is_created_for_others(tmp_path: Path) -> None:
    """With parameters and origin; nothing runs, until someone says how it ended."""
    assert create(tmp_path, "a", "job", "alice", params={"lr": 1}, tags=["x"], notes="n") == "a"
    store = ExperimentStore(tmp_path)
    info = store.read_run("a")
    assert (info.params, info.tags, info.notes, info.starts) == ({"lr": 1}, ("x",), "n", ())
    assert info.origin["host"]
    assert store.read_metadata("a").job_name == "job"
    assert store.status("a") == "unknown"
    store.log_metric("a", "loss", 0.5, 1)
    ended = store.end_run("a", "failed", "out of memory")
    assert store.status("a") == "failed"
    (start,) = ended.starts
    assert (start.error, start.started) == ("out of memory", store.read_metadata("a").timestamp)
    with pytest.raises(ExperimentExistsError):
        create(tmp_path, "a")


def test_nothing_is_created_by_a_bad_value(tmp_path: Path) -> None:
    """Each is refused first."""
    with pytest.raises(RunFileError):
        create(tmp_path / "root", "a", tags=[""])
    with pytest.raises(InvalidCommitIdError):
        create(tmp_path / "root", "../a")
    assert not (tmp_path / "root").exists()


def test_an_end_is_recorded_once(tmp_path: Path) -> None:
    """Not over another end, and not of what is running, unless it is forced."""
    store = ExperimentStore(tmp_path)
    with expstore.start(tmp_path, "a"):
        with pytest.raises(LiveWriterError, match="a writer has it open"):
            store.end_run("a")
        store.end_run("a", "stopped", force=True)
    with pytest.raises(SelectionError, match="ended already, as finished"):
        store.end_run("a", "failed")
    assert store.end_run("a", "failed", "worse", force=True).starts[-1].error == "worse"
    with pytest.raises(SelectionError, match="finished, failed, stopped"):
        store.end_run("a", "good")  # type: ignore[arg-type]
    with pytest.raises(ExperimentNotFoundError):
        store.end_run("b")
