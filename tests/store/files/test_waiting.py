"""Many files of a store at a URL: several requests at a time, and results in order."""

from __future__ import annotations

import concurrent.futures
import threading
import time

import pytest

from expstore import ExperimentStore
from expstore.compare import compare
from expstore.store.files import waiting
from tests.helpers.memory import in_memory

REMOTE = ExperimentStore("memory://many").location


def test_several_are_in_work_at_a_url_and_results_come_in_order(store: ExperimentStore) -> None:
    """As many as waiting pays for, and no more; on a file system, one after another."""
    active: list[int] = []
    most = 0

    def work(item: int) -> int:
        nonlocal most
        active.append(item)
        most = max(most, len(active))
        time.sleep(0.002)
        active.remove(item)
        return item

    assert list(waiting.each(REMOTE, range(200), work)) == list(range(200))
    assert 1 < most <= waiting.REQUESTS
    most = 0
    assert list(waiting.each(store.location, range(50), work)) == list(range(50))
    assert most == 1


def test_only_a_few_results_wait_for_their_turn() -> None:
    """Whoever takes them slowly does not fill the memory."""
    begun: list[int] = []
    found = waiting.each(REMOTE, iter(range(10_000)), lambda item: begun.append(item) or item)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    assert len(begun) <= 3 * waiting.REQUESTS
    found.close()
    assert len(begun) <= 3 * waiting.REQUESTS


def test_an_error_is_raised_in_its_turn_and_ends_the_work() -> None:
    """What has not begun is not done."""
    done: list[int] = []

    def work(item: int) -> int:
        if item == 1:
            raise ValueError("unreadable")
        time.sleep(0.001)
        done.append(item)
        return item

    found = waiting.each(REMOTE, range(500), work)
    assert next(found) == 0
    with pytest.raises(ValueError, match="unreadable"):
        next(found)
    assert len(done) < 500


def test_checks_and_comparisons_read_several_experiments_at_a_time(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the results that they have on a file system."""
    for number in range(80):
        store.create_experiment(f"{number:02}")
        store.log_metrics(f"{number:02}", {"loss": number / 3, f"n{number % 7}": 1.0}, number)
    with store.metrics_path("07").open("ab") as log:
        log.write(b"\x05")
    used: set[int] = set()
    threads = concurrent.futures.ThreadPoolExecutor

    class Seen(threads):
        def submit(self, work, *args):  # type: ignore[no-untyped-def]
            def seen(*given: object) -> object:
                used.add(threading.get_ident())
                time.sleep(0.001)
                return work(*given)

            return super().submit(seen, *args)

    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", Seen)
    with in_memory(store.root) as url:
        remote = ExperimentStore(url)
        checked = [(one.commit_id, len(one.findings), one.records) for one in remote.check_all()]
        assert checked == [
            (one.commit_id, len(one.findings), one.records) for one in store.check_all()
        ]
        assert len(used) > 1
        used.clear()
        found = [(one.commit_id, one.metrics, one.tail) for one in compare(remote)]
        assert found == [(one.commit_id, one.metrics, one.tail) for one in compare(store)]
        assert len(used) > 1
