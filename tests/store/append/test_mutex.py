"""A lock among threads that `with` takes faster is one of `threading` in all else."""

from __future__ import annotations

import threading

import pytest

from expstore.store.append.mutex import mutex


def test_one_thread_at_a_time_is_inside() -> None:
    """Each sees the count as it left it."""
    lock, count, seen = mutex(), 0, []

    def work() -> None:
        nonlocal count
        for _ in range(2000):
            with lock:
                before = count
                count = -1
                seen.append(before)
                count = before + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == list(range(8000))


def test_error_inside_releases_it_and_comes_out() -> None:
    """As of any lock."""
    lock = mutex()
    with lock:
        assert lock.locked()
        assert not lock.acquire(blocking=False)
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert not lock.locked()
    with lock as taken:
        assert taken


def test_each_lock_is_another() -> None:
    """Two stores do not wait for each other."""
    with mutex() as one, mutex() as other:
        assert one
        assert other
