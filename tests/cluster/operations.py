"""Expressions that people write over the frames, each with the answer that pandas gives.

    python -m tests.cluster.operations --work DIRECTORY [--experiments 100000] [--workers 2]
                                       [--only NAME ...] [--skip NAME ...] [--resume]

makes a store of tiny experiments (20 records each), evaluates every expression with Dask workers
and with pandas, and prints a Markdown table. Each row is written to a file in the directory, too:
after an interruption, `--resume` takes over what is in it and evaluates the rest. The exit code is
1 if an answer differs or an expression fails. The tests do the same on a small store.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from expstore import ExperimentStore
from expstore.model.longform import METADATA_COLUMNS
from formats import META, RECORD, RecordCodec, build_columns
from formats.columns import TextColumn

NAMES = ("loss", "acc", "lr", "val/loss")
_RECORDS = 20
_START = 1_700_000_000


@dataclass(frozen=True)
class Frames:
    """What an expression is about: frames of Dask, or the same of pandas.

    Attributes:
        metrics, described, metadata: of `read_metrics`, of the same with metadata, and of
            `read_metadata`.
        work: a directory to write to.
    """

    metrics: Any
    described: Any
    metadata: Any
    work: Path

    @property
    def lazy(self) -> bool:
        """Whether they are Dask's."""
        return not isinstance(self.metrics, pd.DataFrame)

    def if_lazy(self, **options: Any) -> dict[str, Any]:
        """Options that pandas does not have."""
        return options if self.lazy else {}

    def categories(self, name: str) -> Any:
        """The metrics with a column as categories, which Dask must know for some expressions."""
        if self.lazy:
            return self.metrics.categorize(name)
        return self.metrics.astype({name: "category"})


def _least(frames: Frames, *, sort: bool = True, **options: Any) -> Any:
    return frames.metrics.groupby("commit_id", sort=sort)["value"].min(**options)


def _by_parquet(frames: Frames) -> Any:
    if not frames.lazy:
        return frames.metrics
    import dask.dataframe

    path = frames.work / "by-parquet"
    shutil.rmtree(path, ignore_errors=True)
    frames.metrics.to_parquet(path)
    return dask.dataframe.read_parquet(path)


Operation = Callable[[Frames], Any]
OPERATIONS: dict[str, Operation] = {
    "count": lambda f: len(f.metrics),
    "min by id": _least,
    "min by id, split_out": lambda f: _least(f, **f.if_lazy(split_out=4)),
    "sum by id": lambda f: f.metrics.groupby("commit_id")["value"].sum(),
    "first by id": lambda f: f.metrics.groupby("commit_id")["step"].first(),
    "last by id": lambda f: f.metrics.groupby("commit_id")["step"].last(),
    "nunique by id": lambda f: f.metrics.groupby("commit_id")["name"].nunique(),
    "median by id": lambda f: f.metrics.groupby("commit_id")["value"].median(),
    "var by id": lambda f: f.metrics.groupby("commit_id")["value"].var(),
    "size by id": lambda f: f.metrics.groupby("commit_id").size(),
    "agg by id": lambda f: f.metrics.groupby("commit_id")["value"].agg(["min", "max", "count"]),
    "agg by id and name": lambda f: f.metrics.groupby(["commit_id", "name"])["value"].agg("mean"),
    "apply by id": lambda f: f.metrics.groupby("commit_id")["value"].apply(
        np.ptp, **f.if_lazy(meta=("value", "float64"))
    ),
    "transform by id": lambda f: f.metrics.groupby("commit_id")["value"].transform(
        "min", **f.if_lazy(meta=("value", "float64"))
    ),
    "count by name": lambda f: f.metrics.groupby("name")["value"].count(),
    "count by name, observed=False": lambda f: f.metrics.groupby("name", observed=False)[
        "value"
    ].count(),
    "count and mean by name": lambda f: f.metrics.groupby("name")["value"].agg(["count", "mean"]),
    "value_counts of names": lambda f: f.metrics["name"].value_counts(),
    "value_counts of ids": lambda f: f.metrics["commit_id"].value_counts(),
    "unique ids": lambda f: f.metrics["commit_id"].drop_duplicates(),
    "nunique of ids": lambda f: f.metrics["commit_id"].nunique(),
    "unique pairs": lambda f: f.metrics[["commit_id", "name"]].drop_duplicates(),
    "unique names": lambda f: f.metrics["name"].unique(),
    "set_index by id": lambda f: f.metrics.set_index("commit_id")["value"],
    "loc by id": lambda f: f.metrics.set_index("commit_id").loc["{id}"],
    "set_index by step": lambda f: f.metrics.set_index("step")["value"],
    "sort_values": lambda f: f.metrics.sort_values(["value"])["value"],
    "nlargest": lambda f: f.metrics["value"].nlargest(7),
    "isin": lambda f: f.metrics[f.metrics["name"].isin(["loss", "acc"])],
    "str": lambda f: f.metrics[f.metrics["name"].str.startswith("val/")]["value"],
    "query": lambda f: f.metrics.query("name == 'loss' and step > 2"),
    "max by category": lambda f: f.categories("name").groupby("name", observed=True)["value"].max(),
    "pivot_table": lambda f: f.categories("name").pivot_table(
        index="step", columns="name", values="value", aggfunc="mean"
    ),
    "repartition": lambda f: (f.metrics.repartition(npartitions=3) if f.lazy else f.metrics)[
        "value"
    ],
    "shuffle": lambda f: f.metrics.shuffle("commit_id") if f.lazy else f.metrics,
    "to_parquet": _by_parquet,
    "assign": lambda f: f.metrics.assign(twice=f.metrics["value"] * 2)["twice"].sum(),
    "rank of means": lambda f: f.metrics.groupby("name")["value"].mean().nlargest(2),
    "metrics merge metadata": lambda f: f.metrics.merge(f.metadata, on="commit_id", how="left"),
    "metadata merge min by id": lambda f: f.metadata.merge(
        _least(f).reset_index(), on="commit_id", how="left"
    ),
    "metadata merge min by id, inner": lambda f: f.metadata.merge(
        _least(f).reset_index(), on="commit_id"
    ),
    "metadata merge min by id, outer": lambda f: f.metadata.merge(
        _least(f).reset_index(), on="commit_id", how="outer"
    ),
    "metadata merge min by id, split_out": lambda f: f.metadata.merge(
        _least(f, **f.if_lazy(split_out=4)).reset_index(), on="commit_id", how="left"
    ),
    "min by id merge metadata": lambda f: (
        _least(f).reset_index().merge(f.metadata, on="commit_id", how="left")
    ),
    # Sorted, Dask's result of a groupby is taken for one that is distributed by a hash, by a join
    # with a frame of about as many partitions; see `read_metadata`.
    "metadata join min by id": lambda f: f.metadata.set_index("commit_id").join(
        _least(f, sort=False)
    ),
    "best of each user, merged": lambda f: (
        f.metadata.merge(_least(f).reset_index(), on="commit_id").groupby("user")["value"].min()
    ),
    "best of each user": lambda f: (
        f.described[f.described["name"] == "val/loss"].groupby("user")["value"].min()
    ),
    "experiments of each user": lambda f: f.metadata["user"].value_counts(),
    "latest experiment": lambda f: f.metadata["created"].max(),
    "rows by job and name": lambda f: f.described.groupby(["job_name", "name"]).size(),
    "mean by day": lambda f: (
        f.described.dropna(subset=["created"])
        .assign(day=lambda frame: frame["created"] // 86_400)
        .groupby("day")["value"]
        .mean()
    ),
}
"""Each is evaluated with frames of Dask and of pandas; `{id}` is an experiment's id."""


def in_pandas(store: ExperimentStore, work: Path) -> Frames:
    """The same frames, made by one process."""
    described = store.to_arrow(metadata=True).read_all().unify_dictionaries().to_pandas()
    texts = ["commit_id", "name", "job_name", "user"]
    described = described.astype(dict.fromkeys(texts, "string")).astype({"created": "Int64"})
    rows = [
        (commit_id, None, None, None, str(found))
        if isinstance(found, Exception)
        else (commit_id, found.job_name, found.user, found.timestamp, None)
        for commit_id, found in store.iter_metadata()
    ]
    metadata = pd.DataFrame(rows, columns=["commit_id", *METADATA_COLUMNS, "error"])
    types = {"created": "Int64"}
    types |= {name: "string" for name in metadata.columns if name != "created"}
    metrics = described.drop(columns=list(METADATA_COLUMNS))
    return Frames(metrics, described, metadata.astype(types), work)


def in_dask(store: ExperimentStore, work: Path, **options: Any) -> Frames:
    """The frames of `expstore.cluster`."""
    from expstore.cluster import read_metadata, read_metrics

    return Frames(
        read_metrics(store, **options),
        read_metrics(store, with_metadata=True, **options),
        read_metadata(store),
        work,
    )


def evaluated(operation: Operation, frames: Frames) -> Any:
    """The answer in a form that does not depend on the order of rows."""
    found = operation(frames)
    if hasattr(found, "compute"):
        found = found.compute()
    if isinstance(found, pd.Series):
        found = found.to_frame("result")
    elif not isinstance(found, pd.DataFrame):
        if np.isscalar(found):
            return found
        found = pd.DataFrame({"result": list(found)})
    index = found.index.names
    frame = found.reset_index() if any(name is not None for name in index) else found
    frame = pd.DataFrame(frame)
    frame.columns = [str(name) for name in frame.columns]
    for name in frame.columns:  # one type for each kind, so that pandas' own choices do not matter
        kind = "float64" if pd.api.types.is_numeric_dtype(frame[name]) else "object"
        column = frame[name].astype(object).where(frame[name].notna(), None)
        frame[name] = column.astype(kind)
    columns = sorted(frame.columns)
    return frame[columns].sort_values(columns, ignore_index=True, key=_sortable)


def _sortable(column: pd.Series[Any]) -> pd.Series[Any]:
    return column if column.dtype == "float64" else column.map(str)


def same(expected: Any, found: Any) -> bool:
    """Whether two answers are equal, but for the rounding of sums in another order."""
    if not isinstance(expected, pd.DataFrame):
        if pd.isna(expected):
            return bool(pd.isna(found))
        return bool(np.isclose(expected, found, rtol=1e-12))
    try:
        pd.testing.assert_frame_equal(expected, found, rtol=1e-9)
    except AssertionError:
        return False
    return True


def of_id(name: str, commit_id: str) -> Operation:
    """An operation; one that is about a single experiment is about this one."""
    if name == "loc by id":
        return lambda f: f.metrics.set_index("commit_id").loc[[commit_id]]
    return OPERATIONS[name]


def make_store(root: Path, experiments: int) -> ExperimentStore:
    """The store of tiny experiments, made once."""
    store = ExperimentStore(root)
    if root.exists():
        return store
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    build, rng = RecordCodec(META).build, np.random.default_rng(1)
    index = np.arange(_RECORDS)
    columns: dict[str, Any] = {
        "timestamp": _START + index // len(NAMES),
        "step": (index // len(NAMES)).astype(np.uint32),
        "name": TextColumn((index % len(NAMES)).astype(np.int32), NAMES),
    }
    for number in range(experiments):
        commit_id = f"{number * 2654435761 % 2**32:08x}{number:032x}"
        directory = partial / commit_id
        directory.mkdir(parents=True)
        # Plain files, without the syncs that the store would make for each.
        values = {"job_name": f"train-{number % 100}", "user": f"user{number % 10}"}
        (directory / "meta.bin").write_bytes(
            build(timestamp=_START + number, commit_id=commit_id, **values)
        )
        records = build_columns(RECORD, {**columns, "value": rng.random(_RECORDS)})
        (directory / "metrics.bin").write_bytes(bytes(records))
    partial.rename(root)
    return store


@dataclass(frozen=True)
class Row:
    """How one expression went: the seconds of pandas and of Dask, and "equal" or what is wrong."""

    name: str
    pandas: float
    dask: float
    verdict: str

    def __str__(self) -> str:
        return f"| {self.name} | {self.pandas:.2f} s | {self.dask:.2f} s | {self.verdict} |"


def compared(name: str, commit_id: str, alone: Frames, together: Frames) -> Row:
    """Evaluate one expression with both."""
    operation = of_id(name, commit_id)
    began = time.perf_counter()
    expected = evaluated(operation, alone)
    between = time.perf_counter()
    try:
        verdict = "equal" if same(expected, evaluated(operation, together)) else "DIFFERENT"
    except Exception as error:  # whatever it is, the others are still evaluated
        verdict = f"FAILED: {type(error).__name__}: {str(error).partition('.')[0]}"
    return Row(name, between - began, time.perf_counter() - between, verdict)


def chosen(only: list[str] | None, skip: list[str], done: Collection[str]) -> list[str]:
    """The expressions to evaluate, in order.

    Raises:
        ValueError: there is no expression of a name in `only` or `skip`.
    """
    if unknown := {*(only or ()), *skip} - OPERATIONS.keys():
        raise ValueError(f"no expression is named {', '.join(sorted(unknown))}")
    return [name for name in only or OPERATIONS if name not in skip and name not in done]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate the expressions, and print the table."""
    from expstore.cluster import open_client

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="a directory for the store")
    parser.add_argument("--experiments", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these expressions")
    parser.add_argument("--skip", nargs="+", default=[], metavar="NAME", help="not these")
    parser.add_argument("--resume", action="store_true", help="not those of the run before this")
    parsed = parser.parse_args(arguments)
    work: Path = parsed.work
    work.mkdir(parents=True, exist_ok=True)
    log = work / f"operations-{parsed.experiments}.jsonl"
    rows = []
    if parsed.resume and log.exists():
        rows = [Row(**json.loads(line)) for line in log.read_text().splitlines()]
    try:
        names = chosen(parsed.only, parsed.skip, {row.name for row in rows})
    except ValueError as error:
        parser.error(str(error))
    log.write_text("".join(json.dumps(vars(row)) + "\n" for row in rows))
    print("| expression | pandas | Dask | answer |\n|---|---|---|---|")
    print(*rows, sep="\n", end="\n" * bool(rows), flush=True)
    if names:
        store = make_store(work / f"tiny-{parsed.experiments}", parsed.experiments)
        alone = in_pandas(store, work)
        commit_id = store.list_experiments()[parsed.experiments // 2]
        with open_client(workers=parsed.workers), log.open("a") as file:
            together = in_dask(store, work)
            for name in names:
                rows.append(compared(name, commit_id, alone, together))
                print(rows[-1], flush=True)
                print(json.dumps(vars(rows[-1])), file=file, flush=True)
    wrong = sum(row.verdict != "equal" for row in rows)
    print(f"\n{len(rows)} expressions, {wrong} not equal", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
