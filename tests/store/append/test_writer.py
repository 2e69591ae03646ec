"""MetricWriter: durability, threads, and what happens when its experiment is deleted."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import threading
import time
import tracemalloc
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expstore import (
    DeletionError,
    DurabilityError,
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExperimentStore,
    FieldValueError,
    Metadata,
    MetricTable,
    NameTruncatedWarning,
    SyncError,
    UnreadableFileError,
    WriterClosedError,
)
from expstore.store.append import records
from tests.faults.base import read_log

NOW = 1_700_000_000  # the fixed clock of the fixture `store`, in seconds


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the synced files, in order; the syncs still take place."""
    paths: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def spy(descriptor: int, real: Any = real) -> None:
            paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
            real(descriptor)

        monkeypatch.setattr(os, name, spy)
    return paths


def test_process_level_syncs_nothing(store: ExperimentStore, synced: list[str]) -> None:
    """A call makes one write and no sync."""
    store.create_experiment("abc")
    del synced[:]
    with store.writer("abc") as writer:
        writer.log("loss", 0.5, 1)
        writer.flush()
    assert synced == []


def test_power_level_syncs_before_each_return(store: ExperimentStore, synced: list[str]) -> None:
    """First the log, its directory and the root; then the log after every call."""
    store.create_experiment("abc")
    del synced[:]
    with store.writer("abc", durability="power") as writer:
        assert synced == ["metrics.bin", "abc", "experiments"]
        for step in range(3):
            writer.log_many({"loss": 0.5, "accuracy": 0.5}, step)
            assert len(synced) == 4 + step
        writer.append({"name": "loss", "value": [1.0, 2.0], "step": [1, 2]})
    assert synced[3:] == ["metrics.bin"] * 4


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_start_is_on_the_disk(store: ExperimentStore, synced: list[str], durability) -> None:
    """The new names first, and with `power` the log; then the metadata, and its directory."""
    store.start_experiment("abc", durability=durability).close()
    log = ["metrics.bin", "abc", "experiments"] if durability == "power" else []
    assert synced[:-2] == ["experiments", "abc", *log]
    assert synced[-2].startswith(".meta.bin.")
    assert synced[-1] == "abc"


def test_interval_level_syncs_after_so_many_records(
    store: ExperimentStore, synced: list[str]
) -> None:
    """Records count, not calls; `flush` and `close` sync what is pending."""
    store.create_experiment("abc")
    with store.writer("abc", durability="interval", interval_records=5) as writer:
        del synced[:]
        for step in range(4):
            writer.log_many({"a": 0.5, "b": 0.5}, step)
        assert len(synced) == 1  # six records are pending at the third call, then two
        writer.flush()
        writer.flush()
        assert len(synced) == 2
        writer.log("a", 0.5, 9)
    assert len(synced) == 3


def test_interval_level_syncs_after_so_many_seconds(
    store: ExperimentStore, synced: list[str]
) -> None:
    """Even if nothing more is logged."""
    store.create_experiment("abc")
    with store.writer("abc", durability="interval", interval_seconds=0.02) as writer:
        del synced[:]
        writer.log("a", 0.5, 1)
        assert synced == []
        until = time.monotonic() + 10
        while not synced and time.monotonic() < until:
            time.sleep(0.005)
        assert synced == ["metrics.bin"]
        writer.log("a", 0.5, 2)
    assert synced == ["metrics.bin"] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"durability": "full"},
        {"durability": "interval", "interval_records": 0},
        {"durability": "interval", "interval_records": 1.5},
        {"durability": "interval", "interval_records": True},
        {"durability": "interval", "interval_seconds": 0},
        {"durability": "interval", "interval_seconds": float("nan")},
    ],
)
def test_senseless_durability_is_refused(arguments: Any, store: ExperimentStore) -> None:
    """The error is raised before anything is created."""
    with pytest.raises(DurabilityError):
        store.start_experiment("abc", **arguments)
    assert store.list_experiments() == []


def test_failed_sync_poisons_the_writer_and_names_the_records_in_doubt(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync is never retried, because the system may have discarded what it could not write."""
    store.create_experiment("abc")
    store.log_metric("abc", "before", 0.5, 0)  # 27 bytes
    writer = store.writer("abc", durability="interval", interval_records=4)
    for step in range(4):
        writer.log("loss", 0.5, step)  # 25 bytes each; synced at the fourth
    tries = []

    def fail(descriptor: int) -> None:
        tries.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    writer.log("loss", 0.5, 4)
    writer.log("loss", 0.5, 5)
    with pytest.raises(SyncError, match=r"records 4 to 5 .* bytes 127 and 177") as caught:
        writer.flush()
    assert (caught.value.first, caught.value.last) == (4, 5)
    assert (caught.value.start, caught.value.end) == (127, 177)
    for call in (
        lambda: writer.log("loss", 0.5, 6),
        lambda: writer.log_many({"loss": 0.5}, 6),
        lambda: writer.append({"name": "loss", "value": [1.0], "step": [6]}),
        writer.flush,
        writer.close,
    ):
        with pytest.raises(SyncError, match="records 4 to 5"):
            call()
    assert len(tries) == 1
    assert len(store.get_metrics("abc")) == 7
    writer.close()  # already closed, so nothing is raised


def test_sync_that_fails_in_the_background_is_told_by_the_next_call(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure has no caller to raise to when it happens."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval", interval_seconds=0.01)
    failed = threading.Event()

    def fail(descriptor: int) -> None:
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    writer.log("loss", 0.5, 1)
    assert failed.wait(10)
    with pytest.raises(SyncError, match="records 0 to 0"):
        writer.log("loss", 0.5, 2)
    with pytest.raises(SyncError):
        writer.close()


def test_names_that_repeat_give_the_same_records(store: ExperimentStore) -> None:
    """From the second step on, all records are built at once; the result is the same."""
    store.create_experiment("abc")
    steps: list[dict[Any, Any]] = [{"a": 0.5, "b": 1.5}] * 3
    steps += [{"b": 1.5, "a": 0.5}] * 2 + [{"a": np.float32(0.5), "b": 1}] * 2
    steps += [{"a": 0.5, "b": 1.5, "c": float("inf")}, {"a": 0.5, "b": 1.5}, {}]
    with store.writer("abc") as writer:
        for number, values in enumerate(steps):
            writer.log_many(values, number)
        for bad in ({"a": 0.5, "b": "x"}, {"a": True, "b": 0.5}, {"a": 0.5, "b": None}):
            with pytest.raises(FieldValueError):
                writer.log_many(bad, 1)  # type: ignore[arg-type]
        with pytest.raises(FieldValueError, match="out of range"):
            writer.log_many({"a": 0.5, "b": 1.5}, -1)
    expected = [
        (name, step, float(value))
        for step, values in enumerate(steps)
        for name, value in values.items()
    ]
    assert read_log(store.metrics_path("abc")) == (expected, 0)


def test_names_in_turn_are_built_at_once(store: ExperimentStore) -> None:
    """Repeated names need not be consecutive to be cached."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for step in range(3):
            for name in ("a", "b"):
                writer.log_many({name: 0.5}, step)
        assert set(writer._builders) == {("a",), ("b",)}
    expected = [(name, step, 0.5) for step in range(3) for name in ("a", "b")]
    assert read_log(store.metrics_path("abc")) == (expected, 0)


def test_a_builder_once_made_stays() -> None:
    """With any number of names in turn, none is compiled repeatedly."""
    builders = records.StepBuilders()
    sets = [(f"{k}/a", f"{k}/b") for k in range(3000)]
    for _ in range(2):
        for names in sets[:500]:
            builders[names]
    first = {names: builders[names] for names in sets[:500]}
    for _ in range(3):
        for names in sets:
            builders[names]
    assert set(first) <= set(builders)
    assert all(builders[names] is build for names, build in first.items())
    assert 500 <= len(builders) <= 2048


def test_what_is_remembered_of_names_is_small() -> None:
    """Many steps of new names, and one with very many, use little memory."""
    builders = records.StepBuilders()
    tracemalloc.start()
    try:
        for step in range(300):
            builders[tuple(f"{step}/{k}" for k in range(1000))]
        for _ in range(3):
            builders[tuple(map(str, range(50_000)))]
        builders["n" * 10_000_000,]
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert not builders


class Kind(str, Enum):  # noqa: UP042 - the str() of a StrEnum is its value
    """A string whose `str()` is something else."""

    LOSS = "loss"


@pytest.mark.parametrize("known", [False, True])
def test_a_text_is_logged_as_the_text_that_it_is(store: ExperimentStore, known: bool) -> None:
    """A str subclass is logged as its value, in every way of logging, cached or not."""
    store.create_experiment("abc")
    store.write_metadata(Metadata("abc", 1, Kind.LOSS, Kind.LOSS))
    assert store.read_metadata("abc") == Metadata("abc", 1, "loss", "loss")
    with store.writer("abc") as writer:
        for step in range(3 * known):
            writer.log_many({"loss": 0.5}, step)
        for step in range(3):
            writer.log_many({Kind.LOSS: 0.5}, step)
        writer.log(Kind.LOSS, 0.5, 1)
        store.log_metric("abc", Kind.LOSS, 0.5, 1)
        writer.append({"name": [Kind.LOSS], "value": [0.5], "step": [1]})
        with pytest.warns(NameTruncatedWarning):
            writer.log(np.str_("x" * 300), 0.5, 1)
    assert set(store.get_metrics("abc").names) == {"loss", "x" * 255}


@pytest.mark.parametrize("name", ["\ud800", "\ud800" * 100])
def test_a_name_that_is_no_utf_8_is_refused(store: ExperimentStore, name: str) -> None:
    """Whether short or long, in every way of logging; nothing is written."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for log in (
            lambda: writer.log(name, 0.5, 1),
            lambda: writer.log_many({name: 0.5}, 1),
            lambda: store.log_metric("abc", name, 0.5, 1),
            lambda: writer.append({"name": [name], "value": [0.5], "step": [1]}),
        ):
            with pytest.raises(FieldValueError):
                log()
    assert store.metrics_path("abc").stat().st_size == 0


@pytest.mark.parametrize(
    "columns",
    [
        {"value": 0.5},
        {"value": np.array(0.5)},
        {"value": None},
        {"name": None},
        {"name": [["loss"]]},
        {"step": {1}},
        {"value": np.ma.masked_array([0.5], [True])},
    ],
)
def test_columns_that_are_none_are_refused(store: ExperimentStore, columns: dict[str, Any]) -> None:
    """The error names the column and is raised before anything is written."""
    store.create_experiment("abc")
    given = {"name": ["loss"], "value": [0.5], "step": [1]} | columns
    with store.writer("abc") as w, pytest.raises(FieldValueError, match=next(iter(columns))):
        w.append(given)
    assert store.metrics_path("abc").stat().st_size == 0


MASKED = [
    np.ma.masked,
    np.ma.masked_array([0.5], [True]),
    np.ma.masked_array(0.5, True),
    np.ma.masked_array([1.0, 2.0], [True, True]).mean(),
]


@pytest.mark.parametrize("value", MASKED, ids=repr)
@pytest.mark.parametrize("known", [False, True])
def test_a_masked_value_is_refused(store: ExperimentStore, value: Any, known: bool) -> None:
    """In every way of logging; neither 0.0 nor the hidden value is written."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for step in range(3 * known):
            writer.log_many({"acc": 1.0, "loss": 0.5}, step)
        before = store.metrics_path("abc").stat().st_size
        for log in (
            lambda: writer.log("loss", value, 7),
            lambda: writer.log_many({"acc": 1.0, "loss": value}, 7),
            lambda: store.log_metric("abc", "loss", value, 7),
            lambda: store.log_metrics("abc", {"acc": 1.0, "loss": value}, 7),
            lambda: writer.append({"name": "loss", "value": [1.0, value], "step": [6, 7]}),
            lambda: writer.append({"name": "loss", "value": (value,), "step": [7]}),
        ):
            with pytest.raises(FieldValueError, match=r"metric 'loss' at step 7: .*masked"):
                log()
        with pytest.raises(FieldValueError, match=r"masked.*field step"):
            writer.log("loss", 0.5, np.ma.masked_array([3], [True]))
        with pytest.raises(FieldValueError, match=r"masked.*field step"):
            writer.append({"name": "loss", "value": [0.5], "step": [np.ma.masked_array(3, True)]})
    assert store.metrics_path("abc").stat().st_size == before


def test_an_array_with_a_mask_that_hides_nothing_is_a_number(store: ExperimentStore) -> None:
    """As any other array of one element."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        writer.log("loss", np.ma.masked_array([0.5], [False]), 1)
        writer.append({"name": "loss", "value": np.ma.masked_array([0.5]), "step": [1]})
        writer.append({"name": "loss", "value": [np.ma.masked_array(0.5)], "step": [1]})
    assert store.get_metrics("abc").values.tolist() == [0.5] * 3


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("value", [None, "0.5", True, [0.5, 0.25]], ids=repr)
def test_a_refusal_names_the_metric_and_its_step(
    store: ExperimentStore, value: Any, known: bool
) -> None:
    """In every way of logging."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for step in range(3 * known):
            writer.log_many({"acc": 1.0, "loss": 0.5}, step)
        for log in (
            lambda: writer.log("loss", value, 7),
            lambda: writer.log_many({"acc": 1.0, "loss": value}, 7),
            lambda: store.log_metric("abc", "loss", value, 7),
            lambda: store.log_metrics("abc", {"acc": 1.0, "loss": value}, 7),
            lambda: writer.append({"name": ["acc", "loss"], "value": [1, value], "step": [6, 7]}),
        ):
            with pytest.raises(FieldValueError, match="metric 'loss' at step 7: ") as caught:
                log()
            assert caught.value.field == "value"
        with pytest.raises(FieldValueError, match="metric 'loss' at step -1: "):
            writer.log_many({"loss": 0.5}, -1)


def test_a_refusal_of_a_long_column_names_the_row(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from the column's beginning, also where it takes several writes."""
    monkeypatch.setattr("expstore.store.append.records.ROWS", 4)
    store.create_experiment("abc")
    steps = list(range(20, 30))
    values = [0.5] * 9 + [None]
    with (
        store.writer("abc") as writer,
        pytest.raises(FieldValueError, match=r"metric 'x' at step 29: .*record 9") as caught,
    ):
        writer.append({"name": "x", "value": values, "step": steps})
    assert caught.value.index == 9
    assert store.metrics_path("abc").stat().st_size == 0


UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", [list, np.array, partial(np.array, dtype=np.uint64)])
def test_times_in_a_smaller_unit_are_refused(store: ExperimentStore, unit: str, kind: Any) -> None:
    """With the remedy; a table is refused as columns are, and nothing is written."""
    store.create_experiment("abc")
    now = 1_700_000_000
    given = {"name": "loss", "value": [0.5, 0.25], "step": [3, 4]}
    table = MetricTable(
        ("loss",),
        np.zeros(2, np.int32),
        np.array([0.5, 0.25]),
        np.array([3, 4], np.uint32),
        np.array([now, now * UNITS[unit]]),
    )
    remedy = rf"metric 'loss' at step 4: .* in {unit}, .*divide it by {UNITS[unit]:,}"
    with store.writer("abc") as writer:
        for metrics in (given | {"timestamp": kind([now, now * UNITS[unit] + 123])}, table):
            with pytest.raises(FieldValueError, match=remedy) as caught:
                writer.append(metrics)
            assert (caught.value.field, caught.value.index) == ("timestamp", 1)
        assert store.metrics_path("abc").stat().st_size == 0
        for accepted in (0, -1, 2**62, 4_000_000_000, 2**40 // 10**3, -now * UNITS[unit]):
            writer.append(given | {"timestamp": [now, accepted]})
    with pytest.raises(FieldValueError, match=rf"in {unit}, .*field timestamp"):
        store.write_metadata(Metadata("abc", now * UNITS[unit]))
    assert not store.metadata_path("abc").exists()


def test_an_empty_step_is_nothing(store: ExperimentStore) -> None:
    """Even if another writer appended in the meantime."""
    store.create_experiment("abc")
    other = ExperimentStore(store.root)
    store.log_metric("abc", "a", 0.5, 0)
    other.log_metric("abc", "b", 0.5, 0)
    store.log_metrics("abc", {}, 1)
    with pytest.raises(ExperimentNotFoundError):
        store.log_metrics("none", {}, 1)
    assert read_log(store.metrics_path("abc")) == ([("a", 0, 0.5), ("b", 0, 0.5)], 0)


@pytest.mark.parametrize("name", [None, 1, b"loss", ["loss"], {}])
def test_name_that_is_no_text_is_refused(store: ExperimentStore, name: Any) -> None:
    """The error names the field, even if the value is not hashable."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for log in (writer.log, partial(store.log_metric, "abc")):
            with pytest.raises(FieldValueError, match=r"expected str.*field name"):
                log(name, 0.5, 1)
    assert store.metrics_path("abc").stat().st_size == 0


def test_many_sets_of_names_are_all_right(store: ExperimentStore) -> None:
    """The cache of names is bounded, and what is not cached gives the same result."""
    store.create_experiment("abc")
    expected = []
    with store.writer("abc") as writer:
        for step in range(3000):
            names = [f"{step // 2 % 1400}/{k}" for k in range(2)]
            writer.log_many(dict.fromkeys(names, 0.5), step)
            expected += [(name, step, 0.5) for name in names]
        assert 0 < len(writer._builders) <= 2048
    assert read_log(store.metrics_path("abc")) == (expected, 0)


def test_writer_is_shared_among_threads(store: ExperimentStore) -> None:
    """All records of each thread are there, in order; steps are never interleaved."""
    store.create_experiment("abc")
    with store.writer("abc", durability="interval", interval_records=50) as writer:

        def work(me: int) -> None:
            for step in range(300):
                writer.log_many({f"{me}/a": 0.5, f"{me}/b": 0.5}, step)
                store.log_metric("abc", f"{me}/c", 0.5, step)

        threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    records, rest = read_log(store.metrics_path("abc"))
    assert rest == 0
    assert len(records) == 4 * 300 * 3
    for me in range(4):
        assert [s for n, s, _ in records if n == f"{me}/c"] == list(range(300))
        mine = [(n, s) for n, s, _ in records if n in (f"{me}/a", f"{me}/b")]
        assert mine == [(f"{me}/{x}", s) for s in range(300) for x in "ab"]


@pytest.mark.parametrize("how", ["forced", "removed", "made again", "moved", "log removed"])
def test_writer_of_a_gone_experiment_says_so_at_the_next_append(
    how: str, store: ExperimentStore
) -> None:
    """Even if the id is in use again: nothing is written to the new experiment."""
    store.start_experiment("abc").close()
    path = store.experiment_path("abc")
    with store.writer("abc") as writer:
        for step in range(3):
            writer.log_many({"loss": 0.5}, step)
        if how == "forced":
            assert store.prune_experiments(0, force=True) == ["abc"]
        elif how == "moved":
            path.rename(path.with_name("moved"))
        elif how == "log removed":
            store.metrics_path("abc").unlink()
        else:
            shutil.rmtree(path)
        if how == "made again":
            store.create_experiment("abc")
            store.metrics_path("abc").touch()
        for _ in range(2):
            with pytest.raises(ExperimentGoneError, match="abc: "):
                writer.log("loss", 0.5, 4)
            with pytest.raises(ExperimentGoneError):
                writer.log_many({"loss": 0.5}, 4)
    if how == "made again":
        assert store.metrics_path("abc").read_bytes() == b""
    assert (store.root / "moved").exists() == (how == "moved")


def test_experiment_without_a_files_directory_is_not_gone(store: ExperimentStore) -> None:
    """Removing `files/` does not delete the experiment."""
    store.create_experiment("abc")
    store.files_path("abc").rmdir()
    with store.writer("abc") as writer:
        writer.log("loss", 0.5, 1)
        writer.log("loss", 0.5, 2)
    assert len(store.get_metrics("abc")) == 2


def test_closed_writer_refuses(store: ExperimentStore) -> None:
    """A second close does nothing; logging raises, and nothing is written."""
    writer = store.start_experiment("abc")
    writer.log("loss", 0.5, 1)
    writer.close()
    writer.close()
    with pytest.raises(WriterClosedError, match="closed"):
        writer.log("loss", 0.5, 2)
    with pytest.raises(WriterClosedError):
        writer.log_many({"loss": 0.5}, 2)
    assert len(store.get_metrics("abc")) == 1


def test_writer_leaves_no_descriptor_open(store: ExperimentStore) -> None:
    """Whether it is closed, garbage-collected, or could not be opened."""
    store.create_experiment("abc")
    store.create_experiment("bad")
    store.metrics_path("bad").mkdir()
    before = sorted(os.listdir("/proc/self/fd"))
    for durability in ("process", "interval", "power"):
        with store.writer("abc", durability=durability) as writer:  # type: ignore[arg-type]
            writer.log("loss", 0.5, 1)
        with pytest.raises(OSError, match="is a directory"):
            store.writer("bad", durability=durability)  # type: ignore[arg-type]
    writer = store.writer("abc")
    del writer
    store.log_metric("abc", "loss", 0.5, 1)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_exception_in_the_block_keeps_what_was_logged(store: ExperimentStore) -> None:
    """A run that dies keeps everything that it logged."""

    def run() -> None:
        with store.start_experiment("abc", "job", "me") as writer:
            writer.log("loss", 0.5, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(store.get_metrics("abc")) == 1
    assert store.read_metadata("abc") == Metadata("abc", NOW, "job", "me")


def test_a_flush_waits_for_no_call_that_goes_on(store: ExperimentStore) -> None:
    """With `process` nothing is pending, and a signal handler would wait forever."""
    store.create_experiment("abc")
    with store.writer("abc") as writer, writer._lock:
        writer.flush()


def test_a_clock_of_the_caller_hides_no_deletion(tmp_path: Path) -> None:
    """A deletion is noticed even if the clock is very slow."""
    ticks = iter(range(10**9))
    slow = ExperimentStore(tmp_path, clock=lambda: NOW + next(ticks) / 1e6)
    slow.create_experiment("abc")
    with slow.writer("abc") as writer:
        for step in range(10):
            writer.log("loss", 0.5, step)
        slow.delete_experiments(["abc"], force=True)
        with pytest.raises(ExperimentGoneError):
            writer.log("loss", 0.5, 10)


def test_new_files_that_cannot_be_synced_are_a_typed_error(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of a new writer, and the directory of new metadata."""
    store.create_experiment("abc")
    real = os.fsync

    def fails(descriptor: int) -> None:
        real(descriptor)
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(SyncError, match="could not be synced"):
        store.writer("abc", durability="power")
    with pytest.raises(UnreadableFileError, match=r"meta\.bin: Input/output error"):
        store.write_metadata(Metadata("abc", 1))


def test_errors_and_tables_survive_being_sent(store: ExperimentStore) -> None:
    """Pickled errors keep their message and attributes; copied tables stay read-only."""
    for error in (DeletionError(["a"], {"b": "why"}), SyncError("message", 1, 2, 3, 4)):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    table = store.get_metrics("abc")
    for again in (pickle.loads(pickle.dumps(table)), deepcopy(table)):
        assert list(again) == list(table)
        assert again.names == table.names
        assert not again.values.flags.writeable
