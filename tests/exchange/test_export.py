"""Exports: other tools read the metrics back unchanged; an output is complete or absent."""

from __future__ import annotations

import io
import json
import math
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from expstore import (
    ExperimentStore,
    ExportError,
    FieldValueError,
    Metadata,
    Metric,
    MissingExtraError,
    NoSpaceError,
    OutputExistsError,
)
from expstore.cli.exchange import _Terminal
from expstore.exchange import wide as wide_form
from expstore.exchange.export import export_file
from expstore.exchange.imports import import_experiments
from expstore.exchange.tensorboard import export_tensorboard
from expstore.model.longform import METADATA_COLUMNS
from expstore.model.texts import escape
from tests.helpers.tables import hide, metrics, names, run, table_of

Row = tuple[str, str, float, int, int]


def expected_rows(store: ExperimentStore) -> list[Row]:
    """The rows of a store in long form."""
    return [
        (commit_id, escape(m.name), m.value, m.step, m.timestamp)
        for commit_id in store.list_experiments()
        for m in store.get_metrics(commit_id)
    ]


def same(rows: Iterable[Iterable[Any]], wanted: list[Row]) -> bool:
    """Equality in which NaN equals NaN and 0.0 differs from -0.0."""

    def bits(row: Iterable[Any]) -> tuple[Any, ...]:
        commit_id, name, value, step, timestamp = row
        value = "nan" if math.isnan(value) else struct.pack(">d", value)
        return commit_id, name, value, step, timestamp

    return list(map(bits, rows)) == list(map(bits, wanted))


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Two experiments with every kind of name and value."""
    for commit_id, user in {"00001234": "=1+1", "b": 'quoted "user"'}.items():
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, 1_700_000_000, "job, one", user))
        with store.writer(commit_id) as writer:
            for step, value in enumerate([0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324]):
                for name in ("loss", "=cmd|' /C calc'!A0", 'a "b",\r\nc', "NA", "\udcff", r"\xff"):
                    writer.log(name, value, step)
    return store


def test_paths_may_be_strings(filled: ExperimentStore, tmp_path: Path) -> None:
    """As elsewhere in Python, a path is a Path or a str."""
    export_file(filled, ["b"], str(tmp_path / "b.csv"), "csv")
    export_tensorboard(filled, ["b"], str(tmp_path / "runs"))
    again = ExperimentStore(str(tmp_path / "again"))
    imported = import_experiments(again, "tensorboard", str(tmp_path / "runs"))
    imported += import_experiments(again, "csv", str(tmp_path / "b.csv"), to_id="c")
    assert [row.commit_id for row in imported] == again.list_experiments() == ["b", "c"]
    assert [row.metrics for row in imported] == [len(filled.get_metrics("b"))] * 2


def test_csv_is_read_by_pandas_polars_and_duckdb(filled: ExperimentStore, tmp_path: Path) -> None:
    """Three readers return the metrics, with every formula, quote and newline unchanged."""
    output = tmp_path / "metrics.csv"
    export_file(filled, None, output, "csv")
    wanted = expected_rows(filled)
    text = {"commit_id": str, "name": str}
    pandas = pd.read_csv(
        output, dtype=text, keep_default_na=False, na_values={"value": ["nan"]}, lineterminator="\n"
    )
    assert same(pandas.itertuples(index=False), wanted)
    polars = pl.read_csv(
        output, schema_overrides={"commit_id": pl.String, "name": pl.String, "value": pl.Float64}
    )
    assert same(polars.rows(), wanted)
    read = duckdb.read_csv(str(output), dtype={"commit_id": "VARCHAR", "value": "DOUBLE"})
    assert same(read.fetchall(), wanted)


def test_parquet_is_read_by_pandas_polars_and_duckdb(
    filled: ExperimentStore, tmp_path: Path
) -> None:
    """Three readers return the metrics with their types."""
    output = tmp_path / "metrics.parquet"
    export_file(filled, None, output, "parquet", with_metadata=False)
    wanted = expected_rows(filled)
    assert same(pd.read_parquet(output).itertuples(index=False), wanted)
    assert same(pl.read_parquet(output).rows(), wanted)
    assert same(duckdb.read_parquet(str(output)).fetchall(), wanted)
    types = [str(field.type) for field in pq.read_schema(output)]
    assert types == ["string", "string", "double", "int64", "int64"]


def test_json_lines_are_valid_and_complete(filled: ExperimentStore, tmp_path: Path) -> None:
    """Each line is standard JSON, with non-finite values as strings."""
    output = tmp_path / "metrics.jsonl"
    export_file(filled, None, output, "jsonl")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in output.open()]
    assert {row["value"] for row in rows if isinstance(row["value"], str)} == {
        "NaN",
        "Infinity",
        "-Infinity",
    }
    for row in rows:
        row["value"] = float(row["value"])
    assert same((row.values() for row in rows), expected_rows(filled))
    assert list(rows[0]) == ["commit_id", "name", "value", "step", "timestamp"]


def test_the_golden_store_is_exported_in_full(
    vectors: ExperimentStore, expected: dict[str, Any], tmp_path: Path
) -> None:
    """The export has every record that the reference program reads from the golden store."""
    output = tmp_path / "metrics.parquet"
    report = export_file(vectors, None, output, "parquet", with_metadata=False)
    wanted = [
        (
            commit_id,
            escape(bytes.fromhex(name).decode("utf-8", "surrogateescape")),
            struct.unpack(">d", bytes.fromhex(bits))[0],
            step,
            timestamp,
        )
        for commit_id, experiment in sorted(expected["experiments"].items())
        for timestamp, step, bits, name in experiment["metrics"]
    ]
    assert same(pl.read_parquet(output).rows(), wanted)
    assert report.rows == len(wanted) == 148
    assert set(report.tails) == {
        "torn-20-bytes",
        "torn-header",
        "torn-name",
        "torn-then-appended",
        "zero-tail",
    }


def test_tensorboard_reads_what_was_exported(vectors: ExperimentStore, tmp_path: Path) -> None:
    """TensorBoard's own accumulator finds every metric as 32-bit values with step and time."""
    report = export_tensorboard(vectors, ["3f2a9c1d", "edge-values", "no-metrics"], tmp_path / "tb")
    assert sorted(os.listdir(tmp_path / "tb")) == ["3f2a9c1d", "edge-values", "no-metrics"]
    for commit_id in ("3f2a9c1d", "edge-values"):
        table = vectors.get_metrics(commit_id)
        events = EventAccumulator(str(tmp_path / "tb" / commit_id), size_guidance={"scalars": 0})
        events.Reload()
        assert events.Tags()["scalars"] == [escape(name) for name in table.names]
        for name in table.names:
            metrics = table[name]
            scalars = events.Scalars(escape(name))
            with np.errstate(over="ignore"):
                rounded = metrics.values.astype(np.float32)
            np.testing.assert_array_equal([scalar.value for scalar in scalars], rounded)
            assert [scalar.step for scalar in scalars] == metrics.steps.tolist()
            assert [scalar.wall_time for scalar in scalars] == metrics.timestamps.tolist()
    assert report.overflows == 1  # 1.8e308


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (0.5, None),
        (-0.0, None),
        (math.nan, None),
        (-math.inf, None),
        (1e-40, "rounded"),
        (1 / 3, "rounded"),
        (2.0**24 + 1, "rounded"),
        (-1e39, "overflows"),
        (-1e-46, "underflows"),
        (5e-324, "underflows"),
    ],
)
def test_values_that_tensorboard_holds_otherwise_are_counted(
    value: float, change: str | None, store: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """Each by what became of it."""
    store.create_experiment("a")
    store.log_metrics("a", {"loss": value}, 0)
    report = export_tensorboard(store, ["a"], tmp_path / "tb")
    found = {name: getattr(report, name) for name in ("overflows", "underflows", "rounded")}
    assert found == dict.fromkeys(found, 0) | ({change: 1} if change else {})
    done = run(capsys, "--root", store.root, "export", "--to", "tensorboard", "-o", tmp_path / "x")
    assert ("32-bit floats: 1 value" in done.err) == (change is not None)


def test_tensorboard_run_that_does_not_fit_is_named(
    filled: ExperimentStore, tmp_path: Path
) -> None:
    """It does not appear."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(NoSpaceError, match="tb/b: "):
            export_tensorboard(filled, ["b"], tmp_path / "tb")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "tb").iterdir()) == []


def test_tensorboard_run_is_replaced_only_by_force(filled: ExperimentStore, tmp_path: Path) -> None:
    """An existing run stops the export; force replaces event files and nothing else."""
    export_tensorboard(filled, ["b"], tmp_path)
    with pytest.raises(OutputExistsError, match="force"):
        export_tensorboard(filled, None, tmp_path)
    assert os.listdir(tmp_path / "b") == ["events.out.tfevents.1700000000.expstore"]
    assert not (tmp_path / "00001234").exists()
    export_tensorboard(filled, None, tmp_path, force=True)
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="more than event files"):
        export_tensorboard(filled, None, tmp_path, force=True)
    assert (tmp_path / "b" / "notes.txt").read_text() == "mine"


@given(st.lists(metrics), st.integers(1, 20))
def test_wide_form_equals_a_plain_loop(rows: list[Metric], cells: int) -> None:
    """One row per step in order; the last value wins; values not logged are null, not NaN."""
    table = table_of(rows)

    class OneExperiment:
        metadata = False

        def __iter__(self) -> Iterator[Any]:
            yield "a", None, table

    steps: dict[int, dict[str, Any]] = {}
    for metric in rows:
        row = steps.setdefault(metric.step, {"commit_id": "a", "step": metric.step})
        row |= {"timestamp": metric.timestamp, wide_form.column_name(metric.name): metric.value}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide_form, "_CELLS", cells)  # splits even small tables
        batches = list(wide_form.wide_batches(OneExperiment(), table.names))
    found = [
        {key: value for key, value in row.items() if value is not None}
        for batch in batches
        for row in batch.to_pylist()
    ]
    assert repr([dict(sorted(row.items())) for row in found]) == repr(
        [dict(sorted(steps[step].items())) for step in sorted(steps)]
    )


@given(st.lists(names, unique=True))
def test_no_two_metrics_share_a_wide_column(texts: list[str]) -> None:
    """Metrics named like a key column get a prefix, and prefixed names do not collide either."""
    texts = list(dict.fromkeys([*texts, "step", "metric:step", "metric:metric:step", "user"]))
    columns = [wide_form.column_name(text) for text in texts]
    assert len({*columns, "commit_id", "step", "timestamp", *METADATA_COLUMNS}) == len(columns) + 6


def test_wide_files_have_a_column_for_each_metric(store: ExperimentStore, tmp_path: Path) -> None:
    """Metrics of several experiments share one table: missing values are empty, NaN stays NaN."""
    for commit_id, values in {"a": {"loss": 1.5, "step": 2.0}, "b": {"acc": math.nan}}.items():
        store.create_experiment(commit_id)
        store.log_metrics(commit_id, values, step=3)
    store.log_metric("b", "acc", 0.25, 3)
    store.log_metric("b", "acc", math.nan, 4)
    output = tmp_path / "wide.csv"
    export_file(store, None, output, "csv", wide_form=True)
    assert output.read_text() == (
        '"commit_id","step","timestamp","loss","metric:step","acc"\n'
        '"a",3,1700000000,1.5,2,\n'
        '"b",3,1700000000,,,0.25\n'
        '"b",4,1700000000,,,nan\n'
    )
    export_file(store, None, output, "jsonl", wide_form=True, names=["acc", "none"], force=True)
    assert [json.loads(line) for line in output.open()] == [
        {"commit_id": "b", "step": 3, "timestamp": 1700000000, "acc": 0.25},
        {"commit_id": "b", "step": 4, "timestamp": 1700000000, "acc": "NaN"},
    ]
    export_file(store, None, tmp_path / "wide.parquet", "parquet", wide_form=True)
    assert pq.read_table(tmp_path / "wide.parquet").column("acc").null_count == 1


def test_metrics_logged_between_the_two_reads_are_left_out(store: ExperimentStore) -> None:
    """The wide form is a snapshot: columns and rows are from the same moment."""
    store.create_experiment("a")
    store.log_metric("a", "loss", 1.0, 1)

    def progress(ids: Iterable[str]) -> Iterator[str]:
        yield from ids
        store.log_metric("a", "new", 2.0, 2)

    output = io.BytesIO()
    assert export_file(store, None, output, "csv", wide_form=True, progress=progress).rows == 1
    assert b"new" not in output.getvalue()


def test_too_many_wide_columns_are_refused(store: ExperimentStore, monkeypatch, tmp_path) -> None:
    """No output is started for a table that no tool could read."""
    monkeypatch.setattr(wide_form, "_COLUMN_LIMIT", 2)
    store.create_experiment("a")
    store.log_metrics("a", {"x": 1.0, "y": 2.0, "z": 3.0}, 1)
    with pytest.raises(ExportError, match="choose some by name"):
        export_file(store, None, tmp_path / "wide.csv", "csv", wide_form=True)
    assert os.listdir(tmp_path) == ["experiments"]


def test_small_experiments_share_a_row_group(store: ExperimentStore, tmp_path: Path) -> None:
    """A hundred small experiments are one row group, not a hundred."""
    for number in range(100):
        store.create_experiment(f"run{number}")
        store.log_metric(f"run{number}", "loss", 1.0, 1)
    export_file(store, None, tmp_path / "m.parquet", "parquet")
    assert pq.ParquetFile(tmp_path / "m.parquet").num_row_groups == 1


@pytest.mark.parametrize("to", ["csv", "jsonl", "parquet"])
def test_an_export_that_fails_leaves_nothing(filled: ExperimentStore, tmp_path, to: Any) -> None:
    """No partial output or temporary file remains, and the old output does."""
    output = tmp_path / "out" / "metrics"
    output.parent.mkdir()
    output.write_text("old")

    def breaks(ids: Iterable[str]) -> Iterator[str]:
        yield next(iter(ids))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        export_file(filled, None, output, to, force=True, progress=breaks)
    assert os.listdir(output.parent) == ["metrics"]
    assert output.read_text() == "old"


def test_nothing_is_overwritten_without_force(filled: ExperimentStore, tmp_path, capsys) -> None:
    """An existing output is an error; --force replaces it, but only if it is a regular file."""
    output = tmp_path / "metrics.csv"
    output.write_text("mine")
    asked = ("--root", filled.root, "export", "--to", "csv", "-o", output)
    refused = run(capsys, *asked)
    assert (refused.code, refused.out, output.read_text()) == (1, "", "mine")
    assert refused.err.count("\n") == 1
    assert run(capsys, *asked, "--force").code == 0
    assert len(pd.read_csv(output)) == 72
    with pytest.raises(OutputExistsError, match="not a regular file"):
        export_file(filled, None, tmp_path, "csv", force=True)


def test_a_bad_experiment_never_breaks_an_export(vectors_copy: ExperimentStore, capsys) -> None:
    """It is reported on stderr; the exit code is 1, or 0 with --skip-damaged."""
    vectors_copy.metrics_path("edge-values").unlink()
    vectors_copy.metrics_path("edge-values").symlink_to("/etc/hostname")
    asked = ("--root", vectors_copy.root, "export", "--to", "csv", "3f2a9c1d", "edge-values")
    done = run(capsys, *asked, "zero-tail")
    assert done.code == 1
    assert "edge-values" in done.err
    assert "symbolic link" in done.err
    ids = pd.read_csv(io.StringIO(done.out)).commit_id
    assert ids.value_counts().to_dict() == {"3f2a9c1d": 105, "zero-tail": 8}
    skipped = run(capsys, *asked, "--skip-damaged")
    assert (skipped.code, skipped.out.count("\n")) == (0, 106)


def test_json_reports_what_was_written(vectors_copy: ExperimentStore, tmp_path, capsys) -> None:
    """Nothing else is on stdout; what could not be read is also reported on stderr."""
    vectors_copy.metrics_path("edge-values").unlink()
    vectors_copy.metrics_path("edge-values").symlink_to("/etc/hostname")
    asked = ("--root", vectors_copy.root, "export", "--json", "3f2a9c1d", "edge-values")
    done = run(capsys, *asked, "zero-tail", "--to", "csv", "-o", tmp_path / "out.csv")
    report = json.loads(done.out)
    assert done.code == 1
    assert list(report) == [
        *("rows", "experiments", "failures", "tails", "overflows", "underflows", "rounded")
    ]
    assert (report["rows"], report["experiments"], report["overflows"]) == (113, 3, 0)
    assert "symbolic link" in report["failures"]["edge-values"]
    assert list(report["tails"]) == ["zero-tail"]
    assert report["tails"]["zero-tail"] in done.err


def test_unreadable_metadata_is_null_and_reported(
    vectors: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """The metrics are exported nevertheless, in every format and form."""
    asked = ("--root", vectors.root, "export", "zero-tail", "3f2a9c1d", "--metadata", "--to")
    done = run(capsys, *asked, "csv")
    assert done.code == 1
    assert "zero-tail: " in done.err
    assert "no metadata" in done.err
    assert done.out.splitlines()[1].endswith(",,,")
    assert done.out.splitlines()[9].endswith(',"train-resnet","alice",1700000000')
    for form in ((), ("--wide",)):
        lines = run(capsys, *asked, "jsonl", *form).out.splitlines()
        assert {"job_name", "user", "created"}.isdisjoint(json.loads(lines[0]))
        assert json.loads(lines[-1])["user"] == "alice"
        assert run(capsys, *asked, "parquet", *form, "--force", "-o", tmp_path / "m").code == 1
        table = pq.read_table(tmp_path / "m")
        for name in ("job_name", "user", "created"):
            assert table.column(name).null_count == (5 if form else 8)


def test_metadata_columns_come_last(filled: ExperimentStore, tmp_path: Path) -> None:
    """job_name, user and created are exported as stored, in the long and the wide form."""
    export_file(filled, ["b"], tmp_path / "l.parquet", "parquet", metadata=True)
    export_file(filled, ["b"], tmp_path / "w.parquet", "parquet", metadata=True, wide_form=True)
    for name in ("l.parquet", "w.parquet"):
        row = pq.read_table(tmp_path / name).to_pylist()[0]
        assert (row["job_name"], row["user"]) == ("job, one", 'quoted "user"')
        assert row["created"] == 1_700_000_000


def test_missing_experiment_ends_the_export_before_it_begins(filled, tmp_path, capsys) -> None:
    """No output for an id that does not exist."""
    output = tmp_path / "metrics.csv"
    done = run(capsys, "--root", filled.root, "export", "b", "gone", "--to", "csv", "-o", output)
    assert (done.code, done.err.count("\n"), output.exists()) == (1, 1, False)


@pytest.mark.parametrize(
    "arguments",
    [("--to", "parquet"), ("--to", "tensorboard", "-o", "x", "--wide"), ("--to", "xml"), ()],
)
def test_wrong_usage_is_exit_code_2(filled: ExperimentStore, capsys, arguments) -> None:
    """Formats that need a path, and options that contradict each other."""
    assert run(capsys, "--root", filled.root, "export", *arguments).code == 2


def test_a_closed_pipe_ends_the_export_quietly(filled: ExperimentStore) -> None:
    """`expstore export ... | head -1` prints no traceback."""
    for number in range(30):
        filled.create_experiment(f"run{number}")
        filled.log_metrics(f"run{number}", {f"a long metric name {n}": 1.0 for n in range(200)}, 1)
    command = f"{sys.executable} -m expstore.cli --root {filled.root} export --to jsonl | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_terminal_gets_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Text from files is escaped before it reaches a terminal; line breaks are kept."""
    _Terminal().write(b'"\x1b[31mred",1\n"b"\n')
    assert capsys.readouterr().out == '"\\x1b[31mred",1\n"b"\n'


@pytest.mark.parametrize(
    ("library", "extra", "export"),
    [
        ("pyarrow", "arrow", lambda store, path: export_file(store, None, path, "csv")),
        ("tensorboard", "tensorboard", lambda store, path: export_tensorboard(store, None, path)),
    ],
)
def test_missing_library_names_its_extra(
    filled, tmp_path, monkeypatch, library, extra, export
) -> None:
    """One line says what to install, and nothing is written."""
    hide(monkeypatch, library)
    with pytest.raises(MissingExtraError, match=rf"pip install .*\[{extra}\]"):
        export(filled, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unencodable_name_is_refused() -> None:
    """A table built in memory may hold names that no file can; converting it raises an error."""
    with pytest.raises(FieldValueError):
        table_of([Metric("\ud800", 1.0, 1, 1)]).to_arrow()
