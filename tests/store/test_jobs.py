"""Several processes that read a store: the answers of one, and an end to all of them."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
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
from expstore.store import jobs
from tests.helpers.paths import ROOT


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


def test_answers_are_those_of_one_process(several: ExperimentStore) -> None:
    """Summaries and reports, with what is wrong, in the same order."""
    assert compare(several, sort="loss", jobs=2) == compare(several, sort="loss")
    assert list(several.check_all(jobs=2)) == list(several.check_all())


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


def test_a_report_is_that_of_one_process(
    several: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where some curves do not fit; but for the time at which it was written."""
    rows = sum(len(to_json(row)) for row in contents.collect(several)["runs"])
    monkeypatch.setattr(contents, "LIMIT", contents._PAGE + rows + 1500)
    one, two = (contents.collect(several, jobs=jobs) for jobs in (1, 2))
    assert two | {"written": 0} == one | {"written": 0}
    assert 0 < len(one["curves"]) < len(one["runs"])


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
    """In order, and none holds much more than it should."""
    sizes = {f"{number:04}": size for number in range(1000)}
    batches = list(jobs._batches(sizes))
    assert [commit_id for batch in batches for commit_id in batch] == list(sizes)
    assert all(len(batch) * (size or 0) < 2 * jobs.BATCH for batch in batches)


def _die(ids: list[str]) -> list[str]:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return ids


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


def test_an_error_is_raised_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it happens; here in this process, which works while the other one starts."""
    monkeypatch.setattr(jobs, "BATCH", 1)
    found: list[str] = []
    with pytest.raises(ValueError, match=f"in {os.getpid()}"):
        found.extend(jobs.in_order(_fail, dict.fromkeys("abcdef", 0), 2))
    found = list(jobs.in_order(_fail, dict.fromkeys("abdef", 0), 2))
    assert found == list("abdef")


def _told(ids: list[str]) -> list[int]:
    time.sleep(0.02)
    return [os.getpid()]


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
from expstore.store import jobs

def wait(ids):
    open(ids[0], "w").close()
    time.sleep(60)
    return ids

if __name__ == "__main__":
    jobs.BATCH = 1
    list(jobs.in_order(wait, {"a": 0, "b": 0, "c": 0}, 2))
"""

_STARTING = (
    _WAITING
    + """
elif __name__ == "__mp_main__":
    open("b", "w").close()
    time.sleep(0.3)
"""
)


def _started(folder: Path, source: str) -> subprocess.Popen[str]:
    """A program of two processes, both of which made a file."""
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
    while len(list(folder.glob("[abc]"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    return program


@pytest.mark.parametrize("source", [_WAITING, _STARTING], ids=["working", "starting"])
def test_interrupt_ends_all_processes(source: str, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group; one traceback is told, that of the program itself."""
    program = _started(tmp_path, source)
    os.killpg(program.pid, signal.SIGINT)
    _, told = program.communicate(timeout=30)
    assert told.count("Traceback") == 1
    assert told.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_others_end_with_the_process_that_started_them(number: int, tmp_path: Path) -> None:
    """As soon as it is killed; they keep its standard error open as long as they live."""
    program = _started(tmp_path, _WAITING)
    try:
        os.kill(program.pid, number)
        _, told = program.communicate(timeout=10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    assert "Traceback" not in told
