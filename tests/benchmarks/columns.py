"""Time columns against the reference program, on the same files.

    python -m tests.benchmarks.columns [--reference PROGRAM] [--records N] [--repeat N]

The reference (or $EXPSTORE_REFERENCE) is a program with the command `time-read`; without it only
this side is timed. Times are medians in ns per record, from a file in the page cache to columns.
Peak memory is that of a separate process, less what it held before reading. The two sides take
turns, so that other load on the machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from formats.columns import ColumnParser, Columns, build_columns
from formats.metrics import RECORD
from formats.schema import Schema

SCHEMA = Schema.of(RECORD)
FIVE = ["loss", "acc", "lr", "grad/norm", "val/loss"]


def in_turn(names: list[str], further: list[str] | None = None) -> Iterator[tuple[int, str]]:
    """Endless (step, name): all names every step, further ones every 100th."""
    step = 0
    while True:
        for name in names + (further or [] if step % 100 == 99 else []):
            yield step, name
        step += 1


def in_disorder(names: list[str]) -> Iterator[tuple[int, str]]:
    """Endless (step, name), with names at random."""
    choose = random.Random(1).choices
    step = 0
    while True:
        for name in choose(names, k=1000):
            yield step, name
        step += 1


CORPORA: dict[str, Callable[[], Iterator[tuple[int, str]]]] = {
    "5 names in turn": lambda: in_turn(FIVE),
    "and 3 more every 100th step": lambda: in_turn(FIVE, ["val/acc", "val/f1", "epoch"]),
    "500 names in turn": lambda: in_turn([f"layer{i}/grad" for i in range(500)]),
    "20 names at random": lambda: in_disorder([f"metric/{i * i}" for i in range(20)]),
    "one name": lambda: in_turn(["loss"]),
}


def corpus(kind: str, count: int) -> bytes:
    """The bytes of `count` records, with one second per 997 records."""
    index = np.arange(count)
    rows = list(islice(CORPORA[kind](), count))
    names = {name: code for code, name in enumerate(dict.fromkeys(name for _, name in rows))}
    return build_columns(
        SCHEMA,
        {
            "timestamp": 1_700_000_000 + index // 997,
            "step": np.array([step for step, _ in rows]),
            "value": index / 7,
            "name": (np.array([names[name] for _, name in rows]), list(names)),
        },
    )


def read(path: Path) -> Columns:
    """A whole file's columns."""
    with path.open("rb", buffering=0) as file:
        return ColumnParser(SCHEMA).read(file.readinto, os.fstat(file.fileno()).st_size)


def peak_memory(path: Path) -> int:
    """Bytes that reading the file added to the peak of a process."""
    code = (
        "import re, sys; from pathlib import Path; from tests.benchmarks import columns;"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]);"
        "before = peak(); kept = columns.read(Path(sys.argv[1])); print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    return 1024 * int(done.stdout)


def seconds(work: Callable[[], object]) -> float:
    """The better of two runs, as in `reference_seconds`."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def reference_seconds(program: str, root: str, kind: str) -> float:
    """The better of two reads by the reference."""
    command = [program, "time-read", root, kind, "2"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["seconds"])


def main() -> None:
    """Print one row for each corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", default=os.environ.get("EXPSTORE_REFERENCE"))
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    print("| corpus | records | ns | reference ns | ratio | build ns | peak, B a record |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as root:
        for number, kind in enumerate(CORPORA):
            count = options.records * (10 if kind == "one name" else 1)
            path = Path(root, str(number), "metrics.bin")
            path.parent.mkdir()
            path.write_bytes(corpus(kind, count))
            times = []
            for _ in range(options.repeat):
                theirs = float("nan")
                if options.reference:
                    theirs = reference_seconds(options.reference, root, str(number))
                times.append((seconds(partial(read, path)), theirs))
            ours, reference = map(statistics.median, zip(*times, strict=True))
            table = read(path)
            columns = {name: table[name] for name in table}
            building = partial(build_columns, SCHEMA, columns)
            build = statistics.median(seconds(building) for _ in range(options.repeat))
            del table, columns
            print(
                f"| {kind} | {count} | {ours / count * 1e9:.1f} | {reference / count * 1e9:.1f} "
                f"| {reference / ours:.1f} | {build / count * 1e9:.1f} "
                f"| {peak_memory(path) / count:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
