"""Comparisons whose logs are read by workers: the results of one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from distributed import Client

import expstore
from expstore import ClusterError, ExperimentStore, OutputExistsError
from expstore.cluster import compare, compare_store, export_parquet, log_reader, sight
from expstore.compare import compare as compare_alone
from expstore.compare import select
from tests.helpers.tables import run


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Six runs and one whose log cannot be read."""
    for number in range(6):
        with expstore.start(store.root, commit_id=f"r{number}", params={"lr": number}) as started:
            for step in range(10):
                started.log({"loss": number * step, "acc": step}, step=step)
    store.create_experiment("odd")
    store.metrics_path("odd").mkdir()
    return store


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"where": "lr > 1 and loss:max < 40", "sort": "loss:last", "reverse": True},
        {"group_by": "lr", "names": ["loss"]},
        {"limit": 2},
    ],
    ids=str,
)
def test_a_comparison_is_that_of_one_process(
    client: Client, filled: ExperimentStore, options: dict
) -> None:
    """With its problems, and in the same order."""
    found = compare_store(filled, client, **options)
    assert repr(found) == repr(compare_alone(filled, **options))
    assert repr(compare_store(filled.root, client, **options)) == repr(found)


def test_a_selection_is_that_of_one_process(client: Client, filled: ExperimentStore) -> None:
    """And progress sees each log that was read."""
    seen: list[str] = []

    def progress(ids: list[str]) -> Iterator[str]:
        for commit_id in ids:
            seen.append(commit_id)
            yield commit_id

    read = log_reader(filled, client, progress=progress)
    where = "loss:max < 30 and lr > 0"
    assert select(filled, where, read=read) == select(filled, where) == ["r1", "r2", "r3"]
    assert seen == [f"r{number}" for number in range(1, 6)]


def test_a_worker_that_does_not_see_the_store_is_an_error(
    client: Client, filled: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not experiments without metrics."""
    monkeypatch.setattr(sight.Sight, "of", lambda _: sight.Sight(1))
    with pytest.raises(ClusterError, match="does not see this store"):
        compare_store(filled, client)


def test_an_export_by_workers_is_searched_like_its_store(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """In many parts, without the store."""
    filled.metrics_path("odd").rmdir()
    filled.log_metric("odd", "loss", 3.0, 1)
    export_parquet(filled, tmp_path / "out", client, batch=200)
    found = compare_alone(tmp_path / "out", where="loss:max <= 9", sort="loss:max")
    wanted = compare_alone(filled, where="loss:max <= 9", sort="loss:max")
    assert [(one.commit_id, one.metrics) for one in found] == [
        (one.commit_id, one.metrics) for one in wanted
    ]
    assert len(found) == 3


def test_commands_print_the_same_with_a_cluster(
    client: Client, filled: ExperimentStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`compare`, `ls --where` and `report --where`, with the same exit code."""
    address = client.scheduler_info()["address"]
    filled.metrics_path("odd").rmdir()
    where = ("--where", "loss:max < 30")
    for command in (("compare", "--json"), ("ls", "--json", *where), ("compare", *where)):
        alone = run(capsys, "--root", filled.root, *command)
        together = run(capsys, "--root", filled.root, *command, "--cluster", address)
        assert (together.code, together.out) == (alone.code, alone.out)
        assert "r1" in alone.out
    report = ("--root", filled.root, "report", "-o", tmp_path / "r.html")
    assert run(capsys, *report, *where, "--cluster", address).code == 0
    assert (tmp_path / "r.html").stat().st_size > 1000
    assert run(capsys, *report, "--cluster", address).code == 2
    listed = json.loads(run(capsys, "--root", filled.root, "ls", "--json", *where).out)
    assert {one["commit_id"] for one in listed} == {"r0", "r1", "r2", "r3"}


def test_only_the_work_of_workers_is_sent(filled: ExperimentStore) -> None:
    """What decides without a log starts no process."""
    read = compare.log_reader(filled)
    assert read([]) == []


def test_parameters_are_columns_of_an_export_by_workers(
    client: Client, filled: ExperimentStore, tmp_path: Path
) -> None:
    """So the export is searched by them; changed tags write only the parts that they are in."""
    filled.metrics_path("odd").rmdir()
    filled.log_metric("odd", "loss", 3.0, 1)
    output = tmp_path / "out"
    report = export_parquet(filled, output, client, batch=100_000, params=True)
    assert report.written > 1
    found = compare_alone(output, where="lr > 3 and status == finished")
    assert [(one.commit_id, dict(one.params)) for one in found] == [
        ("r4", {"lr": 4}),
        ("r5", {"lr": 5}),
    ]
    assert export_parquet(filled, output, client, batch=100_000, params=True).written == 0
    filled.update_run("r5", tags=["best"])
    assert export_parquet(filled, output, client, batch=100_000, params=True).written == 1
    assert [one.commit_id for one in compare_alone(output, where="tag == best")] == ["r5"]
    rows = duckdb.sql(
        f"SELECT \"param:lr\", count(*) FROM '{output}/*.parquet' GROUP BY 1 ORDER BY 1"
    )
    assert rows.fetchall() == [*((lr, 20) for lr in range(6)), (None, 1)]
    with pytest.raises(OutputExistsError, match="another choice of parameters"):
        export_parquet(filled, output, client)
