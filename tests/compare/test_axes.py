"""The x axes of curves: step, time, and time since the first record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import expstore.cli.plot  # noqa: F401 - adds its commands
from expstore import ExperimentStore, MetricTable
from expstore.compare.axes import along, scale_of, split_timed
from expstore.compare.curves import curves
from expstore.compare.plot import save
from expstore.compare.series import Series
from expstore.compare.textplot import text
from expstore.compare.thinning import thin
from tests.helpers.application import run


@pytest.fixture
def timed(store: ExperimentStore) -> ExperimentStore:
    """One run whose steps go back, while its times go on."""
    with store.start_experiment("a") as writer:
        columns = {"step": [0, 10, 5], "timestamp": [1000, 1060, 8200], "value": [1.0, 2.0, 3.0]}
        writer.append({"name": "loss", **columns})
        writer.append({"name": "early", "step": [0], "timestamp": [400], "value": [1.0]})
    return store


def test_each_axis_orders_points_by_its_own_positions(timed: ExperimentStore) -> None:
    """By step, by time, and by the time since the first record of the run, of any metric."""
    table = timed.get_metrics("a")
    found = {x: along(table, x)["loss"] for x in ("step", "time", "relative")}  # type: ignore[arg-type]
    assert found["step"].values.tolist() == [1, 3, 2]
    assert found["time"].steps.tolist() == [1000, 1060, 8200]
    assert found["relative"].steps.tolist() == [600, 660, 7800]
    assert found["time"].values.tolist() == found["relative"].values.tolist() == [1, 2, 3]
    steps, values, times = split_timed(table)["loss"]
    assert (steps.tolist(), values.tolist()) == ([0, 5, 10], [1, 3, 2])
    assert times.tolist() == [1000, 8200, 1060]


def test_points_with_times_are_those_of_names_that_occur(timed: ExperimentStore) -> None:
    """In a part of a log, whose table may have names of other parts."""
    part = timed.get_metrics("a").take(slice(3), keep_names=True)
    assert part.names == ("loss", "early")
    assert list(split_timed(part)) == ["loss"]


def test_points_with_times_cannot_be_changed_in_a_table() -> None:
    """Of names in turn, they are views of it, which are read-only."""
    columns = np.arange(6.0), np.arange(6) // 2, np.arange(6)
    table = MetricTable(("a", "b"), np.arange(6, dtype=np.int32) % 2, *columns)
    for curve in split_timed(table).values():
        for column in curve:
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0


def test_units_suit_the_length_of_the_run() -> None:
    """Seconds to days since the first record; dates only where the calendar has them."""
    ends = {100: "seconds", 5000: "minutes", 90_000: "hours", 400_000: "days"}
    for end, unit in ends.items():
        scale = scale_of("relative", [Series(np.array([0, end]), np.zeros(2))])
        assert scale.label == f"{unit} since the first record"
    assert scale_of("time", [Series(np.array([0, 1]), np.zeros(2))]).dates
    assert not scale_of("time", [Series(np.array([0, 2**62]), np.zeros(2))]).dates


@pytest.mark.parametrize("x", ["time", "relative"])
def test_plots_have_the_chosen_axis(timed: ExperimentStore, tmp_path: Path, x: str) -> None:
    """In an image, as text, and by the command."""
    result = run(timed, "plot", "a", "--name", "loss", "--x", x, "-o", str(tmp_path / "a.svg"))
    assert result.exit_code == 0, result.output
    label = {"time": "time (UTC)", "relative": "minutes since the first record"}[x]
    assert label in (tmp_path / "a.svg").read_text()
    drawn = run(timed, "plot", "a", "--name", "loss", "--x", x)
    assert f"loss  by {label}" in drawn.stdout


def test_an_unknown_axis_is_refused(timed: ExperimentStore) -> None:
    """The message lists those that exist."""
    result = run(timed, "plot", "a", "--name", "loss", "--x", "epoch")
    assert result.exit_code == 2
    assert "relative" in result.stderr


def test_times_of_any_size_can_be_drawn(store: ExperimentStore, tmp_path: Path) -> None:
    """A damaged record may have any time; thinning and drawing do not overflow."""
    times = [-(2**62), *range(9000), 2**62]
    with store.start_experiment("a") as writer:
        columns = {"step": list(range(9002)), "timestamp": times, "value": [1.0] * 9002}
        writer.append({"name": "loss", **columns})
    for x in ("time", "relative"):
        found = curves(store, x=x)  # type: ignore[arg-type]
        series = found[0].series
        kept = thin(series, 100).kept
        assert {0, 9001} <= set(kept.tolist())
        save(found, tmp_path / "a.png", x=x)  # type: ignore[arg-type]
        assert "loss" in text(found, x=x)  # type: ignore[arg-type]
