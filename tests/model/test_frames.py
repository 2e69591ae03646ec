"""Tables for pyarrow, pandas, polars and DuckDB equal the metrics bit for bit."""

from __future__ import annotations

import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    FieldValueError,
    Metadata,
    Metric,
    MetricTable,
    MissingExtraError,
    UnreadableFileError,
)
from expstore.extras import require
from expstore.model.texts import escape, unescape
from expstore.store.stream import select
from tests.helpers.tables import hide, metrics, names, table_of

ROWS = [
    Metric("loss", 0.5, 0, 1_700_000_000),
    Metric("acc", float("nan"), 0, -(2**63)),
    Metric("loss", float("-inf"), 2**32 - 1, 2**63 - 1),
]


def same(table: MetricTable, columns: dict[str, np.ndarray], texts: list[str]) -> bool:
    """Whether columns and names equal the table's, including NaN payloads and signs of zero."""
    return (
        [escape(metric.name) for metric in table] == texts
        and (columns["value"].view("i8") == table.values.view("i8")).all()
        and (columns["step"] == table.steps).all()
        and (columns["timestamp"] == table.timestamps).all()
        and [columns[n].dtype for n in ("value", "step", "timestamp")] == ["f8", "i8", "i8"]
    )


@given(st.lists(metrics), st.sampled_from([slice(None), slice(1, None), slice(None, None, -2)]))
def test_each_library_holds_the_table_to_the_bit(rows: list[Metric], part: slice) -> None:
    """Values, steps, timestamps and names of every kind survive all three conversions."""
    table = table_of(rows)[part]
    numbers = ("value", "step", "timestamp")
    arrow = table.to_arrow()
    assert same(table, {n: arrow[n].to_numpy() for n in numbers}, arrow["name"].to_pylist())
    pandas = table.to_pandas()
    assert same(table, {n: pandas[n].to_numpy() for n in numbers}, list(pandas["name"]))
    polars = table.to_polars()
    assert same(table, {n: polars[n].to_numpy() for n in numbers}, polars["name"].to_list())


def test_arrow_schema_is_the_declared_one() -> None:
    """Names are dictionary-encoded, and numbers have the format's widths."""
    assert table_of([]).to_arrow().schema == pa.schema(
        [
            ("name", pa.dictionary(pa.int32(), pa.string())),
            ("value", pa.float64()),
            ("step", pa.int64()),
            ("timestamp", pa.int64()),
        ]
    )


def test_arrow_shares_the_numbers() -> None:
    """No number column is copied."""
    table = table_of(ROWS)
    arrow = table.to_arrow()
    for name, column in {"value": table.values, "timestamp": table.timestamps}.items():
        assert arrow[name].chunk(0).buffers()[1].address == column.ctypes.data


def test_a_table_is_taken_as_it_is_by_other_libraries() -> None:
    """DuckDB, pyarrow and polars read a MetricTable directly."""
    logged = table_of(ROWS)
    assert duckdb.sql("select name, step from logged").fetchall() == [
        (metric.name, metric.step) for metric in logged
    ]
    assert pa.table(logged).schema == logged.to_arrow().schema
    assert pa.table(logged)["step"].to_pylist() == logged.steps.tolist()
    assert pl.DataFrame(logged)["step"].to_list() == logged.steps.tolist()
    if hasattr(pd.DataFrame, "from_arrow"):  # since pandas 3
        assert pd.DataFrame.from_arrow(logged)["step"].tolist() == logged.steps.tolist()


def test_frames_of_pandas_may_be_written_to() -> None:
    """By assignment and in place, and the table stays as it was."""
    table = table_of(ROWS)
    frame = table.to_pandas()
    frame.loc[frame["step"] == 0, "value"] = 7.0
    frame.loc[0, "name"] = "other"
    frame.fillna({"value": 1.0}, inplace=True)
    assert frame["value"].tolist() == [7.0, 7.0, float("-inf")]
    assert table == table_of(ROWS)


@pytest.mark.parametrize("rows", [ROWS, []])
def test_types_do_not_depend_on_the_rows(rows: list[Metric]) -> None:
    """So an empty table concatenates with any other without changing a type."""
    frame, others = table_of(rows).to_pandas(), table_of(ROWS).to_pandas()
    assert frame.dtypes.equals(others.dtypes)
    assert pd.concat([frame, others]).dtypes.equals(others.dtypes)
    assert list(frame.dtypes)[1:] == ["float64", "int64", "int64"]
    assert frame["name"].dtype == pd.Index(["text"]).dtype
    types = {"name": pl.String, "value": pl.Float64, "step": pl.Int64, "timestamp": pl.Int64}
    assert dict(table_of(rows).to_polars().schema) == types


def test_steps_do_not_wrap_around() -> None:
    """Differences and sums of the widest steps are right in every library."""
    table = table_of(ROWS)
    for steps in (table.steps, table.to_pandas()["step"].to_numpy(), table.to_polars()["step"]):
        assert int((steps - 2**32).min()) == -(2**32)
        assert int(steps.sum()) == 2**32 - 1


def test_a_frame_of_rows_is_the_frame_of_columns() -> None:
    """`pd.DataFrame(table)` and `pl.DataFrame(table)` are slower, and equal."""
    table = table_of(ROWS)
    pd.testing.assert_frame_equal(pd.DataFrame(table), table.to_pandas())
    rows = pl.DataFrame(table, orient="row", schema=list(Metric._fields))
    assert rows.equals(table.to_polars())


@given(st.lists(names, unique=True))
def test_escaped_names_stay_different_and_come_back(texts: list[str]) -> None:
    """`escape` gives valid Unicode, merges no two names, and `unescape` undoes it."""
    escaped = [escape(text) for text in texts]
    assert len(set(escaped)) == len(texts)
    assert [unescape(text.encode().decode()) for text in escaped] == texts


def test_a_byte_and_the_text_of_its_escape_differ() -> None:
    r"""The byte ff becomes `\xff`; the literal text `\xff` becomes something else."""
    assert escape("\udcff") == r"\xff"
    assert escape(r"\xff") == r"\x5cxff"
    assert escape(r"C:\train") == r"C:\train"


def test_a_surrogate_that_is_no_byte_is_refused() -> None:
    """A name that no file can hold has no escape."""
    with pytest.raises(FieldValueError, match="is not valid text"):
        escape("\ud800")


def test_whole_store_is_one_stream(vectors: ExperimentStore) -> None:
    """All golden experiments, each equal to its table, in listing order."""
    whole = vectors.to_arrow().read_all()
    expected = [
        (commit_id, escape(m.name), np.float64(m.value).view("i8"), m.step, m.timestamp)
        for commit_id in vectors.list_experiments()
        for m in vectors.get_metrics(commit_id)
    ]
    assert len(expected) == 148
    columns = [whole[name].to_pylist() for name in ("commit_id", "name")]
    columns += [whole["value"].to_numpy().view("i8")]
    columns += [whole[name].to_pylist() for name in ("step", "timestamp")]
    assert list(zip(*columns, strict=True)) == expected


def test_stream_reads_one_experiment_at_a_time(vectors_copy: ExperimentStore) -> None:
    """An experiment is opened only when the stream reaches it."""
    reader = vectors_copy.to_arrow(["3f2a9c1d", "edge-values"])
    assert reader.read_next_batch().num_rows == 105
    vectors_copy.metrics_path("edge-values").unlink()
    with pytest.raises(StopIteration):
        reader.read_next_batch()


def test_stream_holds_metadata_where_asked(store: ExperimentStore) -> None:
    """Each row also has the job name, user and creation time."""
    store.create_experiment("a")
    store.write_metadata(Metadata("a", -5, "train", "\udcffe"))
    store.log_metric("a", "loss", 1.0, 1)
    (row,) = store.to_arrow(metadata=True).read_all().to_pylist()
    assert (row["job_name"], row["user"], row["created"]) == ("train", r"\xffe", -5)


def test_unreadable_metadata_is_null_in_a_stream(store: ExperimentStore) -> None:
    """One experiment's does not break the stream, and takes no metric from it."""
    for number, commit_id in enumerate(["a", "b", "c"]):
        store.create_experiment(commit_id)
        store.log_metric(commit_id, "loss", 1.0, 1)
        if commit_id != "b":
            store.write_metadata(Metadata(commit_id, number, "train", "alice"))
    store.metadata_path("a").write_bytes(b"\x09")
    rows = store.to_arrow(metadata=True).read_all().to_pylist()
    assert [(row["commit_id"], row["user"]) for row in rows] == [
        ("a", None),
        ("b", None),
        ("c", "alice"),
    ]
    assert [row["created"] for row in rows] == [None, None, 2]


@given(
    st.lists(metrics),
    st.none() | st.lists(names),
    st.none()
    | st.builds(
        range,
        st.integers(-5, 2**33),
        st.integers(-5, 2**33),
        st.integers(-7, 7).filter(bool),
    ),
)
def test_selection_is_that_of_a_loop(
    rows: list[Metric], wanted: list[str] | None, steps: range | None
) -> None:
    """Names and steps select the same metrics as a plain loop."""
    selected = select(table_of(rows), wanted, steps)
    assert selected == table_of(
        [
            row
            for row in rows
            if (wanted is None or {row.name, escape(row.name)} & {*wanted})
            and (steps is None or row.step in steps)
        ]
    )


def test_missing_experiment_is_told_before_anything_is_read(vectors: ExperimentStore) -> None:
    """A stream with an unknown id does not start."""
    with pytest.raises(ExperimentNotFoundError, match="gone"):
        vectors.to_arrow(["3f2a9c1d", "gone"])


def test_unreadable_experiment_ends_the_stream(vectors_copy: ExperimentStore) -> None:
    """The stream raises; it never skips an experiment silently."""
    vectors_copy.metrics_path("edge-values").unlink()
    vectors_copy.metrics_path("edge-values").mkdir()
    with pytest.raises(UnreadableFileError, match="edge-values"):
        vectors_copy.to_arrow(["3f2a9c1d", "edge-values"]).read_all()


@pytest.mark.parametrize(
    ("library", "extra", "convert"),
    [
        ("pyarrow", "arrow", MetricTable.to_arrow),
        ("pyarrow", "arrow", MetricTable.__arrow_c_stream__),
        ("pandas", "pandas", MetricTable.to_pandas),
        ("polars", "polars", MetricTable.to_polars),
    ],
)
def test_missing_library_names_its_extra(library, extra, convert, monkeypatch) -> None:
    """The message is one line that says what to install."""
    hide(monkeypatch, library)
    with pytest.raises(MissingExtraError, match=rf"^{library} .*pip install .*\[{extra}\]'$"):
        convert(table_of(ROWS))


def test_a_broken_library_is_not_called_missing(monkeypatch, tmp_path) -> None:
    """If a dependency of the library is missing, the error names that dependency."""
    (tmp_path / "broken_library.py").write_text("import what_it_lacks\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_lacks") as caught:
        require("broken_library", "arrow")
    assert not isinstance(caught.value, MissingExtraError)
    assert "broken_library" not in sys.modules
