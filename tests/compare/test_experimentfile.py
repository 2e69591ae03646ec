"""A file with one row an experiment: everything that a comparison says, for every reader."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import polars as pl
import pytest

import expstore
from expstore import ExperimentStore, OutputExistsError
from expstore.compare import compare, experimentfile, export_experiments
from tests.helpers.tables import run


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """A run that was resumed, one that failed, and experiments with little or nothing to read."""
    params = {"lr": 0.1, "model": {"depth": 3}, "big": 2**70, "odd": "\ud800", "n": [1, None]}
    with expstore.start(store.root, commit_id="a", job_name="job", user="me", params=params) as one:
        for step in range(50):
            one.log({"loss": 50 - step, "nan": math.nan}, step=step)
        one.add_tags("best, of all", "x")
        one.set_notes("a \udcff note")
    with expstore.start(store.root, commit_id="a", resume=True, from_step=20) as one:
        one.log({"loss": 100.0}, step=20)
    failing = expstore.start(store.root, commit_id="b", params={"lr": 1})
    failing.log({"loss": -math.inf, "\udcff": 1.0}, step=2**32 - 1)
    failing.end("failed", error="RuntimeError: no")
    store.create_experiment("empty")
    store.create_experiment("torn")
    store.log_metric("torn", "loss", 3.0, 1)
    with store.metrics_path("torn").open("ab") as log:
        log.write(b"\x05\x06")
    store.create_experiment("unreadable")
    store.metrics_path("unreadable").mkdir()
    (store.root / "unreadable" / "run.json").write_text("{")
    return store


@pytest.fixture
def file(filled: ExperimentStore, tmp_path: Path) -> Path:
    """The file."""
    export_experiments(filled, tmp_path / "e.parquet")
    return tmp_path / "e.parquet"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"where": "lr > 0.5 or tag == 'best, of all'", "sort": "loss:min"},
        {"where": "status == failed and loss:min < 0"},
        {"where": "host != none and model.depth == 3"},
        {"ids": ["torn", "empty"]},
        {"group_by": "status", "names": ["loss"]},
    ],
    ids=str,
)
def test_a_comparison_is_that_of_the_store(
    filled: ExperimentStore, file: Path, options: dict
) -> None:
    """With notes, problems, torn ends, durations, and without what was superseded."""
    wanted = compare(filled, **options)
    assert wanted
    assert repr(compare(file, **options)) == repr(wanted)


def test_other_programs_ask_by_name(file: Path) -> None:
    """Metrics are a map, parameters are columns, and tags a list; for DuckDB and for polars."""
    found = duckdb.sql(
        f"""SELECT commit_id, metrics['loss'].min, "param:lr", created_date = current_date,
        list_contains(tags, 'x'), "param:n", "param:big" FROM '{file}'
        WHERE len(problems) = 0 AND records > 1 ORDER BY commit_id"""
    ).fetchall()
    assert [row[:3] for row in found] == [("a", 31.0, 0.1), ("b", -math.inf, 1.0)]
    assert [row[4:] for row in found] == [(True, "[1, null]", str(2**70)), (False, None, None)]
    frame = pl.read_parquet(file)
    assert frame["commit_id"].to_list() == ["a", "b", "empty", "torn", "unreadable"]
    assert frame["tail"].struct.field("kind").to_list() == [None, None, None, "torn", None]
    last = pl.col("metrics").map.get("loss").struct.field("last")
    assert frame.select(last)["last"].to_list()[0] == 100.0


def test_a_file_is_not_replaced_unless_forced(filled: ExperimentStore, file: Path) -> None:
    """And no half of one is left."""
    before = file.read_bytes()
    with pytest.raises(OutputExistsError):
        export_experiments(filled, file)
    assert file.read_bytes() == before
    assert len(export_experiments(filled.root, file, ["b"], force=True)) == 1
    assert [one.commit_id for one in compare(file)] == ["b"]


def test_a_store_without_experiments_gives_a_file_without_rows(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """With all columns."""
    export_experiments(store, tmp_path / "e.parquet")
    assert compare(tmp_path / "e.parquet") == []
    frame = pl.read_parquet(tmp_path / "e.parquet")
    assert frame.shape == (0, 15)
    assert frame.schema["created_date"] == pl.Date


def test_more_parameters_than_a_table_can_have_are_in_run_json_alone(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is written nevertheless, and searched by them."""
    monkeypatch.setattr(experimentfile, "LIMIT", 2)
    with expstore.start(store.root, commit_id="a", params={"x": 1, "y": 2, "z": 3}):
        pass
    export_experiments(store, tmp_path / "e.parquet")
    assert pl.read_parquet(tmp_path / "e.parquet").shape == (1, 15)
    assert [one.commit_id for one in compare(tmp_path / "e.parquet", where="z == 3")] == ["a"]


def test_the_command_writes_it(
    filled: ExperimentStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be read is reported, with exit code 1."""
    output = tmp_path / "e.parquet"
    command = ("--root", filled.root, "export", "--to", "parquet", "--experiments", "-o", output)
    done = run(capsys, *command)
    assert done.code == 1
    assert "torn: torn tail of 2 bytes" in done.err
    assert "unreadable: " in done.err
    assert len(compare(output)) == 5
    assert run(capsys, *command, "--force", "--where", "lr == 1").code == 0
    assert [one.commit_id for one in compare(output)] == ["b"]
    assert run(capsys, *command, "--wide").code == 2
    assert run(capsys, *command, "--cluster").code == 2
