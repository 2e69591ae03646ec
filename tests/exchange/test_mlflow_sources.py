"""mlflow's stores: metrics, params, tags, status and names of runs, from its database and files."""

from __future__ import annotations

import math
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from expstore import ExperimentStore, ImportSourceError, Metric
from expstore.exchange.imports import ImportOptions, import_experiments, import_source
from expstore.model.runinfo import RunStart

SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, lifecycle_stage TEXT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, user_id TEXT, status TEXT,
    start_time BIGINT, end_time BIGINT, lifecycle_stage TEXT, experiment_id INTEGER);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT,
    is_nan BOOLEAN);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE logged_models (model_id TEXT);
INSERT INTO experiments VALUES (1, 'vision', 'active'), (2, 'gone', 'deleted');
INSERT INTO runs VALUES
    ('aa', 'bold-cat', 'me', 'FINISHED', 1700000000500, 1700000060000, 'active', 1),
    ('bb', '', '', 'RUNNING', 1700000100000, NULL, 'active', 1),
    ('cc', '', '', 'FINISHED', 1700000100000, NULL, 'deleted', 1),
    ('dd', '', '', 'FINISHED', 1700000100000, NULL, 'active', 2);
INSERT INTO metrics VALUES
    ('loss', 0.5, 1700000001999, 'aa', 1, 0), ('loss', 0.0, 1700000002000, 'aa', 2, 1),
    ('acc', 1, 1700000001500, 'aa', 1, 0), ('loss', 2.5, 1700000101000, 'bb', 0, 0),
    ('loss', 9.0, 1700000101000, 'cc', 0, 0), ('loss', 9.0, 1700000101000, 'dd', 0, 0);
INSERT INTO params VALUES ('lr', '0.01', 'aa'), ('depth', '3', 'aa'), ('commit', '12345e67', 'aa'),
    ('amp', 'True', 'aa'), ('stop', 'None', 'aa');
INSERT INTO tags VALUES ('mlflow.source.git.commit', 'abc', 'aa'), ('team', 'x', 'aa'),
    ('mlflow.parentRunId', 'pp', 'aa'), ('mlflow.note.content', 'a note', 'aa'),
    ('mlflow.log-model.history', '[]', 'aa'), ('mlflow.user', 'you', 'aa'),
    ('mlflow.runName', 'best cat', 'aa');
INSERT INTO logged_models VALUES ('m-1');
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database as mlflow makes it, with the columns that are read."""
    path = tmp_path / "work" / "mlflow.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    return path


def test_a_run_comes_with_what_mlflow_says_of_it(store: ExperimentStore, database: Path) -> None:
    """Points by time and step, params as numbers where they were, tags, notes, origin and status.

    A text that looks like a number but is not written so, such as a hash, stays a text.
    """
    report = import_source(store, database.parent)
    first, second = report.imported
    assert (first.commit_id, first.metrics, first.params) == ("aa", 3, 5)
    assert list(store.get_metrics("aa").take(slice(0, 2))) == [
        Metric("acc", 1.0, 1, 1_700_000_001),
        Metric("loss", 0.5, 1, 1_700_000_001),
    ]
    assert str(store.get_metrics("aa").values[2]) == "nan"
    metadata = store.read_metadata("aa")
    assert (metadata.timestamp, metadata.job_name, metadata.user) == (
        1_700_000_000,
        "best cat",
        "you",
    )
    info = store.read_run("aa")
    assert info.params == {
        "lr": 0.01,
        "depth": 3,
        "commit": "12345e67",
        "amp": True,
        "stop": None,
    }
    assert (info.tags, info.notes) == (("team=x",), "a note")
    assert {"commit": "abc", "parent": "pp", "experiment": "vision"}.items() <= info.origin.items()
    assert info.starts == (RunStart(1_700_000_000.5, 1_700_000_060.0, "finished"),)
    assert store.status("aa") == "finished"
    assert (first.left_out, second.commit_id) == ({"tags that mlflow set": 1}, "bb")
    assert report.left_out == {"deleted runs": 2, "models": 1}


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_in_use_is_read_and_not_touched(
    store: ExperimentStore, database: Path, mode: str
) -> None:
    """While a writer has it open, what is committed comes in; nothing is written beside it."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("INSERT INTO metrics VALUES ('loss', 1, 1700000102000, 'bb', 1, 0)")
        connection.commit()
        connection.execute("INSERT INTO metrics VALUES ('loss', 1, 1700000102000, 'bb', 2, 0)")
        if mode == "delete":
            connection.commit()
        before = database.read_bytes(), sorted(os.listdir(database.parent))
        import_experiments(store, None, database)
        assert (database.read_bytes(), sorted(os.listdir(database.parent))) == before
    steps = store.get_metrics("bb").steps.tolist()
    assert steps == ([0, 1, 2] if mode == "delete" else [0, 1])


def test_a_database_that_nobody_has_open_gets_no_journal(
    store: ExperimentStore, database: Path
) -> None:
    """In WAL mode, SQLite itself would make two files."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
    before = sorted(os.listdir(database.parent))
    assert len(import_experiments(store, None, database)) == 2
    assert sorted(os.listdir(database.parent)) == before == ["mlflow.db"]


def test_a_database_of_something_else_is_refused(store: ExperimentStore, tmp_path: Path) -> None:
    """So are one that is damaged, and a view in place of a table, which may compute anything."""
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (a); CREATE VIEW runs AS SELECT 1;")
    with pytest.raises(ImportSourceError, match="not mlflow's"):
        import_experiments(store, None, path)
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(data)
    with pytest.raises(ImportSourceError, match=str(path)):
        import_experiments(store, None, path)
    assert os.listdir(store.root) == []


def test_a_value_of_another_kind_keeps_only_its_run_out(
    store: ExperimentStore, database: Path
) -> None:
    """SQLite's columns hold anything."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO metrics VALUES ('loss', 'x', 1700000102000, 'bb', 1, 0)")
        connection.commit()
    report = import_source(store, database)
    assert [run.name for run in report.refused] == ["bb"]
    assert "metric 'loss' at step 1: 'x'" in str(report.refused[0].error)
    assert store.list_experiments() == ["aa"]


def write(path: Path, files: dict[str, str]) -> None:
    """Write text files."""
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)


def test_old_file_stores_are_read(store: ExperimentStore, tmp_path: Path) -> None:
    """The run's name in a tag, a number as its status, no meta.yaml at the top, two artifacts."""
    write(
        tmp_path / "mlruns",
        {
            "0/meta.yaml": "experiment_id: '0'\nname: Default\n",
            "0/aa/meta.yaml": "run_uuid: aa\nname: ''\nstatus: 4\nstart_time: 1500000000000\n"
            "end_time: 1500000009000\nlifecycle_stage: active\n",
            "0/aa/metrics/rmse": "1500000001 0.5\n1500000002 0.25 3\n".replace("1 ", "1000 ", 1),
            "0/aa/params/alpha": "0.5",
            "0/aa/params/model/name": "tree\n",
            "0/aa/tags/mlflow.runName": "old run",
            "0/aa/artifacts/model/MLmodel": "x",
            "0/aa/artifacts/plot.png": "x",
            ".trash/1/bb/meta.yaml": "run_uuid: bb\nlifecycle_stage: deleted\n",
            "models/best/meta.yaml": "name: best\n",
        },
    )
    report = import_source(store, tmp_path)
    (row,) = report.imported
    assert store.read_metadata("aa").job_name == "old run"
    assert store.read_run("aa").params == {"alpha": 0.5, "model/name": "tree"}
    assert store.read_run("aa").origin["experiment"] == "Default"
    assert store.status("aa") == "failed"
    assert row.left_out == {"artifacts": 2}
    assert report.left_out == {"deleted runs": 1, "models": 1}


def test_a_value_that_is_too_large_is_refused(store: ExperimentStore, tmp_path: Path) -> None:
    """It does not become infinite, as the words of infinity do; `skip` leaves it out."""
    write(
        tmp_path,
        {
            "0/aa/meta.yaml": "run_id: aa\nstart_time: 1500000000000\n",
            "0/aa/metrics/rmse": "1500000001000 1e999 0\n1500000002000 -inf 1\n",
        },
    )
    with pytest.raises(ImportSourceError, match=r"line 1: '1e999' is too large for a float"):
        import_experiments(store, None, tmp_path)
    (row,) = import_source(store, tmp_path, None, ImportOptions(skip=True)).imported
    assert row.left_out == {"values that a store cannot hold": 1}
    assert [m.value for m in store.get_metrics("aa")] == [-math.inf]


def test_links_out_of_a_file_store_are_not_followed(store: ExperimentStore, tmp_path: Path) -> None:
    """Neither to a metric, nor to a parameter, nor to a run."""
    write(tmp_path, {"secret": "1000 0.5 1\n", "outside/meta.yaml": "run_id: bb\n"})
    run = tmp_path / "mlruns" / "0" / "aa"
    write(run, {"meta.yaml": "run_id: aa\nstart_time: 1000\n", "metrics/loss": "1000 0.25 1\n"})
    (run / "metrics" / "stolen").symlink_to(tmp_path / "secret")
    (run / "params").mkdir()
    (run / "params" / "stolen").symlink_to(tmp_path / "secret")
    (run.parent / "bb").symlink_to(tmp_path / "outside")
    (row,) = import_experiments(store, "mlflow", tmp_path / "mlruns")
    assert (row.commit_id, row.metrics, row.params) == ("aa", 1, 0)


def test_a_folder_that_cannot_be_read_is_no_run_without_metrics(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not seen is not taken for nothing."""
    write(
        tmp_path / "aa",
        {"meta.yaml": "run_id: aa\nstart_time: 1000\n", "metrics/loss": "1000 0.25 1\n"},
    )
    scandir = os.scandir

    def refused(path: object) -> object:
        if str(path).endswith("metrics"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(ImportSourceError, match="Permission denied"):
        import_experiments(store, "mlflow", tmp_path / "aa")
