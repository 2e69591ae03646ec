"""The live page's server beside TensorBoard's, and by itself.

    python -m tests.benchmarks.live --work DIRECTORY [--quick] [--only NAME] [--long]

makes the data once (1.5 GB) and prints a Markdown table. Times are from the start of the process,
as a client measures them; CPU and memory are those of the server's process. With `--long` it also
runs 24 hours in small: ten million points by four runs, while three clients watch, one of which
loses its connection now and then; with `--browsers 3`, while three Chromiums do, one of which is
killed now and then. The exit code is 1 if a client missed points.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import psutil

from expstore import ExperimentStore, Metadata
from expstore.model.table import MetricTable
from formats import META, RecordCodec
from tests.benchmarks.live_browsers import BrowserWatcher
from tests.benchmarks.live_peers import NAMES, aim, megabytes, mlflow, process, tensorboard
from tests.live.client import Watcher, curves, events

_START = 1_700_000_000
LOADER = "tensorboard, fast loader"


@dataclass(frozen=True)
class Size:
    """How much data there is."""

    points: int  # of each of 20 runs
    beside: int  # likewise, where TensorBoard reads the same
    runs: int  # in the store with many
    seconds: float  # of live logging
    long: int  # points of the long form


FULL = Size(1_000_000, 20_000, 20_000, 20.0, 10_000_000)
QUICK = Size(10_000, 500, 300, 3.0, 100_000)


def table(points: int, seed: int, first: int = 0) -> MetricTable:
    """Points of ten metrics in turn."""
    steps = first + np.arange(points) // len(NAMES)
    values = np.random.default_rng(seed).normal(size=points).cumsum() / 100
    codes = (np.arange(points) % len(NAMES)).astype(np.int32)
    return MetricTable(NAMES, codes, values, steps, _START + steps // 50)


def make(root: Path, fill: Callable[[ExperimentStore], object]) -> ExperimentStore:
    """A store, made once."""
    if not root.exists():
        partial = ExperimentStore(root.with_suffix(".partial"))
        partial.initialize()
        fill(partial)
        partial.root.rename(root)
    return ExperimentStore(root)


def twenty(points: int) -> Callable[[ExperimentStore], object]:
    """Fills a store with 20 runs."""

    def fill(store: ExperimentStore) -> None:
        for number in range(20):
            name = f"run{number:02}"
            store.create_experiment(name)
            store.write_metadata(Metadata(name, _START + number, "train", "me"))
            with store.writer(name) as writer:
                writer.append(table(points, number))

    return fill


def many(runs: int) -> Callable[[ExperimentStore], object]:
    """Fills a store with many small runs, with parameters."""

    def fill(store: ExperimentStore) -> None:
        build = RecordCodec(META).build
        for number in range(runs):
            name = f"{number:08x}"
            path = store.create_experiment(name)
            (path / "meta.bin").write_bytes(
                build(timestamp=_START + number, commit_id=name, job_name="train", user="me")
            )
            start = {"started": _START, "ended": _START + 60, "outcome": "finished", "records": 0}
            run = {"params": {"lr": number / runs, "depth": number % 7}, "starts": [start]}
            (path / "run.json").write_text(json.dumps(run))
            with store.writer(name) as writer:
                writer.append(table(50, number))

    return fill


@contextmanager
def served(store: ExperimentStore) -> Iterator[tuple[httpx.Client, psutil.Process, float]]:
    """Our server: a client of it, its process, and when it was started."""
    command = (sys.executable, "-m", "expstore", "--root", str(store.root), "serve")
    with process(*command, "--port", "0", "--json") as (started, began):
        assert started.stdout is not None
        address = json.loads(started.stdout.readline())["address"]
        with httpx.Client(base_url=address, timeout=60) as http:
            yield http, psutil.Process(started.pid), began


def first_curve(store: ExperimentStore) -> dict[str, float]:
    """Until the page, the list and a curve are there; and until one metric of all runs is."""
    with served(store) as (http, server, began):
        http.get("/").raise_for_status()
        for _, kind, data in events(http):
            if kind == "runs" and (found := [r["id"] for r in data["runs"] if "metrics" in r]):
                break
        header, _ = curves(http, {found[0]: [NAMES[0]]})[found[0], NAMES[0]]
        assert header["n"] > 0
        first, cpu = time.perf_counter() - began, sum(server.cpu_times()[:2])
        curves(http, {run: [NAMES[0]] for run in store.list_experiments()})
        every = time.perf_counter() - began
        return {
            "first curve, s": first,
            "CPU until then, s": cpu,
            "all 20, s": every,
            "memory, MB": megabytes(server),
        }


def listing(store: ExperimentStore) -> dict[str, float]:
    """Until all runs are listed, and until their best values are there."""
    with served(store) as (http, server, began):
        count, seen, listed = len(store.list_experiments()), set(), 0.0
        for _, kind, data in events(http):
            if kind == "listed":
                listed = time.perf_counter() - began
            if kind == "runs":
                seen.update(row["id"] for row in data["runs"] if "metrics" in row)
            if listed and len(seen) == count:
                break
        values = time.perf_counter() - began
        return {"listed, s": listed, "best values, s": values, "memory, MB": megabytes(server)}


def live(work: Path, seconds: float) -> dict[str, float]:
    """A log that grows by 1,000 points a second: until a client has them, and what that costs."""
    store = make(work / "live", lambda store: None)
    name = f"run{time.time_ns()}"
    with store.start_experiment(name) as writer, served(store) as (http, server, _):
        writer.append(table(1000, 0))
        writer.flush()
        watcher = Watcher(str(http.base_url), [name], NAMES[:4])
        watcher.start()
        while watcher.logged(name, NAMES[0]) < 100:
            time.sleep(0.05)
        cpu, began, delays = sum(server.cpu_times()[:2]), time.perf_counter(), []
        for tick in range(int(seconds * 10)):
            writer.append(table(100, 0, 100 + tick * 10))
            writer.flush()
            at, expected = time.perf_counter(), 100 + 10 * (tick + 1)
            if tick % 10 == 0:
                while watcher.logged(name, NAMES[0]) < expected:
                    time.sleep(0.005)
                delays.append(time.perf_counter() - at)
            time.sleep(max(0.0, began + (tick + 1) / 10 - time.perf_counter()))
        used = sum(server.cpu_times()[:2]) - cpu
        share = 100 * used / (time.perf_counter() - began)
        watcher.ended.set()
        return {
            "delay, s (median)": median(delays),
            "delay, s (maximum)": max(delays),
            "CPU, % of a core": share,
            "memory, MB": megabytes(server),
        }


def long_form(work: Path, points: int, browsers: int = 0) -> dict[str, float]:
    """24 hours in small; the figures are what clients missed, and the server's memory.

    Args:
        work: where the store is made.
        points: that four runs log.
        browsers: real ones, each of which is killed now and then; 0: three clients that lose their
            connection.
    """
    store = make(work / "long", lambda store: None)
    names = [f"run{number}-{time.time_ns()}" for number in range(4)]
    each, block = points // 4, 2_500
    with served(store) as (http, server, _):

        def log(name: str) -> None:
            with store.start_experiment(name) as writer:
                for first in range(0, each, block):
                    writer.append(table(block, 0, first // len(NAMES)))
                    writer.flush()
                    time.sleep(0.005)

        threads = [threading.Thread(target=log, args=(name,)) for name in names]
        kind = BrowserWatcher if browsers else Watcher
        watchers = [kind(str(http.base_url), names, NAMES[:2]) for _ in range(browsers or 3)]
        for thread in (*threads, *watchers):
            thread.start()
        peak, broken = 0.0, 0
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            peak = max(peak, megabytes(server))
            if not browsers or not any(one.broken.is_set() for one in watchers):
                watchers[broken % len(watchers)].broken.set()
                broken += 1
        expected = each // len(NAMES)
        deadline = time.monotonic() + 60
        pairs = [(w, run, metric) for w in watchers for run in names for metric in NAMES[:2]]
        while time.monotonic() < deadline and any(w.logged(r, m) != expected for w, r, m in pairs):
            time.sleep(0.1)
        peak = max(peak, megabytes(server))
        missed = sum(abs(expected - w.logged(r, m)) for w, r, m in pairs)
        for watcher in watchers:
            watcher.ended.set()
        for watcher in watchers:
            if isinstance(watcher, BrowserWatcher):
                watcher.join(60)  # until its browser is closed
        return {
            "points missed": missed,
            "browsers killed" if browsers else "connections broken": broken,
            "curves asked for again": sum(w.fetched for w in watchers),
            "memory, MB (peak)": peak,
        }


def main() -> int:
    """Run what is asked for, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live")
    parser.add_argument("--work", type=Path, required=True, help="where the data is kept (1.5 GB)")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", help="only rows whose name contains this")
    parser.add_argument("--mlflow", metavar="PYTHON", help="an interpreter that has mlflow")
    parser.add_argument("--aim", metavar="PYTHON", help="an interpreter that has aim")
    parser.add_argument("--long", action="store_true", help="also 24 hours in small")
    parser.add_argument(
        "--browsers", type=int, default=0, help="Chromiums that watch the long form; 0: clients"
    )
    options = parser.parse_args()
    size, work = QUICK if options.quick else FULL, options.work
    work.mkdir(parents=True, exist_ok=True)

    def store_of(points: int) -> ExperimentStore:
        return make(work / f"twenty-{points}", twenty(points))

    rows: dict[str, Callable[[], dict[str, float]]] = {
        f"20 runs, {20 * size.points:,} points": lambda: first_curve(store_of(size.points)),
        f"20 runs, {20 * size.beside:,} points": lambda: first_curve(store_of(size.beside)),
        f"the same, {LOADER}": lambda: tensorboard(store_of(size.beside), work),
        "the same, mlflow server on SQLite": lambda: mlflow(size.beside, work, options.mlflow),
        "the same, Aim": lambda: aim(size.beside, work, options.aim),
        f"{size.runs:,} runs": lambda: listing(make(work / f"many-{size.runs}", many(size.runs))),
        "1,000 points a second": lambda: live(work, size.seconds),
    }
    if options.long:
        watching = f"{options.browsers} browsers" if options.browsers else "three clients"
        rows[f"{size.long:,} points, four runs, {watching}"] = lambda: long_form(
            work, size.long, options.browsers
        )
    print("| work | figures |\n|:--|:--|")
    failed = False
    if options.mlflow is None:
        del rows["the same, mlflow server on SQLite"]
    if options.aim is None:
        del rows["the same, Aim"]
    for name, row in rows.items():
        if options.only is None or options.only in name:
            figures = row()
            failed |= bool(figures.get("points missed"))
            shown = "; ".join(f"{what}: {value:,.3g}" for what, value in figures.items())
            print(f"| {name} | {shown} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
