"""Runs without Python: `run`, `new`, `log`, `end` and `set`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from expstore import ExperimentStore, NoCommitWarning
from tests.helpers import commands
from tests.helpers.application import run
from tests.helpers.commands import expstore
from tests.helpers.paths import ROOT
from tests.helpers.runs import add


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentStore:
    """A store, in whose directory commands are run, outside git."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("EXPSTORE_RUN", raising=False)
    monkeypatch.setenv("EXPSTORE_ROOT", str(tmp_path / "experiments"))
    return ExperimentStore(tmp_path / "experiments")


def test_a_shell_logs_and_ends_a_run(store: ExperimentStore) -> None:
    """The id is all that `new` prints; steps are counted for each metric by itself."""
    with pytest.warns(NoCommitWarning):
        done = run(store, "new", "-p", "lr=0.1", "-p", "name=x=y", "--tag", "t", "--note", "n")
    commit_id = done.stdout.strip()
    assert store.list_experiments() == [commit_id]
    info = store.read_run(commit_id)
    assert (info.params, info.tags, info.notes) == ({"lr": 0.1, "name": "x=y"}, ("t",), "n")
    for name, value in (("loss", "0.5"), ("acc", "0.1"), ("loss", "0.25")):
        assert run(store, "log", commit_id, name, value).exit_code == 0
    assert run(store, "log", commit_id, "loss", "0.1", "--step", "9").exit_code == 0
    assert store.get_metrics(commit_id).steps.tolist() == [0, 0, 1, 9]
    assert run(store, "end", commit_id, "--status", "failed", "--error", "why").exit_code == 0
    state = store.run_state(commit_id)
    assert (state.status, state.note) == ("failed", "why")


def test_the_use_of_the_machine_is_asked_for(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its library, the extra is named, and nothing is created."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    done = run(store, "run", "--id", "a", "--system-metrics", "--", "true")
    assert done.exit_code == 1
    assert "the extra `system`" in str(done.exception)
    assert not store.root.exists()


def test_a_mistake_in_a_parameter_is_wrong_usage(store: ExperimentStore) -> None:
    """Nothing is created."""
    for command in (["new", "a"], ["run", "true"], ["set", "a"]):
        done = expstore(command[0], "--param", "lr", *command[1:])
        assert done.returncode == 2
        assert "NAME=VALUE" in done.stderr
    assert not store.root.exists()


def test_a_program_is_run_with_its_exit_code(store: ExperimentStore) -> None:
    """Its output is on standard output alone; what is said of the run is not."""
    done = expstore("run", "--id", "a", "--", "sh", "-c", "echo out; exit 3", "--lr", "0.1")
    assert (done.returncode, done.stdout) == (3, "out\n")
    first, last = done.stderr.splitlines()
    assert first == f"expstore: run a in {store.root}"
    assert last.startswith("expstore: run a failed (exit status 3) after ")
    assert store.read_run("a").params == {"lr": 0.1}
    done = expstore("run", "-q", "--id", "b", "true", "--json", "-p", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert store.read_run("b").params == {"json": True}
    assert expstore("run", "no-such-program").returncode == 127
    assert expstore("run").returncode == 2
    assert store.list_experiments() == ["a", "b"]


def test_what_could_not_be_kept_of_a_program_is_said(store: ExperimentStore) -> None:
    """With the program's exit code, or 1 if that is 0."""
    for commit_id, code, expected in (("a", 3, 3), ("b", 0, 1)):
        spoil = f"echo {{ > experiments/{commit_id}/run.json; exit {code}"
        done = expstore("run", "-q", "--id", commit_id, "--", "sh", "-c", spoil)
        assert done.returncode == expected
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"expstore: {commit_id}: that it f")
        assert " was not recorded: " in line


def test_a_run_is_resumed_by_a_prefix(store: ExperimentStore) -> None:
    """With what was logged from a step on superseded."""
    add(store, "abc123", {}, {"loss": [3.0, 2.0, 1.0]})
    assert run(store, "end", "abc").exit_code == 0
    done = expstore("run", "-q", "--id", "abc", "--resume", "--from-step", "1", "true")
    assert done.returncode == 0
    assert len(store.get_metrics("abc123", superseded=False)) == 1
    assert expstore("run", "-q", "--id", "abc123", "true").returncode == 1


def test_outside_git_an_id_is_made_and_said(store: ExperimentStore) -> None:
    """Without advice that is for Python, and without the place in the source."""
    done = expstore("run", "true")
    assert done.returncode == 0
    assert "made of the time and chance\n" in done.stderr
    assert "commit_id" not in done.stderr
    assert "stacklevel" not in done.stderr


def test_what_logs_inside_needs_no_id_or_root(store: ExperimentStore, tmp_path: Path) -> None:
    """A shell script and a Python script log to the same run."""
    (tmp_path / "train.py").write_text(
        "import expstore\nwith expstore.start() as run: run.log({'loss': 0.5})\n"
    )
    program = commands.program(tmp_path / "bin" / "expstore")
    script = f"{sys.executable} train.py && cd / && {program} log $EXPSTORE_RUN loss 0.25"
    done = commands.expstore("run", "--id", "a", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert store.get_metrics("a").values.tolist() == [0.5, 0.25]
    assert store.list_experiments() == ["a"]


def test_set_changes_what_is_named(store: ExperimentStore) -> None:
    """Of one experiment or several; the rest is kept."""
    add(store, "a1", {"lr": 0.1, "m": {"depth": 3}}, tags=["x", "y"], notes="old")
    add(store, "b1", {"lr": 0.2})
    done = run(store, "set", "a", "b", "--param", "lr=1", "--untag", "x", "--tag", "z", "--json")
    assert json.loads(done.stdout) == [
        {
            "commit_id": "a1",
            "params": {"lr": 1, "m.depth": 3},
            "tags": ["y", "z"],
            "notes": "old",
        },
        {"commit_id": "b1", "params": {"lr": 1}, "tags": ["z"], "notes": ""},
    ]
    done = run(store, "set", "a1", "--unset", "m.depth", "--note", "new")
    assert done.stdout == "a1: lr=1; tags: y, z; notes: new\n"
    assert run(store, "set", "b1", "--unset", "lr", "--untag", "z").stdout == "b1: nothing\n"
    assert expstore("set", "a1").returncode == 2
    assert expstore("set", "c", "--tag", "x").returncode == 1


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("set a1 --param l", ["lr="]),
        ("set a1 --unset l", ["lr"]),
        ("set a1 --untag t", ["tag1"]),
        ("set b", ["b1"]),
        ("rm --where lr==1andl", []),
        ("rm --where l", ["lr", "loss"]),
        ("prune --keep-best l", ["loss"]),
        ("run --id a", ["a1"]),
        ("end a", ["a1"]),
        ("diff a1 b", ["b1"]),
        ("files a1 --name n", ["notes.txt"]),
        ("cp a1 out --name n", ["notes.txt"]),
        ("cp nowhere out --name n", []),
    ],
)
def test_names_are_completed(
    line: str, offered: list[str], store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, parameters, tags, metrics and files, as far as they were typed."""
    add(store, "a1", {"lr": 1}, {"loss": [1.0]}, tags=["tag1"])
    add(store, "b1", {}, {})
    (store.files_path("a1") / "notes.txt").write_text("x")
    monkeypatch.setenv("COMP_WORDS", f"expstore {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    monkeypatch.setenv("_EXPSTORE_COMPLETE", "complete_bash")
    assert expstore().stdout.split() == offered
