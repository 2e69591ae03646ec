"""Questions to an export: the answers are those of the store it was made from."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import expstore
from expstore import ExperimentNotFoundError, ExperimentStore, Metadata, StoreNotFoundError
from expstore.compare import Summary, compare, exported
from expstore.compare.experimentfile import export_experiments
from expstore.compare.exportreader import as_source
from expstore.compare.series import Series, extremes
from expstore.exchange.export import export_file
from expstore.report.payload import runs_payload


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Runs with parameters and tags, one plain experiment, and names that are escaped."""
    for number in range(5):
        params = {"lr": 0.1 / (number + 1), "model": {"depth": number}, "name": f"m{number}"}
        with expstore.start(
            store.root, commit_id=f"run{number}", job_name="train", user="alice", params=params
        ) as run:
            for step in range(50):
                run.log({"loss": (number - step) ** 2, "val/loss": math.nan}, step=step)
            run.add_tags("even" if number % 2 == 0 else "odd", "all")
    store.create_experiment("plain")
    store.log_metric("plain", "\udcff", math.inf, 7)
    store.log_metric("plain", "loss", -1.0, 2**32 - 1)
    return store


@pytest.fixture
def export(filled: ExperimentStore, tmp_path: Path) -> Path:
    """Their export, with parameters."""
    export_file(filled, None, tmp_path / "m.parquet", "parquet", params=True)
    return tmp_path / "m.parquet"


def comparable(summary: Summary) -> str:
    """A summary without what an export does not have, and times; NaN equals itself."""
    return repr(replace(summary, notes="", duration=None, problems=()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"where": "lr < 0.05 and loss:min < 10", "sort": "loss:last", "reverse": True},
        {"where": "tag == odd or model.depth == 0"},
        {"sort": "loss:min", "limit": 2},
        {"names": ["loss"], "ids": ["run3", "plain"]},
        {"where": "status == finished and user == alice", "names": ["val/*"]},
    ],
    ids=str,
)
def test_an_export_gives_the_answers_of_its_store(
    filled: ExperimentStore, export: Path, options: dict
) -> None:
    """Selected, sorted and limited; parameters, tags, status and metadata among them."""
    wanted = list(map(comparable, compare(filled, **options)))
    assert wanted
    assert list(map(comparable, compare(export, **options))) == wanted
    assert list(map(comparable, compare(str(export), **options))) == wanted


def test_groups_of_an_export_are_those_of_its_store(filled: ExperimentStore, export: Path) -> None:
    """Means and deviations over runs."""
    wanted = compare(filled, group_by="user", names=["loss"])
    found = compare(export, group_by="user", names=["loss"])
    assert repr(found) == repr(wanted)


def test_a_root_is_a_store(filled: ExperimentStore) -> None:
    """A path that is no export is opened as a store."""
    assert repr(compare(filled.root)) == repr(compare(filled))


def test_batches_are_joined(
    filled: ExperimentStore, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment may be in several, and a batch may have several experiments."""
    monkeypatch.setattr(exported, "_ROWS", 33)
    assert list(map(comparable, compare(export))) == list(map(comparable, compare(filled)))


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([math.nan, -1.0, 0.5, math.inf]))),
    st.integers(0, 12),
)
def test_joined_statistics_are_those_of_the_whole(rows: list[tuple[int, float]], at: int) -> None:
    """Wherever a series is cut, whatever the order of its steps."""

    def of(part: list[tuple[int, float]]) -> object:
        ordered = sorted(part, key=lambda row: row[0])
        steps, values = zip(*ordered, strict=True)
        return extremes(Series(np.array(steps), np.array(values)))

    first, later = rows[:at], rows[at:]
    if first and later:
        assert repr(exported.joined(of(first), of(later))) == repr(of(rows))


def test_what_is_no_export_is_refused(filled: ExperimentStore, tmp_path: Path) -> None:
    """The wide form, an export that was interrupted, and an id that is not there."""
    export_file(filled, ["plain"], tmp_path / "wide.parquet", "parquet", wide_form=True)
    with pytest.raises(StoreNotFoundError, match="not an export in the long form"):
        compare(tmp_path / "wide.parquet")
    parts = tmp_path / "parts"
    parts.mkdir()
    export_file(filled, ["plain"], parts / "part-plain.parquet", "parquet")
    (parts / "_expstore_export.parquet").touch()
    with pytest.raises(StoreNotFoundError, match="not complete"):
        compare(parts)
    (parts / "_SUCCESS").touch()
    assert [one.commit_id for one in compare(parts)] == ["plain"]
    with pytest.raises(ExperimentNotFoundError, match="run1"):
        compare(parts, ["run1"])
    with pytest.raises(StoreNotFoundError):
        compare(tmp_path / "missing")


def test_a_report_on_an_export_is_that_on_its_store(
    filled: ExperimentStore, tmp_path: Path
) -> None:
    """With what is damaged there, and without the place where the store was."""
    with filled.metrics_path("run1").open("ab") as file:
        file.write(b"torn")
    (filled.experiment_path("run2") / "run.json").write_text("{")
    export_experiments(filled, tmp_path / "all.parquet")
    sources = filled, as_source(tmp_path / "all.parquet")
    told = [
        {row["id"]: (row.get("tail"), row.get("problems")) for row, _ in runs_payload(source, ids)}
        for source in sources
        for ids in [source.list_experiments()]
    ]
    assert told[0] == told[1]
    assert told[0]["run1"] == ("torn tail of 4 bytes at byte 2700", None)
    assert told[0]["run2"][1][0].startswith("run2/run.json: ")


def test_metadata_that_an_export_lacks_is_a_problem(store: ExperimentStore, tmp_path: Path) -> None:
    """Its metrics are compared nevertheless."""
    store.create_experiment("a")
    store.write_metadata(Metadata("a", 5, "job", "me"))
    store.log_metric("a", "loss", 1.0, 1)
    export_file(store, None, tmp_path / "m.parquet", "parquet", with_metadata=False)
    (summary,) = compare(tmp_path / "m.parquet")
    assert summary.metadata is None
    assert summary.problems == ("the export has no metadata of it",)
    assert summary.metrics["loss"].min == 1.0
