"""Tables of the command line: linear in time, and readable on any terminal."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from expstore import ExperimentStore, Metadata, MetricTable, PrunePlan, PruneRow
from expstore.cli import render
from expstore.cli.tables import Column, Styled, Table, show
from tests.helpers import commands
from tests.helpers.application import run
from tests.helpers.terminal import on_terminal

NAMES = 40_000  # of Rich's tables, `show` would take 14 s and `compare` 30 s
LIMIT = 8  # seconds of computing, however busy the machine is; each takes less than one
LIMITED = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, ({LIMIT}, {LIMIT}))"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """An experiment with many metrics of one point each."""
    store = ExperimentStore(tmp_path_factory.mktemp("many") / "experiments")
    store.initialize()
    with store.start_experiment("many", "job", "user") as writer:
        writer.append(
            MetricTable(
                [f"n{number:06}" for number in range(NAMES)],
                np.arange(NAMES, dtype=np.int32),
                np.arange(NAMES, dtype=np.float64),
                np.zeros(NAMES, np.uint32),
                np.full(NAMES, 1_700_000_000, np.int64),
            )
        )
    return store


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("command", [["show", "many"], ["compare", "--by-metric"]])
def test_a_log_of_many_names_is_shown_at_once(
    command: list[str], terminal: bool, many: ExperimentStore
) -> None:
    """In a pipe and on a terminal; nothing is left out."""
    words = ["--root", str(many.root), *command]
    if terminal:
        shown = on_terminal(*words, patch=LIMITED)
    else:
        done = commands.expstore(*words, patch=LIMITED)
        assert done.returncode == 0, done.stderr
        shown = done.stdout
    assert all(f"n{number:06}" in shown for number in (0, NAMES // 2, NAMES - 1))


def test_many_metrics_are_selected_at_once(many: ExperimentStore) -> None:
    """A name is not searched for in a list of all."""
    table = many.get_metrics("many")
    begin = time.process_time()
    assert len(table.select(table.names)) == NAMES
    assert time.process_time() - begin < LIMIT


def printed(table: Table, **options: object) -> list[str]:
    """The lines of a table."""
    screen = io.StringIO()
    show(Console(file=screen, **options), table)  # type: ignore[arg-type]
    return screen.getvalue().splitlines()


def test_a_table_is_as_wide_as_its_texts() -> None:
    """Numbers are aligned to the right, and a line does not end in spaces."""
    table = Table("name", ">count", "note")
    table.add_row("losses", "1", "a")
    table.add_row("x", "1,000", "")
    assert printed(table, width=80) == [
        "name     count   note",
        "─────────────────────",
        "losses       1   a",
        "x        1,000",
    ]


def test_texts_are_folded_or_cut_on_a_narrow_terminal() -> None:
    """Between words where possible, by the width of characters; a number is always whole."""
    table = Table("name", Column("id", limit=4), ">count")
    table.add_row("one two three", "0123456789", "1,000,000")
    table.add_row("界界界界界界", "01", "2")
    assert printed(table, width=27) == [
        "name       id         count",
        "───────────────────────────",
        "one two    012…   1,000,000",
        "three",
        "界界界界   01             2",
        "界界",
    ]


def test_styles_reach_only_a_terminal() -> None:
    """A cell's own style takes precedence over its column's."""
    table = Table(Column("a", style="dim"), "b")
    table.add_row("x", Styled("y", "red"))
    assert printed(table, force_terminal=True, color_system="standard", width=80)[2] == (
        "\x1b[2mx\x1b[0m   \x1b[31my\x1b[0m"
    )
    assert "\x1b" not in "".join(printed(table, width=80))


def test_an_output_in_ascii_gets_a_rule_of_hyphens(tmp_path: Path) -> None:
    """As does any encoding that may lack the line."""
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        show(Console(file=file, width=80), Table("name"))
    assert (tmp_path / "out").read_text() == "name\n----\n"


def test_a_plan_of_a_prune_has_a_line_for_each_row() -> None:
    """A long job name is cut on a narrow terminal, and whole in a pipe."""
    job = "a job with a name of many words, " * 8
    row = PruneRow("3f2a9c1d", Metadata("3f2a9c1d", 0, job, "alice"), "prune", "beyond the limit")
    for width, whole in ((80, False), (10_000, True)):
        table, _ = render.plan(PrunePlan((row,)), {"3f2a9c1d": None}, 0, width=width)
        lines = printed(table, width=width)
        assert len(lines) == 3
        assert (job.strip() in lines[2]) == whole


def test_a_plan_leaves_columns_out_where_there_is_no_room() -> None:
    """The least telling first; the action, the id and the reason are always there."""
    rows = [
        PruneRow(commit_id, Metadata(commit_id, 0, "train", "alice"), action, reason)
        for commit_id, action, reason in (
            ("3f2a9c1d", "prune", "not among the 3 best by val/loss:min"),
            ("5d1e7a90", "keep", "best"),
        )
    ]
    for width, left_out in (
        (200, []),
        (80, ["job", "user"]),
        (60, ["last logged", "job", "user"]),
        (40, ["created", "last logged", "job", "user"]),
    ):
        logged = dict.fromkeys(("3f2a9c1d", "5d1e7a90"), 0.0)
        table, dropped = render.plan(rows, logged, 60, "delete", width=width)  # type: ignore[arg-type]
        lines = printed(table, width=width)
        assert lines[0].startswith("action   experiment")
        assert "reason" in lines[0]
        assert lines[2].startswith("delete   3f2a9c1d")
        assert dropped == left_out
        assert max(map(len, lines)) <= width


def test_long_names_do_not_widen_the_lines_of_others(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One name of 255 characters among the metrics; each line of the others fits the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    store.create_experiment("a")
    with store.writer("a") as writer:
        writer.log_many({"loss": 0.5, "n" * 255: 1.5, "accuracy": 1 / 3}, 7)
    heading, loss, long, accuracy = run(store, "metrics", "a").stdout.splitlines()
    assert max(map(len, (heading, loss, accuracy))) <= 80
    assert heading.index("metric") == loss.index("loss") == accuracy.index("accuracy")
    assert long.split()[1:3] == ["n" * 255, "1.5"]
