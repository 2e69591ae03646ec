"""The rows of the table: what is measured, what it is compared with, and its target.

A corpus is made when a row first needs it, before the clock starts.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from expstore import Metadata
from tests.benchmarks import commands, exchanging, first_curve, many
from tests.benchmarks.corpora import FIVE, Corpora, Corpus
from tests.benchmarks.harness import (
    Bench,
    Contender,
    Row,
    Sample,
    Unavailable,
    above,
    at_most,
    faster,
    within,
)

NS = "ns a record"
MB = 1e6


def rows(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    """All rows, in the order of the table."""
    yield from _short(bench, corpora)
    yield from _reading(bench, corpora)
    yield from many.rows(bench, corpora, _reading_corpora(bench))
    yield from _memory(bench, corpora)
    yield from _writing(bench, corpora)
    yield from _scanning(bench, corpora)
    yield from _searching(bench, corpora)
    yield from commands.rows(bench, corpora)
    yield from exchanging.rows(bench, corpora)
    yield from _starting(bench)
    yield _first_curve(bench, corpora)


def _million(bench: Bench) -> Corpus:
    count = bench.size(1_000_000, 20_000)
    return Corpus(f"{count:,} records, 5 names in turn", FIVE, count)


def _reading_corpora(bench: Bench) -> Iterator[tuple[Corpus, float]]:
    """Each corpus, with the target speed of reading it, relative to the reference."""
    million = _million(bench).count
    ten = bench.size(10_000_000, 50_000)
    layers = tuple(f"layer{number}/grad" for number in range(500))
    twenty = tuple(f"metric/{number * number}" for number in range(20))
    further = ("val/acc", "val/f1", "epoch")
    yield _million(bench), 5
    yield (
        Corpus(f"{million:,}, 3 further names every 100th step", FIVE, million, 100, further),
        4,
    )
    yield Corpus(f"{million:,}, 500 names in turn", layers, million), 4
    yield Corpus(f"{million:,}, 20 names in random order", twenty, million, random=True), 1.2
    yield Corpus(f"{ten:,}, one name", ("loss",), ten), 6


def _short(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    """Logs as most are: each time the best of many reads in one process, as the reference's."""
    three = FIVE[:3]
    for count, first, again in ((30, 12, None), (300, 4, 3), (3_000, 1.2, None)):
        corpus = Corpus(f"{count:,} records, 3 names in turn", three, count)
        for task, times, how in (
            ("read_first", first, "nothing known"),
            ("read_again", again, "after another log of its layout"),
        ):
            if times is None:
                continue
            yield Row(
                f"get_metrics: {corpus.title}, {how}",
                "us",
                at_most(times),
                _best(bench, corpora, corpus, task),
                _best_of_reference(bench, corpora, corpus),
            )
    for count in (3_000, 30_000):  # as of a run that validates now and then
        further = ("val/acc", "val/f1", "epoch")
        title = f"{count:,} records, 5 names in turn, 3 further every 100th step"
        corpus = Corpus(title, FIVE, count, 100, further)
        yield Row(
            f"get_metrics: {title}, nothing known",
            "us",
            at_most(5 if count == 3_000 else 1),
            _best(bench, corpora, corpus, "read_first"),
            _best_of_reference(bench, corpora, corpus),
        )
    names = tuple(f"metric/{number * number}" for number in range(20))
    for count in (300, 3_000):
        corpus = Corpus(f"{count:,} records, 20 names in random order", names, count, random=True)
        yield Row(
            f"get_metrics: {corpus.title}",
            "us",
            at_most(2, "a struct loop's time"),
            _best(bench, corpora, corpus, "read_first"),
            _best(bench, corpora, corpus, "read_by_struct"),
            "a struct loop",
        )


def _best(bench: Bench, corpora: Corpora, corpus: Corpus, task: str) -> Contender:
    def sample() -> float:
        result = bench.ours(task, corpora.store.root, corpora.log(corpus))
        return Sample.of(result, 1e6)

    return sample


def _best_of_reference(bench: Bench, corpora: Corpora, corpus: Corpus) -> Contender:
    def sample() -> float:
        commit_id = corpora.log(corpus)
        result = bench.theirs("time-read", corpora.store.root, commit_id, 300)
        return float(result["seconds"]) * 1e6

    return sample


def _ours(bench: Bench, corpora: Corpora, corpus: Corpus, task: str, pin: bool) -> Contender:
    def sample() -> float:
        commit_id = corpora.log(corpus)
        result = bench.ours(task, corpora.store.root, commit_id, one_core=pin)
        return Sample.of(result, 1e9 / corpus.count)

    return sample


def _theirs(bench: Bench, corpora: Corpora, corpus: Corpus, pin: bool) -> Contender:
    def sample() -> float:
        commit_id = corpora.log(corpus)
        result = bench.theirs("time-read", corpora.store.root, commit_id, 1, one_core=pin)
        if result["records"] != corpus.count:
            raise Unavailable(f"the reference read {result['records']} records of {corpus.title}")
        return float(result["seconds"]) / corpus.count * 1e9

    return sample


def _reading(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    for corpus, times in _reading_corpora(bench):
        for pin in (False, True):
            yield Row(
                f"get_metrics: {corpus.title}" + ", one core" * pin,
                NS,
                faster(times),
                _ours(bench, corpora, corpus, "read", pin),
                _theirs(bench, corpora, corpus, pin),
            )
    million = _million(bench)
    yield Row(
        f"list(get_metrics) of Metric objects: {million.title}",
        NS,
        at_most(3),
        _ours(bench, corpora, million, "objects", False),
        _theirs(bench, corpora, million, False),
    )
    # Compared with get_metrics at a million records, where it is fastest: holding the whole long
    # log, it would be limited by memory.
    long, whole = _long(bench), f"get_metrics, {million.count:,}"
    for pin in (False, True):
        yield Row(
            f"iter_metrics: {long.title}" + ", one core" * pin,
            NS,
            at_most(1.1, "get_metrics's time a record"),
            _ours(bench, corpora, long, "iterate", pin),
            _ours(bench, corpora, million, "read", pin),
            whole,
        )


def _long(bench: Bench) -> Corpus:
    count = bench.size(100_000_000, 1_000_000)
    return Corpus(f"{count:,} records, 5 names in turn", FIVE, count)


def _peak(bench: Bench, corpora: Corpora, corpus: Corpus, task: str, unit: float) -> Contender:
    def sample() -> float:
        result = bench.ours(task, corpora.store.root, corpora.log(corpus))
        if result["peak"] is None:
            raise Unavailable("this system does not report a process's peak memory")
        return float(result["peak"]) / unit

    return sample


def _memory(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    for corpus, _ in _reading_corpora(bench):
        yield Row(
            f"peak memory of get_metrics: {corpus.title}",
            "B a record",
            within(corpus.record_bytes + 40, "B a record (file size + 40 B each)"),
            _peak(bench, corpora, corpus, "read", corpus.count),
        )
    long = _long(bench)
    yield Row(
        f"peak memory of iter_metrics: {long.title}",
        "MB",
        within(300, "MB"),
        _peak(bench, corpora, long, "iterate", MB),
    )


def _writing(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    # Enough for a few tenths of a second each: a processor needs time to reach full speed.
    singles, steps = bench.size(50_000, 2_000), bench.size(100_000, 1_000)
    million = _million(bench).count

    def ours(task: str, argument: int, records: int) -> Contender:
        def sample() -> float:
            corpora.store.initialize()
            result = bench.ours(task, corpora.store.root, argument)
            return float(result["seconds"]) / records * 1e9

        return sample

    def theirs(steps: int, *names: str) -> Contender:
        def sample() -> float:
            corpora.store.initialize()
            scratch = corpora.store.create_experiment("scratch-reference")
            try:
                result = bench.theirs("log-many", corpora.store.root, scratch.name, steps, *names)
            finally:
                corpora.store.delete_experiments([scratch.name])
            return float(result["seconds"]) / float(result["records"]) * 1e9

        return sample

    yield Row(
        "log_metric, one call",
        NS,
        at_most(1.3),
        ours("log", singles, singles),
        theirs(singles, "loss"),
    )
    yield Row(
        "MetricWriter.log_many, 5 names a step, one write a step",
        NS,
        faster(8),
        ours("log_many", steps, steps * len(FIVE)),
        theirs(steps, *FIVE),
    )
    yield Row(
        f"MetricWriter.append of {million:,} rows as columns",
        NS,
        faster(50),
        ours("append", million, million),
        theirs(steps, *FIVE),
    )


def _scanning(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    few, many = bench.size(20_000, 500), bench.size(200_000, 5_000)

    def ours(task: str, count: int, *args: int) -> Contender:
        def sample() -> float:
            result = bench.ours(task, corpora.experiments(count), *args)
            return float(result["seconds"]) / count * 1e6

        return sample

    def theirs(command: str, count: int, *args: int) -> Contender:
        def sample() -> float:
            result = bench.theirs(command, corpora.experiments(count), *args)
            if result.get("pruned"):
                raise AssertionError(f"the reference pruned {result['pruned']} of {count}")
            return float(result["seconds"]) / count * 1e6

        return sample

    unit = "us an experiment"
    ages = 365 * 1000  # days: older than any experiment
    yield Row(
        f"list and all metadata of {few:,} experiments",
        unit,
        faster(1.3),
        ours("scan", few),
        theirs("time-list", few),
    )
    for count, days in ((few, 0), (few, ages), (many, 0)):
        yield Row(
            f"plan_prune of {count:,} experiments" + " with older_than_days" * bool(days),
            unit,
            faster(1.3),
            ours("plan", count, count, days),
            theirs("time-prune", count, count, days),
        )
    growth = math.log(many) / math.log(few)
    yield Row(
        f"plan_prune grows as n log n, {few:,} to {many:,} experiments",
        unit,
        at_most(round(1.25 * growth, 2), f"each (n log n: {growth:.2f}x, n^2: {many / few:g}x)"),
        ours("plan", many, many, 0),
        ours("plan", few, few, 0),
        f"{few:,}",
    )


def _searching(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    def ours(count: int, times: int) -> Contender:
        def sample() -> float:
            root = corpora.experiments(count, 300)
            return float(bench.ours("best", root, times)["seconds"]) * 1e3

        return sample

    def mlflow(count: int, times: int) -> Contender:
        def sample() -> float:
            root = corpora.experiments(count, 300)
            database = root.with_suffix(".db")
            bench.ours("fill_mlflow", database, root)
            return float(bench.ours("best_of_mlflow", database, root, times)["seconds"]) * 1e3

        return sample

    for count in (bench.size(1_000, 50), bench.size(20_000, 200)):
        for times, which in ((1, "first"), (2, "second")):
            yield Row(
                f"best 10 of {count:,} runs of 300 records by val/loss, {which} search",
                "ms of a core",
                faster(1),
                ours(count, times),
                mlflow(count, times),
                "mlflow on SQLite",
            )


def _starting(bench: Bench) -> Iterator[Row]:
    def process(*command: str) -> float:
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            message = (done.stderr.strip() or "failed").splitlines()[-1]
            raise Unavailable(f"{command[2]} failed: {message}")
        return seconds * 1e3

    python = partial(process, sys.executable, "-c")
    yield Row(
        "import expstore, beyond bare Python",
        "ms",
        above(60, "ms", "bare Python"),
        partial(python, "import expstore"),
        partial(python, "pass"),
        "bare Python",
    )

    def ls() -> float:
        return python_module("expstore.cli", "--root", str(_ten(bench)), "ls")

    python_module = partial(process, sys.executable, "-m")
    yield Row("expstore ls of 10 experiments, whole process", "ms", within(350, "ms"), ls)


def _first_curve(bench: Bench, corpora: Corpora) -> Row:
    runs, records = bench.size(20, 3), bench.size(100_000, 1_000)

    def ours() -> float:
        return first_curve.of_report(corpora.experiments(runs, records), bench.work / "report.html")

    def tensorboard() -> float:
        events = first_curve.event_files(corpora.experiments(runs, records))
        return first_curve.of_tensorboard(events)

    return Row(
        f"first curve of {runs} runs, {runs * records:,} points: `expstore report`",
        "s",
        faster(1),
        ours,
        tensorboard,
        "TensorBoard",
    )


def _ten(bench: Bench) -> Path:
    """A store of ten experiments with metadata and a short log each."""
    from expstore import ExperimentStore

    root = bench.work / "ten"
    if not root.exists():
        partial_root = bench.work / "partial-ten"
        shutil.rmtree(partial_root, ignore_errors=True)
        store = ExperimentStore(partial_root)
        for number in range(10):
            commit_id = f"{number:08x}"
            store.create_experiment(commit_id)
            store.write_metadata(Metadata(commit_id, 1_700_000_000 + number, "train", "alice"))
            store.log_metrics(commit_id, dict.fromkeys(FIVE, 1.0), 1)
        os.rename(partial_root, root)
    return root
