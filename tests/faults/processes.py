"""Many processes append to one log at once: nothing is lost, torn or interleaved."""

from __future__ import annotations

import subprocess
from pathlib import Path

from expstore import ExperimentStore
from tests.faults.base import Figures, check_steps, fork, join, read_log, reference

_NAMES = ("loss", "a/rather/long/metric/name", "x", "accuracy")


def run(directory: Path, *, processes: int = 8, appends: int = 100_000) -> Figures:
    """Each process appends `appends` records, by one of three methods or as the reference."""
    store = ExperimentStore(directory)
    store.create_experiment("run")

    def one_by_one(me: int) -> None:
        for step in range(appends):
            store.log_metric("run", f"p{me}", step / 7, step)

    def writer(me: int) -> None:
        with store.writer("run") as log:
            for step in range(appends):
                log.log(f"p{me}", step / 7, step)

    def steps(me: int) -> None:
        with store.writer("run") as log:
            for step in range(appends // len(_NAMES)):
                log.log_many({f"p{me}/{name}": step / 7 for name in _NAMES}, step)

    ways = [one_by_one, writer, steps]
    program = reference()
    children, others = [], []
    for me in range(processes):
        if program and me % 4 == 3:
            command = [program, "log-many", str(directory), "run", str(appends), f"p{me}"]
            others.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        else:
            children.append(fork(lambda way=ways[me % 3], me=me: way(me)))
    join(*children)
    assert not any(other.wait() for other in others)

    records, rest = read_log(store.metrics_path("run"))
    assert rest == 0, "the log ends in a tear"
    assert len(records) == processes * appends, "records were lost, or false ones found"
    for name in {name for name, _, _ in records}:
        check_steps(records, name, appends // len(_NAMES) if "/" in name else appends)
    assert all(value == step / 7 for _, step, value in records), "a value is not what was logged"
    kept = [p.name for p in store.experiment_path("run").glob("*.torn-*")]
    assert not kept, "a live writer's record was taken for a tear"
    return {
        "processes": processes,
        "the reference's": len(others),
        "records": len(records),
        "lost or torn": 0,
    }
