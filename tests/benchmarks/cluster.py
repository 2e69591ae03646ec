"""One process against a local cluster of processes, over a store of 100 million records.

    python -m tests.benchmarks.cluster --work DIRECTORY [--workers 1 2 4] [--repeat 3] [--quick]
                                       [--records 1e7 1e8 1e9] [--output DIRECTORY]

makes the store once (2.6 GB: four long logs among 20,000), runs four tasks in one process and with
each number of workers, and prints a Markdown table: seconds (median), the bytes of log that were
read a second, and the largest peak memory of a worker and of the client. Before the tasks, all logs
are read as they are, for comparison. Every result is compared with that of one process, exports by
a checksum over all rows that does not depend on their order. In one more run a worker is killed. At
the end, the export is run again with nothing to do, and DuckDB queries it. The exit code is 1 if a
result differs.

With `--records`, this is done for stores of other sizes, one after another. The long form is

    python -m tests.benchmarks.cluster --work DIR --records 1e6 1e7 1e8 1e9 --workers 1 2
                                       --repeat 1 --output tests/benchmarks

whose largest store has 100,000 experiments and 25 GB. DIR needs 40 GB, since what a task has
written is deleted before the next. `--output` gets the tables as `cluster.md`, and `cluster.svg`, a
plot of time over workers and over records.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from expstore import ExperimentStore, Metadata
from expstore.compare.experimentfile import beside
from formats import META, RECORD, RecordCodec, build_columns
from formats.columns import TextColumn

FIVE = ("loss", "acc", "lr", "grad/norm", "val/loss")
_START = 1_700_000_000
_FORMS = ("best val/loss per user", "count and mean by name", "check", "export to Parquet")
_KILLED_AFTER = 0.3  # as a share of the time that the computation takes undisturbed


@dataclass(frozen=True)
class Size:
    """How large the store is."""

    experiments: int
    records: int
    long_logs: int
    long_records: int

    @property
    def short_records(self) -> int:
        """Records of each log that is not long."""
        rest = self.records - self.long_logs * self.long_records
        return rest // (self.experiments - self.long_logs)


FULL = Size(20_000, 100_000_000, 4, 10_000_000)
QUICK = Size(200, 1_000_000, 2, 300_000)
_LONG = Size(100_000, 1_000_000_000, 8, 50_000_000)


def size_of(records: int) -> Size:
    """A store of so many records: as `FULL`, or from 500 million on as the long form."""
    like = _LONG if records >= _LONG.records // 2 else FULL
    share = records / like.records
    return Size(like.experiments, records, like.long_logs, max(int(like.long_records * share), 1))


def make_store(root: Path, size: Size) -> ExperimentStore:
    """The store, made once; it appears only when it is complete."""
    store = ExperimentStore(root)
    if root.exists():
        return store
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    build = RecordCodec(META).build
    rng = np.random.default_rng(1)
    spacing = size.experiments // size.long_logs
    for number in range(size.experiments):
        commit_id = f"{number * 2654435761 % 2**32:08x}{number:032x}"
        user, job = f"user{number % 10}", f"train-{number % 100}"
        # As plain files, without the syncs that the store makes for each: they take far longer.
        path = partial / commit_id
        (path / "files").mkdir(parents=True)
        (path / "meta.bin").write_bytes(
            build(timestamp=_START + number, commit_id=commit_id, job_name=job, user=user)
        )
        is_long = number % spacing == spacing // 2
        with (path / "metrics.bin").open("wb", buffering=0) as log:
            for columns in _columns(rng, size.long_records if is_long else size.short_records):
                log.write(build_columns(RECORD, columns))
        if number % 1000 == 999:
            print(f"made {number + 1:,} experiments", end="\r", file=sys.stderr, flush=True)
    os.sync()
    partial.rename(root)
    return store


def _columns(rng: np.random.Generator, count: int) -> Iterator[dict[str, Any]]:
    """The records of a log, at most a million at a time."""
    for start in range(0, count, 1_000_000):
        index = np.arange(start, min(start + 1_000_000, count))
        yield {
            "timestamp": _START + index // 50,
            "step": (index // len(FIVE)).astype(np.uint32),
            "value": rng.random(index.size) + 1 / (1 + index / 1000),
            "name": TextColumn((index % len(FIVE)).astype(np.int32), FIVE),
        }


# --- one process ---


def best_alone(store: ExperimentStore, _: Path) -> dict[str, float]:
    """The minimum val/loss of each user."""
    users: dict[str, str] = {}
    for commit_id, outcome in store.iter_metadata():
        if not isinstance(outcome, Metadata):
            raise outcome
        users[commit_id] = outcome.user
    best: dict[str, float] = {}
    for batch in store.to_arrow(names=["val/loss"]):
        if batch.num_rows:
            user = users[batch["commit_id"].dictionary[0].as_py()]
            minimum = float(batch["value"].to_numpy().min())
            best[user] = min(best.get(user, minimum), minimum)
    return dict(sorted(best.items()))


def means_alone(store: ExperimentStore, _: Path) -> dict[str, tuple[int, float]]:
    """The number of values of each name, and their mean."""
    counts: dict[str, int] = {}
    sums: dict[str, float] = {}
    for batch in store.to_arrow():
        names, codes = batch["name"].dictionary.to_pylist(), batch["name"].indices.to_numpy()
        found = np.bincount(codes, minlength=len(names))
        total = np.bincount(codes, batch["value"].to_numpy(), minlength=len(names))
        for name, count, added in zip(names, found.tolist(), total.tolist(), strict=True):
            counts[name] = counts.get(name, 0) + count
            sums[name] = sums.get(name, 0.0) + added
    return {name: (count, sums[name] / count) for name, count in sorted(counts.items())}


def check_alone(store: ExperimentStore, _: Path) -> list[Any]:
    """Every report."""
    return list(store.check_all())


def export_alone(store: ExperimentStore, work: Path) -> Path:
    """One Parquet file."""
    from expstore.exchange.export import export_file

    export_file(store, None, work / "alone.parquet", "parquet", metadata=True, force=True)
    return work / "alone.parquet"


# --- a cluster ---


def best_together(store: ExperimentStore, _: Path) -> dict[str, float]:
    """As `best_alone`."""
    from expstore.cluster import read_metadata, read_metrics

    users = read_metadata(store).compute().set_index("commit_id")["user"]
    losses = read_metrics(store, names=["val/loss"]).groupby("commit_id", observed=True)["value"]
    best = losses.min().compute().groupby(users).min()
    return {user: float(value) for user, value in sorted(best.items())}


def means_together(store: ExperimentStore, _: Path) -> dict[str, tuple[int, float]]:
    """As `means_alone`."""
    from expstore.cluster import read_metrics

    by_name = read_metrics(store).groupby("name", observed=True)["value"]
    found = by_name.agg(["count", "mean"]).compute()
    return {
        name: (int(row["count"]), float(row["mean"])) for name, row in found.sort_index().iterrows()
    }


def check_together(store: ExperimentStore, _: Path) -> list[Any]:
    """As `check_alone`."""
    from expstore.cluster import check_store

    return list(check_store(store))


def export_together(store: ExperimentStore, work: Path) -> Path:
    """A directory of Parquet files."""
    from expstore.cluster import export_parquet

    shutil.rmtree(work / "parts", ignore_errors=True)
    export_parquet(store, work / "parts", metadata=True)
    return work / "parts"


def export_again(store: ExperimentStore, work: Path) -> bool:
    """Whether a second export wrote nothing."""
    from expstore.cluster import export_parquet

    return export_parquet(store, work / "parts", metadata=True).written == 0


# --- the export, by other programs ---


def best_by_duckdb(_: ExperimentStore, work: Path) -> dict[str, float]:
    """As `best_alone`, from the export."""
    return dict(_asked(work, '"user", min(value)', "name = 'val/loss'"))


def means_by_duckdb(_: ExperimentStore, work: Path) -> dict[str, tuple[int, float]]:
    """As `means_alone`, from the export."""
    rows = _asked(work, "name, count(*), avg(value)", "true")
    return {name: (count, mean) for name, count, mean in rows}


def _asked(work: Path, columns: str, where: str) -> list[Any]:
    """The rows of a query, grouped and sorted by the first column."""
    import duckdb

    source = f"'{work / 'parts'}/*.parquet'"
    query = f"SELECT {columns} FROM {source} WHERE {where} GROUP BY 1 ORDER BY 1"
    return duckdb.sql(query).fetchall()


def searched(_: ExperimentStore, work: Path) -> float:
    """The lowest val/loss of all, by a comparison of the export."""
    from expstore.compare import compare

    found = compare(work / "parts", sort="val/loss:min", limit=10)
    return found[0].metrics["val/loss"].min


def searched_alone(answers: dict[str, Any]) -> float:
    """What `searched` is to find."""
    return min(answers[_FORMS[0]].values())


Work = Callable[[ExperimentStore, Path], Any]
ALONE: tuple[Work, ...] = (best_alone, means_alone, check_alone, export_alone)
TOGETHER: tuple[Work, ...] = (best_together, means_together, check_together, export_together)


# --- measuring ---


def reset_peak() -> None:
    """Reset this process's peak memory."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """This process's peak memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel reports no VmHWM")


class Sample(NamedTuple):
    """One run of a task; the peaks are of memory, in bytes.

    Attributes:
        worker: of the one process, or the largest of a worker.
        client: of the process that has the client; 0 if there is none.
    """

    seconds: float
    worker: int
    client: int
    answer: Any


def timed_alone(work: Work, store: ExperimentStore, directory: Path) -> Sample:
    """Run a task in this process."""
    reset_peak()
    began = time.perf_counter()
    answer = work(store, directory)
    seconds, held = time.perf_counter() - began, peak()
    return Sample(seconds, held, 0, settled(answer))


def timed_together(client: Any, work: Work, store: ExperimentStore, directory: Path) -> Sample:
    """Run a task with the workers."""
    client.run(reset_peak)
    reset_peak()
    began = time.perf_counter()
    answer = work(store, directory)
    seconds, held = time.perf_counter() - began, peak()
    return Sample(seconds, max(client.run(peak).values()), held, settled(answer))


def settled(answer: Any) -> Any:
    """An answer that needs no file: of an export, the number of rows and a checksum.

    The one file of one process is deleted, to have room for the next.
    """
    if not isinstance(answer, Path):
        return answer
    found = rows_sum(answer)
    if answer.is_file():
        answer.unlink()
    return found


def same(alone: Any, together: Any) -> bool:
    """Whether two answers are equal; means may differ by rounding in another order."""
    if isinstance(alone, dict) and alone and isinstance(next(iter(alone.values())), tuple):
        return alone.keys() == together.keys() and all(
            alone[name][0] == together[name][0]
            and np.isclose(alone[name][1], together[name][1], rtol=1e-12, atol=0)
            for name in alone
        )
    return bool(alone == together)


def rows_sum(path: Path) -> tuple[int, int]:
    """The number of rows in Parquet files, and an order-independent checksum of all their cells."""
    import pyarrow.dataset

    count = total = 0
    files = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    for batch in pyarrow.dataset.dataset(files).to_batches():
        row = np.zeros(batch.num_rows, np.uint64)
        for factor, column in enumerate(batch.columns, 2):
            row = (row ^ _bits(column)) * np.uint64(0x9E3779B97F4A7C15 + 2 * factor)
            row ^= row >> np.uint64(29)
        count += batch.num_rows
        total += int(row.sum(dtype=np.uint64))
    return count, total % 2**64


def _bits(column: Any) -> Any:
    """64 bits for each cell, equal for equal cells."""
    import hashlib

    import pyarrow

    if pyarrow.types.is_string(column.type):
        column = column.dictionary_encode()
    if pyarrow.types.is_date32(column.type):
        column = column.cast(pyarrow.int32())
    if not pyarrow.types.is_dictionary(column.type):
        numbers = column.to_numpy()
        return numbers.view(np.uint64) if numbers.dtype.kind == "f" else numbers.astype(np.uint64)
    texts = column.dictionary.to_pylist()
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    codes = column.indices.to_numpy()
    return np.frombuffer(b"".join(digests), np.uint64)[codes] if texts else codes.astype(np.uint64)


def raw_read(store: ExperimentStore) -> tuple[int, float]:
    """The bytes of all logs, and the seconds that it takes one process to read them as they are."""
    buffer = bytearray(1 << 20)
    count, began = 0, time.perf_counter()
    for commit_id in store.list_experiments():
        with open(store.metrics_path(commit_id), "rb", buffering=0) as log:
            while read := log.readinto(buffer):
                count += read
    return count, time.perf_counter() - began


def run_killed(
    client: Any, store: ExperimentStore, directory: Path, undisturbed: float
) -> tuple[float, Any]:
    """Seconds and answer of `means_together` when one of its workers is killed."""
    victim = next(iter(client.run(os.getpid).values()))
    timer = threading.Timer(undisturbed * _KILLED_AFTER, os.kill, (victim, signal.SIGKILL))
    timer.start()
    began = time.perf_counter()
    answer = means_together(store, directory)
    seconds = time.perf_counter() - began
    timer.join()
    if victim in client.run(os.getpid).values():
        raise RuntimeError("the worker was not killed")
    return seconds, answer


@dataclass
class Measured:
    """All samples of one store.

    Attributes:
        records: of the store.
        raw: the bytes of all logs, and the seconds that a raw read of them takes.
        cells: for each task and each contender, its samples.
        workers: the numbers of workers.
    """

    records: int
    raw: tuple[int, float]
    workers: list[int]
    cells: dict[str, dict[str, list[Sample]]]
    notes: list[str]
    equal: bool = True

    def seconds(self, form: str, who: str) -> float:
        """The median."""
        return median(sample.seconds for sample in self.cells[form][who])

    def table(self) -> list[str]:
        """The Markdown table, and what else was found."""
        size, taken = self.raw
        columns = ["one process", *map(_workers, self.workers)]
        lines = [f"| work | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
        for form, samples in self.cells.items():
            cells = []
            for who in columns:
                seconds = self.seconds(form, who)
                held = f"{max(one.worker for one in samples[who]) / 1e6:.0f} MB"
                if client := max(one.client for one in samples[who]):
                    held += f" + {client / 1e6:.0f}"
                cells.append(f"{seconds:.2f} s, {size / 1e6 / seconds:,.0f} MB/s, {held}")
            lines.append(f"| {form} | {' | '.join(cells)} |")
        read = f"a raw read of the logs: {size / 1e9:.2f} GB in {taken:.1f} s"
        notes = [f"{read}, {size / 1e6 / taken:,.0f} MB/s", *self.notes]
        return [*lines, "", *(f"- {note}" for note in notes)]


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def main(given: Sequence[str] | None = None) -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="a directory for the stores")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--records", type=float, nargs="+", help="instead of 100 million, such as 1e7 1e9"
    )
    parser.add_argument("--quick", action="store_true", help="a small store")
    parser.add_argument("--output", type=Path, help="for cluster.md and cluster.svg")
    arguments = parser.parse_args(given)
    sizes = [QUICK if arguments.quick else FULL]
    if arguments.records:
        sizes = [size_of(int(records)) for records in sorted(arguments.records)]
    arguments.work.mkdir(parents=True, exist_ok=True)
    done: list[Measured] = []
    for size in sizes:
        store = make_store(arguments.work / f"cluster-{size.experiments}-{size.records}", size)
        done.append(measure(store, arguments.work, size, arguments.workers, arguments.repeat))
        text = [f"\n{size.records:,} records in {size.experiments:,} experiments:\n"]
        print(*text, *done[-1].table(), sep="\n", flush=True)
        if arguments.output is not None:  # as far as it is known, since this may take long
            write(done, arguments.output)
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0 if all(measured.equal for measured in done) else 1


def write(done: Sequence[Measured], output: Path) -> None:
    """Write the tables and the picture into a directory."""
    from tests.benchmarks.cluster_picture import draw

    output.mkdir(parents=True, exist_ok=True)
    draw(done, output / "cluster.svg")
    parts = ["# A cluster, by workers and by records", "![Time](cluster.svg)"]
    for one in done:
        parts += [f"## {one.records:,} records", "\n".join(one.table())]
    parts.append(
        "Seconds are medians; the memory is the largest peak of one worker, and after the plus "
        f"that of the client. {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end."
    )
    (output / "cluster.md").write_text("\n\n".join(parts) + "\n")


def measure(
    store: ExperimentStore, work: Path, size: Size, counts: list[int], repeat: int
) -> Measured:
    """Take all samples of one store."""
    from expstore.cluster import open_client

    measured = Measured(size.records, raw_read(store), counts, {form: {} for form in _FORMS}, [])
    answers: dict[str, Any] = {}
    for form, alone in zip(_FORMS, ALONE, strict=True):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            samples = [pool.submit(timed_alone, alone, store, work).result() for _ in range(repeat)]
        answers[form] = samples[-1].answer
        _add(measured, form, "one process", samples)
    for count in counts:
        with open_client(workers=count) as client:
            client.run(eval, "__import__('expstore.cluster.frames')")
            for form, together in zip(_FORMS, TOGETHER, strict=True):
                samples = [timed_together(client, together, store, work) for _ in range(repeat)]
                if not all(same(answers[form], sample.answer) for sample in samples):
                    measured.equal = False
                    measured.notes.append(f"{form}, {_workers(count)}: DIFFERENT ANSWER")
                _add(measured, form, _workers(count), samples)
            if count > 1:
                undisturbed = measured.seconds(_FORMS[1], _workers(count))
                seconds, answer = run_killed(client, store, work, undisturbed)
                right = same(answers[_FORMS[1]], answer)
                measured.equal &= right
                measured.notes.append(
                    f"{_FORMS[1]}, {_workers(count)}, one of them killed: {seconds:.2f} s, "
                    f"{'the same answer' if right else 'DIFFERENT ANSWER'}"
                )
            if count == counts[-1]:
                _afterwards(measured, answers, store, work, repeat)
    shutil.rmtree(work / "parts", ignore_errors=True)
    beside(work / "parts").unlink(missing_ok=True)
    return measured


def _afterwards(
    measured: Measured, answers: dict[str, Any], store: ExperimentStore, work: Path, repeat: int
) -> None:
    """Measure what is done with an existing export."""
    expected = {
        export_again: ("the export again, with nothing to do", True),
        best_by_duckdb: (f"{_FORMS[0]}, DuckDB from the export", answers[_FORMS[0]]),
        means_by_duckdb: (f"{_FORMS[1]}, DuckDB from the export", answers[_FORMS[1]]),
        searched: ("the 10 best by val/loss, `compare` of the export", searched_alone(answers)),
    }
    held = sum(path.stat().st_size for path in (work / "parts").iterdir())
    rows = beside(work / "parts").stat().st_size
    measured.notes.append(
        f"the export: {held / 1e9:.2f} GB, and {rows / 1e6:.1f} MB about the experiments"
    )
    for ask, (title, answer) in expected.items():
        samples = [timed_alone(ask, store, work) for _ in range(repeat)]
        right = all(same(answer, sample.answer) for sample in samples)
        measured.equal &= right
        seconds = median(sample.seconds for sample in samples)
        measured.notes.append(f"{title}: {seconds:.2f} s{'' if right else ', DIFFERENT ANSWER'}")


def _add(measured: Measured, form: str, who: str, samples: list[Sample]) -> None:
    measured.cells[form][who] = samples
    shown = ", ".join(f"{sample.seconds:.2f}" for sample in samples)
    print(f"{form}: {who}: {shown} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
