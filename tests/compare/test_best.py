"""The best experiments by a metric."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, RetentionPolicyError, UnknownMetricError
from expstore.compare.best import parse_best, rank
from tests.helpers.runs import add


@pytest.mark.parametrize(
    ("text", "name", "aspect", "highest", "most"),
    [
        ("val/loss:min=3", "val/loss", "min", False, 3),
        ("val/loss=3", "val/loss", "min", False, 3),
        ("accuracy", "accuracy", "max", True, 1),
        ("accuracy:last=2", "accuracy", "last", True, 2),
        ("x:max", "x", "max", True, 1),
        ("a=b:min=2", "a=b", "min", False, 2),
    ],
)
def test_what_is_typed(text: str, name: str, aspect: str, highest: bool, most: int) -> None:
    """A metric, its statistic, and how many; a name says whether low or high is good."""
    found = parse_best(text)
    assert (found.reference.name, found.reference.aspect) == (name, aspect)
    assert (found.highest, found.most) == (highest, most)


@pytest.mark.parametrize("text", ["", "=3", "loss=0", "loss=x", "loss=-1", "x=3", "x:last=3"])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    """So is a metric that does not say what is good."""
    with pytest.raises(RetentionPolicyError, match="min=N"):
        parse_best(text)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """Six experiments: equal values, NaN, no such metric, and one that cannot be read."""
    store = ExperimentStore(tmp_path_factory.mktemp("store"))
    store.initialize()
    add(store, "a", {}, {"loss": [3.0, 1.0, 2.0], "acc": [0.1]})
    add(store, "b", {}, {"loss": [1.0]})
    add(store, "c", {}, {"loss": [math.nan]})
    add(store, "d", {}, {"other": [0.0], "acc": [0.9]})
    add(store, "e", {}, {"loss": [0.5]})
    add(store, "f", {}, {"loss": [9.0]})
    store.metrics_path("f").unlink()
    store.metrics_path("f").mkdir()
    return store


def test_the_best_are_told_from_the_others(store: ExperimentStore) -> None:
    """Ties go by id; what cannot be read is none of the others."""
    ranking = rank(store, ["loss:min=2", "acc:max=1"])
    assert ranking.best == {
        "a": "2 best by loss:min",
        "d": "best by acc:max",
        "e": "2 best by loss:min",
    }
    assert list(ranking.unread) == ["f"]
    assert ranking.unread["f"].startswith("cannot be ranked: ")
    assert ranking.others == dict.fromkeys(
        "bc", "not among the 2 best by loss:min, best by acc:max"
    )


def test_only_some_are_ranked(store: ExperimentStore) -> None:
    """The best of these."""
    assert list(rank(store, ["loss=1"], ["a", "b"]).best) == ["a"]
    assert rank(store, ["loss=1"], []) == ({}, {}, {})
    with pytest.raises(UnknownMetricError, match="did you mean"):
        rank(store, ["los:min=1"])
    with pytest.raises(UnknownMetricError):
        rank(store, ["loss=1"], ["d"])


@given(st.lists(st.floats(-3, 3) | st.just(math.nan), min_size=1, max_size=8), st.integers(1, 4))
def test_no_other_is_better(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], most: int
) -> None:
    """As many as asked for, or all that have a value."""
    store = ExperimentStore(tmp_path_factory.mktemp("store"))
    store.initialize()
    for number, value in enumerate(values):
        add(store, f"run{number}", None, {"loss": [value]})
    best, _, others = rank(store, [f"loss:min={most}"])
    number = {f"run{number}": value for number, value in enumerate(values)}
    ranked = sorted(value for value in values if not math.isnan(value))
    assert sorted(number[one] for one in best) == ranked[:most]
    assert {*best, *others} == set(number)
