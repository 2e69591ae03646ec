"""Commands on stores of many experiments: a terminal gets a part, a pipe all."""

from __future__ import annotations

import sys

import pytest

from expstore import ExperimentStore, Metadata
from expstore.cli import tables
from tests.helpers import commands
from tests.helpers.application import run
from tests.helpers.terminal import on_terminal

ROOM = 4


@pytest.fixture
def many(store: ExperimentStore) -> ExperimentStore:
    """Nine experiments, each newer than the one before."""
    for number in range(9):
        store.create_experiment(f"run{number}")
        store.write_metadata(Metadata(f"run{number}", 1_700_000_000 + number, "train", "alice"))
    return store


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with room for few rows."""
    monkeypatch.setattr(tables, "room", lambda: ROOM)


def shown(output: str) -> list[str]:
    """The experiments that an output names, in order."""
    return [word for word in output.split() if word.startswith("run")]


def test_only_a_terminal_has_limited_room() -> None:
    """A pipe gets everything."""
    code = "from expstore.cli.tables import room; print(room()); sys.exit()"
    assert int(on_terminal(patch=code)) == tables.ON_SCREEN
    assert int(commands.expstore(patch=code).stdout) == sys.maxsize


@pytest.mark.usefixtures("terminal")
def test_a_terminal_lists_the_newest_and_counts_the_others(many: ExperimentStore) -> None:
    """It says how to see all; an explicit limit is obeyed."""
    result = run(many, "ls")
    assert shown(result.stdout) == ["run8", "run7", "run6", "run5"]
    assert result.stderr == "expstore: 5 more; `--limit 9` or `| less` shows all\n"
    result = run(many, "ls", "--limit", "9")
    assert (len(shown(result.stdout)), result.stderr) == (9, "")


def test_a_pipe_gets_all(many: ExperimentStore) -> None:
    """Nothing is left out, and nothing is said."""
    for command in (["ls"], ["prune", "--keep", "2", "--dry-run"]):
        result = run(many, *command)
        assert (len(shown(result.stdout)), result.stderr) == (9, "")


@pytest.mark.usefixtures("terminal")
def test_a_long_plan_shows_the_newest_of_each_action(many: ExperimentStore) -> None:
    """The others are counted by action, so that the question can be answered."""
    result = run(many, "prune", "--keep", "5", "--grace", "0", "--dry-run")
    assert shown(result.stdout) == ["run8", "run7", "run3", "run2"]
    assert result.stderr == (
        "expstore: not shown: 3 to keep, 2 to prune; `--dry-run | less` shows all\n"
    )
    result = run(many, "prune", "--keep", "2", "--dry-run", "--json")
    assert result.stdout.count('"action"') == 9


@pytest.mark.usefixtures("terminal")
def test_findings_are_counted_beyond_the_room_of_their_kind(many: ExperimentStore) -> None:
    """One kind does not crowd out another."""
    for number in range(9):
        (many.root / f"run{number}" / "notes.txt").touch()
    many.metadata_path("run8").unlink()
    lines = run(many, "check").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("run0/notes.txt", "run1/notes.txt", "run2/notes.txt", "run3/notes.txt"),
        *("run8/meta.bin", "  foreign", "  no-metadata", "9 checked, 0 damaged"),
    ]
    assert lines[5].endswith("(5 more; `| less` shows all)")
