"""A store read by many workers: the results of one process, whatever happens to a worker."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from distributed import Client, LocalCluster

import expstore
from expstore import (
    ClusterError,
    ExperimentNotFoundError,
    ExperimentStore,
    ExportError,
    Metadata,
    MissingExtraError,
    OutputExistsError,
    SelectionError,
    UnreadableFileError,
)
from expstore.cli.base import app
from expstore.cluster import (
    check,
    check_store,
    dataset,
    directory,
    export_parquet,
    frames,
    open_client,
    read_metadata,
    read_metrics,
    workers,
)
from expstore.cluster.sections import Section
from expstore.cluster.sight import Sight
from expstore.exchange.export import export_file
from expstore.model import longform
from expstore.model.texts import escape
from expstore.store import stream
from expstore.store.read.tables import Selection
from formats.columns import TextColumn
from tests.helpers import cluster_tasks
from tests.helpers.cluster_tasks import BATCH
from tests.helpers.memory import in_memory
from tests.helpers.paths import ROOT
from tests.helpers.tables import run

NAMES = ("loss", "val/loss", "größe", "\udcff\udcfe", "\\xff", "")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two processes; a task that kills two workers is abandoned."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        open_client(workers=2) as client,
    ):
        yield client


def append(store: ExperimentStore, commit_id: str, count: int) -> None:
    """Append records with values of every kind."""
    index = np.arange(count)
    values = np.resize([0.5, -0.0, math.nan, math.inf, -math.inf, 1e-310], count)
    values[1:2] = np.array([0x7FF8_0000_0000_0123], np.uint64).view(np.float64)
    with store.writer(commit_id) as run:
        run.append(
            {
                "timestamp": 1_700_000_000 + index,
                "step": (index // 3).astype(np.uint32),
                "value": values,
                "name": TextColumn((index * 7 % len(NAMES)).astype(np.int32), NAMES),
            }
        )


def fill(store: ExperimentStore) -> None:
    """Add experiments of every readable kind, one of them several batches long."""
    for number, count in enumerate([500, 0, 3, 20_000, 100, 2_000]):
        commit_id = f"{number}-{count}"
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, number, "größe", f"user{number % 2}\udcff"))
        append(store, commit_id, count)
    store.create_experiment("no-log")
    store.create_experiment("torn")
    append(store, "torn", 50)
    with store.metrics_path("torn").open("ab") as log:
        log.write(b"\0\0\0\0torn")
    store.metadata_path("torn").write_bytes(b"\x01\0")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """A store in which everything is readable; not to be changed."""
    store = ExperimentStore(tmp_path_factory.mktemp("whole"))
    fill(store)
    return store


@pytest.fixture
def store(tmp_path: Path) -> ExperimentStore:
    """The same, which a test may change."""
    store = ExperimentStore(tmp_path / "store")
    fill(store)
    return store


def columns_of(table: pd.DataFrame | pa.Table) -> dict[str, list[Any]]:
    """Cells to compare, with floats as bits."""

    def cells(column: Any) -> list[Any]:
        if str(column.dtype if isinstance(table, pd.DataFrame) else column.type) in _FLOATS:
            return list(column.to_numpy().view(np.int64))
        return list(column) if isinstance(table, pd.DataFrame) else list(column.to_pylist())

    names = table.columns if isinstance(table, pd.DataFrame) else table.column_names
    return {name: cells(table[name]) for name in names}


_FLOATS = ("float64", "double")


# --- frames ---


@pytest.mark.parametrize("size", [BATCH, 1 << 26])
@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (None, None),
        (["val/loss", "\udcff\udcfe", "none"], None),
        (None, range(5, 900, 2)),
        ([], None),
    ],
)
def test_a_frame_is_what_one_process_reads(
    client: Client, whole: ExperimentStore, names: list[str] | None, steps: range | None, size: int
) -> None:
    """Every cell, bit by bit, in the same order; text is escaped as for other tools."""
    frame = read_metrics(whole, names=names, steps=steps, partition_size=size)
    assert (frame.npartitions > 5) == (size == BATCH)
    assert list(frame.columns) == ["commit_id", "name", "value", "step", "timestamp"]
    dtypes = ["string", "string", "float64", "int64", "int64"]
    assert list(map(str, frame.dtypes)) == list(map(str, frame.compute().dtypes)) == dtypes
    # By partitions, since pandas 2.1 changes a NaN's bits when it joins frames that are all NaN.
    found = [
        columns_of(partition) for partition in client.gather(client.compute(frame.to_delayed()))
    ]
    for name, cells in columns_of(whole.to_arrow(names=names, steps=steps).read_all()).items():
        assert [cell for partition in found for cell in partition[name]] == cells


def test_ids_keep_the_order_that_was_asked_for(client: Client, whole: ExperimentStore) -> None:
    """Only these are read."""
    ids = ["4-100", "0-500"]
    computed = read_metrics(whole, ids).compute()
    assert columns_of(computed)["commit_id"] == ["4-100"] * 100 + ["0-500"] * 500
    assert columns_of(read_metadata(whole, ids).compute())["commit_id"] == ids
    with pytest.raises(ExperimentNotFoundError):
        read_metrics(whole, ["missing"])
    with pytest.raises(SelectionError):
        read_metrics(whole, names="loss")


def test_only_the_columns_asked_for_are_made(
    whole: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's projection reaches the reader, which builds no unused column of text."""
    made: list[Any] = []
    read = frames.MetricsReader.__call__

    def spy(self: Any, batch: Any, columns: Any = None) -> Any:
        frame = read(self, batch, columns)
        made.append(list(frame.columns))
        return frame

    frame = read_metrics(whole, partition_size=BATCH)
    monkeypatch.setattr(frames.MetricsReader, "__call__", spy)
    total = frame["step"].sum().compute(scheduler="sync")
    assert total == sum(int(whole.get_metrics(i).steps.sum()) for i in whole.list_experiments())
    assert made == [["step"]] * frame.npartitions

    def no_text(*_: Any) -> None:
        raise AssertionError("a text column was made")

    by_name = read_metrics(whole, names=["loss"])
    monkeypatch.setattr(longform, "repeated", no_text)
    frame[["value", "timestamp"]].compute(scheduler="sync")
    # Selecting by name does not need the column of names.
    by_name["value"].compute(scheduler="sync")
    count = frame["step"].size.compute(scheduler="sync")
    assert count == sum(len(whole.get_metrics(i)) for i in whole.list_experiments())


def test_a_frame_stays_as_the_store_was(client: Client, store: ExperimentStore) -> None:
    """It does not include what is appended after it was made."""
    frame = read_metrics(store, partition_size=BATCH)
    before = columns_of(frame.compute())
    store.log_metric("0-500", "new", 1.0, 1)
    store.log_metric("3-20000", "new", 1.0, 1)
    assert columns_of(frame.compute()) == before
    assert len(read_metrics(store)) == len(before["name"]) + 2


def test_equal_frames_share_their_keys(whole: ExperimentStore) -> None:
    """So that Dask does not read twice; different frames have different keys."""

    def key(**options: Any) -> Any:
        return read_metrics(whole, **options).__dask_keys__()

    assert key() == key()
    assert key(names=["loss", "val/loss"]) == key(names=["val/loss", "loss"])
    variants = [{}, {"names": ["loss"]}, {"steps": range(5)}, {"ids": ["0-500"]}]
    assert len({str(key(**options)) for options in variants}) == len(variants)
    assert read_metadata(whole).__dask_keys__() == read_metadata(whole).__dask_keys__()


def test_a_frame_is_of_the_store_it_was_made_of(
    whole: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the working directory has changed, and another store has the same relative name."""
    keys = []
    for read in (read_metrics, read_metadata):
        monkeypatch.chdir(whole.root.parent)
        frame = read(ExperimentStore(whole.root.name))
        expected = frame.compute(scheduler="sync")
        assert frame.__dask_keys__() == read(whole).__dask_keys__()
        monkeypatch.chdir(tmp_path)
        other = ExperimentStore(whole.root.name)
        other.initialize()
        pd.testing.assert_frame_equal(frame.compute(scheduler="sync"), expected)
        keys += [str(frame.__dask_keys__()), str(read(other).__dask_keys__())]
    assert len(set(keys)) == 4


def test_equal_urls_with_other_options_are_other_frames() -> None:
    """They may be different stores; the order of the options is irrelevant."""

    def token(**options: Any) -> str:
        store = ExperimentStore("memory://frames", storage_options=options)
        sight = Sight.of(store)
        readers = (
            frames.MetricsReader(store, sight, Selection()),
            frames.MetadataReader(store, sight),
        )
        return str(dask.base.tokenize(*readers))

    assert token(a=1, b={"c": 2, "d": 3}) == token(b={"d": 3, "c": 2}, a=1)
    assert len({token(), token(a=1), token(a=2), token(a={"b": 1})}) == 4


def test_a_store_without_experiments_gives_empty_frames(tmp_path: Path) -> None:
    """They have the columns of any frame."""
    store = ExperimentStore(tmp_path)
    assert read_metrics(store).compute(scheduler="sync").shape == (0, 5)
    assert read_metadata(store).compute(scheduler="sync").shape == (0, 5)


def test_an_unreadable_log_is_an_error_or_left_out(client: Client, store: ExperimentStore) -> None:
    """The error is the store's own, raised in a worker."""
    store.create_experiment("5-odd")
    store.metrics_path("5-odd").mkdir()
    with pytest.raises(UnreadableFileError, match="5-odd"):
        read_metrics(store).compute()
    left = read_metrics(store, skip_damaged=True).compute()
    ids = [i for i in store.list_experiments() if i != "5-odd"]
    expected = store.to_arrow(ids).read_all()
    assert columns_of(left)["commit_id"] == columns_of(expected)["commit_id"]


def test_metadata_is_what_one_process_reads(client: Client, whole: ExperimentStore) -> None:
    """Null with an error if it is unreadable, else values without one."""
    frame = read_metadata(whole, partition_size=3)
    assert frame.npartitions == 3
    computed = frame.compute()
    rows = [
        [None if pd.isna(cell) else cell for cell in row]
        for row in computed.itertuples(index=False)
    ]
    assert rows == [
        [escape(i), escape(m.job_name), escape(m.user), m.timestamp, None]
        if isinstance(m, Metadata)
        else [escape(i), None, None, None, str(m)]
        for i, m in whole.iter_metadata()
    ]
    assert computed.dtypes.equals(frame.dtypes)
    assert columns_of(frame[["user"]].compute()) == {"user": columns_of(computed)["user"]}


def test_the_best_of_each_user_is_that_of_one_process(
    client: Client, whole: ExperimentStore
) -> None:
    """The example from the README."""
    users = read_metadata(whole).compute().set_index("commit_id")["user"]
    losses = read_metrics(whole, names=["val/loss"]).groupby("commit_id", observed=True)["value"]
    best = losses.min().compute().groupby(users).min()
    expected: dict[str, float] = {}
    for commit_id, metadata in whole.iter_metadata():
        table = whole.get_metrics(commit_id)
        if isinstance(metadata, Metadata) and "val/loss" in table.names:
            losses = table["val/loss"].values
            values = losses[~np.isnan(losses)]
            user = escape(metadata.user)
            expected[user] = min([expected.get(user, math.inf), *values.tolist()])
    assert best.to_dict() == expected


# --- check ---


@pytest.mark.parametrize("size", [1, 1 << 26])
def test_reports_are_those_of_one_process(
    client: Client, store: ExperimentStore, size: int
) -> None:
    """In the same order: the root's first, then by commit id."""
    store.create_experiment("odd")
    store.metrics_path("odd").mkdir()
    (store.root / "stray").write_text("")
    assert list(check_store(store, client, batch=size)) == list(store.check_all())


def test_reports_name_absolute_paths(
    client: Client, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a relative root, whatever the workers' directory is."""
    monkeypatch.chdir(store.root.parent)
    store.metrics_path("no-log").mkdir()
    relative = ExperimentStore(store.root.name)
    assert list(check_store(relative, client)) == list(relative.check_all())


# --- export ---


def rows_of(directory: Path) -> list[tuple[Any, ...]]:
    """All rows of all parts, sorted."""
    return sorted_rows(pq.read_table(part) for part in directory.glob("part-*.parquet"))


def sorted_rows(tables: Iterable[pa.Table]) -> list[tuple[Any, ...]]:
    """All rows, sorted in a way that allows nulls."""
    rows = [row for table in tables for row in zip(*columns_of(table).values(), strict=True)]
    return sorted(rows, key=lambda row: [(cell is None, cell) for cell in row])


def rows_alone(store: ExperimentStore, path: Path, **options: Any) -> list[tuple[Any, ...]]:
    """The rows that `export_file` writes, sorted."""
    export_file(store, None, path, "parquet", force=True, **options)
    return sorted_rows([pq.read_table(path)])


def files_of(directory: Path) -> dict[str, tuple[int, int]]:
    """The parts, with inode and modification time, which show whether one was written again."""
    return {
        part.name: (part.stat().st_ino, part.stat().st_mtime_ns)
        for part in directory.glob("part-*.parquet")
    }


@pytest.mark.parametrize("options", [{}, {"metadata": True}, {"names": ["loss", "\\xff"]}], ids=str)
def test_parts_hold_what_one_file_would(
    client: Client, whole: ExperimentStore, tmp_path: Path, options: dict[str, Any]
) -> None:
    """The same schema, the same rows, the same report."""
    output = tmp_path / "parts"
    report = export_parquet(whole, output, client, batch=BATCH, **options)
    alone = tmp_path / "alone.parquet"
    assert rows_of(output) == rows_alone(whole, alone, **options)
    single = export_file(whole, None, alone, "parquet", force=True, **options)
    assert (report.rows, report.experiments, report.tails) == (
        single.rows, single.experiments, single.tails,
    )  # fmt: skip
    assert report.failures.keys() == single.failures.keys()
    assert report.written == len(files_of(output)) > 5
    for part in output.glob("part-*.parquet"):
        assert pq.read_schema(part).equals(pq.read_schema(alone))
    assert (output / "_SUCCESS").exists() == (not report.failures)


def test_the_parts_of_a_long_log_sort_by_their_names(
    client: Client, whole: ExperimentStore, tmp_path: Path
) -> None:
    """So reading them in that order gives the order of the log."""
    export_parquet(whole, tmp_path / "out", client, ids=["3-20000"], batch=BATCH)
    parts = sorted((tmp_path / "out").glob("part-*.parquet"))
    assert len(parts) > 3
    stamps = [stamp for part in parts for stamp in pq.read_table(part)["timestamp"].to_pylist()]
    assert stamps == whole.get_metrics("3-20000").timestamps.tolist()


def test_what_is_done_is_not_done_again(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """Only what changed is written, and parts of deleted experiments are removed."""
    output = tmp_path / "out"
    first = export_parquet(store, output, client, batch=BATCH)
    parts = files_of(output)
    again = export_parquet(store, output, client, batch=BATCH)
    assert (again.written, again.kept) == (0, len(parts))
    assert (again.rows, again.tails) == (first.rows, first.tails)
    assert files_of(output) == parts

    store.log_metric("3-20000", "new", 1.0, 1)
    changed = export_parquet(store, output, client, batch=BATCH)
    assert changed.written == 1
    assert len(files_of(output).items() - parts.items()) == 1
    assert changed.rows == first.rows + 1

    store.delete_experiments(["4-100"])
    export_parquet(store, output, client, batch=BATCH)
    assert not [name for name in files_of(output) if "4-100" in name]
    assert rows_of(output) == rows_alone(store, tmp_path / "alone.parquet")


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"names": ["loss"]}, "choice of names"),
        ({"with_metadata": False}, "choice of columns"),
        ({"ids": ["4-100"]}, "choice of experiments"),
    ],
)
def test_another_export_is_not_replaced(
    client: Client, whole: ExperimentStore, tmp_path: Path, options: dict[str, Any], difference: str
) -> None:
    """Of another selection or another store; the same export may be run again."""
    other = ExperimentStore(tmp_path / "other")
    other.create_experiment("a")
    for number, (first, then) in enumerate([(options, {}), ({}, options)]):
        output = tmp_path / str(number)
        export_parquet(whole, output, client, **first)
        before = sorted((path.name, path.read_bytes()) for path in output.iterdir())
        with pytest.raises(OutputExistsError, match=f"another {difference}; .*another directory"):
            export_parquet(whole, output, client, **then)
        with pytest.raises(OutputExistsError, match="another store"):
            export_parquet(other, output, client)
        assert sorted((path.name, path.read_bytes()) for path in output.iterdir()) == before
        export_parquet(whole, output, client, **first)
    (output / "_expstore_export.parquet").unlink()
    (output / "_expstore_export").write_text("0" * 32)  # the mark of older versions
    with pytest.raises(OutputExistsError, match="something else"):
        export_parquet(whole, output, client)


def test_of_two_exports_at_a_time_one_fails(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """The output of the other is there, and complete."""
    output = tmp_path / "out"

    def meanwhile(parts: Iterable[Any]) -> Iterator[Any]:
        yield from parts
        store.log_metric("4-100", "new", 1.0, 1)
        export_parquet(store, output, client, batch=BATCH)

    with pytest.raises(ExportError, match="another export took the directory over"):
        export_parquet(store, output, client, batch=BATCH, progress=meanwhile)
    assert (output / "_SUCCESS").exists()
    assert rows_of(output) == rows_alone(store, tmp_path / "alone.parquet")


def test_a_part_that_comes_late_is_no_part(
    whole: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may still be writing one when another export has begun."""
    number = directory.begin(tmp_path, {})
    section = Section("4-100", 0, whole.log_sizes(["4-100"])["4-100"])
    part = dataset.Part("part-x-000000000000000-0000000000000000.parquet", (section,), None, False)
    batches = stream.long_batches

    def late(*source: Any) -> Iterator[Any]:
        yield from batches(*source)
        directory.begin(tmp_path, {})

    monkeypatch.setattr(stream, "long_batches", late)
    with pytest.raises(ExportError, match="for one export"):
        dataset.write_part(whole, tmp_path, number, part)
    assert [path.name for path in tmp_path.iterdir()] == ["_expstore_export.parquet"]


def test_a_replaced_experiment_is_written_again(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """Even if its metadata is the same and its log has the old length."""
    export_parquet(store, str(tmp_path / "out"), client, batch=BATCH)
    for commit_id in ("4-100", "3-20000"):
        metadata, data = store.read_metadata(commit_id), store.metrics_path(commit_id).read_bytes()
        store.delete_experiments([commit_id])
        store.create_experiment(commit_id)
        store.write_metadata(metadata)
        store.metrics_path(commit_id).write_bytes(data.replace(b"loss", b"lass"))
    parts = len(files_of(tmp_path / "out"))
    report = export_parquet(store, tmp_path / "out", client, batch=BATCH)
    assert report.written == parts - report.kept > 2
    assert rows_of(tmp_path / "out") == rows_alone(store, tmp_path / "alone.parquet")


def test_metadata_with_another_error_is_another_part(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """The text of the error decides; the working directory has no effect."""
    output = tmp_path / "out"
    export_parquet(store, output, client, batch=BATCH)
    store.metadata_path("torn").write_bytes(b"\x01\0\0")
    assert export_parquet(store, output, client, batch=BATCH).written == 1


def test_a_relative_root_is_the_same_store(
    client: Client, store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts are those of the absolute root."""
    export_parquet(store, tmp_path / "out", client, batch=BATCH)
    monkeypatch.chdir(store.root.parent)
    relative = ExperimentStore(store.root.name)
    assert export_parquet(relative, tmp_path / "out", client, batch=BATCH).written == 0


def test_a_killed_export_is_resumed(client: Client, store: ExperimentStore, tmp_path: Path) -> None:
    """Existing parts are kept; the directory is marked complete only at the end."""
    output = tmp_path / "out"
    address = client.scheduler_info()["address"]
    command = [
        sys.executable,
        "-m",
        "tests.helpers.cluster_tasks",
        address,
        str(store.root),
        str(output),
    ]
    killed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = files_of(output)
    assert len(done) >= 2
    assert not (output / "_SUCCESS").exists()
    (output / f".expstore-{'0' * 16}.tmp").write_bytes(b"half")
    torn = output / min(done)
    torn.write_bytes(torn.read_bytes()[:100])  # as after a crash of the machine
    report = export_parquet(store, output, client, batch=BATCH)
    kept = {name: state for name, state in done.items() if name != torn.name}
    assert kept.items() <= files_of(output).items()
    assert report.kept >= len(kept)
    assert report.written >= 1
    assert rows_of(output) == rows_alone(store, tmp_path / "alone.parquet")
    assert {path.name for path in output.iterdir()} == {
        "_SUCCESS", "_expstore_export.parquet", *files_of(output),
    }  # fmt: skip


def test_what_could_not_be_read_is_reported_and_retried(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """Only the incomplete part is written again."""
    store.create_experiment("odd")
    store.metrics_path("odd").mkdir()
    output = tmp_path / "out"
    for times in range(2):
        report = export_parquet(store, output, client, batch=BATCH)
        assert not (output / "_SUCCESS").exists()
        assert list(report.failures) == ["odd"]
        assert isinstance(report.failures["odd"], UnreadableFileError)
        assert report.written == (1 if times else len(files_of(output)))
    store.metrics_path("odd").rmdir()
    export_parquet(store, output, client, batch=BATCH)
    assert (output / "_SUCCESS").read_bytes() == b""


def test_a_zero_tail_over_several_sections_is_reported_as_one(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """The status is that of the whole log."""
    with store.metrics_path("3-20000").open("ab") as log:
        log.write(b"\0" * 3 * BATCH)
    report = export_parquet(store, tmp_path / "out", client, batch=BATCH)
    assert report.tails["3-20000"] == store.get_metrics("3-20000").status
    assert report.tails["3-20000"].size == 3 * BATCH


def test_another_directory_is_refused(
    client: Client, whole: ExperimentStore, tmp_path: Path
) -> None:
    """One with foreign files in it, or a path to a file; it is left unchanged."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "part-00000-5c07-c000.snappy.parquet").write_bytes(b"Spark's")
    with pytest.raises(OutputExistsError, match="snappy"):
        export_parquet(whole, foreign, client)
    assert len(list(foreign.iterdir())) == 1
    ours = tmp_path / "ours"
    export_parquet(whole, ours, client, ids=["4-100"])
    (ours / "notes.txt").write_text("mine")
    before = sorted(ours.iterdir())
    with pytest.raises(OutputExistsError, match=r"notes\.txt"):
        export_parquet(whole, ours, client)
    assert sorted(ours.iterdir()) == before
    with pytest.raises(OutputExistsError, match="is not a directory"):
        export_parquet(whole, ours / "notes.txt", client)


def test_a_worker_that_does_not_see_the_directory_says_so(
    whole: ExperimentStore, tmp_path: Path
) -> None:
    """It neither creates the directory nor writes to that of another export."""
    part = dataset.Part("part-x-000000000000000-0000000000000000.parquet", (), None, False)
    with pytest.raises(ExportError, match="file system that all workers share"):
        dataset.write_part(whole, tmp_path / "elsewhere", "number", part)
    assert not (tmp_path / "elsewhere").exists()
    directory.begin(tmp_path / "other", {})
    with pytest.raises(ExportError, match="for one export"):
        dataset.write_part(whole, tmp_path / "other", "number", part)


@pytest.mark.parametrize("names", ["loss", 5, [5], [[5]]], ids=str)
def test_invalid_names_are_refused(whole: ExperimentStore, tmp_path: Path, names: Any) -> None:
    """Before anything is written, and any process started."""
    with pytest.raises(SelectionError, match="name"):
        export_parquet(whole, tmp_path / "out", names=names)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_invalid_sizes_are_refused(whole: ExperimentStore, size: Any) -> None:
    """None of them gives an empty result for a store that is not empty."""
    with pytest.raises(SelectionError, match="of experiments above 0"):
        read_metadata(whole, partition_size=size)
    with pytest.raises(SelectionError, match="of bytes above 0"):
        next(check_store(whole, batch=size))


def _notes(notes: bytes) -> Any:
    def damage(part: Path) -> None:
        table = pq.read_table(part)
        pq.write_table(table.replace_schema_metadata({"expstore": notes}), part)

    return damage


def _footer(part: Path) -> None:
    data = part.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    part.write_bytes(data[: -8 - size] + b"\xff" * size + data[-8:])


@pytest.mark.parametrize(
    "damage",
    [
        _footer,
        lambda part: part.write_bytes(b""),
        *map(_notes, [b"{", b"[]", b"\xff", b'{"failures": {}}']),
        *map(_notes, [b'{"failures": {}, "tails": 5}', b'{"failures": {}, "tails": {"a": 5}}']),
    ],
)
def test_a_damaged_part_is_made_again(
    client: Client, whole: ExperimentStore, tmp_path: Path, damage: Any
) -> None:
    """Whatever is damaged in the notes or in the file."""
    output = tmp_path / "out"
    export_parquet(whole, output, client, ids=["4-100"])
    (part,) = output.glob("part-*")
    data = part.read_bytes()
    damage(part)
    assert export_parquet(whole, output, client, ids=["4-100"]).written == 1
    assert part.read_bytes() == data


def test_a_directory_under_a_parts_name_is_refused(
    client: Client, whole: ExperimentStore, tmp_path: Path
) -> None:
    """An export did not make it."""
    output = tmp_path / "out"
    export_parquet(whole, output, client, ids=["4-100"])
    (part,) = output.glob("part-*")
    part.unlink()
    part.mkdir()
    with pytest.raises(OutputExistsError, match=part.name):
        export_parquet(whole, output, client, ids=["4-100"])
    assert (output / "_SUCCESS").exists()


def test_a_directory_whose_name_is_not_utf8_is_written_to(
    client: Client, whole: ExperimentStore, tmp_path: Path
) -> None:
    """Its parts are also found again."""
    output = tmp_path / os.fsdecode(b"out-\xff")
    assert export_parquet(whole, output, client, ids=["4-100"]).written == 1
    assert export_parquet(whole, output, client, ids=["4-100"]).kept == 1


def test_a_part_is_on_the_disk_before_it_has_its_name(
    whole: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a power cut leaves no part with a name but without its content."""
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("sync"), sync(file)))
    monkeypatch.setattr(os, "replace", lambda *a, **k: (calls.append("name"), replace(*a, **k)))
    number = directory.begin(tmp_path, {})
    part = dataset.Part("part-x-000000000000000-0000000000000000.parquet", (), None, False)
    calls.clear()
    dataset.write_part(whole, tmp_path, number, part)
    assert calls == ["sync", "name", "sync"]  # the last sync is of the directory


def test_an_output_at_a_url_or_in_the_store_is_refused(
    whole: ExperimentStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Before anything is written, and any process started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(whole.root)
    before = whole.list_experiments()
    for output in (Path("s3://bucket/out"), "link/out", whole.root, whole.root / "4-100/files/out"):
        with pytest.raises(ExportError, match=r"not a URL|is in the store"):
            export_parquet(whole, output)
        arguments = ("export", "--to", "parquet", "--cluster", "-o", output)
        done = run(capfd, "--root", whole.root, *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
    assert whole.list_experiments() == before


def test_an_experiment_deleted_meanwhile_does_not_break_the_report(
    client: Client, store: ExperimentStore, tmp_path: Path
) -> None:
    """Its parts were written, and the report has their status of its tail."""
    with store.metrics_path("3-20000").open("ab") as log:
        log.write(b"\0\0\0\0torn")

    def meanwhile(parts: Iterable[Any]) -> Iterator[Any]:
        yield from parts
        store.delete_experiments(["3-20000"])

    report = export_parquet(store, tmp_path / "out", client, batch=BATCH, progress=meanwhile)
    assert report.tails["3-20000"].kind == "torn"


# --- the cluster itself ---


def victim(client: Client) -> int:
    """The process id of a worker, once all killed workers have been replaced."""
    client.wait_for_workers(2, timeout=60)
    return int(next(iter(client.run(cluster_tasks.process_id).values())))


def test_a_killed_worker_changes_no_report(
    client: Client, whole: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed in the middle, and another one takes over its tasks."""
    monkeypatch.setattr(check, "_check", cluster_tasks.check_slowly)
    doomed = victim(client)
    reports = []
    for report in check_store(whole, client, batch=1):
        reports.append(report)
        if len(reports) == 3:
            os.kill(doomed, signal.SIGKILL)
    assert reports == list(whole.check_all())
    assert doomed not in client.run(cluster_tasks.process_id).values()


def test_a_killed_worker_changes_no_frame(client: Client, whole: ExperimentStore) -> None:
    """It is killed in the middle, and the sum is the same."""
    frame = read_metrics(whole, partition_size=BATCH)
    slow = frame.map_partitions(cluster_tasks.slow_part, meta=frame)
    doomed = victim(client)
    future = client.compute(slow.groupby("name", observed=True)["value"].count())
    os.kill(doomed, signal.SIGKILL)
    counts = future.result().to_dict()
    table = whole.to_arrow().read_all()
    assert sum(counts.values()) == int(table.num_rows - np.isnan(table["value"].to_numpy()).sum())
    assert doomed not in client.run(cluster_tasks.process_id).values()


def test_a_task_that_kills_its_workers_is_given_up(client: Client) -> None:
    """After as many attempts as Dask allows, with a one-line error."""
    with pytest.raises(ClusterError, match="2 workers died") as caught:
        list(workers.completed(client, cluster_tasks.die, [()]))
    assert "\n" not in str(caught.value)


def test_a_scheduler_that_is_lost_is_a_clear_error() -> None:
    """Lost results are never mistaken for results."""
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as doomed,
        Client(doomed) as client,
    ):
        results = workers.completed(client, time.sleep, [(0.1,)] * 20)
        next(results)
        doomed.close()
        with pytest.raises(ClusterError, match="was lost"):
            list(results)


def test_a_closed_client_is_a_clear_error(whole: ExperimentStore, tmp_path: Path) -> None:
    """It is an error of this package."""
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        Client(local) as closed,
    ):
        closed.close()
        with pytest.raises(ClusterError, match="is closed"):
            list(check_store(whole, closed))
        with pytest.raises(ClusterError, match="is closed"):
            export_parquet(whole, tmp_path / "out", closed)


def test_the_terminals_interrupt_does_not_reach_workers(client: Client) -> None:
    """They would print tracebacks on the terminal, and this process ends them anyway."""
    process = victim(client)
    os.kill(process, signal.SIGINT)
    assert process in client.run(cluster_tasks.process_id).values()


def test_a_worker_with_another_version_is_a_clear_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised before anything is done, or by the task that needs what the worker lacks."""
    with pytest.raises(ClusterError, match="no expstore, or another version"):
        list(workers.completed(client, cluster_tasks.fail, [()]))
    monkeypatch.setattr(expstore, "__version__", "99")
    address = client.scheduler_info()["address"]
    with pytest.raises(ClusterError, match="the worker has expstore 0"), open_client(address):
        pass


_WITHOUT = """
import sys, asyncio
sys.modules["expstore"] = None
from distributed import Worker
async def main():
    async with Worker(sys.argv[1], nthreads=1, dashboard_address=None) as worker:
        print("ready", flush=True)
        await worker.finished()
asyncio.run(main())
"""


def test_a_cluster_without_workers_that_can_do_it_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No workers, or one without this package: raised at once, since tasks would wait forever."""
    monkeypatch.setattr(workers, "_PATIENCE", 1)
    with LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as empty:
        address = empty.scheduler_address
        with pytest.raises(ClusterError, match="has no workers"), open_client(address):
            pass
        command = [sys.executable, "-c", _WITHOUT, address]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            with pytest.raises(ClusterError, match="lacks something"), open_client(address):
                pass
        finally:
            worker.kill()
            worker.communicate()


def test_no_scheduler_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, without a long wait."""
    monkeypatch.setattr(workers, "_PATIENCE", 0.5)
    wrong = "not an address of a Dask scheduler"
    for address, message in (
        ("127.0.0.1:9", "no Dask scheduler"),
        ("3f2a9c1d", wrong),
        ("foo://x:1", wrong),
    ):
        with pytest.raises(ClusterError, match=message) as caught, open_client(address):
            pass
        assert "\n" not in str(caught.value)


def test_a_missing_library_names_the_extra(
    whole: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read or written."""
    absent = set()
    load = importlib.import_module

    def import_module(name: str, package: str | None = None) -> Any:
        library = name.partition(".")[0]
        if library in absent:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        return load(name, package)

    # Not hidden from Dask itself, which may be working in other threads.
    monkeypatch.setattr("expstore.extras.importlib.import_module", import_module)
    absent.add("dask")
    for attempt in (lambda: read_metrics(whole), lambda: read_metadata(whole)):
        with pytest.raises(MissingExtraError, match=r"pip install .*\[cluster\]"):
            attempt()
    absent.add("distributed")
    with pytest.raises(MissingExtraError, match=r"pip install .*\[cluster\]"):
        export_parquet(whole, tmp_path / "out")
    with pytest.raises(MissingExtraError, match=r"pip install .*\[cluster\]"):
        next(check_store(whole))
    assert not (tmp_path / "out").exists()


# --- commands ---


@pytest.fixture
def no_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Bokeh, which may be installed here, were missing: it provides the dashboard."""
    monkeypatch.setattr(workers, "dashboard", lambda _: None)


def test_the_dashboard_is_reported_on_stderr(
    client: Client,
    whole: ExperimentStore,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If there is one, that is, if Bokeh is installed."""
    has_bokeh = importlib.util.find_spec("bokeh") is not None
    assert (workers.dashboard(client) is not None) == has_bokeh
    monkeypatch.setattr(workers, "dashboard", lambda _: "http://127.0.0.1:1/status")
    address = client.scheduler_info()["address"]
    done = run(capfd, "--root", whole.root, "check", "--json", "--cluster", address)
    assert done.err == "expstore: Dask's dashboard: http://127.0.0.1:1/status\n"
    assert json.loads(done.out)["damaged"] == 1


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["--cluster"], "local"),
        (["--cluster", "--json"], "local"),
        (["--cluster", "tcp://host:1", "--json"], "tcp://host:1"),
        (["--cluster=tcp://host:1"], "tcp://host:1"),
        (["--json"], None),
    ],
)
def test_without_an_address_it_is_this_machine(arguments: list[str], address: str | None) -> None:
    """Whether the option comes last or before another one."""
    importlib.import_module("expstore.cli.care")
    command = typer.main.get_command(app).commands["check"]  # type: ignore[attr-defined]
    context = command.make_context("check", arguments, resilient_parsing=True)
    assert context.params["cluster"] == address
    assert context.params["as_json"] == ("--json" in arguments)


@pytest.mark.usefixtures("no_dashboard")
def test_check_prints_the_same_with_a_cluster(
    client: Client, whole: ExperimentStore, capfd: pytest.CaptureFixture[str]
) -> None:
    """To the byte, in both forms, with the same exit code."""
    address = client.scheduler_info()["address"]
    for form in ([], ["--json"]):
        alone = run(capfd, "--root", whole.root, "check", *form)
        together = run(capfd, "--root", whole.root, "check", *form, "--cluster", address)
        assert together == alone
        assert alone.code == 3
    assert json.loads(together.out)["damaged"] == 1


@pytest.mark.usefixtures("no_dashboard")
def test_export_with_local_processes(
    whole: ExperimentStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """They start and end with the command; no output of Dask reaches the terminal."""
    output = tmp_path / "out"
    arguments = ("--root", whole.root, "export", "--to", "parquet", "--cluster")
    done = run(capfd, *arguments, "-o", output)
    assert done.code == 0
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0] == "expstore: parts: 1 written, 0 already there"
    assert all(line.startswith("expstore: ") for line in lines)
    assert rows_of(output) == rows_alone(whole, tmp_path / "alone.parquet")


@pytest.mark.usefixtures("no_dashboard")
def test_json_of_an_export_includes_its_parts(
    client: Client, whole: ExperimentStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is on stdout."""
    address = client.scheduler_info()["address"]
    asked = ("--root", whole.root, "export", "--to", "parquet", "--json", "--cluster", address)
    reports = [json.loads(run(capfd, *asked, "-o", tmp_path / "out").out) for _ in range(2)]
    assert [(each["written"], each["kept"]) for each in reports] == [(1, 0), (0, 1)]
    assert reports[0]["rows"] == len(rows_of(tmp_path / "out"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "--to", "csv", "-o", "out"),
        ("export", "--to", "parquet", "--wide", "-o", "out"),
        ("export", "--to", "parquet", "--force", "-o", "out"),
        ("export", "--to", "parquet"),
        ("export", "--to", "parquet", "-o", "-"),
        ("check", "0-500"),
    ],
)
def test_what_a_cluster_cannot_do_is_wrong_usage(
    whole: ExperimentStore, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, before any process is started."""
    done = run(capfd, "--root", whole.root, *arguments, "--cluster", "local")
    assert done.code == 2
    assert done.err.count("\n") == 1


def test_a_command_reports_that_no_scheduler_is_there(
    whole: ExperimentStore, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, exit code 1."""
    monkeypatch.setattr(workers, "_PATIENCE", 0.5)
    done = run(capfd, "--root", whole.root, "check", "--cluster", "127.0.0.1:9")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("expstore: 127.0.0.1:9: no Dask scheduler")


def test_workers_that_do_not_see_the_store_do_not_report_it_clean(
    client: Client, store: ExperimentStore
) -> None:
    """An experiment that a worker does not find, but that exists, was not deleted meanwhile."""
    with in_memory(store.root) as url:
        unseen = ExperimentStore(url)
        assert unseen.list_experiments()
        with pytest.raises(ClusterError, match="does not see it"):
            list(check_store(unseen, client))
