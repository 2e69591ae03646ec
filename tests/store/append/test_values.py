"""What cannot be logged is refused by a typed error that names it; nothing is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expstore import ExperimentStore, MetricWriter, StoreNotFoundError
from formats import FieldValueError

Log = Callable[[ExperimentStore, Any], None]


def _log(store: ExperimentStore, value: Any) -> None:
    with store.writer("abc") as writer:
        writer.log("loss", value, 7)


def _log_many(store: ExperimentStore, value: Any) -> None:
    with store.writer("abc") as writer:
        writer.log_many({"loss": value}, 7)


def _log_many_again(store: ExperimentStore, value: Any) -> None:
    """With the function that is compiled for names that occur again."""
    with store.writer("abc") as writer:
        for _ in range(3):
            writer.log_many({"loss": 0.5}, 6)
        writer.log_many({"loss": value}, 7)


def _log_metric(store: ExperimentStore, value: Any) -> None:
    store.log_metric("abc", "loss", value, 7)


def _log_metrics(store: ExperimentStore, value: Any) -> None:
    store.log_metrics("abc", {"loss": value}, 7)


def _append(store: ExperimentStore, value: Any) -> None:
    with store.writer("abc") as writer:
        writer.append({"name": "loss", "value": [value], "step": [7]})


LOGS = [_log, _log_many, _log_many_again, _log_metric, _log_metrics, _append]


@pytest.fixture(autouse=True)
def _experiment(store: ExperimentStore) -> None:
    store.create_experiment("abc")


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(
    "value",
    [
        Decimal("1e400"),
        Decimal("-1e400"),
        np.longdouble("1e400"),
        np.array("-1e400", np.longdouble),
        Fraction(10**400),
        Fraction(-(10**400), 3),
        10**400,
        -(2**1024),
    ],
    ids=str,
)
def test_number_beyond_the_largest_double_is_refused(
    log: Log, value: Any, store: ExperimentStore
) -> None:
    """It is not infinity; the error names its metric and step, in few characters."""
    with pytest.raises(FieldValueError, match=r"metric 'loss' at step 7: ") as caught:
        log(store, value)
    assert len(str(caught.value)) < 150
    assert 7 not in store.get_metrics("abc").steps


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("value", [math.inf, -math.inf, np.float64("inf"), np.longdouble("-inf")])
def test_infinity_is_logged(log: Log, value: float, store: ExperimentStore) -> None:
    """Losses do become infinite."""
    log(store, value)
    assert store.get_metrics("abc").values[-1] == value


@pytest.mark.parametrize("log", LOGS[:-1])
@pytest.mark.parametrize("value", [Decimal("Infinity"), Decimal("1e-400"), Fraction(1, 10**400)])
def test_exact_number_is_rounded_to_a_double(log: Log, value: Any, store: ExperimentStore) -> None:
    """One that is too small becomes 0, as by `float`."""
    log(store, value)
    assert store.get_metrics("abc").values[-1] == float(value)


def test_integers_beyond_any_integer_type_are_appended(store: ExperimentStore) -> None:
    """As doubles, as they are by `log`; one that is too large is named by its row."""
    with store.writer("abc") as writer:
        writer.append({"name": "n", "value": [10**30, 0.5, 2**1023], "step": [1, 2, 3]})
        with pytest.raises(FieldValueError, match=r"step 2: an integer of 401 digits .*record 1"):
            writer.append({"name": "n", "value": [1, 10**400], "step": [1, 2]})
    assert store.get_metrics("abc").values.tolist() == [1e30, 0.5, 2.0**1023]


@pytest.mark.parametrize(
    "values",
    [[("loss", 0.5)], ["loss"], pd.Series({"loss": 0.5}), pd.DataFrame({"a": [1]}), None, 3, "abc"],
    ids=lambda values: type(values).__name__,
)
def test_metrics_that_are_no_mapping_are_refused(values: Any, store: ExperimentStore) -> None:
    """By an error that says what they should be, and at which step."""
    shown = rf"step 7 must be a mapping of names to values.* got {type(values).__name__}"
    with store.writer("abc") as writer:
        for log in (writer.log_many, lambda *args: store.log_metrics("abc", *args)):
            with pytest.raises(FieldValueError, match=shown):
                log(values, 7)
    assert not len(store.get_metrics("abc"))


@pytest.mark.parametrize("metrics", [["loss"], None, 3, "abc"])
def test_columns_that_are_no_mapping_are_refused(metrics: Any, store: ExperimentStore) -> None:
    """The error says what they should be."""
    with (
        store.writer("abc") as writer,
        pytest.raises(FieldValueError, match="a mapping of columns"),
    ):
        writer.append(metrics)


@pytest.mark.parametrize(
    "now",
    [
        math.nan,
        math.inf,
        -math.inf,
        None,
        "1700000000",
        datetime(2026, 1, 1, tzinfo=UTC),
        1.7e12,
        1.7e18,
    ],
    ids=repr,
)
def test_clock_that_gives_no_seconds_is_refused_wherever_it_stamps(
    now: Any, tmp_path: Path
) -> None:
    """By every verb, with nothing written; what needs no time goes on working."""
    store = ExperimentStore(tmp_path / "other", clock=lambda: now)
    path = store.create_experiment("abc")
    columns = {"name": "loss", "value": [0.5], "step": [7]}
    with store.writer("abc") as writer, MetricWriter(path, clock=lambda: now) as own:
        for stamp in (
            lambda: writer.log("loss", 0.5, 7),
            lambda: writer.log_many({"loss": 0.5}, 7),
            lambda: writer.append(columns),
            lambda: own.log("loss", 0.5, 7),
            lambda: store.log_metric("abc", "loss", 0.5, 7),
            lambda: store.log_metrics("abc", {"loss": 0.5}, 7),
            lambda: store.start_experiment("def", user="me"),
            lambda: store.plan_prune(3),
        ):
            with pytest.raises(FieldValueError, match="seconds"):
                stamp()
    assert not len(store.get_metrics("abc"))
    assert store.list_experiments() == ["abc"]


@pytest.mark.parametrize("root", ["a\0b", "a\ud800b"])
def test_root_that_no_path_can_have_is_refused(root: str) -> None:
    """By the constructor, before anything is opened."""
    with pytest.raises(StoreNotFoundError, match="no path"):
        ExperimentStore(root)
