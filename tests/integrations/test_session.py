"""What all hooks share: when a run starts, which process logs, and how a run ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import expstore
from expstore import ExperimentExistsError, ExperimentStore
from expstore.integrations.session import Session, numbers
from tests.integrations.helpers import curve, environment, needs


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rank."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("OMPI_COMM_WORLD_RANK", raising=False)


def test_a_run_starts_when_training_begins(tmp_path: Path) -> None:
    """And not when the hook is made; it has the framework's params, under the user's own."""
    session = Session(None, {"root": tmp_path, "commit_id": "a", "params": {"lr": 1}})
    assert list(tmp_path.iterdir()) == []
    session.begin({"lr": 2, "depth": 3}, step=0)
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "running"
    session.log({"loss": 0.5, "note": "text", "list": [1, 2]}, 0)
    session.end()
    assert store.status("a") == "finished"
    assert store.read_run("a").params == {"lr": 1, "depth": 3}
    assert [(metric.name, metric.value) for metric in store.get_metrics("a")] == [("loss", 0.5)]


def test_a_run_of_the_user_is_left_open(tmp_path: Path) -> None:
    """It ends as its own `with` block does."""
    with expstore.start(tmp_path, "a") as run:
        session = Session(run, {})
        session.begin({"lr": 2}, step=0)
        session.log({"loss": 0.5}, 0)
        session.end(ValueError("handled"))
        del session
        run.log({"loss": 0.25}, 1)
    assert run.store.status("a") == "finished"
    assert run.info.params == {"lr": 2}


def test_bad_options_are_refused_when_the_hook_is_made(tmp_path: Path) -> None:
    """Before anything is trained or created."""
    with pytest.raises(TypeError, match="comit_id"):
        Session(None, {"comit_id": "a"})  # type: ignore[typeddict-unknown-key]
    with (
        expstore.start(tmp_path, "a") as run,
        pytest.raises(TypeError, match=r"a run was passed, and so were options.*tags"),
    ):
        Session(run, {"tags": "x"})


@pytest.mark.parametrize("variable", ["RANK", "OMPI_COMM_WORLD_RANK"])
def test_other_ranks_do_nothing(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the directory is made."""
    monkeypatch.setenv(variable, "1")
    session = Session(None, {"root": tmp_path / "store", "commit_id": "a"})
    session.begin({"lr": 2}, step=0)
    session.log({"loss": 0.5}, 0)
    session.end()
    assert not (tmp_path / "store").exists()


def test_a_training_that_nothing_ended_has_failed(tmp_path: Path) -> None:
    """Its exception was handled by the program, which went on."""
    session = Session(None, {"root": tmp_path, "commit_id": "a"})
    session.begin()
    del session
    store = ExperimentStore(tmp_path)
    assert store.status("a") == "failed"
    assert "training began and did not end" in store.read_run("a").starts[0].error


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        ("pass", "failed", "training began and did not end"),
        ("raise SystemExit(1)", "failed", "training began and did not end"),
        ("raise ValueError('no data')", "failed", "ValueError: no data"),
        ("raise KeyboardInterrupt", "stopped", "KeyboardInterrupt"),
        ("session.end(); raise ValueError", "finished", ""),
    ],
)
def test_the_end_of_the_program_ends_the_run(
    ending: str, status: str, error: str, tmp_path: Path
) -> None:
    """As the exception says that ends it, if training has not ended."""
    program = (
        "from expstore.integrations.session import Session\n"
        f"session = Session(None, {{'root': {str(tmp_path)!r}, 'commit_id': 'a'}})\n"
        f"session.begin(step=0)\n{ending}"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    store = ExperimentStore(tmp_path)
    assert store.status("a") == status
    assert error in store.read_run("a").starts[0].error


def test_what_is_logged_outside_a_training_has_finished(tmp_path: Path) -> None:
    """Before one, after one, or without one: only a training fails by not ending."""
    for name, trains in (("a", False), ("b", True)):
        session = Session(None, {"root": tmp_path, "commit_id": name})
        session.add_params({"lr": 1})
        session.log({"baseline": 1.0}, 0)
        if trains:
            session.begin(step=0)
            session.log({"loss": 1.0}, 1)
            session.end()
            session.log({"test_loss": 2.0}, 1)
        del session
    store = ExperimentStore(tmp_path)
    assert [store.status(name) for name in ("a", "b")] == ["finished", "finished"]
    assert store.list_experiments() == ["a", "b"]


def test_a_baseline_and_the_training_after_it_are_one_run(tmp_path: Path) -> None:
    """Though both begin at step 0: only a second training begins another run."""
    session = Session(None, {"root": tmp_path, "commit_id": "a"})
    session.log({"eval_loss": 3.0}, 0)
    session.end()
    session.begin(step=0)
    session.log({"loss": 1.0}, 0)
    session.end()
    assert ExperimentStore(tmp_path).list_experiments() == ["a"]


@pytest.mark.parametrize(
    ("cells", "status", "error"),
    [
        (["session.begin(step=0)\nraise ValueError('no data')"], "failed", "ValueError: no data"),
        (["session.begin(step=0)\nraise KeyboardInterrupt"], "stopped", "KeyboardInterrupt"),
        (["session.begin(step=0)", "raise ValueError"], "running", ""),
        (["session.begin(step=0); session.complete_if(lambda: True)"], "finished", ""),
        (["session.begin(step=0); session.end()\nraise ValueError"], "finished", ""),
        (["session.log({'loss': 1.0}, 0)\nraise ValueError"], "running", ""),
    ],
)
def test_the_exception_that_ends_a_cell_ends_its_training(
    cells: list[str], status: str, error: str, tmp_path: Path
) -> None:
    """In IPython it does not end the program, and it keeps the training's objects alive."""
    needs("IPython")
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from expstore import ExperimentStore\n"
        "from expstore.integrations.session import Session\n"
        "shell = InteractiveShell.instance()\n"
        f"session = Session(None, {{'root': {str(tmp_path)!r}, 'commit_id': 'a'}})\n"
        "shell.user_ns['session'] = session\n"
        f"for cell in {cells!r}:\n"
        "    shell.run_cell(cell)\n"
        f"store = ExperimentStore({str(tmp_path)!r})\n"
        "print('status', store.status('a'), store.read_run('a').starts[-1].error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(tmp_path), "IPYTHONDIR": str(tmp_path / ".ipython")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1].split(" ", 2) == ["status", status, error]


def test_a_resumed_run_supersedes_from_its_first_step(tmp_path: Path) -> None:
    """Whether training says where it begins, or the first log does, or the user."""
    for said, given, first in ((4, None, 4), (None, None, 4), (None, 2, 4)):
        name = f"run-{said}-{given}"
        with expstore.start(tmp_path, name) as run:
            for step in range(6):
                run.log({"loss": step}, step)
        session = Session(
            None, {"root": tmp_path, "commit_id": name, "resume": True, "from_step": given}
        )
        session.begin(step=said)
        for step in range(first, 8):
            session.log({"loss": 10 * step}, step)
        session.end()
        kept = list(range(first if given is None else given))
        assert curve(run.store, name, "loss") == [
            *((step, step) for step in kept),
            *((step, 10 * step) for step in range(first, 8)),
        ]


def test_logs_after_the_end_go_on_in_the_same_run(tmp_path: Path) -> None:
    """As of a test after training; it is finished again after that."""
    session = Session(None, {"root": tmp_path, "commit_id": "a"})
    session.begin(step=0)
    session.log({"loss": 1.0}, 0)
    session.end()
    assert session.latest.commit_id == "a"
    assert not session.is_open
    session.log({"test_loss": 2.0}, 1)
    session.end()
    store = ExperimentStore(tmp_path)
    assert [start.outcome for start in store.read_run("a").starts] == ["finished", "finished"]
    assert len(store.get_metrics("a")) == 2


def test_steps_that_begin_again_begin_another_run(tmp_path: Path) -> None:
    """A second training does not mix with the first; one of a given id is refused."""
    with pytest.warns(expstore.NoCommitWarning):
        names = _train_twice(Session(None, {"root": tmp_path / "one"}), tmp_path / "one")
    assert len(names) == 2
    session = Session(None, {"root": tmp_path / "two", "commit_id": "a"})
    with pytest.raises(ExperimentExistsError):
        _train_twice(session, tmp_path / "two")
    assert curve(ExperimentStore(tmp_path / "two"), "a", "loss") == [(0, 1.0), (1, 1.0)]


def _train_twice(session: Session, root: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root.parent)
        patch.setenv("GIT_CEILING_DIRECTORIES", str(root.parent.parent))
        for _ in range(2):
            session.begin(step=0)
            for step in range(2):
                session.log({"loss": 1.0}, step)
            session.end()
    return ExperimentStore(root).list_experiments()


def test_numbers_are_what_holds_exactly_one() -> None:
    """Scalars of any library; not texts, lists, None or larger arrays."""
    values = {
        "float": 0.5,
        "int": 2,
        "bool": True,
        "scalar": np.float32(0.25),
        "array": np.array(3.0),
        "text": "4",
        "list": [1.0],
        "none": None,
        "many": np.array([1.0, 2.0]),
    }
    expected = {"float": 0.5, "int": 2.0, "bool": 1.0, "scalar": 0.25, "array": 3.0}
    assert numbers(values) == expected
