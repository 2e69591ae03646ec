"""Many files of a store at a URL: several requests at a time, and results in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from expstore import ExperimentStore
from expstore.compare import compare
from expstore.store.files import waiting
from tests.helpers.memory import in_memory
from tests.helpers.paths import ROOT

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


_STALLED = """
import time
from expstore import ExperimentStore
from expstore.store.files import waiting

def work(item):
    print(item, flush=True)
    time.sleep(25)

list(waiting.each(ExperimentStore("memory://many").location, [1], work))
"""


def test_ctrl_c_waits_for_no_answer() -> None:
    """Of a server that no longer sends any; nor does the end of the program."""
    program = subprocess.Popen(
        [sys.executable, "-c", _STALLED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "1\n"
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=10)
    finally:
        program.kill()
    assert told.rstrip().endswith("KeyboardInterrupt")


def test_no_thread_is_left() -> None:
    """Also when the results are given up, or an error is raised."""
    before = set(threading.enumerate())
    assert list(waiting.each(REMOTE, range(100), str))[-1] == "99"
    found = waiting.each(REMOTE, range(100), str)
    next(found)
    found.close()
    with pytest.raises(ZeroDivisionError):
        list(waiting.each(REMOTE, [1, 0], lambda item: 1 // item))
    assert not set(threading.enumerate()) - before


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
    serve = waiting._serve

    def seen(tasks: Any, work: Callable[[Any], object]) -> None:
        def counted(item: object) -> object:
            used.add(threading.get_ident())
            time.sleep(0.001)
            return work(item)

        serve(tasks, counted)

    monkeypatch.setattr(waiting, "_serve", seen)
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
