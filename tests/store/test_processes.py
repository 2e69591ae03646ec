"""Processes end, whatever happens to them, to this one, and to the results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, JobError
from expstore.compare import compare
from expstore.store import jobs, processes
from tests.helpers.paths import ROOT

_LARGE = 1 << 24  # bytes: more than a connection holds


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BATCH", 1)


@pytest.fixture(params=["fork", "spawn"])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How other processes start."""
    monkeypatch.setattr(processes, "start_method", lambda: request.param)
    return request.param


def _program(source: str, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, which ends soon or is a defect."""
    path = folder / "program.py"
    path.write_text(source)
    return subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def _cut(ids: list[str]) -> list[bytes]:
    if multiprocessing.parent_process() is None:
        time.sleep(0.5)  # and takes no results meanwhile
        return []
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return [bytes(_LARGE)]


def test_death_while_a_result_is_sent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the rest of it."""
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    with pytest.raises(JobError, match="use fewer jobs"):
        list(jobs.in_order(_cut, dict.fromkeys("abcd", 0), 3))
    assert not multiprocessing.active_children()


def _large(ids: list[str]) -> list[int]:
    return [len(bytes(_LARGE))] if ids == ["z"] else [_LARGE] * 100_000


def test_large_results_do_not_keep_parts_from_being_taken(method: str) -> None:
    """Else both sides would wait for each other."""
    sizes = dict.fromkeys([*map(str, range(12)), "x" * (1 << 18)], 0)
    found = list(jobs.in_order(_large, sizes, 3))
    assert len(found) == 13 * 100_000


def test_results_that_are_given_up_leave_nothing(store: ExperimentStore) -> None:
    """By `close`, or by an error that is kept: no process, no descriptor."""
    for number in range(8):
        store.create_experiment(str(number))
    list(store.check_all(jobs=3))  # what is loaded once may stay open
    before = len(os.listdir("/proc/self/fd"))
    reports = store.check_all(jobs=3)
    next(reports), next(reports)
    assert len(multiprocessing.active_children()) == 2
    reports.close()

    def failing(ids: list[str]) -> Iterator[str]:
        yield from ids[:2]
        raise ValueError("kept")

    with pytest.raises(ValueError, match="kept") as kept:
        compare(store, progress=failing, jobs=3)
    assert kept.value.__traceback__ is not None
    assert not multiprocessing.active_children()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_program_ends_with_results_that_nobody_took(start: str, tmp_path: Path) -> None:
    """Whatever refers to them, and without a word."""
    source = f"""
import sys
from expstore.store import jobs, processes

def work(ids):
    return ids

if __name__ == "__main__":
    jobs.BATCH = 1
    processes.start_method = lambda: {start!r}
    sys.results = jobs.in_order(work, dict.fromkeys("abcdefgh", 0), 3)
    print(next(sys.results))
"""
    done = _program(source, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("a\n", "", 0)


def _same(ids: list[str]) -> list[str]:
    return ids


def test_a_copy_of_this_process_does_not_take_the_results() -> None:
    """Nor does it end the processes of this one."""
    results = jobs.in_order(_same, dict.fromkeys("abcdef", 0), 2)
    assert next(results) == "a"
    if not (copy := os.fork()):
        try:
            list(results)
        except JobError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 7
    assert list(results) == list("bcdef")


@pytest.mark.usefixtures("method")
def test_a_program_that_ignores_the_end_of_others_gets_all_results() -> None:
    """Then the system, not Python, waits for them."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert list(jobs.in_order(_same, dict.fromkeys("abcdef", 0), 2)) == list("abcdef")
        assert not multiprocessing.active_children()
    finally:
        signal.signal(signal.SIGCHLD, before)


_COPIES = """
import os, signal, sys, time
from expstore.store import jobs, processes

def work(ids):
    time.sleep(0.05)
    return ids

jobs.BATCH = 1
processes.start_method = lambda: "fork"
"""


def test_a_copy_of_this_process_that_exits_leaves_the_others(tmp_path: Path) -> None:
    """Without a word, and one that lives on does not keep them from ending with this one."""
    source = f"""{_COPIES}
results = jobs.in_order(work, dict.fromkeys(map(str, range(12)), 0), 2)
next(results)
if not (copy := os.fork()):
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), len(list(results)))
results = jobs.in_order(work, dict.fromkeys(map(str, range(12)), 0), 2)
next(results)
if copy := os.fork():
    print(copy, flush=True)
else:
    os.closerange(0, 3)
    time.sleep(25)
os._exit(0)
"""
    done = _program(source, tmp_path)  # until no process has its output open
    told, copy = done.stdout.splitlines()
    os.kill(int(copy), signal.SIGKILL)  # it lived on
    assert (told, done.stderr, done.returncode) == ("7 11", "", 0)


class _NotMade:
    """Where it is to be made again, that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, ids: list[str]) -> list[str]:
        time.sleep(0.05)
        return ids

    def __reduce__(self) -> Any:
        return _fail, (self.error,)


def _fail(error: Exception) -> Any:
    raise error


def _not_made(ids: list[str]) -> list[Any]:
    return [_NotMade(EOFError("lost"))]


@pytest.mark.usefixtures("method")
@pytest.mark.parametrize("error", [AttributeError("lost"), EOFError("lost")])
def test_work_that_cannot_be_made_in_another_process_is_an_error(error: Exception) -> None:
    """As what a session of Python defines, for a new process; nothing waits for it."""
    with pytest.raises(JobError, match=f"the work .* {type(error).__name__}: lost; use one job"):
        list(jobs.in_order(_NotMade(error), dict.fromkeys("abcd", 0), 2))
    assert not multiprocessing.active_children()


def test_results_that_cannot_be_made_again_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of them, not of a process that died."""
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    with pytest.raises(JobError, match="a result cannot be passed on: EOFError: lost"):
        list(jobs.in_order(_not_made, dict.fromkeys("abcd", 0), 2))


def test_ctrl_c_that_a_program_answers_itself_ends_no_process(tmp_path: Path) -> None:
    """As one that notes to stop later; Ctrl-C reaches the whole group."""
    source = f"""{_COPIES}
signal.signal(signal.SIGINT, lambda *_: print("later"))
results = jobs.in_order(work, dict.fromkeys("abcdefgh", 0), 3)
print(next(results))
os.killpg(0, signal.SIGINT)
print(*results)
"""
    done = _program(source, tmp_path, start_new_session=True)
    assert (done.stdout, done.stderr) == ("a\nlater\nb c d e f g h\n", "")


class _OddError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def _odd(ids: list[str]) -> list[Any]:
    if multiprocessing.parent_process() is None:
        time.sleep(0.1)
        return []
    if ids == ["a"]:
        raise _OddError(1, 2)
    return [lambda: 0]


@pytest.mark.usefixtures("method")
def test_what_cannot_be_passed_on_is_an_error() -> None:
    """An error that cannot be made again, too: what it said is told."""
    with pytest.raises(JobError, match="passed on: _OddError: 1 and 2"):
        list(jobs.in_order(_odd, dict.fromkeys("abcd", 0), 2))
    with pytest.raises(JobError, match=r"passed on: .*local object"):
        list(jobs.in_order(_odd, dict.fromkeys("bcd", 0), 2))


def test_a_script_without_a_guard_is_told_what_it_needs(tmp_path: Path) -> None:
    """Where processes are new ones, each runs the script up to its guard."""
    done = _program(
        "from expstore.store import jobs, processes\n"
        "jobs.BATCH = 1\n"
        "processes.start_method = lambda: 'spawn'\n"
        "list(jobs.in_order(list, dict.fromkeys('abcd', 0), 2))\n",
        tmp_path,
    )
    assert "JobError: a process that was to read ended with exit code 1; " in done.stderr
    assert done.stderr.rstrip().endswith('under `if __name__ == "__main__":`')


_SLOW = """
import os, signal, sys, time
from expstore.store import jobs, processes

def work(ids):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(60)
    return ids

if __name__ == "__main__":
    jobs.BATCH = 1
    end = processes.Processes.end

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        end(self)
        signal.raise_signal(signal.SIGINT)
        print("ended", flush=True)

    processes.Processes.end = interrupted
    list(jobs.in_order(work, dict.fromkeys("abcd", 0), 3))
"""


def test_a_second_ctrl_c_does_not_interrupt_the_end(tmp_path: Path) -> None:
    """That of the processes, which are ended at once if only this one was interrupted."""
    (tmp_path / "slow.py").write_text(_SLOW)
    program = subprocess.Popen(
        [sys.executable, "slow.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    living = [int(program.stdout.readline()) for _ in range(3)]
    program.send_signal(signal.SIGINT)
    told, errors = program.communicate(timeout=30)
    assert told == "ended\n"
    assert errors.count("Traceback") == 1
    for one in living:
        with pytest.raises(ProcessLookupError):
            os.kill(one, 0)
