"""Programs that read an export give the store's answers; Spark does in the long form."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from distributed import Client

from expstore import ExperimentStore
from expstore.cluster import export_parquet
from tests.cluster import readers
from tests.cluster.operations import make_store


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, client: Client
) -> tuple[ExperimentStore, Path]:
    """A store, and a directory with its export in several parts."""
    work = tmp_path_factory.mktemp("readers")
    store = make_store(work / "store", 50)
    export_parquet(store, work / "parts", client, batch=1 << 20)
    return store, work


@pytest.mark.parametrize("name", readers.READERS)
def test_every_reader_gives_the_answers_of_the_store(
    name: str, exported: tuple[ExperimentStore, Path]
) -> None:
    """The README's two questions, of the whole directory."""
    store, work = exported
    assert len(list((work / "parts").glob("part-*"))) > 1
    assert readers.equal(readers.of_store(store, work), readers.READERS[name](store, work))


def test_a_different_answer_is_noticed(exported: tuple[ExperimentStore, Path]) -> None:
    """A count, a mean or a minimum that differs."""
    best, means = expected = readers.of_store(*exported)
    count, mean = means["loss"]
    assert not readers.equal(expected, (best | {"user0": -1.0}, means))
    assert not readers.equal(expected, (best, means | {"loss": (count + 1, mean)}))
    assert not readers.equal(expected, (best, means | {"loss": (count, mean + 1e-9)}))


def test_an_export_without_rows_has_its_columns(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """So programs that read it do not fail: there is a file without rows."""
    export_parquet(store, tmp_path / "out", client)
    assert (tmp_path / "out" / "_SUCCESS").exists()
    frame = pl.scan_parquet(tmp_path / "out").collect()
    assert frame.shape == (0, 9)
    assert frame.schema["created_date"] == pl.Date
    assert duckdb.sql(f"SELECT \"user\" FROM '{tmp_path}/out/*.parquet'").fetchall() == []


def test_an_export_of_an_older_version_is_taken_over(
    client: Client, exported: tuple[ExperimentStore, Path], tmp_path: Path
) -> None:
    """Its mark was JSON; it is replaced, and so are parts in the older form."""
    import json
    import shutil

    store, work = exported
    output = tmp_path / "parts"
    shutil.copytree(work / "parts", output)
    mark = output / "_expstore_export.parquet"
    contents = json.loads(pq.read_metadata(mark).metadata[b"expstore"])
    del contents["of"]["params"]
    (output / "_expstore_export").write_text(json.dumps(contents))
    mark.unlink()
    assert export_parquet(store, output, client, batch=1 << 20).written == 0
    assert mark.exists()
    assert not (output / "_expstore_export").exists()
