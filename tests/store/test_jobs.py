"""Several processes that read a store: the answers of one, and an end to all of them."""

from __future__ import annotations

import _thread
import errno
import gc
import io
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, ExportError, JobError, SelectionError
from expstore.compare import compare
from expstore.exchange.export import export_file
from expstore.report import contents
from expstore.report.payload import to_json
from expstore.store import jobs, processes
from expstore.store.files import output, system
from expstore.store.files.descriptor import Descriptor
from tests.helpers.memory import in_memory
from tests.helpers.paths import ROOT


@pytest.fixture(params=["fork", "spawn"])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How other processes start."""
    monkeypatch.setattr(processes, "start_method", lambda: request.param)
    return request.param


@pytest.fixture
def several(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> ExperimentStore:
    """Experiments of which one is torn, one has no log and one cannot be read; in small batches."""
    monkeypatch.setattr(jobs, "BATCH", jobs._OPENING)
    for number in range(7):
        commit_id = f"run-{number}"
        with store.start_experiment(commit_id, job_name="train", user="alice") as writer:
            for step in range(number + 1):
                writer.log_many({"loss": 1 / (step + 1), "accuracy": step / 7}, step)
    with store.metrics_path("run-2").open("ab") as file:
        file.write(b"torn")
    store.metrics_path("run-3").unlink()
    store.metrics_path("run-4").unlink()
    store.metrics_path("run-4").mkdir()
    store.metadata_path("run-5").write_bytes(b"\x01")
    return store


@pytest.mark.usefixtures("method")
def test_answers_are_those_of_one_process(several: ExperimentStore) -> None:
    """Summaries and reports, with what is wrong, in the same order."""
    assert compare(several, sort="loss", jobs=2) == compare(several, sort="loss")
    assert list(several.check_all(jobs=2)) == list(several.check_all())


@pytest.mark.usefixtures("method")
@pytest.mark.parametrize(
    ("to", "options"),
    [("csv", {"params": True, "with_metadata": True}), ("jsonl", {"wide_form": True})],
)
def test_an_export_is_that_of_one_process(
    to: Any, options: Any, several: ExperimentStore, tmp_path: Path
) -> None:
    """To the byte, with what could not be read; no part is left beside it."""
    several.update_run("run-1", params={"lr": 0.5}, tags=["x"])
    one = export_file(several, None, tmp_path / "one", to, **options)
    passed: list[str] = []

    def progress(ids: Iterable[str]) -> Iterator[str]:
        for commit_id in ids:
            yield commit_id
            passed.append(commit_id)

    two = export_file(several, None, tmp_path / "two", to, jobs=2, progress=progress, **options)
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()
    assert (two.rows, two.experiments, two.tails) == (one.rows, one.experiments, one.tails)
    assert list(map(str, two.failures.values())) == list(map(str, one.failures.values()))
    assert {"run-4"} <= set(two.failures) == set(one.failures)
    assert passed[-7:] == several.list_experiments()
    assert sorted(os.listdir(tmp_path)) == ["experiments", "one", "two"]


def test_parts_of_an_export_take_each_others_files(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also shorter ones those of longer: there are a few, however many experiments there are."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    monkeypatch.setattr(jobs, "_HELD", 2)
    for number in range(40):
        with store.start_experiment(f"run-{number:02}") as writer:
            for step in range(400 - 10 * number):
                writer.log("loss", 0.5, step)
    one, two = io.BytesIO(), io.BytesIO()
    export_file(store, None, one, "csv")
    files: list[int] = []

    def progress(ids: Iterable[str]) -> Iterator[str]:
        for commit_id in ids:
            yield commit_id
            files.append(len(list(tmp_path.glob(".expstore-*.tmp/*"))))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    export_file(store, None, two, "csv", jobs=2, progress=progress)
    assert two.getvalue() == one.getvalue()
    assert not list(tmp_path.glob(".expstore-*"))
    assert 0 < max(files) < 20


def test_parts_of_a_killed_export_are_removed_by_the_next(
    several: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one that goes on are not; nobody else may read either."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(output, "_YOUNG", -1)
    killed, living = (tmp_path / output.unfinished_name("expstore-parts") for _ in "ab")
    for directory in (killed, living):
        directory.mkdir()
        (directory / "part").write_bytes(b"x")
    modes: list[int] = []

    def progress(ids: Iterable[str]) -> Iterator[str]:
        for commit_id in ids:
            yield commit_id
            modes.extend(path.stat().st_mode & 0o777 for path in tmp_path.glob(".expstore-*.tmp"))

    with Descriptor(living, system.DIRECTORY) as descriptor:
        assert system.try_lock(descriptor, system.LOCK_EX)
        export_file(several, None, io.BytesIO(), "csv", jobs=2, progress=progress)
    assert list(tmp_path.glob(".expstore-*.tmp")) == [living]
    assert 0o700 in modes


class _Full(io.BytesIO):
    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "full", None if data else 0)


@pytest.mark.usefixtures("method")
def test_parts_are_removed_when_no_process_writes_any(
    several: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error too; a directory that gets another file meanwhile would be left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living: list[int] = []
    remove = shutil.rmtree

    def removed(path: Path, **options: Any) -> None:
        living.append(len(multiprocessing.active_children()))
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", removed)
    with pytest.raises(OSError, match="full"):
        export_file(several, None, _Full(), "jsonl", jobs=3)
    assert living == [0]
    assert not list(tmp_path.glob(".expstore-*"))


def test_a_stream_gets_what_one_process_writes(several: ExperimentStore) -> None:
    """The parts are then among the temporary files."""
    one, two = io.BytesIO(), io.BytesIO()
    for stream, jobs_ in ((one, 1), (two, 2)):
        export_file(several, ["run-0", "run-6"], stream, "jsonl", jobs=jobs_)
    assert two.getvalue() == one.getvalue() != b""


def test_runs_for_tensorboard_are_those_of_one_process(
    several: ExperimentStore, tmp_path: Path
) -> None:
    """Each in a directory of its own, with the same events."""
    pytest.importorskip("tensorboard")
    from expstore.exchange.tensorboard import export_tensorboard

    several.update_run("run-1", params={"lr": 0.5})
    one, two = (
        export_tensorboard(several, None, tmp_path / f"by-{jobs}", jobs=jobs) for jobs in (1, 2)
    )
    assert (two.rows, two.tails) == (one.rows, one.tails)
    assert set(two.failures) == set(one.failures) == {"run-4"}
    written = [
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (tmp_path / "by-1", tmp_path / "by-2")
    ]
    assert written[0] == written[1]
    assert len(written[0]) == 6


def test_a_run_for_tensorboard_that_a_killed_process_wrote_is_removed(
    several: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, too, ends the others while they write."""
    pytest.importorskip("tensorboard")
    from expstore.exchange import tensorboard

    write, output = tensorboard._write_run, tmp_path / "runs"

    def killed(directory: Path, *rest: Any) -> Any:
        changes = write(directory, *rest)
        if multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return changes

    monkeypatch.setattr(tensorboard, "_write_run", killed)
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    with pytest.raises(JobError, match="died"):
        tensorboard.export_tensorboard(several, None, output, jobs=2)
    assert not [name for name in os.listdir(output) if name.startswith(".")]


def test_a_report_is_that_of_one_process(
    several: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where some curves do not fit; but for the time at which it was written."""
    rows = sum(len(to_json(row)) for row in contents.collect(several)["runs"])
    monkeypatch.setattr(contents, "LIMIT", contents._PAGE + rows + 1500)
    one, two = (contents.collect(several, jobs=jobs) for jobs in (1, 2))
    assert two | {"written": 0} == one | {"written": 0}
    assert 0 < len(one["curves"]) < len(one["runs"])


def test_a_store_in_memory_is_read_where_it_is(
    several: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process would have found all of its experiments missing."""
    monkeypatch.setattr(processes, "start_method", lambda: "spawn")
    with in_memory(several.root) as url:
        store = ExperimentStore(url)
        assert compare(store, jobs=2) == compare(store)
        assert list(map(str, store.check_all(jobs=2))) == list(map(str, store.check_all()))


def test_one_process_encodes_a_parquet_file(several: ExperimentStore, tmp_path: Path) -> None:
    """More are refused before anything is written, with what to use instead."""
    with pytest.raises(ExportError, match=r"encoded by one process; use jobs=1, or expstore\.clus"):
        export_file(several, None, tmp_path / "x.parquet", "parquet", jobs=2)
    assert not (tmp_path / "x.parquet").exists()


def test_jobs_are_a_number(store: ExperimentStore) -> None:
    """Refused before anything is read; 0 stands for all processors."""
    for wrong in (-1, 1.5, "2", True):
        with pytest.raises(SelectionError, match="jobs must be a whole number"):
            compare(store, jobs=wrong)  # type: ignore[arg-type]
        with pytest.raises(SelectionError, match="jobs must be a whole number"):
            store.check_all(jobs=wrong)  # type: ignore[arg-type]
    assert jobs.check_jobs(0) == len(os.sched_getaffinity(0))
    assert list(jobs.in_order(_lengths, {}, 2)) == []


def _lengths(ids: list[str]) -> list[int]:
    return [len(ids)]


@pytest.mark.parametrize("size", [0, jobs.BATCH // 3, jobs.BATCH, None])
def test_batches_hold_every_experiment_once(size: int | None) -> None:
    """In order, none holds much more than it should, and the last ones are small."""
    sizes = {f"{number:04}": size for number in range(1000)}
    batches = list(jobs._batches(sizes, 2))
    assert [commit_id for batch in batches for commit_id in batch] == list(sizes)
    costs = [len(batch) * ((size or 0) + jobs._OPENING) for batch in batches]
    assert max(costs) < 2 * jobs.BATCH
    assert max(costs[-4:]) < jobs._LEAST + (size or 0) + jobs._OPENING


def test_a_program_with_threads_is_not_copied() -> None:
    """A copy would wait for ever for a lock that another thread has at that moment."""
    code = "from expstore.store import processes; print(processes.start_method())"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert alone.stdout.strip() == ("fork" if sys.platform == "linux" else "spawn")
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        assert processes.start_method() == "spawn"
    finally:
        done.set()
        other.join()


def test_threads_that_python_does_not_list_count() -> None:
    """Such as those in which pytest-xdist receives what to do."""
    ready, done = threading.Lock(), threading.Lock()
    ready.acquire()
    done.acquire()

    def wait() -> None:
        ready.release()
        with done:
            pass

    before = processes.start_method(), threading.active_count()
    _thread.start_new_thread(wait, ())
    with ready:
        assert (processes.start_method(), threading.active_count()) == ("spawn", before[1])
    done.release()


def _handlers(ids: list[str]) -> list[Any]:
    if multiprocessing.parent_process() is None:
        time.sleep(0.05)
        return []
    numbers = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [(*map(signal.getsignal, numbers), signal.set_wakeup_fd(-1), *blocked)]


def test_a_copy_has_no_handlers_of_signals(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those would tell the program, or do its last work; what it ignores and blocks stays so."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    changed: dict[int, Any] = {
        signal.SIGTERM: lambda *_: None,
        signal.SIGUSR1: lambda *_: None,
        signal.SIGINT: signal.SIG_IGN,
    }
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        wakeup = signal.set_wakeup_fd(writing.fileno())
        before = {number: signal.signal(number, to) for number, to in changed.items()}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        try:
            found = list(jobs.in_order(_handlers, dict.fromkeys("abcdefgh", 0), 2))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number, to in before.items():
                signal.signal(number, to)
            signal.set_wakeup_fd(wakeup)
    assert set(found) == {(signal.SIG_DFL, signal.SIG_DFL, signal.SIG_IGN, -1, signal.SIGUSR2)}


def _signalled(ids: list[str]) -> list[int]:
    time.sleep(0.01)
    return [os.getpid()]


def test_a_copy_handles_no_signal_before_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that the whole group gets, in the moment after the fork, is handled by the program."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    handled = tmp_path / "handled"
    real = os.fork

    def fork() -> int:
        process = real()
        if not process:
            for number in (signal.SIGTERM, signal.SIGUSR1):
                os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(os, "fork", fork)
    numbers = signal.SIGTERM, signal.SIGUSR1
    before = [signal.signal(number, lambda *_: handled.touch()) for number in numbers]
    try:
        with pytest.raises(JobError, match="died"):
            list(jobs.in_order(_signalled, dict.fromkeys("abcd", 0), 2))
    finally:
        for number, to in zip(numbers, before, strict=True):
            signal.signal(number, to)
    assert not handled.exists()


@pytest.mark.usefixtures("method")
def test_no_process_is_left(several: ExperimentStore) -> None:
    """None has a copy of a pipe, a file or a lock that is let go of after the results."""
    reading, writing = os.pipe()
    threads = set(threading.enumerate())
    list(several.check_all(jobs=3))
    next(iter(several.check_all(jobs=3)))  # and the others are given up
    assert not multiprocessing.active_children()
    os.close(writing)
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert not set(threading.enumerate()) - threads


def test_a_process_that_cannot_be_started_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the system allows no more; those that were started are ended."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    real, left = os.fork, [1]

    def fork() -> int:
        if not left:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        left.pop()
        return real()

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(JobError, match=r"cannot start a process: Resource .* use fewer jobs"):
        list(jobs.in_order(_told, dict.fromkeys("abcdef", 0), 3))
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("method")
def test_work_that_cannot_be_given_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a process starts: a pool may wait for ever for what it cannot pickle."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    started: list[object] = []
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", started.append)
    with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):
        list(jobs.in_order(lambda ids: ids, dict.fromkeys("abcd", 0), 2))
    assert not started


def _in_daemon(results: Any) -> None:
    results.put(list(jobs.in_order(_lengths, dict.fromkeys("abc", jobs.BATCH), 2)))


def test_a_daemon_process_reads_alone() -> None:
    """Python lets it start no others; such are workers that load data."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=_in_daemon, args=(results,), daemon=True)
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert results.get() == [1, 1, 1]


def test_a_copy_does_not_collect_the_garbage_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is garbage would be written to by both."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    gc.disable()
    try:
        garbage: list[Any] = [_Noted(tmp_path / "notes")]
        garbage.append(garbage)
        del garbage
        list(jobs.in_order(_collect, dict.fromkeys("abcdef", 0), 3))
        assert not (tmp_path / "notes").exists()
    finally:
        gc.enable()
    gc.collect()
    assert (tmp_path / "notes").read_text() == f"{os.getpid()}\n"


class _Noted:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __del__(self) -> None:
        with open(self.path, "a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")


def _collect(ids: list[str]) -> list[str]:
    time.sleep(0.01)
    if multiprocessing.parent_process() is not None:
        gc.collect()
    return ids


def test_python_does_not_warn_of_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do libraries: their threads are not used by a copy."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    monkeypatch.setattr(processes, "start_method", lambda: "fork")
    real = os.fork

    def fork() -> int:
        warnings.warn("multi-threaded, use of fork() may lead to", DeprecationWarning, 2)
        return real()

    monkeypatch.setattr(os, "fork", fork)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(jobs.in_order(_fail, dict.fromkeys("abd", 0), 2)) == list("abd")


def _die(ids: list[str]) -> list[str]:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return ids


@pytest.mark.usefixtures("method")
def test_death_of_a_process_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the system is out of memory; nothing waits for it."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    with pytest.raises(JobError, match="use fewer jobs"):
        list(jobs.in_order(_die, dict.fromkeys("abc", 0), 2))


def _fail(ids: list[str]) -> list[str]:
    if "c" in ids:
        raise ValueError(f"in {os.getpid()}")
    time.sleep(0.01)
    return ids


@pytest.mark.usefixtures("method")
def test_an_error_is_raised_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it happens."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    found: list[str] = []
    with pytest.raises(ValueError, match=r"in \d+"):
        found.extend(jobs.in_order(_fail, dict.fromkeys("abcdef", 0), 2))
    found = list(jobs.in_order(_fail, dict.fromkeys("abdef", 0), 2))
    assert found == list("abdef")


def _told(ids: list[str]) -> list[int]:
    time.sleep(0.02)
    return [os.getpid()]


@pytest.mark.usefixtures("method")
def test_every_process_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """This one too, and results that wait for the others are few."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    workers = Counter(jobs.in_order(_told, dict.fromkeys(map(str, range(120)), 0), 3))
    assert len(workers) == 3
    assert workers[os.getpid()] > 20
    monkeypatch.setattr(jobs, "_HELD", 1)
    assert len(list(jobs.in_order(_told, dict.fromkeys(map(str, range(20)), 0), 2))) == 20


_WAITING = """
import time
from expstore.store import jobs, processes
from expstore.store.files import output, system
from expstore.store.files.descriptor import Descriptor

def wait(ids):
    open(ids[0], "w").close()
    time.sleep(60)
    return ids

if __name__ == "__main__":
    jobs.BATCH = 1
    list(jobs.in_order(wait, dict.fromkeys("abcd", 0), 3))
"""

_SPAWNED = _WAITING.replace(
    "    jobs.BATCH", "    processes.start_method = lambda: 'spawn'\n    jobs.BATCH"
)

_STARTING = (
    _SPAWNED
    + """
elif __name__ == "__mp_main__":
    open("b", "w").close()
    time.sleep(0.3)
"""
)


def _started(folder: Path, source: str) -> subprocess.Popen[str]:
    """A program of three processes, each of which made a file, or is about to start."""
    files = 2 if source == _STARTING else 3
    (folder / "waiting.py").write_text(source)
    program = subprocess.Popen(
        [sys.executable, "waiting.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 30
    while len(list(folder.glob("[abcd]"))) < files and time.monotonic() < until:
        time.sleep(0.02)
    return program


@pytest.mark.parametrize(
    "source", [_WAITING, _SPAWNED, _STARTING], ids=["copies", "working", "starting"]
)
def test_interrupt_ends_all_processes(source: str, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group; one traceback is told, that of the program itself."""
    program = _started(tmp_path, source)
    os.killpg(program.pid, signal.SIGINT)
    _, told = program.communicate(timeout=30)
    assert told.count("Traceback") == 1
    assert told.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("source", [_WAITING, _SPAWNED], ids=["copies", "others"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_others_end_with_the_process_that_started_them(
    number: int, source: str, tmp_path: Path
) -> None:
    """As soon as it is killed; they keep its standard error open as long as they live."""
    program = _started(tmp_path, source)
    try:
        os.kill(program.pid, number)
        _, told = program.communicate(timeout=10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    assert "Traceback" not in told
