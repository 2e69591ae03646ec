"""Rows for reading beside Parquet, one name of many, and many logs, on one core and on two.

The many long logs are links to one file: what is measured is parsing, with the file in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from expstore import ExperimentStore
from tests.benchmarks.corpora import FIVE, Corpora, Corpus
from tests.benchmarks.harness import (
    Bench,
    Contender,
    Row,
    Sample,
    Unavailable,
    at_most,
    faster,
    within,
)

NS = "ns a record"


def rows(bench: Bench, corpora: Corpora, reading: Iterator[tuple[Corpus, float]]) -> Iterator[Row]:
    """All rows; `reading` are the corpora that are read beside Parquet."""
    for corpus, _ in reading:
        yield Row(
            f"get_metrics beside Parquet: {corpus.title}, one core",
            NS,
            at_most(1),
            _of_log(bench, corpora, corpus, "read"),
            _of_log(bench, corpora, corpus, "parquet"),
            "pyarrow, uncompressed, one thread",
        )
    million = bench.size(1_000_000, 20_000)
    fifty = Corpus(
        f"{million:,} records, 50 names in turn", tuple(f"m/{i}" for i in range(50)), million
    )
    yield Row(
        f"iter_metrics of one name: {fifty.title}, one core",
        NS,
        at_most(0.6, "reading all"),
        _of_log(bench, corpora, fifty, "one_name"),
        _of_log(bench, corpora, fifty, "read"),
        "get_metrics",
    )
    five = Corpus(f"{million:,} records, 5 names in turn", FIVE, million)
    yield Row(
        f"compare of 20 logs: {five.title}, one core",
        NS,
        at_most(1.25),
        _of_many(bench, corpora, five, 20, "compare_all", 1),
        _of_many(bench, corpora, five, 20, "read_all"),
        "get_metrics",
    )
    count = bench.size(20_000, 200)
    for task in ("compare_all", "check_all"):
        yield Row(
            f"{task.replace('_all', '')} of {count:,} experiments of 300 records, one core",
            "us an experiment",
            within(100, "us"),
            _of_short(bench, corpora, count, task),
        )
    tenth = Corpus(f"{million // 10:,} records, 5 names in turn", FIVE, million // 10)
    for title, count, corpus, task in (
        ("compare", 400, five, ("compare_all",)),
        ("check", 400, five, ("check_all",)),
        ("report", 200, five, ("report_all",)),
        ("export to CSV", 20, five, ("export_all", "csv")),
        ("export to JSON lines", 30, tenth, ("export_all", "jsonl")),
    ):
        yield Row(
            f"{title} of {count} logs with two processes: {corpus.title}",
            NS,
            faster(1.7),
            _of_many(bench, corpora, corpus, count, *task, 2, pin=False),
            _of_many(bench, corpora, corpus, count, *task, 1, pin=False),
            "one process",
        )


def _of_log(bench: Bench, corpora: Corpora, corpus: Corpus, task: str) -> Contender:
    def sample() -> Sample:
        commit_id = corpora.log(corpus)
        result = bench.ours(task, corpora.store.root, commit_id, one_core=True)
        return Sample.of(result, 1e9 / corpus.count)

    return sample


def _of_short(bench: Bench, corpora: Corpora, count: int, task: str) -> Contender:
    def sample() -> Sample:
        result = bench.ours(task, corpora.experiments(count, 300), 1, one_core=True)
        return Sample.of(result, 1e6 / count)

    return sample


def _of_many(
    bench: Bench,
    corpora: Corpora,
    corpus: Corpus,
    count: int,
    task: str,
    *args: str | int,
    pin: bool = True,
) -> Contender:
    def sample() -> Sample:
        if not pin and len(os.sched_getaffinity(0)) < 2:
            raise Unavailable("two processes need two processors")
        root = _linked(bench, corpora, corpus, count)
        result = bench.ours(task, root, *args, one_core=pin)
        return Sample.of(result, 1e9 / corpus.count / count)

    return sample


def _linked(bench: Bench, corpora: Corpora, corpus: Corpus, count: int) -> Path:
    """The root of a store whose experiments all have the same log."""
    root = bench.work / f"{count}-{corpus.key}"
    if not root.exists():
        path = corpora.store.metrics_path(corpora.log(corpus))
        partial = ExperimentStore(root.with_name(f"partial-{os.getpid()}-{root.name}"))
        partial.initialize()
        for number in range(count):
            partial.create_experiment(f"run-{number:03}")
            log = partial.metrics_path(f"run-{number:03}")
            log.unlink(missing_ok=True)
            os.link(path, log)
        partial.root.rename(root)
    return root
