"""What an export to Parquet gives other programs: strings, small row groups, metadata beside."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from expstore import ExperimentStore, Metadata
from expstore.exchange import sinks
from expstore.exchange.export import export_file
from formats.columns import TextColumn
from tests.helpers.tables import run


@pytest.fixture
def many(store: ExperimentStore) -> ExperimentStore:
    """Forty experiments of 100 records, the last without metadata."""
    for number in range(40):
        commit_id = f"{number:04}"
        store.create_experiment(commit_id)
        if number < 39:
            store.write_metadata(
                Metadata(commit_id, 1_700_000_000 + number, "job", f"u{number % 3}")
            )
        index = np.arange(100)
        with store.writer(commit_id) as writer:
            writer.append(
                {
                    "timestamp": 1_700_000_000 + index,
                    "step": index.astype(np.uint32),
                    "value": index / 7 + number,
                    "name": TextColumn((index % 2).astype(np.int32), ("loss", "val/loss")),
                }
            )
    return store


@pytest.fixture
def exported(many: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Their export, in row groups of about a thousand rows."""
    monkeypatch.setattr(sinks, "ROW_GROUP", 1_000)
    monkeypatch.setattr("expstore.exchange.export.ROW_GROUP", 1_000)
    export_file(many, None, tmp_path / "m.parquet", "parquet")
    return tmp_path / "m.parquet"


def test_readers_skip_the_row_groups_of_other_experiments(exported: Path) -> None:
    """The statistics of `commit_id` leave PyArrow one row group of four for one experiment."""
    footer = pq.read_metadata(exported)
    assert footer.num_row_groups == 4
    (fragment,) = pa.dataset.dataset(exported).get_fragments()
    left = fragment.split_by_row_group(pa.dataset.field("commit_id") == "0017")
    assert len(left) == 1
    assert pq.read_table(exported, filters=[("commit_id", "==", "0017")]).num_rows == 100


def test_columns_are_encoded_for_what_they_hold(exported: Path) -> None:
    """Dictionaries for texts, differences for whole numbers, bytes side by side for values."""
    group = pq.read_metadata(exported).row_group(1)
    encodings = {}
    for index in range(group.num_columns):
        column = group.column(index)
        assert column.compression == "ZSTD"
        encodings[column.path_in_schema] = set(column.encodings)
    for name in ("commit_id", "name", "job_name", "user"):
        assert "RLE_DICTIONARY" in encodings[name]
    for name in ("step", "timestamp", "created"):
        assert "DELTA_BINARY_PACKED" in encodings[name]
    assert "BYTE_STREAM_SPLIT" in encodings["value"]


def test_texts_are_strings_in_every_reader(exported: Path) -> None:
    """So polars joins them and applies `.str`, which it refuses for categories."""
    frame = pl.read_parquet(exported)
    texts = ("commit_id", "name", "job_name", "user")
    assert {frame.schema[name] for name in texts} == {pl.String}
    found = frame.filter(pl.col("name").str.starts_with("val/"))
    assert found.height == 2_000
    assert frame.join(pl.DataFrame({"commit_id": ["0003"]}), on="commit_id").height == 100


def test_metadata_comes_by_default(many: ExperimentStore, exported: Path) -> None:
    """DuckDB's `user`, which otherwise is its own function, is the experiment's; one is unknown."""
    query = 'SELECT "user", min(value), count(DISTINCT commit_id) FROM %r GROUP BY 1 ORDER BY 1'
    rows = duckdb.sql(query % str(exported)).fetchall()
    assert rows == [("u0", 0.0, 13), ("u1", 1.0, 13), ("u2", 2.0, 13), (None, 39.0, 1)]


@pytest.mark.parametrize("wide_form", [False, True])
def test_metadata_is_left_out_where_asked(
    many: ExperimentStore, tmp_path: Path, wide_form: bool
) -> None:
    """`with_metadata=False` and `--no-metadata`; the older name `metadata` says the same."""
    for number, options in enumerate([{"with_metadata": False}, {"metadata": False}]):
        path = tmp_path / str(number)
        export_file(many, None, path, "parquet", wide_form=wide_form, **options)
        assert {"user", "job_name", "created"}.isdisjoint(pq.read_schema(path).names)


def test_only_metadata_that_was_asked_for_is_missed(
    many: ExperimentStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An experiment without it is exported with nulls; asked for, that is a failure."""
    command = ("--root", many.root, "export", "--to", "parquet", "--force", "-o", tmp_path / "m")
    assert run(capsys, *command).code == 0
    assert pq.read_table(tmp_path / "m")["user"].null_count == 100
    assert run(capsys, *command, "--no-metadata").code == 0
    assert "user" not in pq.read_schema(tmp_path / "m").names
    asked = run(capsys, *command, "--metadata")
    assert asked.code == 1
    assert "0039: " in asked.err
    assert not export_file(many, ["0001", "0039"], tmp_path / "c", "csv").failures
    assert (tmp_path / "c").read_text().splitlines()[0].count(",") == 4


def test_names_of_every_kind_are_columns_of_the_wide_form(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Dots, which separate levels in Parquet's own paths, among them."""
    names = ["a.b", "a", "größe", " ", "value.list.element"]
    store.create_experiment("x")
    store.log_metrics("x", dict.fromkeys(names, 0.5), 1)
    export_file(store, None, tmp_path / "w", "parquet", wide_form=True)
    (row,) = pq.read_table(tmp_path / "w").to_pylist()
    assert [row[name] for name in names] == [0.5] * len(names)


def test_questions_about_days_need_no_arithmetic(store: ExperimentStore, tmp_path: Path) -> None:
    """`created_date` is a date for all readers, in UTC; what no calendar has is null."""
    for commit_id, created in [("a", -1), ("b", 86_400), ("c", 2**62), ("d", 253_402_300_799)]:
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, created, "job", "me"))
        store.log_metric(commit_id, "loss", 1.0, 1)
    for wide in (False, True):
        file = tmp_path / f"{wide}.parquet"
        export_file(store, None, file, "parquet", wide_form=wide)
        found = duckdb.sql(f"SELECT created_date FROM '{file}' ORDER BY commit_id").fetchall()
        days = [str(day) if day else None for (day,) in found]
        assert days == ["1969-12-31", "1970-01-02", None, "9999-12-31"]
        assert pl.read_parquet(file)["created_date"].dt.year().to_list() == [1969, 1970, None, 9999]
    export_file(store, None, tmp_path / "plain.parquet", "parquet", with_metadata=False)
    assert "created_date" not in pq.read_schema(tmp_path / "plain.parquet").names
