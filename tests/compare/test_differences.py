"""What differs between two experiments."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentNotFoundError, ExperimentStore
from expstore.compare.differences import ABSENT, Pair, diff, diff_patch, same_value
from tests.helpers.application import run
from tests.helpers.runs import add
from tests.helpers.terminal import on_terminal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@pytest.fixture
def store(tmp_path: Path) -> ExperimentStore:
    """An empty store."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    return store


def test_only_differences_are_listed(store: ExperimentStore) -> None:
    """With what is missing told from what is null."""
    same = {"seed": 1, "sizes": [1, 2], "x": None}
    add(store, "a", same | {"lr": 0.1, "depth": 3}, {"loss": [2, 1], "same": [1]}, tags=["t", "u"])
    add(
        store,
        "b",
        same | {"sizes": [1.0, 2], "lr": 0.2, "m": {"width": None}},
        {"loss": [2, 0.5], "same": [1], "acc": [0.5]},
        tags=["u", "v"],
        job="other",
        origin={"commit": "abc", "dirty": True},
    )
    found = diff(store, "a", "b")
    assert found.fields == {"job": Pair("job", "other")}
    assert found.params == {
        "lr": Pair(0.1, 0.2),
        "depth": Pair(3, ABSENT),
        "m.width": Pair(ABSENT, None),
    }
    assert found.tags == Pair(("t",), ("v",))
    assert found.git == {"commit": Pair(ABSENT, "abc"), "dirty": Pair(ABSENT, True)}
    assert list(found.metrics) == ["loss", "acc"]
    assert (found.metrics["loss"].first.min, found.metrics["loss"].second.min) == (1.0, 0.5)
    assert (found.same_params, found.same_metrics) == (3, 1)
    assert found
    assert not diff(store, "a", "a")
    with pytest.raises(ExperimentNotFoundError):
        diff(store, "a", "c")


@given(JSON, JSON)
def test_values_are_the_same_as_in_python_but_for_truth_values(first: Any, second: Any) -> None:
    """Each is the same as itself; true is never 1, however deep."""
    assert same_value(first, first)
    assert same_value(first, second) == same_value(second, first)
    if first != second:
        assert not same_value(first, second)


def test_values_that_python_takes_for_equal() -> None:
    """Truth values and numbers differ; NaN is itself."""
    assert not same_value(True, 1)
    assert not same_value([{"x": [0]}], [{"x": [False]}])
    assert same_value(3, 3.0)
    assert same_value(math.nan, float("nan"))
    assert not same_value(math.nan, 0.0)
    assert not same_value(None, ABSENT)


def test_what_cannot_be_read_is_said(store: ExperimentStore) -> None:
    """The rest is compared."""
    add(store, "a", {"lr": 1})
    add(store, "b", {"lr": 2})
    (store.experiment_path("b") / "run.json").write_text("{")
    found = diff(store, "a", "b")
    assert found.params == {"lr": Pair(1, ABSENT)}
    assert "run.json" in found.problems[0]


def git(*arguments: str) -> str:
    """Run git; returns what it prints."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_code_is_compared(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the commits, and the changes that were kept."""
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    git("init", "-q")
    commits = []
    for text in ("one\n", "two\n"):
        Path("train.py").write_text(text)
        git("add", "-A")
        git("commit", "-q", "-m", "x")
        commits.append(git("rev-parse", "HEAD"))
    for commit_id, commit in zip("ab", commits, strict=True):
        add(store, commit_id, {}, origin={"commit": commit, "dirty": True})
    (store.files_path("b") / "uncommitted.patch").write_text("old\n")
    (store.files_path("b") / "uncommitted-2.patch").write_text("+three\n")
    lines = list(diff_patch(store, "a", "b"))
    assert {"-one", "+two", "+three", "# b: uncommitted changes"} <= set(lines)
    assert "old" not in lines
    assert any(line.startswith("# a: uncommitted changes, which") for line in lines)
    assert run(store, "diff", "a", "b", "-p").stdout.endswith("+three\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert next(iter(diff_patch(store, "a", "b"))).startswith("# git does not know both")
    add(store, "c", {}, origin={"commit": "--output=x"})
    assert next(iter(diff_patch(store, "a", "c"))) == "# no git commit is known of both"


def test_the_command_shows_a_row_for_each(store: ExperimentStore) -> None:
    """With the change of what is a number; a prefix is enough for an id."""
    add(store, "abc1", {"lr": 0.1, "o": "adam"}, {"loss": [1.0, 0.5]}, tags=["x"])
    add(store, "def2", {"lr": 0.3, "o": "sgd"}, {"loss": [0.25]})
    done = run(store, "diff", "abc", "def")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["abc1", "def2", "change"],
        [done.stdout.splitlines()[1]],
        ["param", "lr", "0.1", "0.3", "+0.2"],
        ["param", "o", "adam", "sgd"],
        ["tags", "x"],
        ["metric", "loss", "min", "0.5", "@", "1", "0.25", "@", "0", "-0.25"],
    ]
    found = json.loads(run(store, "diff", "abc1", "def2", "--json").stdout)
    assert found["params"]["lr"] == {"first": 0.1, "second": 0.3}
    assert found["tags"] == {"first": ["x"], "second": []}
    assert found["metrics"]["loss"]["second"]["min"] == 0.25
    assert run(store, "diff", "abc1", "abc1").stdout.startswith("the same in both: 2 parameters")


def test_the_table_fits_a_terminal(store: ExperimentStore) -> None:
    """Long texts are folded, and nothing is lost; escapes are shown as text."""
    long = "word " * 30
    add(store, "a" * 40, {"text": long, "x\x1b[31m": "\x1b[31mred"})
    add(store, "a" * 39 + "b", {"text": "short"})
    command = ["diff", "--root", str(store.root), *store.list_experiments()]
    shown = on_terminal(*command, columns=60)
    lines = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert shown.count("word") == 30
    assert "\x1b[31m" not in shown
