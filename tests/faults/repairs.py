"""Repairs during live writers: one may cut a tear, never a record that is being written."""

from __future__ import annotations

import subprocess
from pathlib import Path

from expstore import ExperimentStore, TornTailError
from expstore.store.append.log import AppendLog
from expstore.store.read.survey import tail_of
from tests.faults.base import Counter, Figures, check_steps, fork, join, read_log, reference

_TRIES = 6


def run(directory: Path, *, appends: int = 60_000) -> Figures:
    """Two writers, the reference if there is one, and repairs without pause.

    The order depends on timing: if too few repairs came between two appends, nothing was tested,
    and it is tried again with more appends.
    """
    for attempt in range(_TRIES):
        figures = _run(directory / str(attempt), appends << attempt)
        if figures["repairs alone with the log"] > 2:
            return figures
    raise AssertionError("no repair came between two appends, so nothing was tested")


def _run(directory: Path, appends: int) -> Figures:
    store = ExperimentStore(directory)
    store.create_experiment("run")
    path = store.metrics_path("run")
    path.write_bytes(b"torn")  # cut by the first writer that has the log to itself
    store.log_metric("run", "first", 0.5, 0)
    alone, cut, refused, stop = Counter(), Counter(), Counter(), Counter()

    def repair() -> None:
        while not stop[0]:
            log = AppendLog(path)
            try:
                alone[0] = alone[0] + 1
                if log.repair(tail_of)[1]:
                    cut[0] = cut[0] + 1
            except TornTailError:
                alone[0] = alone[0] - 1
                refused[0] = refused[0] + 1
            finally:
                log.close()

    def one_by_one() -> None:
        for step in range(appends):
            store.log_metric("run", "one by one" * 20, step / 7, step)

    def sessions() -> None:
        for start in range(0, appends, 100):  # opens and closes, so that repairs get a turn
            with store.writer("run") as writer:
                for step in range(start, min(start + 100, appends)):
                    writer.log("sessions" * 20, step / 7, step)

    program = reference()
    command = [program, "log-many", str(directory), "run", str(appends), "reference" * 20]
    other = subprocess.Popen(command, stdout=subprocess.DEVNULL) if program else None
    repairer = fork(repair)
    join(fork(one_by_one), fork(sessions))
    assert other is None or other.wait() == 0
    stop[0] = 1
    join(repairer)

    records, rest = read_log(path)
    names = ["one by one" * 20, "sessions" * 20] + (["reference" * 20] if program else [])
    for name in names:
        check_steps(records, name, appends)
    assert rest == 0
    assert len(records) == len(names) * appends + 1
    assert cut[0] == 0, "no writer died, so there was nothing to cut"
    kept = list(path.parent.glob("*.torn-*"))
    assert [file.read_bytes() for file in kept] == [b"torn"]
    return {
        "records": len(records),
        "repairs refused": refused[0],
        "repairs alone with the log": alone[0],
        "lost": 0,
    }
