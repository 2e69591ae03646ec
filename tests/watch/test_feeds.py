"""The points of runs that are looked at, as their logs grow."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from expstore import ExperimentStore
from expstore.store.files.local import FileLog
from expstore.watch import feeds
from expstore.watch.feeds import Feed, Feeds
from tests.helpers.runs import add, write_run


def values(feed: Feed, name: str = "loss") -> list[float]:
    """The values of a curve; empty if there is none."""
    return feed.curves[name].values.tolist() if name in feed.curves else []


def test_a_curve_grows_with_the_log(store) -> None:
    """What is new is added; a poll without news changes nothing."""
    with store.start_experiment("abc") as writer:
        feed = Feed(store, "abc")
        writer.log_many({"loss": 3.0, "acc": 0.5}, step=0)
        assert feed.poll()
        before = feed.curves
        assert not feed.poll()
        assert feed.curves is before
        writer.log("loss", 2.0, step=1)
        assert feed.poll()
    assert values(feed) == [3.0, 2.0]
    assert before["loss"].values.tolist() == [3.0]  # what was handed out never changes
    assert list(feed.curves) == ["loss", "acc"]


def test_only_the_new_bytes_are_read(store, monkeypatch) -> None:
    """However long the log is, and however often it is looked at."""
    add(store, "abc", metrics={"loss": [1.0] * 10_000})
    feed = Feed(store, "abc")
    feed.poll()
    read = []
    original = FileLog.read

    def counted(*arguments):
        data = original(*arguments)
        read.append(len(data))
        return data

    monkeypatch.setattr(FileLog, "read", counted)
    store.log_metric("abc", "loss", 2.0, step=10_000)
    assert feed.poll()
    assert 0 < sum(read) < 200


def test_steps_that_come_late_are_put_in_order(store) -> None:
    """As several writers of one metric leave them."""
    with store.start_experiment("abc") as writer:
        feed = Feed(store, "abc")
        for step in (0, 10, 5):
            writer.log("loss", float(step), step=step)
            feed.poll()
    assert values(feed) == [0.0, 5.0, 10.0]


def test_a_resumed_run_supersedes_what_it_repeats(store) -> None:
    """From the moment at which it logs again."""
    add(store, "abc", {}, {"loss": [0.0, 1.0, 2.0, 3.0]}, starts=[{"started": 1, "records": 0}])
    feed = Feed(store, "abc")
    feed.poll()
    assert values(feed) == [0.0, 1.0, 2.0, 3.0]
    starts = [{"started": 1, "records": 0}, {"started": 2, "records": 4, "from_step": 2}]
    write_run(store, "abc", starts=starts)
    store.log_metric("abc", "loss", 20.0, step=2)
    assert feed.poll()
    assert values(feed) == [0.0, 1.0, 20.0]


def test_a_log_that_is_cut_is_read_anew(store) -> None:
    """What is no longer in it is no longer shown."""
    add(store, "abc", metrics={"loss": [0.0, 1.0, 2.0, 3.0]})
    feed = Feed(store, "abc")
    feed.poll()
    path = store.metrics_path("abc")
    os.truncate(path, path.stat().st_size // 2)
    feed.poll()
    assert values(feed) == [0.0, 1.0]
    assert feed.problem == ""


def test_zeros_at_the_end_are_no_metric(store) -> None:
    """As a file system shows a log before its bytes are there."""
    add(store, "abc", metrics={"loss": [0.0, 1.0, 2.0, 3.0]})
    path = store.metrics_path("abc")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data)))
    feed = Feed(store, "abc")
    feed.poll()
    assert {name: series.values.tolist() for name, series in feed.curves.items()} == {
        "loss": [0.0, 1.0]
    }
    path.write_bytes(data + bytes(len(data) // 2))
    feed.poll()
    assert list(feed.curves) == ["loss"]
    assert values(feed) == [0.0, 1.0, 2.0, 3.0]


def test_a_deleted_run_keeps_its_curves_and_says_so(store) -> None:
    """If it comes back, it is another one."""
    add(store, "abc", metrics={"loss": [0.0, 1.0]})
    feed = Feed(store, "abc")
    feed.poll()
    shutil.rmtree(store.experiment_path("abc"))
    assert feed.poll()
    assert "deleted" in feed.problem
    assert values(feed) == [0.0, 1.0]
    assert not feed.poll()
    add(store, "abc", metrics={"loss": [9.0]})
    assert feed.poll()
    assert (values(feed), feed.problem) == ([9.0], "")


def test_a_log_that_cannot_be_read_is_a_problem_and_tried_again(store, monkeypatch) -> None:
    """Not at each poll, but after a while."""
    add(store, "abc", metrics={"loss": [1.0]})
    path = store.metrics_path("abc")
    path.rename(path.with_name("aside"))
    path.mkdir()
    feed = Feed(store, "abc")
    assert feed.poll()
    assert "metrics.bin" in feed.problem
    path.rmdir()
    path.with_name("aside").rename(path)
    assert not feed.poll()
    monkeypatch.setattr(feed, "_not_before", 0.0)
    assert feed.poll()
    assert (values(feed), feed.problem) == ([1.0], "")


def test_damage_stays_a_problem_as_the_log_grows(store) -> None:
    """Records after it may be read at a wrong offset."""
    add(store, "abc", metrics={"loss": [1.0] * 4})
    store.metrics_path("abc").write_bytes(os.urandom(700))
    feed = Feed(store, "abc")
    feed.poll()
    first = feed.problem
    assert first != ""
    feed.poll()
    assert feed.problem == first


def test_long_curves_are_thinned_and_keep_their_extremes(store, monkeypatch) -> None:
    """So memory is bounded, and a spike of one point is still seen."""
    monkeypatch.setattr(feeds, "POINTS", 2048)
    log = np.zeros(50_000)
    log[31_234] = 7.0
    add(store, "abc", metrics={"loss": log})
    feed = Feed(store, "abc")
    while feed.poll() or feed.is_behind:
        assert len(feed.curves["loss"].steps) <= 2048
    series = feed.curves["loss"]
    assert series.values.max() == 7.0
    assert series.steps[series.values.argmax()] == 31_234
    assert (series.steps[0], series.steps[-1]) == (0, 49_999)


def test_a_long_log_is_read_in_parts_with_progress(store) -> None:
    """So that keys are answered meanwhile."""
    add(store, "abc", metrics={"loss": np.zeros(400_000)})
    feed, seen = Feed(store, "abc"), []
    feed.poll()
    while feed.is_behind:
        seen.append(feed.progress)
        feed.poll()
    assert seen == sorted(seen)
    assert 0 < seen[0] < 1
    assert feed.progress == 1.0


def test_only_runs_that_are_shown_are_read(store) -> None:
    """One that is shown again goes on where it was."""
    for name in ("one", "two"):
        add(store, name, metrics={"loss": [1.0]})
    several = Feeds(store)
    several.show(["one"])
    assert several.poll() == {"one"}
    several.show(["two"])
    store.log_metric("one", "loss", 2.0, step=1)
    assert several.poll() == {"two"}
    assert several.curves("one")["loss"].values.tolist() == [1.0]
    several.show(["one", "two"])
    assert several.poll() == {"one"}
    assert several.curves("one")["loss"].values.tolist() == [1.0, 2.0]


def test_the_curves_of_a_few_runs_are_kept(store) -> None:
    """Not of all that were ever looked at."""
    ids = [f"run{number}" for number in range(20)]
    several = Feeds(store)
    for commit_id in ids:
        add(store, commit_id, metrics={"loss": [1.0]})
        several.show([commit_id])
        several.poll()
    assert not several.curves(ids[0])
    assert several.curves(ids[-2])
    assert [feed.commit_id for feed in several.states()] == [ids[-1]]


def test_a_run_that_does_not_exist_is_a_problem(store: ExperimentStore) -> None:
    """It may come later."""
    feed = Feed(store, "abc")
    assert feed.poll()
    assert feed.problem == "there is no such run"
    add(store, "abc", metrics={"loss": [1.0]})
    assert feed.poll()
    assert values(feed) == pytest.approx([1.0])
