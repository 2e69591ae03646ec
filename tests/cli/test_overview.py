"""What `compare`, `ls` and `show` print of experiments, on a terminal and in a pipe."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

import expstore
from expstore import ExperimentNotFoundError, ExperimentStore, Metadata
from expstore.cli import overview
from expstore.cli.ids import resolve
from expstore.cli.shortids import short_ids, shown_ids
from expstore.compare import Extremes
from tests.helpers import commands
from tests.helpers.application import run
from tests.helpers.runs import add
from tests.helpers.terminal import on_terminal

COMMIT = "b6589fc6ab0dc82cf12099d1c2d40ab994e8410c"


class Screen(io.StringIO):
    """A terminal, as far as a program can tell."""

    def isatty(self) -> bool:  # noqa: D102
        return True


@pytest.fixture
def sweep(store: ExperimentStore) -> ExperimentStore:
    """Twelve runs of one commit, with long names among their parameters and metrics."""
    for number in range(12):
        params = {
            "lr": 0.1 / (number + 1),
            "depth": number % 3,
            "model": {"encoder": {"attention": {"dropout": number / 10}}},
            "optimizer": "adam",
            "description": f"what is said about the run is long, and ends with {number}",
        }
        metrics = {
            "train/loss": [3.0, 1.0 + number, 2.0 + number],
            "val/loss": [3.0, 0.5 + number / 100, 1.0],
            "val/accuracy": [0.5, 0.75, 0.625],
            **{f"detail/{place}/histogram": [float(number)] for place in range(30)},
        }
        add(store, f"{COMMIT}-{number + 1}" if number else COMMIT, params, metrics, job="sweep")
    return store


def lines_on_terminal(store: ExperimentStore, columns: int, *arguments: str) -> list[str]:
    """What a command prints on a terminal, without colours."""
    words = ["--root", str(store.root), *arguments]
    shown = on_terminal(*words, columns=columns).replace("\r", "")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).split("\n")


@pytest.mark.parametrize("columns", [60, 80])
def test_compare_fits_a_terminal_and_names_what_it_leaves_out(
    columns: int, sweep: ExperimentStore
) -> None:
    """One row an experiment with its best value and step; no row looks like another."""
    lines = lines_on_terminal(sweep, columns, "compare")
    rows = lines[lines.index(next(line for line in lines if "───" in line)) + 1 :]
    rows = rows[:12]
    assert max(map(cell_len, lines)) <= columns
    assert {row.split()[0] for row in rows} == {"b658…10c", *(f"b658…-{n}" for n in range(2, 13))}
    assert all(re.search(r"0\.[56]\d? @ 1", row) for row in rows)
    assert len({tuple(row.split()[1:]) for row in rows}) == 12
    below = " ".join(lines[lines.index(rows[-1]) + 1 :])
    assert "all: job sweep, optimizer adam" in below
    assert "val/accuracy max 0.75 @ 1" in below
    assert "no room for:" in below
    assert "description" in below
    assert re.search(r"and 2\d more", below)


def test_compare_tells_the_first_settings_that_all_share(tmp_path: Path) -> None:
    """On a terminal, since a framework may have a hundred; those that are not set only count."""
    store = ExperimentStore(tmp_path / "many")
    params = {**{f"unset{number}": None for number in range(9)}, "model": {"n": list(range(3))}}
    params |= {f"setting{number}": number for number in range(60)}
    for number in range(2):
        add(store, f"run{number}", {"lr": number, **params}, {"loss": [1.0]})
    below = " ".join(line.strip() for line in lines_on_terminal(store, 80, "compare"))
    assert "model.n [0, 1, 2], setting0 0" in below
    assert "unset" not in below
    assert re.search(r"setting1\d 1\d and 5\d more; a pipe has them", below)
    assert "setting59 59" in run(store, "compare").stdout


def test_compare_has_everything_in_a_pipe(sweep: ExperimentStore) -> None:
    """Ids in full, and every column and row, the newest first."""
    sweep.write_metadata(Metadata(f"{COMMIT}-5", 1_800_000_000, "sweep", "alice"))
    lines = run(sweep, "compare").stdout.splitlines()
    rows = [line for line in lines if line.startswith(COMMIT)]
    assert rows[0].split()[0] == f"{COMMIT}-5"
    assert len(rows) == 12
    assert "ends with 11" in "".join(rows)
    assert "no room" not in "".join(lines)
    assert len(rows[0].split()) > 30


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--name", "val/loss"], ["val/loss", "min", "0.5 @ 1"]),
        (["--name", "val/loss:max"], ["val/loss", "max", "3 @ 0"]),
        (["--name", "val/*"], ["val/loss", "val/accuracy", "0.75 @ 1"]),
        (["--sort", "train/loss:last", "--limit", "1"], ["train/loss", "last", COMMIT]),
        (["--where", "depth == 1 and lr > 0.04"], [f"{COMMIT}-2", "0.05"]),
    ],
)
def test_compare_shows_what_is_asked_for(
    options: list[str], expected: list[str], sweep: ExperimentStore
) -> None:
    """Metrics by name, aspect or pattern; and experiments by an expression."""
    shown = run(sweep, "compare", *options).stdout
    assert all(part in shown for part in expected)
    assert ("train/loss" in shown) == (options[0] != "--name")


def test_compare_groups(sweep: ExperimentStore) -> None:
    """The mean and deviation over the runs of each setting, also as JSON."""
    shown = run(sweep, "compare", "--group-by", "depth", "--name", "val/loss").stdout
    assert "0.545 ± 0.039" in shown
    (first, *_) = json.loads(run(sweep, "compare", "--group-by", "depth", "--json").stdout)
    assert first["by"] == {"depth": 0}
    assert len(first["ids"]) == 4
    assert first["metrics"]["val/loss"]["min"]["count"] == 4
    assert run(sweep, "compare", "--group-by", "depth", "--csv").exit_code == 2


def test_compare_as_json_has_what_run_json_says(store: ExperimentStore) -> None:
    """Along with the metrics and the state of the log's end."""
    add(store, "a", {"lr": 0.5}, {"loss": [1.0]}, tags=["x"], notes="y")
    (row,) = json.loads(run(store, "compare", "--json").stdout)
    assert (row["params"], row["tags"], row["notes"]) == ({"lr": 0.5}, ["x"], "y")
    assert (row["status"], row["tail"]["kind"]) == ("unknown", "clean")
    assert row["metrics"]["loss"]["min_step"] == 0


@pytest.mark.parametrize("command", ["compare", "ls", "plot", "report", "export --to csv"])
def test_every_command_takes_where(command: str, sweep: ExperimentStore, tmp_path: Path) -> None:
    """One that selects nothing, one that selects, and mistakes."""
    words = [*command.split(), *(["--name", "val/loss"] if command == "plot" else [])]
    if command == "report":
        words += ["-o", str(tmp_path / "report.html")]
    assert run(sweep, *words, "--where", "lr < 0.02").exit_code == 0
    none = run(sweep, *words, "--where", "lr > 5")
    assert none.exit_code == (0 if command in ("compare", "ls") else 1)
    assert "match" in none.stderr
    wrong = run(sweep, *words, "--where", "lr < 1 && depth > 1")
    assert wrong.exit_code == 2
    assert "  lr < 1 && depth > 1\n         ^\n" in wrong.stderr
    assert "write `and`" in wrong.stderr


def test_ls_shows_status_and_on_demand_parameters(store: ExperimentStore) -> None:
    """Sorted and selected by them; an experiment without run.json has neither."""
    ended = {"started": 5, "ended": 9, "outcome": "finished"}
    add(store, "a", {"lr": 0.5, "seed": 1}, starts=[ended])
    add(store, "b", {"lr": 0.25, "seed": 1}, starts=[{**ended, "outcome": "failed"}], tags=["x"])
    lines = run(store, "ls", "--sort", "lr", "--params").stdout.splitlines()
    assert lines[0].split()[-2:] == ["tags", "lr"]
    assert [line.split()[0] for line in lines[2:4]] == ["b", "a"]
    assert "failed" in lines[2]
    assert lines[4] == "all: seed 1"
    rows = json.loads(run(store, "ls", "--json", "--where", "tag == x").stdout)
    assert [(row["status"], row["params"]["lr"]) for row in rows] == [("failed", 0.25)]
    assert run(store, "ls", "--sort", "nothing").exit_code == 1


@pytest.mark.parametrize("command", ["ls", "compare"])
def test_experiments_that_cannot_be_read_have_a_row(command: str, vectors: ExperimentStore) -> None:
    """On a terminal of 60 columns, and in a pipe."""
    piped = commands.expstore("--root", str(vectors.root), command)
    assert "bad-version" in piped.stdout
    assert "unsupported version" in piped.stdout + piped.stderr
    if command == "ls":
        shown = "\n".join(lines_on_terminal(vectors, 60, command))
        assert "unsupported version" in shown


def test_show_without_an_id_shows_the_newest(store: ExperimentStore) -> None:
    """With all that is known of it; a store without experiments is an error."""
    assert run(store, "show").exit_code == 1
    starts = [
        {
            "started": 1_700_000_000,
            "ended": 1_700_000_060,
            "outcome": "failed",
            "error": "Oops: no",
        },
        {"started": 1_700_000_100, "ended": 1_700_000_200, "outcome": "finished", "from_step": 7},
    ]
    origin = {
        "host": "node1",
        "commit": "abc",
        "branch": "main",
        "dirty": True,
        "argv": ["x.py", "-v"],
    }
    add(store, "a")
    add(
        store,
        "b",
        {"net": {"depth": 3}},
        {"loss": [2.0, 1.0]},
        tags=["t", "u"],
        notes="one\ntwo",
        starts=starts,
        origin=origin,
    )
    store.write_metadata(Metadata("b", 1_700_000_005, "job", "alice"))
    shown = run(store, "show").stdout
    for part in (
        *("b\n", "finished", "2 minutes", "from step 7", "t, u", "one", "two", "node1"),
        *("abc on main, with uncommitted changes", "x.py -v", "net.depth  3", "1 @ 1", "2 @ 0"),
    ):
        assert part in shown
    described = json.loads(run(store, "show", "--json").stdout)
    assert described["starts"][0]["error"] == "Oops: no"
    assert described["origin"] == origin
    assert described["duration"] == 160


@pytest.mark.parametrize("columns", [50, 60, 80])
def test_show_keeps_the_best_values_on_a_narrow_terminal(
    columns: int, store: ExperimentStore
) -> None:
    """Minimum and maximum where there is room, else the one that is the best."""
    add(store, "a", None, {"val/loss": [0.123456, 3.0], "val/accuracy": [0.654321, 0.5]})
    lines = lines_on_terminal(store, columns, "show", "a")
    assert max(map(cell_len, lines)) <= columns
    loss = next(line for line in lines if line.startswith("val/loss"))
    accuracy = next(line for line in lines if line.startswith("val/accuracy"))
    assert "0.123456 @ 0" in loss
    assert "0.654321 @ 0" in accuracy


def test_many_rows_are_cut_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first are shown, with the count of the others; more if they are asked for."""
    rows = [
        overview.Row(f"id{number:05}", None, "finished", (), {"seed": number}, {})
        for number in range(20_000)
    ]

    def printed(limit: int | None, *, terminal: bool) -> list[str]:
        with monkeypatch.context() as patch:
            screen = Screen() if terminal else io.StringIO()
            patch.setattr(sys, "stdout", screen)
            overview.print_comparison(rows, (), (), [row.commit_id for row in rows], limit)
        return screen.getvalue().splitlines()

    shown = printed(None, terminal=True)
    assert len(shown) < 50
    told = capsys.readouterr().err
    assert told == "expstore: 19,960 more; `--limit 20000` or `| less` shows all\n"
    begin = time.process_time()
    assert len(printed(None, terminal=False)) > 20_000
    assert time.process_time() - begin < 5  # a table of Rich's takes half a minute
    assert len(printed(20_000, terminal=True)) > 20_000


def test_a_terminal_is_shown_few_of_very_many_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that cannot fit are counted, and not made; a pipe gets all."""
    names = [f"layer{number}/grad" for number in range(2000)]
    metrics = dict.fromkeys(names, Extremes(0.5, 0.5, 0.5, 1, 1, 1, 1))
    row = overview.Row("a", None, "finished", (), {}, metrics)
    others = [overview.Shown(name, "last") for name in names]
    made: list[str] = []
    original = overview.metric_column

    def noted(rows: Any, shown: overview.Shown, rank: int) -> Any:
        made.append(shown.name)
        return original(rows, shown, rank)

    monkeypatch.setattr(overview, "metric_column", noted)
    for screen, columns in ((Screen(), 60), (io.StringIO(), 2000)):
        made.clear()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            overview.print_comparison([row], (), others, ["a"], None)
        assert len(made) <= columns
        text = screen.getvalue()
        left_out = re.findall(r"and (\d+) more", text)
        assert text.count("0.5") + sum(8 + int(count) for count in left_out) == 2000


ids = st.lists(
    st.text("ab-.1", min_size=1, max_size=12).filter(lambda text: text[0] not in ".-")
    | st.builds("b6589fc6ab0d-{}".format, st.integers(0, 200)),
    unique=True,
    max_size=30,
)


@given(ids)
@example([COMMIT, *(f"{COMMIT}-{number}" for number in range(2, 25))])
@example([f"experiment-2026-01-{day:02}-resnet" for day in range(1, 30)])
def test_a_short_id_is_unique_and_can_be_typed(all_ids: list[str]) -> None:
    """It is what `resolve` takes for the id that it was made of."""
    short = short_ids(all_ids)
    _check_shown(short, all_ids)
    _check_shown(shown_ids(all_ids, 10), all_ids)


def test_a_wide_name_is_shown_in_full_only_where_its_columns_fit() -> None:
    """A character of some scripts takes two columns of the terminal."""
    name = "実験の長い名前"
    assert shown_ids([name + "x"], 15) == {name + "x": name + "x"}
    assert shown_ids([name + "xyz"], 16) == {name + "xyz": name[:4]}


def _check_shown(short: dict[str, str], all_ids: list[str]) -> None:
    assert sorted(short) == sorted(all_ids)
    assert len(set(short.values())) == len(all_ids)

    class Store:
        location = "root"

        def experiment_exists(self, commit_id: str) -> bool:
            return commit_id in all_ids

        def list_experiments(self) -> list[str]:
            return sorted(all_ids)

    store = Store()
    for one, shown in short.items():
        assert len(shown) <= len(one)
        assert resolve(store, shown) == one  # type: ignore[arg-type]
        assert resolve(store, shown.replace("…", "...")) == one  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [["ls"], ["compare"], ["prune", "--keep", "0", "--dry-run"]])
def test_a_terminal_shows_names_in_full_and_commits_short(
    command: list[str], tmp_path: Path
) -> None:
    """A name can be copied to any program; other columns leave it the room."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    names = ["demo-lr-0.0001", "demo-lr-0.003", "demo-lr-0.1", "20261125-164512-3f9a", "x" * 40]
    for name in (*names, COMMIT, f"{COMMIT}-2", f"tb-{'y' * 60}"):
        add(store, name, {"lr": 0.1}, {"loss": [0.5, 0.25], "accuracy": [0.5, 0.75]}, job="j" * 9)
    lines = lines_on_terminal(store, 80, *command)
    assert max(map(cell_len, lines)) <= 80
    words = set(" ".join(lines).split())
    assert words >= {*names, "b658…10c", "b658…-2", "tb-y"}


def test_an_elided_id_that_means_several_is_refused(store: ExperimentStore) -> None:
    """The candidates are listed."""
    for name in ("abc-1-x", "abc-2-x"):
        store.create_experiment(name)
    with pytest.raises(ExperimentNotFoundError, match="may be 2 experiments: abc-1-x, abc-2-x"):
        resolve(store, "abc…x")
    with pytest.raises(ExperimentNotFoundError, match="no experiment"):
        resolve(store, "abc…y")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("compare --name lo", ["loss"]),
        ("compare --sort l", ["lr", "loss"]),
        ("ls --where l", ["lr", "loss"]),
        ("compare --group-by crea", ["created"]),
        ("metrics a --name l", ["loss"]),
        ("plot --name x", []),
    ],
)
def test_names_complete_in_the_shell(
    typed: str, offered: list[str], store: ExperimentStore
) -> None:
    """Parameters, metrics and fields, but none that a shell could take for something else."""
    add(store, "a", {"lr": 1, "l$(x)": 2}, {"loss": [1.0], "l;x": [1.0]})
    words = f"expstore {typed}"
    environment = {
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_EXPSTORE_COMPLETE": "complete_bash",
        "EXPSTORE_ROOT": str(store.root),
    }
    done = commands.expstore(environment=environment)
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_very_long_values_are_shortened(store: ExperimentStore) -> None:
    """Also in a pipe, and in a table of many columns; JSON has them in full, and ids are whole."""
    long = {f"prompt{number}": "x" * 100_000 + str(number) for number in range(30)}
    add(store, "an-experiment", long, {"loss": [1.0]})
    add(store, "another-one", {"prompt0": "short"}, {"loss": [2.0]})
    rows = run(store, "compare").stdout.splitlines()
    assert [row.split()[0] for row in rows[3:5]] == ["an-experiment", "another-one"]
    assert max(map(len, rows)) < 40_000
    for command in (
        ("show", "an-experiment"),
        ("set", "an-experiment", "--tag", "a"),
        ("diff", "an-experiment", "another-one"),
    ):
        shown = run(store, *command).stdout
        assert len(shown) < 100_000
        assert "…" in shown
        assert "xxx29" in shown
    assert len(run(store, "compare", "--group-by", "prompt0").stdout) < 40_000
    found = json.loads(run(store, "show", "an-experiment", "--json").stdout)
    assert found["params"]["prompt29"] == long["prompt29"]


def test_long_names_leave_the_other_rows_readable(store: ExperimentStore) -> None:
    """A terminal shows them without their middle, as far as they differ; a pipe in full."""
    long, alike = "m" * 250, ["x" * 120 + end + "x" * 120 for end in "ab"]
    values = {"k" * 300: "v" * 3000, "lr": 0.1}
    tags = ["t" * 200]
    with expstore.start(store.root, "p", user="u" * 255, params=values, tags=tags) as one:
        one.log({"loss": 0.5, long: 1.0}, step=3)
    with store.start_experiment("q", "train", "alice") as writer:
        writer.log("loss", 0.25, 3)
    shown = lines_on_terminal(store, 80, "show", "p")
    (loss,) = [line for line in shown if line.startswith("loss")]
    assert re.search(r"0\.5 +3", loss)
    assert any(line.startswith("mmmm") and "…" in line and "1" in line for line in shown)
    assert any(re.search(r"lr +0\.1", line) for line in shown)
    assert any("t…t" in line and "u…u" in line for line in lines_on_terminal(store, 120, "ls"))
    assert len(lines_on_terminal(store, 80, "compare")) < 12
    assert len(lines_on_terminal(store, 80, "diff", "p", "q")) < 40
    for command in (["show", "p"], ["diff", "p", "q"]):
        piped = commands.expstore("--root", str(store.root), *command).stdout
        assert long in piped
        assert "k" * 300 in piped
    with store.writer("q") as writer:
        writer.log_many(dict.fromkeys(alike, 1.0), step=4)
    text = "".join(lines_on_terminal(store, 80, "show", "q"))
    assert all(name in text for name in alike)  # what differs is in the middle


def test_columns_are_aligned_in_ascii(store: ExperimentStore) -> None:
    """An ellipsis takes three characters there, and an id with one can still be typed."""
    for commit_id in ("a" * 40, "a" * 40 + "-2", "a" * 40 + "-3", "demo-lr"):
        add(store, commit_id)
    options = ("--root", str(store.root), "ls")
    shown = on_terminal(*options, columns=80, PYTHONIOENCODING="ascii", TERM="dumb").split("\n")
    heading, _, *rows = [line.rstrip() for line in shown if line.strip()]
    assert "aaaa...-2" in "".join(rows)
    assert {line.index("job") for line in (heading, *rows)} == {heading.index("job")}
    jobs = ("--root", str(store.root), "compare", "--by-metric")
    add(store, "long", metrics={"loss": [1.0]}, job="j" * 90)
    add(store, "brief", metrics={"loss": [1.0]})
    shown = on_terminal(*jobs, columns=80, PYTHONIOENCODING="ascii", TERM="dumb").splitlines()
    assert len({line.index(" 1 ") for line in shown if " 1 " in line}) == 1
    assert resolve(store, "aaaa...-2") == "a" * 40 + "-2"
