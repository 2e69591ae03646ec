"""One timed task in a process of its own: `python -m tests.benchmarks.worker TASK ARG...`.

Prints JSON: `seconds`, and `peak`, the bytes that the work added to the process's peak memory (null
if the system does not report it). Imports and first calls precede the timing: the reference is a
compiled program, and startup has rows of its own.
"""

from __future__ import annotations

import gc
import json
import re
import secrets
import struct
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from expstore.compare import compare
from expstore.exchange.export import export_file
from expstore.model.values import METRICS_FORMAT
from expstore.report import contents
from formats.columns import reading
from tests.benchmarks import commands, exchanging, search
from tests.benchmarks.corpora import FIVE, Corpus
from tests.benchmarks.harness import UNAVAILABLE, Unavailable

WARM = "warm"
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def timed(work: Callable[[], Any]) -> dict[str, Any]:
    """Seconds and peak memory of one call."""
    gc.collect()
    before = _memory("VmRSS")
    if before is not None:
        _CLEAR.write_text("5")  # resets the peak
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    peak = _memory("VmHWM")
    del result
    return {"seconds": seconds, "peak": None if peak is None or before is None else peak - before}


def _memory(what: str) -> int | None:
    if not _STATUS.exists():
        return None
    found = re.search(rf"{what}:\s*(\d+) kB", _STATUS.read_text())
    return int(found[1]) * 1024 if found else None


def _warm(root: str) -> ExperimentStore:
    """The store, after reading, appending and logging a few records."""
    store = ExperimentStore(root)
    scratch = f"{WARM}-{secrets.token_hex(8)}"
    store.create_experiment(scratch)
    try:
        store.log_metric(scratch, "loss", 1.0, 0)
        with store.writer(scratch) as writer:
            for step in range(2):  # repeated names get a specialized function
                writer.log_many(dict.fromkeys(FIVE, 1.0), step)
            writer.append(Corpus("", FIVE, 2000).columns(0, 2000))
        list(store.get_metrics(scratch))
        list(store.iter_metrics(scratch))
    finally:
        store.delete_experiments([scratch])
    return store


def read(root: str, commit_id: str) -> dict[str, Any]:
    """A whole log as a table."""
    store = _warm(root)
    return timed(lambda: store.get_metrics(commit_id))


def one_name(root: str, commit_id: str) -> dict[str, Any]:
    """One name of a log, and only that."""
    store = _warm(root)
    name = store.get_metrics(commit_id).names[-1]
    return timed(lambda: list(store.iter_metrics(commit_id, names=[name])))


def parquet(root: str, commit_id: str) -> dict[str, Any]:
    """The same columns from an uncompressed Parquet file, by one thread of pyarrow."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.set_cpu_count(1)
    table = ExperimentStore(root).get_metrics(commit_id)
    path = ExperimentStore(root).experiment_path(commit_id) / "files" / "metrics.parquet"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        pyarrow.parquet.write_table(
            table.to_arrow(), path, compression="none", use_dictionary=["name"]
        )
    if pyarrow.parquet.read_metadata(path).num_rows != len(table):
        raise AssertionError(f"{path} does not hold the records of {commit_id}")
    few = path.with_name("few.parquet")
    pyarrow.parquet.write_table(
        table[:2000].to_arrow(), few, compression="none", use_dictionary=["name"]
    )
    del table
    read = partial(pyarrow.parquet.read_table, use_threads=False, read_dictionary=["name"])
    read(few)  # a first call of as many records as `_warm` makes: memory is as fresh to both
    return timed(lambda: read(path))


def read_all(root: str) -> dict[str, Any]:
    """Each log of a store as a table, one after another."""
    store = ExperimentStore(root)
    ids = store.list_experiments()
    store.get_metrics(ids[0])
    return timed(lambda: [len(store.get_metrics(commit_id)) for commit_id in ids])


def compare_all(root: str, jobs: str) -> dict[str, Any]:
    """The summaries of a store's experiments."""
    store = ExperimentStore(root)
    compare(store, store.list_experiments()[:1])
    return timed(lambda: compare(store, jobs=int(jobs)))


def check_all(root: str, jobs: str) -> dict[str, Any]:
    """The reports on a store's experiments."""
    store = ExperimentStore(root)
    store.check(store.list_experiments()[0])
    return timed(lambda: list(store.check_all(int(jobs))))


def report_all(root: str, jobs: str) -> dict[str, Any]:
    """What a page shows of a store's experiments."""
    store = ExperimentStore(root)
    contents.collect(store, store.list_experiments()[:1])
    return timed(lambda: contents.collect(store, jobs=int(jobs)))


def export_all(root: str, to: str, jobs: str) -> dict[str, Any]:
    """The experiments in one file, in memory as far as the system holds it there."""
    store = ExperimentStore(root)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "exported"
        export_file(store, store.list_experiments()[:1], path, to, force=True)  # type: ignore[arg-type]
        return timed(lambda: export_file(store, None, path, to, force=True, jobs=int(jobs)))  # type: ignore[arg-type]


def import_events(events: str) -> dict[str, Any]:
    """Event files as experiments of a new store."""
    with tempfile.TemporaryDirectory() as root:
        return timed(lambda: exchanging.import_all(events, root))


def load_events(events: str) -> dict[str, Any]:
    """The same points by TensorBoard's loader."""
    return timed(lambda: exchanging.load_all(events))


def _best(work: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> dict[str, Any]:
    """Seconds of the fastest of many calls, each after `before`, which is not timed."""
    best = float("inf")
    for _ in range(300):
        before()
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return {"seconds": best, "peak": None}


def read_first(root: str, commit_id: str) -> dict[str, Any]:
    """A short log, with nothing remembered of others."""
    store = _warm(root)
    return _best(
        lambda: store.get_metrics(commit_id),
        reading.reading_of(METRICS_FORMAT.schema, None).known.clear,
    )


def read_again(root: str, commit_id: str) -> dict[str, Any]:
    """A short log, after another one of the same layout."""
    store = _warm(root)
    return _best(lambda: store.get_metrics(commit_id))


def read_by_struct(root: str, commit_id: str) -> dict[str, Any]:
    """A short log by a loop as one writes it with `struct`, into lists."""
    path = ExperimentStore(root).metrics_path(commit_id)
    unpack = struct.Struct(">qIdB").unpack_from

    def work() -> list[Any]:
        data, at = path.read_bytes(), 0
        rows = []
        while at < len(data):
            timestamp, step, value, length = unpack(data, at)
            at += 21 + length
            rows.append((data[at - length : at].decode(), value, step, timestamp))
        return rows

    return _best(work)


def objects(root: str, commit_id: str) -> dict[str, Any]:
    """A whole log as a list of Metric objects."""
    store = _warm(root)
    return timed(lambda: list(store.get_metrics(commit_id)))


def iterate(root: str, commit_id: str) -> dict[str, Any]:
    """A whole log, table by table."""
    store = _warm(root)
    return timed(lambda: sum(map(len, store.iter_metrics(commit_id))))


def log(root: str, count: str) -> dict[str, Any]:
    """Single metrics, each with one call of `log_metric`."""
    store, values = _warm(root), [index / 7 for index in range(int(count))]
    log_metric = store.log_metric

    def work(commit_id: str) -> None:
        for step, value in enumerate(values):
            log_metric(commit_id, "loss", value, step)

    return _writing(store, work)


def log_many(root: str, steps: str) -> dict[str, Any]:
    """Five metrics per step, one write per step."""
    store, values = _warm(root), [index / 7 for index in range(int(steps))]
    one, two, three, four, five = FIVE

    def work(commit_id: str) -> None:
        with store.writer(commit_id) as writer:
            for step, x in enumerate(values):  # a literal, as in a training loop
                writer.log_many({one: x, two: x, three: x, four: x, five: x}, step)

    return _writing(store, work)


def append(root: str, count: str) -> dict[str, Any]:
    """Many metrics as columns."""
    store, columns = _warm(root), Corpus("", FIVE, int(count)).columns(0, int(count))

    def work(commit_id: str) -> None:
        with store.writer(commit_id) as writer:
            writer.append(columns)

    return _writing(store, work)


def _writing(store: ExperimentStore, work: Callable[[str], None]) -> dict[str, Any]:
    """Time the work on a new experiment, and delete it."""
    scratch = f"scratch-{secrets.token_hex(8)}"
    store.create_experiment(scratch)
    try:
        return timed(lambda: work(scratch))
    finally:
        store.delete_experiments([scratch])


def scan(root: str) -> dict[str, Any]:
    """All experiments with their metadata."""
    store = ExperimentStore(root)
    return timed(lambda: list(store.iter_metadata()))


def plan(root: str, keep_count: str, older_than_days: str) -> dict[str, Any]:
    """The plan of a prune."""
    store = ExperimentStore(root)
    return timed(lambda: store.plan_prune(int(keep_count), int(older_than_days)))


_CALLS: dict[str, Callable[[ExperimentStore], Any]] = {
    "iter_metadata": lambda store: deque(store.iter_metadata(), 0),
    "plan_prune": lambda store: store.plan_prune(100),
    "check_all": lambda store: deque(store.check_all(), 0),
    "compare": compare,
    "get_metrics": lambda store: [store.get_metrics(i) for i in store.list_experiments()],
    "iter_metrics": lambda store: [
        deque(store.iter_metrics(i), 0) for i in store.list_experiments()
    ],
}


def scale(call: str, root: str, small: str) -> dict[str, Any]:
    """Processor seconds of a call, after one on a small store."""
    work = _CALLS[call]
    work(ExperimentStore(small))
    store = ExperimentStore(root)
    start = time.process_time()
    work(store)
    return {"seconds": time.process_time() - start, "peak": None}


def peer(*args: str) -> dict[str, Any]:
    """One measure of a peer; see `comparison.run`."""
    from tests.benchmarks.comparison import run

    return run(*args)


TASKS: tuple[Callable[..., dict[str, Any]], ...] = (
    *(read_first, read_again, read_by_struct),
    *(read, objects, iterate, one_name, parquet),
    *(read_all, compare_all, check_all, report_all, export_all),
    *(import_events, load_events),
    *(log, log_many, append),
    *(scan, plan, scale, peer),
    commands.beneath,
    *(search.best, search.best_of_mlflow, search.fill_mlflow),
)


def main() -> None:
    """Run the task named on the command line."""
    tasks = {task.__name__: task for task in TASKS}
    try:
        outcome = tasks[sys.argv[1]](*sys.argv[2:])
    except (Unavailable, ModuleNotFoundError) as reason:
        print(reason, file=sys.stderr)
        sys.exit(UNAVAILABLE)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
