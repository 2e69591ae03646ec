"""Experiments side by side, in the library and on the command line."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import expstore.cli.prune  # noqa: F401 - adds its command
from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    ImportSourceError,
    UnknownMetricError,
)
from expstore.cli import base
from expstore.cli import compare as compare_command
from expstore.compare import compare
from expstore.exchange.imports import import_experiments
from tests.helpers.application import log, run

HOSTILE = "\x1b[31m[bold]<b>:smile:\u202e"


@pytest.fixture
def three(store: ExperimentStore) -> ExperimentStore:
    """Three experiments; `c` lacks the loss, `b` has an accuracy that ends in NaN."""
    log(store, "a", {"loss": [3.0, 1.0, 2.0], "accuracy": [0.5, 0.75]})
    log(store, "b", {"loss": [5.0, 4.0, 0.5], "accuracy": [0.25, math.nan]})
    log(store, "c", {"x:min": [7.0]})
    return store


def ids(summaries: list[Any]) -> list[str]:
    """The order of a comparison."""
    return [summary.commit_id for summary in summaries]


def test_last_min_and_max_of_each_metric(three: ExperimentStore) -> None:
    """Plain values, with metadata beside them."""
    a, b, c = compare(three)
    assert a.metrics["loss"] == (2.0, 1.0, 3.0, 2, 3)
    assert b.metrics["accuracy"][1:] == (0.25, 0.25, 1, 2)
    assert math.isnan(b.metrics["accuracy"].last)
    assert a.metadata is not None
    assert (a.metadata.job_name, list(c.metrics)) == ("job-a", ["x:min"])


def test_last_is_at_the_greatest_step_not_at_the_end_of_the_file(store: ExperimentStore) -> None:
    """Files of several writers are not in order."""
    log(store, "a", {})
    store.log_metric("a", "loss", 1.0, step=9)
    store.log_metric("a", "loss", 2.0, step=3)
    assert compare(store)[0].metrics["loss"].last == 1.0


@pytest.mark.parametrize(
    ("sort", "reverse", "order"),
    [
        ("loss", False, "bac"),
        ("loss", True, "abc"),
        ("loss:min", False, "bac"),
        ("loss:max", False, "abc"),
        ("accuracy", False, "abc"),
        ("accuracy", True, "abc"),
        ("x:min", False, "cab"),
        ("x:min:last", False, "cab"),
        (None, True, "cba"),
    ],
)
def test_sorting(three: ExperimentStore, sort: str | None, reverse: bool, order: str) -> None:
    """By any aspect; NaN, then what lacks the metric, last in either direction."""
    assert "".join(ids(compare(three, sort=sort, reverse=reverse))) == order


def test_chosen_experiments_and_names_keep_their_order(three: ExperimentStore) -> None:
    """As asked for, each once."""
    found = compare(three, ["c", "a", "c"], ["accuracy", "loss"])
    assert ids(found) == ["c", "a"]
    assert [list(summary.metrics) for summary in found] == [[], ["accuracy", "loss"]]


def test_unknown_names_and_ids_are_refused(three: ExperimentStore) -> None:
    """A name that no experiment has, and an id that is none."""
    with pytest.raises(
        UnknownMetricError, match=r"no metric 'los'; the metrics are: accuracy, loss"
    ):
        compare(three, names=["los"])
    with pytest.raises(UnknownMetricError):
        compare(three, sort="loss:mean")
    with pytest.raises(ExperimentNotFoundError):
        compare(three, ["a", "nothing"])


def test_unreadable_experiments_are_in_it_with_their_problem(vectors: ExperimentStore) -> None:
    """Over all golden vectors, damaged ones too, every experiment is there."""
    found = {summary.commit_id: summary for summary in compare(vectors)}
    assert list(found) == vectors.list_experiments()
    assert "unsupported version" in found["bad-version"].problems[0]
    assert not found["torn-name"].status


def test_the_command_prints_json(three: ExperimentStore) -> None:
    """Valid JSON, non-finite values as strings, and nothing else."""
    result = run(three, "compare", "--json", "--name", "accuracy", "--sort", "loss")
    rows = json.loads(result.stdout, parse_constant=pytest.fail)
    assert [row["commit_id"] for row in rows] == ["b", "a", "c"]
    assert rows[0]["metrics"]["accuracy"]["last"] == "NaN"
    assert rows[1]["metrics"]["accuracy"]["max"] == 0.75


def test_the_command_prints_csv(three: ExperimentStore) -> None:
    """A row for each experiment and metric, with every digit."""
    log(three, "d", {'a,"b\n': [1 / 3]})
    rows = list(csv.DictReader(io.StringIO(run(three, "compare", "--csv").stdout)))
    assert [(row["commit_id"], row["name"]) for row in rows[-2:]] == [
        ("c", "x:min"),
        ("d", 'a,"b\n'),
    ]
    assert float(rows[-1]["last"]) == 1 / 3
    assert run(three, "compare", "--csv", "--json").exit_code == 2


def test_the_command_shows_a_table_for_each_metric(three: ExperimentStore) -> None:
    """Names are data: neither control characters nor markup do anything."""
    log(three, "d", {HOSTILE: [1.5], "n" * 255: [2.0]})
    shown = run(three, "compare").stdout
    assert r"\x1b[31m[bold]<b>:smile:\u202e" in shown
    assert "\x1b" not in shown
    assert "job-b" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_what_is_unreadable_is_told_and_ends_with_one(vectors: ExperimentStore) -> None:
    """The rest is shown."""
    result = run(vectors, "compare")
    assert result.exit_code == 1
    assert "bad-version" in result.stderr
    assert "torn" in result.stderr
    assert "at step" in result.stdout


def test_help_has_an_example() -> None:
    """Each command's help ends in one."""
    for command in ("compare", "plot", "report"):
        result = CliRunner().invoke(base.app, [command, "--help"])
        assert f"Example: expstore {command}" in result.stdout


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_number_is_cut_however_narrow_the_terminal(columns: int, store: ExperimentStore) -> None:
    """Ids and jobs are; and on a pipe nothing at all."""
    commit_id = "b6589fc6ab0dc82cf12099d1c2d40ab994e8410c"
    store.start_experiment(commit_id, "train-resnet-with-a-long-name").close()
    values = (-9.87654e-05, 1.23456e-05, -1.23456e-05)
    for step, value in enumerate(values):
        store.log_metric(commit_id, "lr", value, step * 1_000_000)
    piped = run(store, "compare", "--metric", "lr").stdout
    assert commit_id in piped
    screen = io.StringIO()
    console = Console(width=columns, file=screen)
    console.print(compare_command._table("lr", compare(store), columns))
    for shown in (piped, screen.getvalue()):
        assert all(f"{value:.5g}" in shown for value in values)
        assert "2,000,000" in shown


def test_a_curve_that_an_axis_cannot_show_is_told(store: ExperimentStore, tmp_path: Path) -> None:
    """It is neither drawn nor counted."""
    log(store, "a", {"loss": [3.0, 1.0], "below": [-1.0, -2.0]})
    picture = tmp_path / "a.png"
    done = run(store, "plot", "--name", "loss", "--name", "below", "--log", "-o", str(picture))
    assert "1 curves" in done.stderr
    assert "'below'" in done.stderr


def test_experiments_that_a_picture_does_not_tell_apart_are_told(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Two names leave the line styles to the names, and there are eight colours."""
    for number in range(9):
        log(store, f"run{number}", {"loss": [3.0, 1.0], "lr": [2.0, 1.0]})
    picture = str(tmp_path / "a.png")
    both = run(store, "plot", "--name", "loss", "--name", "lr", "-o", picture)
    assert "9 experiments share 8 colours" in both.stderr
    assert "share" not in run(store, "plot", "--name", "loss", "-o", picture).stderr


def test_prune_as_json_asks_nothing(store: ExperimentStore) -> None:
    """What would be deleted has not been shown."""
    log(store, "a", {"loss": [3.0]})
    done = run(store, "prune", "--keep", "0", "--json")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert store.list_experiments() == ["a"]


@pytest.mark.parametrize("name", ["missing.csv", ""])
def test_a_csv_file_that_cannot_be_read_is_a_typed_error(
    name: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """Missing, or a directory."""
    with pytest.raises(ImportSourceError):
        import_experiments(store, "csv", tmp_path / name)
