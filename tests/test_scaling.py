"""The benchmark of scaling and searching: what they measure and say is tested, not the figures."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.benchmarks import search
from tests.benchmarks.corpora import FIVE, Corpora
from tests.benchmarks.harness import Bench, Unavailable
from tests.benchmarks.scaling import CALLS, PROCESSES, Line, measure, table
from tests.benchmarks.scaling_picture import draw

SIZES = (1_000, 5_000, 20_000, 50_000, 200_000)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Few samples, and no reference program."""
    return Bench(tmp_path, None, quick=True, repeat=1)


def line(exponent: float, base: float = 0.0, title: str = "compare") -> Line:
    """Work whose time beyond the base is a power of its size."""
    points = {size: base + 1e-5 * size**exponent for size in SIZES}
    return Line(title, "experiments", False, base, points)


@pytest.mark.parametrize(("exponent", "base"), [(0.5, 0), (1, 0), (1, 0.3), (1.5, 0.3)])
def test_the_exponent_is_that_of_the_work_without_the_start(exponent: float, base: float) -> None:
    """A process takes its time to start, whatever it does."""
    assert line(exponent, base).exponent == pytest.approx(exponent)
    assert line(exponent, base).grows_too_fast is (exponent > 1.1)


def test_n_log_n_is_not_faster_than_its_work() -> None:
    """Sorting is part of the work."""
    sorting = Line("ls", "experiments", False, 0.0, {n: 1e-7 * n * math.log(n) for n in SIZES})
    assert 1.0 < sorting.exponent < 1.1
    assert not sorting.grows_too_fast


def test_what_takes_no_longer_than_its_start_is_flat() -> None:
    """No exponent is made of noise."""
    flat = Line("tail ID", "records", True, 0.2, {100: 0.21, 1000: 0.2, 10_000: 0.22})
    assert math.isnan(flat.exponent)
    assert not flat.grows_too_fast
    assert "flat" in "\n".join(table([flat]))


def test_what_grows_too_fast_is_named_in_table_and_picture(tmp_path: Path) -> None:
    """The table says so in its last line, the picture in its legend."""
    lines = [line(1.0), line(2.0, title="plan_prune")]
    assert list(table(lines))[-1].endswith("grows: `plan_prune` by experiments.")
    assert list(table(lines[:1]))[-1].endswith("grows: nothing.")
    draw(lines, tmp_path / "scaling.svg")
    texts = ["".join(node.itertext()) for node in ET.parse(tmp_path / "scaling.svg").iter()]
    assert "compare" in texts
    assert "plan_prune (grows faster than its work)" in texts


def test_calls_and_processes_are_measured_on_stores_of_each_size(bench: Bench) -> None:
    """One of each, on both axes; every size has a time."""
    found = list(measure(bench, {"experiments": (5,), "records": (50,)}, only="check"))
    assert [(one.axis, one.is_process) for one in found] == [
        *(("experiments", False), ("experiments", True)),
        *(("records", False), ("records", True)),
    ]
    for one in found:
        assert list(one.points) == ([5] if one.axis == "experiments" else [50])
        assert min(one.base, *one.points.values()) > 0
    assert {*CALLS} == {*PROCESSES} == {"experiments", "records"}


def test_a_store_for_measuring_has_logs_of_the_size_asked_for(bench: Bench) -> None:
    """Five names in turn, with other values in each; old enough for a prune."""
    store = ExperimentStore(Corpora(bench).experiments(3, 20))
    tables = [store.get_metrics(commit_id) for commit_id in store.list_experiments()]
    assert [len(one) for one in tables] == [20, 20, 20]
    assert tables[0].names == FIVE
    assert tables[0]["loss"] != tables[1]["loss"]
    assert len(store.plan_prune(1, grace=3600).pruned) == 2


def test_mlflow_finds_the_same_best_runs(bench: Bench) -> None:
    """Its database has the store's runs; a difference is an error of the benchmark."""
    root = Corpora(bench).experiments(12, 20)
    store, database = ExperimentStore(root), str(bench.work / "runs.db")
    try:
        search.fill_mlflow(database, str(root))
    except Unavailable as reason:
        pytest.skip(str(reason))
    last = {i: store.get_metrics(i)["val/loss"].values[-1] for i in store.list_experiments()}
    expected = sorted(last, key=last.__getitem__)[:10]
    assert search.best(str(root))["found"] == expected
    assert search.best_of_mlflow(database, str(root))["found"] == expected
