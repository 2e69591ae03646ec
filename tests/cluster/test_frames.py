"""The frames themselves: one shape everywhere, writable, and never empty for the wrong reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pytest

from expstore import ClusterError, ExperimentNotFoundError, ExperimentStore, Metadata
from expstore.cluster import export_parquet, read_metadata, read_metrics, sight
from expstore.exchange.export import export_file

LONG = ["commit_id", "name", "value", "step", "timestamp"]
DESCRIBED = [*LONG, "job_name", "user", "created"]
TEXTS = ("commit_id", "name", "job_name", "user")


@pytest.fixture(autouse=True)
def one_process() -> Any:
    """Everything is computed here."""
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Three experiments, the last without metadata, one name not in UTF-8."""
    for number, commit_id in enumerate("abc"):
        store.create_experiment(commit_id)
        if commit_id != "c":
            store.write_metadata(Metadata(commit_id, number, "job", f"user{number}"))
        store.log_metrics(commit_id, {"loss": number + 0.5, "\udcff": 1.0}, 3_000_000_000)
    return store


def test_columns_are_the_same_everywhere(filled: ExperimentStore, tmp_path: Path) -> None:
    """Names and order, in frames, Arrow, and every file that pandas or Dask reads."""
    export_file(filled, None, tmp_path / "m.parquet", "parquet")
    export_file(filled, None, tmp_path / "m.csv", "csv", with_metadata=True)
    with_metadata = read_metrics(filled, with_metadata=True)
    assert list(read_metrics(filled).columns) == filled.to_arrow().schema.names == LONG
    assert list(with_metadata.columns) == filled.to_arrow(metadata=True).schema.names == DESCRIBED
    dated = [*DESCRIBED, "created_date"]  # which pandas and Dask have a type of their own for
    assert list(pd.read_parquet(tmp_path / "m.parquet").columns) == dated
    assert list(pd.read_csv(tmp_path / "m.csv").columns) == DESCRIBED
    assert list(read_metadata(filled).columns)[:-1] == ["commit_id", *DESCRIBED[5:]]
    assert list(filled.get_metrics("a").to_pandas().columns) == LONG[1:]
    read = dd.read_parquet(tmp_path / "m.parquet")
    assert {name: read.dtypes[name] for name in TEXTS} == {
        name: with_metadata.dtypes[name] for name in TEXTS
    }


@pytest.mark.parametrize("with_metadata", [False, True])
@pytest.mark.parametrize("ids", [None, ["a"], ["c"], []])
def test_types_do_not_depend_on_the_rows(
    filled: ExperimentStore, with_metadata: bool, ids: list[str] | None
) -> None:
    """Also of a frame without rows, or with nulls, whose concatenation keeps them."""
    frame = read_metrics(filled, ids, with_metadata=with_metadata)
    computed = frame.compute()
    assert len(computed) == 2 * (3 if ids is None else len(ids))
    assert computed.dtypes.equals(frame.dtypes)
    empty = read_metrics(filled, [], with_metadata=with_metadata).compute()
    assert pd.concat([empty, computed]).dtypes.equals(frame.dtypes)


def test_metadata_beside_metrics_is_null_where_unreadable(filled: ExperimentStore) -> None:
    """Only where a column of it is used is it read."""
    filled.metadata_path("b").write_bytes(b"\x09")
    frame = read_metrics(filled, names=["loss"], with_metadata=True)
    computed = frame.compute()
    assert computed["user"].tolist() == ["user0", pd.NA, pd.NA]
    assert computed["created"].tolist() == [0, pd.NA, pd.NA]
    for commit_id in "abc":
        filled.metadata_path(commit_id).unlink(missing_ok=True)
    assert frame["value"].compute().tolist() == [0.5, 1.5, 2.5]


def test_partitions_may_be_written_to(filled: ExperimentStore) -> None:
    """Whether one is a single log or several."""
    for ids in (["a"], None):
        frame = read_metrics(filled, ids).partitions[0].compute()
        frame.loc[frame["step"] > 0, "value"] = -1.0
        frame.loc[0, "commit_id"] = "x"
        frame.loc[0, "timestamp"] = 5
        assert (frame["value"] == -1.0).all()
        assert frame["commit_id"][0] == "x"
        assert frame["timestamp"][0] == 5
    assert filled.get_metrics("a")[0].value == 0.5


def test_steps_do_not_wrap_around(filled: ExperimentStore) -> None:
    """They are signed, and wide enough for sums and differences."""
    steps = read_metrics(filled)["step"]
    assert (steps - 4_000_000_000).min().compute() == -1_000_000_000
    assert (steps * 2).max().compute() == 6_000_000_000


def test_names_are_found_as_they_are_shown(filled: ExperimentStore) -> None:
    r"""A frame shows the byte ff as `\xff`, and so do exports; either spelling selects it."""
    for name in ("\udcff", r"\xff"):
        found = read_metrics(filled, names=[name]).compute()
        assert found["name"].tolist() == [r"\xff"] * 3
        assert [len(table) for table in filled.iter_metrics("a", [name])] == [1]


def test_a_root_is_enough(filled: ExperimentStore, tmp_path: Path) -> None:
    """A path as text or as an object, where a store is expected."""
    for root in (filled.root, str(filled.root)):
        assert read_metrics(root).compute().equals(read_metrics(filled).compute())
        assert read_metadata(root).compute().equals(read_metadata(filled).compute())


@pytest.mark.parametrize("instead", ["nothing", "another directory"])
@pytest.mark.parametrize("skip_damaged", [False, True])
def test_a_worker_that_does_not_see_the_store_is_an_error(
    filled: ExperimentStore, tmp_path: Path, instead: str, skip_damaged: bool
) -> None:
    """Never an empty frame, nor one without metadata, as if everything had been deleted."""
    frames = [
        read_metrics(filled, skip_damaged=skip_damaged),
        read_metrics(filled, with_metadata=True, skip_damaged=skip_damaged),
        read_metadata(filled),
    ]
    filled.root.rename(tmp_path / "elsewhere")
    if instead != "nothing":
        filled.root.mkdir()
    for frame in frames:
        with pytest.raises(ClusterError, match="does not see this store"):
            frame.compute()


def test_what_was_deleted_since_is_only_missing(filled: ExperimentStore) -> None:
    """The store is still there, so skipping what is damaged leaves out just that."""
    skipping, strict = read_metrics(filled, skip_damaged=True), read_metrics(filled)
    metadata = read_metadata(filled)
    filled.prune_experiments(keep_count=1)
    left = filled.list_experiments()
    assert left != ["a", "b", "c"]
    assert sorted(set(skipping.compute()["commit_id"])) == left
    with pytest.raises(ExperimentNotFoundError):
        strict.compute()
    assert metadata.compute()["error"].notna().sum() == 3 - len(left) + 1


def test_a_store_at_a_url_that_workers_do_not_see_is_an_error(filled: ExperimentStore) -> None:
    """Such as one in the memory of another process."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(f"{filled.root}/", "/sight/", recursive=True)
    frames = [read_metrics("memory://sight", skip_damaged=True), read_metadata("memory://sight")]
    assert len(frames[0].compute()) == 6
    memory.rm("/sight", recursive=True)
    for frame in frames:
        with pytest.raises(ClusterError, match="does not see this store"):
            frame.compute()


def test_an_export_by_workers_that_do_not_see_the_store_is_an_error(
    filled: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Experiments that they do not find, but that exist, are no failures of a finished export."""
    from expstore.cluster import dataset, workers

    monkeypatch.setattr(workers, "chosen_client", lambda _: _Here())
    blind = dataset.PartReport(0, {"a": ExperimentNotFoundError("a: no such experiment")}, {})
    monkeypatch.setattr(workers, "completed", lambda *_: iter([(0, blind)]))
    with pytest.raises(ClusterError, match="a worker does not see it"):
        export_parquet(filled, tmp_path / "out")
    assert not (tmp_path / "out" / "_SUCCESS").exists()


class _Here:
    """A client that is not used."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_sight_is_that_of_the_root(filled: ExperimentStore, tmp_path: Path) -> None:
    """A link to the same directory is the same root; a copy is not."""
    seen = sight.Sight.of(filled)
    (tmp_path / "link").symlink_to(filled.root)
    seen.check(ExperimentStore(tmp_path / "link"))
    (tmp_path / "copy").mkdir()
    with pytest.raises(ClusterError):
        seen.check(ExperimentStore(tmp_path / "copy"))
