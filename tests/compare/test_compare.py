"""Comparing experiments, in the library and on the command line."""

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
from expstore.cli import base, metric_tables
from expstore.cli.tables import show
from expstore.compare import compare
from expstore.exchange.imports import import_experiments
from tests.helpers.application import log, run

HOSTILE = "\x1b[31m[bold]<b>:smile:\u202e"


@pytest.fixture
def three(store: ExperimentStore) -> ExperimentStore:
    """Three experiments; `c` has no loss, and the accuracy of `b` ends in NaN."""
    log(store, "a", {"loss": [3.0, 1.0, 2.0], "accuracy": [0.5, 0.75]})
    log(store, "b", {"loss": [5.0, 4.0, 0.5], "accuracy": [0.25, math.nan]})
    log(store, "c", {"x:min": [7.0]})
    return store


def ids(summaries: list[Any]) -> list[str]:
    """The order of a comparison."""
    return [summary.commit_id for summary in summaries]


def test_last_min_and_max_of_each_metric(three: ExperimentStore) -> None:
    """Each summary has plain values along with the metadata."""
    a, b, c = compare(three)
    assert a.metrics["loss"] == (2.0, 1.0, 3.0, 2, 1, 0, 3)
    assert b.metrics["accuracy"][1:] == (0.25, 0.25, 1, 0, 0, 2)
    assert math.isnan(b.metrics["accuracy"].last)
    assert a.metadata is not None
    assert (a.metadata.job_name, list(c.metrics)) == ("job-a", ["x:min"])


def test_last_is_at_the_last_step_not_at_the_end_of_the_file(store: ExperimentStore) -> None:
    """Logs of several writers are not in step order."""
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
    """By any aspect; NaN and then missing metrics come last in either direction."""
    assert "".join(ids(compare(three, sort=sort, reverse=reverse))) == order


def test_selected_experiments_and_names_keep_their_order(three: ExperimentStore) -> None:
    """They are returned in the requested order, without duplicates."""
    found = compare(three, ["c", "a", "c"], ["accuracy", "loss"])
    assert ids(found) == ["c", "a"]
    assert [list(summary.metrics) for summary in found] == [[], ["accuracy", "loss"]]


def test_unknown_names_and_ids_are_refused(three: ExperimentStore) -> None:
    """A metric that no experiment has, and an experiment that does not exist."""
    with pytest.raises(
        UnknownMetricError,
        match=r"no metric 'los'; did you mean loss\? the metrics are: accuracy, loss",
    ):
        compare(three, names=["los"])
    with pytest.raises(UnknownMetricError):
        compare(three, sort="loss:mean")
    with pytest.raises(ExperimentNotFoundError):
        compare(three, ["a", "nothing"])


def test_unreadable_experiments_are_included_with_their_problems(vectors: ExperimentStore) -> None:
    """A comparison of all golden vectors includes the damaged ones."""
    found = {summary.commit_id: summary for summary in compare(vectors)}
    assert list(found) == vectors.list_experiments()
    assert "unsupported version" in found["bad-version"].problems[0]
    assert not found["torn-name"].status


def test_the_command_prints_json(three: ExperimentStore) -> None:
    """The output is valid JSON and nothing else, with non-finite values as strings."""
    result = run(three, "compare", "--json", "--name", "accuracy", "--sort", "loss")
    rows = json.loads(result.stdout, parse_constant=pytest.fail)
    assert [row["commit_id"] for row in rows] == ["b", "a", "c"]
    assert rows[0]["metrics"]["accuracy"]["last"] == "NaN"
    assert rows[1]["metrics"]["accuracy"]["max"] == 0.75


def test_the_command_prints_csv(three: ExperimentStore) -> None:
    """One row per experiment and metric, at full precision."""
    log(three, "d", {'a,"b\n': [1 / 3]})
    rows = list(csv.DictReader(io.StringIO(run(three, "compare", "--csv").stdout)))
    assert [(row["commit_id"], row["name"]) for row in rows[-2:]] == [
        ("c", "x:min"),
        ("d", 'a,"b\n'),
    ]
    assert float(rows[-1]["last"]) == 1 / 3
    assert run(three, "compare", "--csv", "--json").exit_code == 2


def test_the_command_shows_a_table_for_each_metric(three: ExperimentStore) -> None:
    """Names are data: control characters and markup in them have no effect."""
    log(three, "d", {HOSTILE: [1.5], "n" * 255: [2.0]})
    shown = run(three, "compare", "--by-metric").stdout
    assert r"\x1b[31m[bold]<b>:smile:\u202e" in shown
    assert "\x1b" not in shown
    assert "job-b" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_unreadable_experiments_are_reported_with_exit_code_1(vectors: ExperimentStore) -> None:
    """The others are shown."""
    result = run(vectors, "compare", "--by-metric")
    assert result.exit_code == 1
    assert "bad-version" in result.stderr
    assert "torn" in result.stderr
    assert "at step" in result.stdout


def test_help_has_an_example() -> None:
    """Each command's help ends with an example."""
    for command in ("compare", "plot", "report"):
        result = CliRunner().invoke(base.app, [command, "--help"])
        assert f"Example: expstore {command}" in result.stdout


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_numbers_are_never_truncated_on_narrow_terminals(
    columns: int, store: ExperimentStore
) -> None:
    """Only ids and job names are truncated; piped output is not truncated at all."""
    commit_id = "b6589fc6ab0dc82cf12099d1c2d40ab994e8410c"
    store.start_experiment(commit_id, "train-resnet-with-a-long-name").close()
    values = (-9.87654e-05, 1.23456e-05, -1.23456e-05)
    for step, value in enumerate(values):
        store.log_metric(commit_id, "lr", value, step * 1_000_000)
    piped = run(store, "compare", "--by-metric", "--metric", "lr").stdout
    assert commit_id in piped
    screen = io.StringIO()
    console = Console(width=columns, file=screen)
    wanted = metric_tables._columns(columns)
    show(console, metric_tables._table("lr", compare(store), wanted))
    for shown in (piped, screen.getvalue()):
        assert all(f"{value:.5g}" in shown for value in values)
        assert "2,000,000" in shown


def test_a_curve_that_an_axis_cannot_show_is_reported(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """It is neither drawn nor counted."""
    log(store, "a", {"loss": [3.0, 1.0], "below": [-1.0, -2.0]})
    picture = tmp_path / "a.png"
    done = run(store, "plot", "--name", "loss", "--name", "below", "--log", "-o", str(picture))
    assert "1 curve" in done.stderr
    assert "'below'" in done.stderr


def test_experiments_of_equal_colour_are_reported(store: ExperimentStore, tmp_path: Path) -> None:
    """With two metrics, line styles distinguish the metrics, and there are only eight colours."""
    for number in range(9):
        log(store, f"run{number}", {"loss": [3.0, 1.0], "lr": [2.0, 1.0]})
    picture = str(tmp_path / "a.png")
    both = run(store, "plot", "--name", "loss", "--name", "lr", "-o", picture)
    assert "9 experiments share 8 colours" in both.stderr
    assert "share" not in run(store, "plot", "--name", "loss", "-o", picture).stderr


def test_prune_with_json_needs_yes(store: ExperimentStore) -> None:
    """It does not prompt, since it has not shown what would be deleted."""
    log(store, "a", {"loss": [3.0]})
    done = run(store, "prune", "--keep", "0", "--grace", "0", "--json")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert store.list_experiments() == ["a"]


@pytest.mark.parametrize("name", ["missing.csv", ""])
def test_a_csv_file_that_cannot_be_read_is_a_typed_error(
    name: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """The file is missing, or is a directory."""
    with pytest.raises(ImportSourceError):
        import_experiments(store, "csv", tmp_path / name)
