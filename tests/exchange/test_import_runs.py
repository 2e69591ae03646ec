"""Imports as a whole: what is new comes in, one bad run keeps no other out, and all is said."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentExistsError, ExperimentStore, Metric
from expstore.cli import imports
from expstore.cli.imports import Source
from expstore.exchange import growth, staging
from expstore.exchange.imports import ImportOptions, import_experiments, import_source
from expstore.exchange.sources.registry import SOURCES, Kind
from expstore.store.files import layout
from tests.helpers import commands
from tests.helpers.tables import metrics, run, table_of

UPDATE = ImportOptions(update=True)
HEADER = "commit_id,name,step,value,timestamp\n"


def rows(*runs: str, steps: int = 2) -> str:
    """A file with some runs, which a later one goes on from."""
    return HEADER + "".join(
        f"{name},loss,{step},{step / 4},{1_700_000_000 + step}\n"
        for name in runs
        for step in range(steps)
    )


def test_the_choices_of_the_command_are_the_kinds() -> None:
    """Each kind has a reader, and a name for --from."""
    assert set(SOURCES) == set(get_args(Kind)) == {source.value for source in Source}


def test_one_bad_run_keeps_no_other_out(store: ExperimentStore, tmp_path: Path, capsys) -> None:
    """It is reported with its line, and the command exits with 1; --skip takes it in."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a") + "b,loss,1,0.5,1700000000\nb,loss,2,oops,1700000000\n")
    done = run(capsys, "--root", store.root, "import", path)
    assert (done.code, done.out) == (1, "a  2 metrics\n")
    assert "b: not imported: " in done.err
    assert "line 5: value 'oops' is not a number" in done.err
    assert store.list_experiments() == ["a"]
    done = run(capsys, "--root", store.root, "import", path, "--skip")
    assert (done.code, done.out) == (0, "a  2 metrics, already there\nb  1 metric\n")
    assert "b: left out values that a store cannot hold: 1" in done.err


@pytest.mark.parametrize(
    ("text", "helps"),
    [
        ("step,loss\n1,0.5\n2,x\n", True),
        ("step,loss\n-1,0.5\n1,0.5\n", True),
        ("step,loss\n1\n2,3\n", True),
        ("step,loss\n", False),
        ("step,loss,loss\n1,2,3\n", False),
        ('step,loss\n1,"2\n', False),
    ],
)
def test_skip_is_named_where_it_helps(
    text: str, helps: bool, store: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """And there it does help."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.csv").write_text(text)
    done = run(capsys, "--root", store.root, "import", tmp_path)
    assert (done.code, "--skip" in done.err) == (1, helps)
    skipped = run(capsys, "--root", store.root, "import", tmp_path, "--skip")
    assert (skipped.code == 0) == helps


@pytest.mark.parametrize("option", ["--step-column", "--time-column"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.tfevents.1", ""),
        ("a.csv", HEADER),
        ("b.csv", "commit_id,step,timestamp,loss\n"),
        ("c.jsonl", '{"name": "loss", "step": 1, "value": 2}\n'),
        ("d.jsonl", '{"commit_id": "a", "step": 1, "timestamp": 1700000000, "loss": 1}\n'),
    ],
)
def test_an_option_without_a_meaning_is_refused(
    name: str, text: str, option: str, store: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """A kind without columns, and a table of this program, have none to choose."""
    (tmp_path / name).write_text(text)
    done = run(capsys, "--root", store.root, "import", tmp_path / name, option, "x")
    assert done.code == 1
    assert option in done.err


@pytest.mark.parametrize(
    ("name", "text", "kind", "other"),
    [
        ("u.csv", "step,loss\n1,2\n", "wandb", "csv"),
        ("u.csv", "step,loss\n1,2\n", "mlflow", "csv"),
        ("u.csv", "step,loss\n1,2\n", "jsonl", "csv"),
        ("u.jsonl", '{"step": 1, "loss": 2}\n', "tensorboard", "jsonl"),
        ("u.jsonl", '{"step": 1, "loss": 2}\n', "keras", "jsonl"),
    ],
)
def test_a_kind_that_a_source_is_not_is_refused_by_name(
    name: str, text: str, kind: str, other: str, store: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """The message says what the kind takes, and what the source is."""
    (tmp_path / name).write_text(text)
    done = run(capsys, "--root", store.root, "import", "--from", kind, tmp_path / name)
    assert done.code == 1
    assert f"--from {kind} takes {SOURCES[kind][0]}" in done.err  # type: ignore[index]
    assert f"use --from {other}" in done.err


def test_an_update_adds_runs_and_points(store: ExperimentStore, tmp_path: Path, capsys) -> None:
    """Without it, a run that has grown stays as it is, and the others come in."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a"))
    import_experiments(store, None, path)
    store.update_run("a", params={"mine": 1}, tags=["kept"])
    path.write_text(rows("a", "b", steps=5))
    report = import_source(store, path)
    assert [one.commit_id for one in report.imported] == ["b"]
    assert "lacks 3 metrics that the source has now: add them with --update" in str(
        report.refused[0].error
    ).replace("; an existing experiment is never changed by itself", "")
    done = run(capsys, "--root", store.root, "import", path, "--update")
    assert (done.code, done.out.splitlines()) == (
        0,
        ["a  5 metrics, 3 of them new", "b  5 metrics, already there"],
    )
    assert store.get_metrics("a").steps.tolist() == [0, 1, 2, 3, 4]
    assert store.read_run("a").params == {"mine": 1}
    assert store.read_run("a").tags == ("kept",)
    again = import_source(store, path, None, UPDATE)
    assert [one.already_there for one in again.imported] == [True, True]


def test_an_update_keeps_what_the_source_has_no_more(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Nothing that was imported is changed; a note says how many."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a", steps=5))
    import_experiments(store, None, path)
    path.write_text(HEADER + "a,loss,1,0.25,1700000001\na,loss,9,9,1700000009\n")
    (row,) = import_source(store, path, None, UPDATE).imported
    assert row.added == 1
    assert any("4 of its metrics are not in the source now" in note for note in row.notes)
    assert store.get_metrics("a").steps.tolist() == [0, 1, 2, 3, 4, 9]


def test_an_update_leaves_what_is_not_an_import_alone(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """An experiment of the same id, which was logged to."""
    store.start_experiment("a").close()
    store.log_metric("a", "loss", 1.0, 1)
    path = tmp_path / "a.csv"
    path.write_text(rows("a"))
    (refused,) = import_source(store, path, None, UPDATE).refused
    assert isinstance(refused.error, ExperimentExistsError)
    assert store.get_metrics("a").steps.tolist() == [1]


@given(st.lists(metrics, max_size=20), st.lists(metrics, max_size=20))
def test_what_is_new_is_what_was_not_there(known: list[Metric], new: list[Metric]) -> None:
    """Points that are there twice are there twice; order is kept, NaNs are alike."""

    def key(metric: Metric) -> Any:
        value = np.float64(metric.value if metric.value == metric.value else np.nan)
        return metric._replace(value=value.tobytes())

    source = known[: len(known) // 2] + new + new[:3]
    added, missing = growth.news(table_of(known), table_of(source))
    left = [key(metric) for metric in known]
    wanted = []
    for metric in source:
        if key(metric) in left:
            left.remove(key(metric))
        else:
            wanted.append(key(metric))
    assert [key(metric) for metric in added] == wanted
    assert missing == len(left)


def test_a_dry_run_lists_and_writes_nothing(tmp_path: Path, capsys) -> None:
    """Not even the store; what is there already is known."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a"))
    root = tmp_path / "new"
    done = run(capsys, "--root", root, "import", path, "--dry-run")
    assert (done.code, done.out) == (0, "a  2 metrics\n")
    assert not root.exists()
    run(capsys, "--root", root, "import", path)
    path.write_text(rows("a", "b", steps=3))
    before = os.listdir(root), (root / "a" / "metrics.bin").read_bytes()
    done = run(capsys, "--root", root, "import", path, "--dry-run", "--update", "--json")
    found = [(one["commit_id"], one["added"]) for one in json.loads(done.out)["experiments"]]
    assert found == [("a", 1), ("b", 3)]
    assert (os.listdir(root), (root / "a" / "metrics.bin").read_bytes()) == before


def test_what_is_the_same_of_many_runs_is_said_once(
    store: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """With their number, or with their names if they are few."""
    for number in range(5):
        folder = tmp_path / f"version_{number}"
        folder.mkdir()
        (folder / "metrics.csv").write_text(f"{'step' if number else 'x'},loss\n1,0.5\n")
    done = run(capsys, "--root", store.root, "import", tmp_path)
    assert done.err.splitlines() == [
        "expstore: version_0: no column has steps; its rows are counted from 0",
        "expstore: 5 runs: it has no times; all metrics have that of the file",
    ]


def test_a_new_store_is_told(tmp_path: Path, capsys) -> None:
    """A root that was mistyped does not become a store without a word."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a"))
    done = run(capsys, "--root", tmp_path / "typo", "import", path)
    assert (done.code, done.err) == (0, f"expstore: created the store {tmp_path / 'typo'}\n")
    assert run(capsys, "--root", tmp_path / "typo", "import", path).err == ""


def test_nothing_to_import_is_an_error(store: ExperimentStore, tmp_path: Path, capsys) -> None:
    """An empty directory, and one in which nothing has a metric."""
    done = run(capsys, "--root", store.root, "import", tmp_path)
    assert done.code == 1
    (tmp_path / "metrics.json").write_text('{"step": 1, "a": "b"}\n{"step": 2, "a": "b"}\n')
    done = run(capsys, "--root", store.root, "import", tmp_path / "metrics.json")
    assert done.code == 1
    assert "left out runs without metrics: 1" in done.err
    assert "nothing to import" in done.err
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("text", [rows("a"), '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 1}\n'])
def test_standard_input_is_a_source(text: str, store: ExperimentStore) -> None:
    """CSV or JSON lines, recognised like a file."""
    done = commands.expstore("--root", store.root, "import", "-", "--to-id", "x", stdin=text)
    assert done.stdout == "x  2 metrics\n"
    assert len(store.get_metrics("x")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "expstore: standard input: not recognised"),
        ("step,loss\n1,a\n2,0.5\n", "stdin: not imported: standard input: line 2"),
        (
            '{"step": 1, "loss": "a"}\n{"step": 2, "loss": "b"}\n',
            "standard input: there is nothing",
        ),
    ],
)
def test_messages_name_standard_input(
    text: str,
    said: str,
    store: ExperimentStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And not the temporary file that it is kept in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    done = run(capsys, "--root", store.root, "import", "-")
    assert done.code == 1
    assert said in done.err
    assert str(tmp_path) not in done.err


def test_a_source_on_standard_input_is_not_named_after_its_temporary_directory(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run again, it is already there."""
    text = b'{"log_history": [{"step": 1, "loss": 0.5}]}'
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        run(capsys, "--root", store.root, "import", "-", "--from", "huggingface")
    assert store.list_experiments() == ["stdin"]


def test_a_directory_of_several_kinds_says_so(store: ExperimentStore, tmp_path: Path) -> None:
    """The most likely one is read; --from reads the others."""
    (tmp_path / "metrics.csv").write_text("step,loss\n1,0.5\n")
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1, "loss": 0.5}]}')
    report = import_source(store, tmp_path)
    assert report.kind == "huggingface"
    assert any("--from csv" in note for note in report.notes)
    assert import_source(store, tmp_path, "csv", ImportOptions(to_id="b")).kind == "csv"


def test_a_store_beside_the_logs_is_no_source(store: ExperimentStore, tmp_path: Path) -> None:
    """Files that experiments keep are not imported; those of one that is named are."""
    table = "step,loss\n1,0.5\n"
    files = store.create_experiment("a") / "files"
    store.log_metric("a", "loss", 0.5, 1)
    (files / "metrics.csv").write_text(table)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_text(table)
    assert [row.commit_id for row in import_source(store, tmp_path).imported] == ["logs"]
    assert [row.commit_id for row in import_source(store, files).imported] == ["files"]


def test_what_a_killed_import_left_is_no_store(tmp_path: Path, capsys) -> None:
    """A command does not send its user there, if the import was the store's first."""
    root = tmp_path / "store"
    leftover = ExperimentStore(root / ".import-0123456789abcdef")
    leftover.create_experiment("a")
    leftover.log_metric("a", "loss", 0.5, 1)
    done = run(capsys, "--root", root, "check")
    assert ".import-0123456789abcdef: leftover" in done.out
    assert "use --root" not in done.err


def test_leftovers_of_killed_imports_are_deleted(store: ExperimentStore, tmp_path: Path) -> None:
    """But not those of an import that runs."""
    killed = store.root / layout.temporary_name(layout.IMPORTING)
    (killed / "a").mkdir(parents=True)
    path = tmp_path / "a.csv"
    path.write_text(rows("a"))
    with staging.Staging(store) as other:
        running = other._open()
        import_experiments(store, None, path)
        assert running.is_dir()
        assert not killed.exists()
    assert os.listdir(store.root) == ["a"]


def test_what_comes_in_is_sound(store: ExperimentStore, tmp_path: Path) -> None:
    """`check` has nothing to say of an import, and of its run.json."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a", "b"))
    import_experiments(store, None, path)
    for commit_id in store.list_experiments():
        assert store.check(commit_id).ok
        assert store.read_run(commit_id).origin["imported"] == {"from": "csv", "name": commit_id}


def test_progress_is_told_now_and_then(
    store: ExperimentStore, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no terminal, as a line with counts and the rate."""
    path = tmp_path / "a.csv"
    path.write_text(rows("a", "b"))
    monkeypatch.setattr(imports, "_EVERY", 0.0)
    done = run(capsys, "--root", store.root, "import", path)
    assert "importing: 2 runs, 4 metrics, " in done.err
    assert " a second" in done.err
