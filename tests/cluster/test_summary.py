"""The file about an exported directory: comparisons are those of the store, at no further cost."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
import pytest
from distributed import Client

import expstore
from expstore import ExperimentStore, OutputExistsError, StoreNotFoundError
from expstore.cluster import export_parquet, summary
from expstore.compare import compare
from expstore.compare.experimentfile import beside

BATCH = 2_000


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Short runs, a log of several parts, one that was resumed, and experiments without metrics."""
    for number in range(4):
        with expstore.start(store.root, commit_id=f"r{number}", params={"lr": number}) as run:
            for step in range(10):
                run.log({"loss": number * step, "nan": math.nan}, step=step)
    with store.start_experiment("long", job_name="job", user="me") as writer:
        for step in range(400):
            writer.log_many({"loss": math.cos(step), "acc": step}, step=step)
    with expstore.start(store.root, commit_id="resumed") as run:
        for step in range(300):
            run.log({"loss": -step}, step=step)
    with expstore.start(store.root, commit_id="resumed", resume=True, from_step=100) as run:
        run.log({"loss": 5.0}, step=100)
    store.create_experiment("empty")
    return store


def test_a_comparison_is_that_of_the_store(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """Of experiments without metrics, and of what was superseded, too."""
    output = tmp_path / "out"
    report = export_parquet(filled, output, client, batch=BATCH)
    assert report.written > 10
    assert repr(compare(output)) == repr(compare(beside(output))) == repr(compare(filled))
    where = {"where": "status == finished and lr > 1", "sort": "loss:max"}
    assert repr(compare(output, **where)) == repr(compare(filled, **where))


def test_an_export_that_lacks_what_cannot_be_read_is_asked_all_the_same(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """It stays incomplete, however often it is run; the problem is in the answer."""
    (filled.experiment_path("r1") / "run.json").write_text("{")
    output = tmp_path / "out"
    assert export_parquet(filled, output, client, params=True).failures.keys() == {"r1"}
    assert not (output / "_SUCCESS").exists()
    found = compare(output)
    assert repr(found) == repr(compare(filled))
    assert {one.commit_id: one for one in found}["r1"].problems
    beside(output).unlink()
    with pytest.raises(StoreNotFoundError, match="see what it cannot read"):
        compare(output)


def test_the_rows_of_the_directory_are_metrics_alone(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """Also for readers that go into folders."""
    output = tmp_path / "out"
    rows = export_parquet(filled, output, client, batch=BATCH).rows
    assert pyarrow.dataset.dataset(output, format="parquet").count_rows() == rows
    assert duckdb.sql(f"SELECT count(*) FROM '{output}/**/*.parquet'").fetchall() == [(rows,)]
    counted = duckdb.sql(f"SELECT count(*), sum(records) FROM '{beside(output)}'").fetchall()
    assert counted == [(7, rows - 200)]  # without what is superseded


def test_what_did_not_change_is_not_read_again(
    client: Client, filled: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics come from the earlier file; tags, which no part has, are new nevertheless."""
    output = tmp_path / "out"
    export_parquet(filled, output, client, batch=BATCH)
    filled.update_run("r1", tags=["new"])
    asked: list[Any] = []
    monkeypatch.setattr(summary, "complete", lambda *of: asked.append(of) or {})
    assert export_parquet(filled, output, client, batch=BATCH).written == 0
    assert not asked
    assert [one.commit_id for one in compare(output, where="tag == new")] == ["r1"]
    assert repr(compare(output)) == repr(compare(filled))


def test_a_file_that_would_be_the_same_stays(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """It is written again once anything in it is new: a tag, a log's end, a status, a deletion."""
    (filled.experiment_path("r2") / "run.json").write_text("{")
    with filled.metrics_path("r3").open("ab") as file:
        file.write(b"torn")
    output = tmp_path / "out"

    def is_written_again() -> bool:
        before = beside(output).stat().st_ino, beside(output).stat().st_mtime_ns
        export_parquet(filled, output, client, batch=BATCH)
        assert repr(compare(output)) == repr(compare(filled))
        return before != (beside(output).stat().st_ino, beside(output).stat().st_mtime_ns)

    export_parquet(filled, output, client, batch=BATCH)
    assert not is_written_again()
    filled.update_run("r1", tags=["new"])
    assert is_written_again()
    filled.log_metric("r1", "loss", 0.5, 500)
    assert is_written_again()
    filled.update_run("r0", notes="x")
    assert is_written_again()
    shutil.rmtree(filled.experiment_path("r3"))
    assert is_written_again()
    assert not is_written_again()
    with expstore.start(filled.root, commit_id="r1", resume=True) as run:
        run.log({"loss": 1.0})
        export_parquet(filled, output, client, batch=BATCH)
        before = beside(output).stat().st_mtime_ns
        export_parquet(filled, output, client, batch=BATCH)  # its duration is another
        assert beside(output).stat().st_mtime_ns != before
    assert is_written_again()
    assert not is_written_again()


def test_what_is_needed_of_kept_parts_is_read_from_them(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """Of a log that grew, and if the earlier file is lost, or of other parts."""
    output = tmp_path / "out"
    export_parquet(filled, output, client, batch=BATCH)
    filled.log_metric("long", "loss", 7.0, step=400)
    report = export_parquet(filled, output, client, batch=BATCH)
    assert 0 < report.written < report.kept
    assert repr(compare(output)) == repr(compare(filled))
    beside(output).unlink()
    assert export_parquet(filled, output, client, batch=BATCH).written == 0
    assert repr(compare(output)) == repr(compare(filled))


def test_only_the_names_that_are_exported_have_statistics(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """As the rows have them; all experiments are there."""
    output = tmp_path / "out"
    for _ in range(2):  # written, then kept
        export_parquet(filled, output, client, names=["acc"], batch=BATCH)
        found = compare(output)
        assert len(found) == 7
        assert {name for one in found for name in one.metrics} == {"acc"}
        beside(output).unlink()


def test_a_directory_that_was_copied_alone_is_searched_by_its_rows(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """Not by the file of another export that is beside it."""
    export_parquet(filled, tmp_path / "one", client, ids=["r1", "r2"], batch=BATCH)
    export_parquet(filled, tmp_path / "two", client, ids=["r3"], batch=BATCH)
    beside(tmp_path / "two").replace(beside(tmp_path / "one"))
    assert [one.commit_id for one in compare(tmp_path / "one")] == ["r1", "r2"]
    assert [one.commit_id for one in compare(tmp_path / "two")] == ["r3"]


def test_what_could_not_be_read_has_a_row(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """With the problem, as the report has it."""
    filled.metrics_path("empty").mkdir()
    output = tmp_path / "out"
    report = export_parquet(filled, output, client, batch=BATCH)
    (problem,) = compare(beside(output), ["empty"])[0].problems[1:]
    assert problem == str(report.failures["empty"])
    filled.metrics_path("empty").rmdir()
    export_parquet(filled, output, client, batch=BATCH)
    assert repr(compare(output)) == repr(compare(filled))


def test_another_file_of_that_name_is_not_replaced(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """Nothing is written then."""
    output = tmp_path / "out"
    beside(output).write_text("mine")
    with pytest.raises(OutputExistsError, match=r"out\.experiments\.parquet"):
        export_parquet(filled, output, client)
    assert not output.exists()
    assert beside(output).read_text() == "mine"
