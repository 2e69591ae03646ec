"""Deleting chosen experiments: `rm`, `prune --where` and `prune --keep-best`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import expstore
from expstore import ExperimentStore, RetentionPolicyError
from tests.helpers.application import run
from tests.helpers.commands import expstore as command
from tests.helpers.runs import add, write_run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentStore:
    """Four experiments with a learning rate and a loss, which say that they have ended."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    now = time.time()
    end: dict[str, Any] = {"started": now - 9, "ended": now + 1, "outcome": "finished"}
    for number, loss in enumerate((0.4, 0.1, 0.3, 0.2)):
        add(store, f"run{number}", {"lr": number}, {"loss": [1.0, loss]}, starts=[end])
        metadata = store.read_metadata(f"run{number}")
        store.write_metadata(replace(metadata, timestamp=int(now)))  # so that ids decide
    monkeypatch.setenv("EXPSTORE_ROOT", str(store.root))
    return store


def plan(*arguments: str) -> list[tuple[str, str, str]]:
    """The rows of a plan: id, action and reason."""
    done = command(*arguments, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["plan"]
    return sorted((row["commit_id"], row["action"], row["reason"]) for row in rows)


def test_rm_deletes_what_is_named(store: ExperimentStore) -> None:
    """The plan is shown first; without a terminal nothing is deleted without --yes."""
    done = command("rm", "run0", "run2")
    assert done.returncode == 1
    assert "--yes is required" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[2:]] == ["delete", "delete"]
    done = command("rm", "run0", "run2", "--yes", "--json")
    assert json.loads(done.stdout)["deleted"] == ["run0", "run2"]
    assert store.list_experiments() == ["run1", "run3"]
    assert command("rm", "--where", "lr == 1", "-y").stdout.endswith("1 deleted\n")
    assert store.list_experiments() == ["run3"]


def test_rm_deletes_what_matches(store: ExperimentStore) -> None:
    """Of all, or of the ids that are given."""
    assert [row[0] for row in plan("rm", "--where", "lr > 1")] == ["run2", "run3"]
    assert [row[0] for row in plan("rm", "run0", "run3", "--where", "lr > 1")] == ["run3"]
    for wrong, code in ((["--where", "lr > 9"], 1), ([], 2), (["--where", "lr >"], 2), (["x"], 1)):
        done = command("rm", *wrong, "--yes")
        assert (done.returncode, done.stdout) == (code, "")
    assert len(store.list_experiments()) == 4


def test_rm_leaves_what_a_writer_has_open(store: ExperimentStore) -> None:
    """With exit code 1, unless it is forced."""
    with expstore.start(store.root, "open"):
        done = command("rm", "open", "run0", "--yes")
        assert done.returncode == 1
        assert "a writer has it open" in done.stdout
        assert "1 left" in done.stderr
        assert store.list_experiments() == ["open", "run1", "run2", "run3"]
        assert command("rm", "open", "--yes", "--force").returncode == 0
        assert not store.experiment_exists("open")


def test_rm_deletes_what_cannot_be_read(store: ExperimentStore) -> None:
    """It was chosen, which a prune does not do; unless that changes meanwhile."""
    store.metadata_path("run0").write_bytes(b"\x01")
    store.create_experiment("bare")
    rows = plan("rm", "run0", "bare")
    assert [row[1] for row in rows] == ["delete", "delete"]
    assert all("metadata unreadable" in row[2] for row in rows)
    made = store.plan_deletion(["run0", "bare"])
    with store.start_experiment("bare"):
        pass
    assert store.prune(made) == ["run0"]
    assert store.experiment_exists("bare")


def test_prune_keeps_the_best(store: ExperimentStore) -> None:
    """What is running or was protected is kept too; what just ended needs no grace."""
    rows = plan("prune", "--keep-best", "loss:min=2", "--protect", "run0")
    missed = "not among the 2 best by loss:min"
    assert rows == [
        ("run0", "keep", "protected"),
        ("run1", "keep", "2 best by loss:min"),
        ("run2", "prune", missed),
        ("run3", "keep", "2 best by loss:min"),
    ]
    done = command("prune", "--keep-best", "loss:min=2", "--yes")
    assert done.stdout.endswith("2 pruned\n")
    assert store.list_experiments() == ["run1", "run3"]


def test_the_best_are_kept_beside_the_other_rules(store: ExperimentStore) -> None:
    """Beyond the newest none of the best is pruned."""
    rows = plan("prune", "--keep", "0", "--keep-best", "loss")
    assert [row[1:] for row in rows[:2]] == [
        ("prune", "beyond the newest 0"),
        ("keep", "best by loss"),
    ]


def test_prune_judges_what_matches_as_if_it_were_alone(store: ExperimentStore) -> None:
    """The best, or the newest, of these."""
    rows = plan("prune", "--where", "lr != 1", "--keep-best", "loss=1")
    assert [row[:2] for row in rows] == [("run0", "prune"), ("run2", "prune"), ("run3", "keep")]
    rows = plan("prune", "--where", "lr < 2", "--keep", "1")
    assert [row[:2] for row in rows] == [("run0", "keep"), ("run1", "prune")]
    assert plan("prune", "--where", "lr < 1") == [("run0", "prune", "selected")]
    assert plan("prune", "--where", "lr > 9") == []
    assert "none of 4 experiments matches" in command("prune", "--where", "lr > 9", "--yes").stderr


def test_grace_is_for_what_does_not_say_that_it_has_ended(store: ExperimentStore) -> None:
    """A run that was killed, or was logged to after its end, is spared."""
    write_run(store, "run0", params={"lr": 0}, starts=[{"started": time.time()}])
    early = {"started": 1.0, "ended": time.time() - 60, "outcome": "finished"}
    write_run(store, "run1", params={"lr": 1}, starts=[early])
    (store.experiment_path("run2") / "run.json").write_text("{")
    assert [row[1] for row in plan("prune", "--keep", "0")] == ["skip", "skip", "skip", "prune"]


@pytest.mark.parametrize(
    "arguments",
    [["--keep-best", "x=3"], ["--keep-best", "loss=0"], ["--where", "lr <"], []],
)
def test_a_rule_that_makes_no_sense_is_wrong_usage(
    arguments: list[str], store: ExperimentStore
) -> None:
    """Nothing is deleted."""
    assert command("prune", *arguments, "--yes").returncode == 2
    assert command("prune", "--keep-best", "los:min=3", "--yes").returncode == 1
    assert len(store.list_experiments()) == 4


def test_the_library_prunes_some_alone(store: ExperimentStore) -> None:
    """`only` and `protect` may give reasons; neither makes a text of an id."""
    made = store.plan_prune(only={"run0": "old", "run1": "x"}, protect={"run1": "mine"})
    assert [(row.commit_id, row.action, row.reason) for row in made] == [
        ("run0", "prune", "old"),
        ("run1", "keep", "mine"),
    ]
    with pytest.raises(RetentionPolicyError, match="only must be"):
        store.plan_prune(only="run0")
    with pytest.raises(RetentionPolicyError):
        store.plan_prune()
    assert store.prune_experiments(only=["run0", "gone"]) == ["run0"]
    assert run(store, "ls").exit_code == 0
