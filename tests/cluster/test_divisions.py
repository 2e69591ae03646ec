"""Frames by id: Dask knows which partition has an experiment, and is right."""

from __future__ import annotations

from typing import Any

import dask
import pandas as pd
import pytest

from expstore import ExperimentStore, Metadata
from expstore.cluster import read_metadata, read_metrics
from expstore.cluster.frames import MetricsReader

SIZE = 1 << 17  # two small experiments, by the cost of opening each


@pytest.fixture(autouse=True)
def one_process() -> Any:
    """Everything is computed here."""
    with dask.config.set({"scheduler": "sync", "dataframe.shuffle.method": "tasks"}):
        yield


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Small experiments, a log of several partitions, one without metrics, and odd ids."""
    for number in range(9):
        commit_id = f"{number:02}"
        store.create_experiment(commit_id)
        if number != 4:
            store.write_metadata(Metadata(commit_id, number, "job", f"user{number % 3}"))
        for step in range(0 if number in (2, 5) else 3):
            store.log_metric(commit_id, "loss", step / (number + 1), step)
    with store.writer("02") as writer:
        for step in range(12_000):
            writer.log("loss", float(step), step)
    for odd in ("\udcff", "a b", "é", "\U0001f600"):
        store.create_experiment(odd)
        store.log_metric(odd, "loss", 1.0, 1)
    return store


def alone(store: ExperimentStore) -> pd.DataFrame:
    """The same frame, without divisions."""
    return read_metrics(store).compute().set_index("commit_id").sort_index(kind="stable")


def test_the_divisions_are_known_and_hold(filled: ExperimentStore) -> None:
    """Each partition has the ids from its division up to the next, and no log is cut."""
    frame = read_metrics(filled, partition_size=SIZE, by_id=True)
    assert frame.known_divisions
    assert frame.npartitions > 4
    assert read_metrics(filled, partition_size=SIZE).npartitions > frame.npartitions
    for number in range(frame.npartitions):
        ids = frame.partitions[number].compute().index
        low, high = frame.divisions[number : number + 2]
        assert (ids >= low).all()
        assert ((ids < high) | (number == frame.npartitions - 1)).all()
    pd.testing.assert_frame_equal(frame.compute().sort_index(kind="stable"), alone(filled))


@pytest.mark.parametrize("ids", ["00", "02", "08", r"\xff", "a b", ["01", "02", "é"]])
def test_loc_reads_one_partition(
    filled: ExperimentStore, ids: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds all rows of an experiment, as it is shown."""
    wanted = alone(filled).loc[[ids] if isinstance(ids, str) else ids]
    read: list[int] = []
    original = MetricsReader.__call__

    def counted(self: MetricsReader, batch: Any, columns: Any = None) -> pd.DataFrame:
        read.append(len(batch))
        return original(self, batch, columns)

    frame = read_metrics(filled, partition_size=SIZE, by_id=True)
    monkeypatch.setattr(MetricsReader, "__call__", counted)
    found = frame.loc[ids].compute()
    pd.testing.assert_frame_equal(found.sort_index(kind="stable"), wanted.sort_index(kind="stable"))
    assert len(read) <= (1 if isinstance(ids, str) else 3)


@pytest.mark.parametrize("how", ["left", "inner", "outer"])
def test_a_join_by_index_is_that_of_pandas(filled: ExperimentStore, how: Any) -> None:
    """Of metrics, and of the best of each experiment, with metadata; no row is lost or null."""
    metrics = read_metrics(filled, partition_size=SIZE, by_id=True)
    metadata = read_metadata(filled, by_id=True)
    computed = metadata.compute()
    best = metrics.map_partitions(lambda part: part.groupby(level=0)["value"].min())
    for left, right in (
        (metrics, alone(filled)),
        (best.to_frame(), alone(filled).groupby(level=0)["value"].min().to_frame()),
    ):
        found = left.join(metadata, how=how).compute()
        wanted = right.join(computed, how=how)
        columns = list(wanted.columns)
        found, wanted = (
            one.reset_index().sort_values(["commit_id", *columns[:2]], ignore_index=True)
            for one in (found, wanted)
        )
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_index_type=False)


def test_groups_by_the_index_are_those_of_the_column(filled: ExperimentStore) -> None:
    """By the name of the index; and without a shuffle, partition by partition."""
    frame = read_metrics(filled, partition_size=SIZE, by_id=True)
    wanted = alone(filled).groupby("commit_id")["value"].median()
    by_name = frame.groupby("commit_id")["value"].median().compute()
    by_part = frame.map_partitions(lambda part: part.groupby(level=0)["value"].median()).compute()
    for found in (by_name, by_part):
        pd.testing.assert_series_equal(found.sort_index(), wanted)


def test_only_the_columns_asked_for_are_built(filled: ExperimentStore) -> None:
    """Besides the index; also of nothing, and of metadata alone."""
    assert read_metrics(filled, by_id=True)["value"].sum().compute() > 0
    frame = read_metrics(filled, by_id=True, with_metadata=True)[["user", "step"]].compute()
    assert list(frame.columns) == ["user", "step"]
    assert frame.loc["01", "user"].tolist() == ["user1"] * 3
    names = read_metadata(filled, by_id=True)["job_name"].compute()
    assert names.loc["03"] == "job"


def test_a_store_without_experiments_has_an_empty_frame(store: ExperimentStore) -> None:
    """With its index."""
    for frame in (read_metrics(store, by_id=True), read_metadata(store, by_id=True)):
        assert len(frame.compute()) == 0
        assert frame.index.name == "commit_id"


def test_ids_in_any_order_are_sorted(filled: ExperimentStore) -> None:
    """Since divisions are."""
    frame = read_metrics(filled, ["08", "01", "06"], by_id=True)
    assert frame.compute().index.unique().tolist() == ["01", "06", "08"]


def test_dask_finds_the_divisions_of_a_frame_that_is_not_by_id(filled: ExperimentStore) -> None:
    """By reading the column once; a log in several partitions is not lost."""
    frame = read_metrics(filled, list(map("{:02}".format, range(9))), partition_size=SIZE)
    by_id = frame.set_index("commit_id", sorted=True)
    for commit_id in ("00", "02", "03", "08"):
        assert len(by_id.loc[commit_id].compute()) == len(filled.get_metrics(commit_id))
