"""The list of runs: what is listed, filtered and sorted, and what is read for it."""

from __future__ import annotations

import shutil

import pytest

from expstore import ExperimentStore, UnknownMetricError, WhereError
from expstore.compare import experiments, reading
from expstore.watch.listing import Listing, Query
from expstore.watch.overlay import LETTERS, Overlay
from tests.helpers.runs import add


def ids(listing: Listing) -> list[str]:
    """The ids that are shown."""
    return [row.commit_id for row in listing.rows]


@pytest.fixture
def runs(tmp_path) -> ExperimentStore:
    """Three runs, each created later than the one before."""
    now = 1000.0
    store = ExperimentStore(tmp_path / "runs", clock=lambda: now)
    store.initialize()
    add(store, "first", {"lr": 0.1}, {"loss": [3.0]}, job="resnet", tags=["Baseline"])
    now = 2000.0
    add(store, "second", {"lr": 0.01}, {"loss": [1.0]}, job="vit")
    now = 3000.0
    add(store, "third", {"lr": 1.0}, {"loss": [2.0]}, job="resnet", user="bob")
    return store


def test_the_newest_is_the_first(runs) -> None:
    """What cannot be dated is the last, with its problem."""
    (runs.experiment_path("broken")).mkdir()
    listing = Listing(runs)
    assert listing.refresh()
    assert ids(listing) == ["third", "second", "first", "broken"]
    assert "meta.bin" in listing.rows[-1].problem
    assert not listing.refresh()


def test_runs_come_and_go(runs) -> None:
    """Metadata that is written later is found."""
    listing = Listing(runs)
    listing.refresh()
    shutil.rmtree(runs.experiment_path("second"))
    runs.experiment_path("fourth").mkdir()
    assert listing.refresh()
    assert ids(listing) == ["third", "first", "fourth"]
    shutil.copy(runs.metadata_path("third"), runs.metadata_path("fourth"))
    assert listing.refresh()
    assert ids(listing) == ["fourth", "third", "first"]
    assert listing.total == 3


@pytest.mark.parametrize(
    ("filter", "sort", "expected"),
    [
        ("resnet", "", ["third", "first"]),
        ("RESNET bob", "", ["third"]),
        ("baseline", "", ["first"]),
        ("nothing", "", []),
        ("lr < 0.5", "", ["second", "first"]),
        ("loss:min <= 2 and job ~ res", "", ["third"]),
        ("", "loss:min", ["second", "third", "first"]),
        ("", "-lr", ["third", "first", "second"]),
        ("resnet", "lr", ["first", "third"]),
    ],
)
def test_filters_and_orders(runs, filter, sort, expected) -> None:
    """Words are looked for in ids, jobs, users and tags; an expression is one of `where`."""
    listing = Listing(runs)
    listing.refresh(Query(filter, sort))
    assert ids(listing) == expected


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("lr <"), WhereError),
        (Query("nosuch == 3"), UnknownMetricError),
        (Query("", "nosuch"), UnknownMetricError),
    ],
)
def test_a_mistake_changes_nothing(runs, query, error) -> None:
    """The rows and the query stay as they were."""
    listing = Listing(runs)
    listing.refresh(Query("resnet"))
    with pytest.raises(error):
        listing.refresh(query)
    assert (ids(listing), listing.query) == (["third", "first"], Query("resnet"))


def test_a_query_applies_to_runs_that_come_later(runs) -> None:
    """And to what changes."""
    listing = Listing(runs)
    listing.refresh(Query("lr < 0.05"))
    late = ExperimentStore(runs.root, clock=lambda: 4000.0)
    add(late, "fourth", {"lr": 0.02})
    listing.refresh()
    assert ids(listing) == ["fourth", "second"]


def test_logs_are_read_only_if_a_query_needs_them(runs, monkeypatch) -> None:
    """As words and parameters do not."""

    def refuse(*_: object) -> None:
        raise AssertionError("a log was read")

    monkeypatch.setattr(experiments.Experiment, "read_table", refuse)
    monkeypatch.setattr(reading, "read_together", refuse)
    listing = Listing(runs)
    for query in (Query(), Query("resnet"), Query("lr < 0.5"), Query("", "lr")):
        listing.refresh(query)
    listing.look(["first", "second"])
    with pytest.raises(AssertionError, match="a log was read"):
        listing.refresh(Query("loss < 3"))


def test_what_takes_long_can_be_stopped(runs) -> None:
    """The progress function is called with the ids, and may raise."""

    def stop(ids: list[str]) -> list[str]:
        assert len(ids) == 3
        raise KeyboardInterrupt

    listing = Listing(runs)
    listing.refresh()
    with pytest.raises(KeyboardInterrupt):
        listing.refresh(Query("loss < 3"), stop)
    assert len(listing.rows) == 3


def test_details_are_of_the_runs_asked_for(runs) -> None:
    """Status, parameters and problems; others are forgotten."""
    (runs.experiment_path("second") / "run.json").write_text("{")
    listing = Listing(runs)
    listing.refresh()
    assert listing.look(["first", "second", "gone"])
    assert listing.details["first"].run.tags == ("Baseline",)
    assert "run.json" in listing.details["second"].problems[0]
    assert not listing.look(["first", "second"])
    assert listing.look(["third"])
    assert set(listing.details) == {"third"}


def test_letters_stay_while_runs_are_kept() -> None:
    """The current run has one too; there are at most 26."""
    overlay = Overlay(["x", "y"])
    assert overlay.shown("z") == {"x": "a", "y": "b", "z": "c"}
    assert overlay.keep("x")
    assert overlay.shown(None) == {"y": "b"}
    assert overlay.shown("z") == {"y": "b", "z": "a"}
    full = Overlay(map(str, range(40)))
    assert len(full.shown("more")) == len(LETTERS)
    assert not full.keep("more")
    full.clear()
    assert full.shown("more") == {"more": "a"}
