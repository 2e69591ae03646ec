"""MetricWriter: the records that a SyncError counts, the lock of `flush`, and use after `close`."""

from __future__ import annotations

import math
import threading

import pytest

from expstore import ExperimentStore, SyncError, UnreadableFileError, WriterClosedError
from expstore.store.append import records
from expstore.store.append import writer as module
from expstore.store.append.durability import Durability
from tests.helpers.descriptors import open_descriptors


def failing() -> None:
    """What a sync does on a failing disk."""
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("before", [0, 5])
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 8])
def test_sync_error_counts_the_records_of_every_write(
    rows: int, before: int, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns appended in several writes are as many records as they have rows."""
    monkeypatch.setattr(records, "ROWS", 3)
    store.create_experiment("abc")

    def columns(count: int) -> dict[str, object]:
        return {"name": "loss", "value": [0.5] * count, "step": list(range(count))}

    writer = store.writer("abc", durability="interval", interval_seconds=3600)
    writer.append(columns(before))
    writer.flush()
    start = store.metrics_path("abc").stat().st_size
    writer.append(columns(rows))
    monkeypatch.setattr(writer._log, "sync", failing)
    with pytest.raises(SyncError) as caught:
        writer.flush()
    error = caught.value
    assert (error.first, error.last) == (before, before + rows - 1)
    assert (error.start, error.end) == (start, store.metrics_path("abc").stat().st_size)
    with pytest.raises(SyncError):
        writer.close()


def test_flush_holds_the_lock(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread's record, or the timer's sync, may not come in between."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval", interval_seconds=3600)
    writer.log("loss", 0.5, 1)
    taken: list[bool] = []
    sync = writer._log.sync

    def asked_meanwhile() -> None:
        asking = threading.Thread(target=lambda: taken.append(writer._lock.acquire(blocking=False)))
        asking.start()
        asking.join()
        sync()

    monkeypatch.setattr(writer._log, "sync", asked_meanwhile)
    writer.flush()
    assert taken == [False]
    writer.close()


def test_closed_writer_says_so_at_once(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while a check made before it was closed would still be valid."""
    monkeypatch.setattr(module, "_CHECK_INTERVAL", math.inf)
    store = ExperimentStore(store.root)
    store.create_experiment("abc")
    writer = store.writer("abc")
    writer.log("loss", 0.5, 1)
    writer.close()
    with pytest.raises(WriterClosedError, match="is closed"):
        writer.log("loss", 0.5, 2)
    with pytest.raises(WriterClosedError, match="is closed"):
        writer.log_many({"loss": 0.5}, 2)
    assert len(store.get_metrics("abc")) == 1


@pytest.mark.parametrize("durability", ["process", "interval"])
def test_error_on_closing_leaves_the_writer_closed(
    durability: Durability, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is released, so that the experiment can be deleted."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability=durability)
    writer.log("loss", 0.5, 1)
    close = writer._log.close

    def failing() -> None:
        close()
        raise UnreadableFileError("metrics.bin: Input/output error")

    monkeypatch.setattr(writer._log, "close", failing)
    before = len(open_descriptors())
    with pytest.raises(UnreadableFileError):
        writer.close()
    assert len(open_descriptors()) == before - 2  # the log and the directory
    monkeypatch.undo()
    with pytest.raises(WriterClosedError):
        writer.log("loss", 0.5, 2)
    assert store.delete_experiments(["abc"]) == ["abc"]
