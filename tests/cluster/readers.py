"""An export's answers in every program that reads it, beside those of the store.

    python -m tests.cluster.readers --work DIRECTORY [--experiments 200] [--spark PYTHON]

makes a small store, exports it with local workers, and asks the README's two questions (the best
`val/loss` of each user; count and mean by name) of one process, Dask, DuckDB, polars' lazy scan,
PyArrow, and Spark. Spark is asked by another Python, which has pyspark and finds a Java runtime:
`python3 -m venv spark && spark/bin/pip install pyspark`, then `--spark spark/bin/python`. The exit
code is 1 if two answers differ.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from tests.benchmarks.cluster import (
    best_alone,
    best_by_duckdb,
    best_together,
    means_alone,
    means_by_duckdb,
    means_together,
)
from tests.cluster.operations import make_store

Answers = tuple[dict[str, float], dict[str, tuple[int, float]]]

_SPARK = """
import json, sys
from pyspark.sql import SparkSession, functions as f
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
spark = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
rows = spark.read.parquet(sys.argv[1])
best = rows.where("name = 'val/loss'").groupBy("user").agg(f.min("value")).collect()
means = rows.groupBy("name").agg(f.count("*"), f.avg("value")).collect()
print(json.dumps([{row[0]: row[1] for row in best}, {row[0]: row[1:] for row in means}]))
"""


def of_store(store: ExperimentStore, work: Path) -> Answers:
    """One process, without an export."""
    return best_alone(store, work), means_alone(store, work)


def of_dask(store: ExperimentStore, work: Path) -> Answers:
    """The workers that are open, without an export."""
    return best_together(store, work), means_together(store, work)


def of_duckdb(store: ExperimentStore, work: Path) -> Answers:
    """DuckDB."""
    return best_by_duckdb(store, work), means_by_duckdb(store, work)


def of_polars(_: ExperimentStore, work: Path) -> Answers:
    """polars, which scans the directory itself."""
    import polars as pl

    rows = pl.scan_parquet(work / "parts")
    value = pl.col("value")
    losses = rows.filter(pl.col("name") == "val/loss")
    best = losses.group_by("user").agg(value.min()).collect()
    means = rows.group_by("name").agg(value.count(), value.mean().alias("mean")).collect()
    return dict(best.iter_rows()), {name: (count, mean) for name, count, mean in means.iter_rows()}


def of_pyarrow(_: ExperimentStore, work: Path) -> Answers:
    """PyArrow's data sets."""
    import pyarrow.dataset as ds

    rows = ds.dataset(work / "parts", format="parquet")
    table = rows.to_table(columns=["user", "value"], filter=ds.field("name") == "val/loss")
    best = table.group_by("user").aggregate([("value", "min")]).to_pylist()
    means = rows.to_table(columns=["name", "value"]).group_by("name")
    found = means.aggregate([("value", "count"), ("value", "mean")]).to_pylist()
    return (
        {row["user"]: row["value_min"] for row in best},
        {row["name"]: (row["value_count"], row["value_mean"]) for row in found},
    )


def of_spark(python: Path) -> Callable[[ExperimentStore, Path], Answers]:
    """Spark, by a Python that has it."""

    def ask(_: ExperimentStore, work: Path) -> Answers:
        done = subprocess.run(
            [python, "-c", _SPARK, work / "parts"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"Spark failed: {done.stderr[-2000:]}")
        best, means = json.loads(done.stdout.splitlines()[-1])
        return best, {name: tuple(found) for name, found in means.items()}

    return ask


READERS: dict[str, Callable[[ExperimentStore, Path], Answers]] = {
    "one process": of_store,
    "Dask": of_dask,
    "DuckDB": of_duckdb,
    "polars, lazily": of_polars,
    "PyArrow": of_pyarrow,
}


def equal(expected: Answers, found: Answers) -> bool:
    """Whether answers are equal, but for the rounding of means in another order."""
    best, means = found
    return (
        best == expected[0]
        and means.keys() == expected[1].keys()
        and all(
            count == expected[1][name][0]
            and math.isclose(mean, expected[1][name][1], rel_tol=1e-12)
            for name, (count, mean) in means.items()
        )
    )


def main() -> int:
    """Ask everyone, and print the answers side by side."""
    from expstore.cluster import export_parquet, open_client

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="a directory")
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--spark", type=Path, metavar="PYTHON", help="a Python with pyspark")
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    store = make_store(work / f"tiny-{arguments.experiments}", arguments.experiments)
    readers = dict(READERS)
    if arguments.spark:
        readers["Spark"] = of_spark(arguments.spark)
    answers: dict[str, Any] = {}
    with open_client(workers=1) as client:
        shutil.rmtree(work / "parts", ignore_errors=True)
        export_parquet(store, work / "parts", client, batch=1 << 20)
        for name, ask in readers.items():
            answers[name] = ask(store, work)
    expected = answers["one process"]
    verdicts = {name: equal(expected, found) for name, found in answers.items()}
    print("| reader | best of user0 | mean of loss | answers |\n|---|---|---|---|")
    for name, (best, means) in answers.items():
        verdict = "equal" if verdicts[name] else "DIFFERENT"
        print(f"| {name} | {best['user0']!r} | {means['loss'][1]:.15g} | {verdict} |")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
