"""Comparisons that look at some metrics only: they are those of reading everything."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore
from expstore.compare import compare, select
from expstore.compare import reading as reading_module
from expstore.compare.best import rank
from expstore.compare.experiments import experiments
from expstore.compare.naming import order
from expstore.compare.reading import read_logs
from expstore.compare.wanted import wants_of
from expstore.store.files import local
from expstore.store.read import chosen as chosen_module
from tests.helpers.layouts import NAMES, WHOLE, logs
from tests.helpers.logs import NOW, log
from tests.helpers.runs import write_run

stores = st.lists(
    st.tuples(logs(), st.none() | st.integers(0, 5), st.booleans(), st.booleans()),
    min_size=1,
    max_size=6,
).flatmap(
    # Runs of one program have one layout, so some logs are there several times.
    lambda found: st.lists(st.sampled_from(found), min_size=1, max_size=12)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a store, of which even a single log is read as one of many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chosen_module, "_LEAST", 1)
        yield tmp_path_factory.mktemp("store")


def write(root: Path, written: Iterable[tuple[bytes, int | None, bool, bool]]) -> ExperimentStore:
    """Make a store of logs; some runs were resumed, some have no metadata, and some no log."""
    shutil.rmtree(root)
    store = ExperimentStore(root, clock=lambda: float(NOW))
    for number, (data, from_step, has_metadata, has_log) in enumerate(written):
        commit_id = f"{number:03}"
        path = store.create_experiment(commit_id)
        if has_metadata:
            store.start_experiment(f"meta-{commit_id}", job_name=f"job-{number % 2}").close()
            (root / f"meta-{commit_id}" / "meta.bin").rename(path / "meta.bin")
            shutil.rmtree(root / f"meta-{commit_id}")
        (path / "metrics.bin").unlink(missing_ok=True)
        if has_log or number % 3:
            (path / "metrics.bin").write_bytes(data)
        else:
            (path / "metrics.bin").mkdir()  # which cannot be read
        if from_step is not None:
            starts = [
                {"started": float(NOW), "records": 0},
                {"started": float(NOW), "records": 9, "from_step": from_step},
            ]
            write_run(store, commit_id, starts=starts)
    return store


def plain(store: ExperimentStore, commit_id: str, name: str) -> tuple[float, float, float] | None:
    """The last, minimum and maximum of a metric, found record by record; None if it has none."""
    try:
        table = store.get_metrics(commit_id, superseded=False)
    except Exception as error:
        assert "metrics.bin" in str(error)
        return None
    points = [(one.step, place, one.value) for place, one in enumerate(table) if one.name == name]
    if not points:
        return None
    numbers = [value for _, _, value in points if not math.isnan(value)]
    last = max(points)[2]
    return last, min(numbers, default=math.nan), max(numbers, default=math.nan)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or both NaN."""
    return repr(one) == repr(other)


def whole(store: ExperimentStore, **options: Any) -> Any:
    """The comparison for which every log is read whole."""

    def read(found: list[Any]) -> list[Any]:
        for one in found:
            one.read()
        return found

    return compare(store, read=read, **options)


ASKED: list[dict[str, Any]] = [
    {"names": ["loss"], "sort": "loss"},
    {"names": ["loss"], "sort": "val/loss:min", "reverse": True},
    {"sort": "val/loss:max", "limit": 1},
    {"sort": "loss", "limit": 2, "reverse": True},
    {"names": ["*loss", "acc"]},
    {"names": ["acc"], "where": "loss > 0 or val/loss:min < 1"},
    {"where": "not acc:max > 0.5", "limit": 1},
    {"names": ["loss"], "where": "duration > 3", "sort": "job"},
    {"limit": 2},
    {"group_by": "job", "names": ["loss"]},
]


@given(written=stores, options=st.sampled_from(ASKED))
def test_a_comparison_of_some_metrics_is_that_of_all(
    root: Path, written: list[tuple[bytes, int | None, bool, bool]], options: dict[str, Any]
) -> None:
    """The same summaries in the same order, problems and all, or the same error."""
    store = write(root, written)
    try:
        expected: Any = whole(store, **options)
    except Exception as error:
        with pytest.raises(type(error)) as caught:
            compare(store, **options)
        assert str(caught.value) == str(error)
        return
    found: Any = compare(store, **options)
    assert same(list(found), list(expected))
    assert found.unread == expected.unread


@given(written=stores, name=st.sampled_from(NAMES), aspect=st.sampled_from(["last", "min", "max"]))
def test_the_best_are_those_of_a_loop_over_all_records(
    root: Path, written: list[tuple[bytes, int | None, bool, bool]], name: str, aspect: str
) -> None:
    """Sorted by a metric's value; NaN come after all numbers, and what has none is last."""
    store = write(root, written)
    ids = store.list_experiments()
    values = [
        None if found is None else found[("last", "min", "max").index(aspect)]
        for found in (plain(store, commit_id, name) for commit_id in ids)
    ]
    if all(value is None for value in values):
        return
    ranked = order(values)
    found = compare(store, names=["*"], sort=f"{name}:{aspect}")
    assert [one.commit_id for one in found] == [ids[place] for place in ranked]
    for one, place in zip(found, ranked, strict=True):
        value = getattr(one.metrics[name], aspect) if name in one.metrics else None
        assert value == values[place] or same(value, values[place])  # 0.0 is -0.0


@given(written=stores)
def test_what_is_left_out_is_read_when_it_is_asked_for(
    root: Path, written: list[tuple[bytes, int | None, bool, bool]]
) -> None:
    """Each experiment knows the names of all its metrics, and its own state, from the first."""
    store = write(root, written)
    ids = store.list_experiments()
    found = read_logs(store, list(experiments(store, ids)), wants=wants_of(sort="loss"))
    alone = list(experiments(store, ids))
    for one, other in zip(found, alone, strict=True):
        other.read()
        assert list(one.names) == list(other.metrics)
        assert (one.tail, one.duration) == (other.tail, other.duration)
        assert same(one.metrics_of(["loss"]).get("loss"), other.metrics.get("loss"))
        assert same(one.metrics, other.metrics)
        assert list(one.metrics) == list(other.metrics)
        assert one.problems == other.problems


def runs(store: ExperimentStore, logs: Iterable[bytes]) -> list[str]:
    """Experiments with these logs."""
    ids = []
    for number, data in enumerate(logs):
        ids.append(f"{number:03}")
        (store.create_experiment(ids[-1]) / "metrics.bin").write_bytes(data)
    return ids


def test_logs_of_one_order_are_not_parsed_into_tables(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a few programs' runs, long and short, whose names come in turn or as they may."""
    irregular = [log(7), log(3, names=("x", "y", "x", "loss")), log(5)]
    logs = [log(40 + 2 * (n % 5)) if n % 2 else b"".join(irregular) for n in range(40)]
    runs(store, logs)
    expected = whole(store, names=["loss"], sort="loss")

    def refuse(*_: object) -> None:
        raise AssertionError("a table was made")

    monkeypatch.setattr("expstore.store.read.together._table", refuse)
    monkeypatch.setattr("expstore.compare.experiments.read_table", refuse)
    assert compare(store, names=["loss"], sort="loss") == expected
    assert rank(store, ["loss:min=3"]).others
    assert len(select(store, "loss >= 0")) == 40


def test_orders_are_not_looked_for_again_and_again(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store where each log has its own, or none."""
    runs(store, [log(10 + n) + WHOLE[:3] for n in range(60)])
    tried = 0
    original = chosen_module.Chooser._order_of

    def counted(chooser: Any, data: bytes) -> Any:
        nonlocal tried
        before = chooser._left
        found = original(chooser, data)
        tried += before - chooser._left
        return found

    monkeypatch.setattr(chosen_module.Chooser, "_order_of", counted)
    assert len(compare(store, names=["loss"], sort="loss")) == 60
    assert 0 < tried <= 8


def test_logs_of_rare_orders_are_read_with_the_others(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few of each are not worth the calls that a group takes."""
    runs(store, [log(8) + log(n % 20, names=("x", "loss", "x")) for n in range(100)])
    expected = whole(store, names=["loss"], sort="loss")

    def refuse(*_: object) -> None:
        raise AssertionError("a group was made")

    monkeypatch.setattr("expstore.store.read.together.chosen", refuse)
    with pytest.raises(AssertionError, match="a group was made"):
        compare(store, names=["loss"], sort="loss")
    monkeypatch.setattr(chosen_module, "_LEAST", 7)
    assert compare(store, names=["loss"], sort="loss") == expected


def test_the_shown_are_those_that_were_ranked(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though their logs grow between the ranking and the second look at them."""
    ids = runs(store, [log(20 + 2 * n) for n in range(20)])
    expected = compare(store)[0]
    original, calls = reading_module.read_together, 0

    def growing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            for commit_id in ids:
                with open(store.metrics_path(commit_id), "ab") as file:
                    file.write(log(8, timestamp=NOW + 100))
        return original(*arguments)

    monkeypatch.setattr(reading_module, "read_together", growing)
    (found,) = compare(store, sort="loss", limit=1)
    assert calls == 2
    assert found == expected


def test_a_log_that_was_replaced_meanwhile_is_shown_as_it_is(store: ExperimentStore) -> None:
    """Though records of another size cannot end where those did that were ranked."""
    ids = runs(store, [log(20 + 2 * n) for n in range(20)])
    other = log(30, names=("other", "names"))
    looks = 0

    def progress(shown: list[str]) -> list[str]:
        nonlocal looks
        looks += 1
        if looks == 2:
            path = store.metrics_path(ids[0])
            path.unlink()
            path.write_bytes(other)
        return shown

    (found,) = compare(store, sort="loss", limit=1, progress=progress)
    assert looks == 2
    assert found.commit_id == ids[0]
    assert found.tail
    assert {name: one.points for name, one in found.metrics.items()} == {"other": 15, "names": 15}


def test_metadata_are_read_of_what_is_shown(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a condition is about them."""
    runs(store, [log(20 + 2 * n) for n in range(20)])
    read: list[str] = []
    original = local.LocalDirectory.read_starts

    def noted(directory: local.LocalDirectory, names: Iterable[str], limit: int) -> Any:
        names = list(names)
        read.extend(name for name in names if name.endswith("meta.bin"))
        return original(directory, names, limit)

    monkeypatch.setattr(local.LocalDirectory, "read_starts", noted)
    (best,) = compare(store, sort="loss", limit=1)
    assert read == [f"{best.commit_id}/meta.bin"]
    assert best.metadata is None
    assert "no metadata" in best.problems[0]
    read.clear()
    assert select(store, "job == nothing") == []
    assert len(read) == 20
