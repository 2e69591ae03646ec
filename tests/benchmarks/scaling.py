"""How time grows with the experiments of a store, and with the records of a log.

`python -m tests.benchmarks.scaling` measures library calls and whole processes on stores of growing
size. It draws processor time against size, fits the exponent of each, and names whatever grows
faster than its work. The exit code is 0 whatever the figures are: a benchmark is not a test.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import report
from tests.benchmarks.corpora import Corpora
from tests.benchmarks.harness import Bench
from tests.benchmarks.scaling_picture import draw

LIMIT = 1.1
"""Exponents above this are named; n log n gives 1.06 to 1.09 between the larger sizes."""

_FITTED = 3  # the largest sizes, which a fit is made of
_LONG = 5.0  # seconds: what takes longer is measured twice; the first may read from the disk
_HELD = 70  # bytes of memory that a record takes at most

EXPERIMENTS = (1_000, 5_000, 20_000, 50_000, 200_000)
RECORDS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
RECORDS_EACH = 30  # in each of many experiments
LEAST = {"experiments": 1, "records": 0}
"""What the time beyond is fitted to, since a process takes its time to start."""
ONE = "0" * 40  # the id of the only experiment

CALLS = {
    "experiments": ("iter_metadata", "plan_prune", "check_all", "compare"),
    "records": ("get_metrics", "iter_metrics", "check_all", "compare"),
}
PROCESSES = {
    "experiments": ("ls", "prune --keep 100 --dry-run", "check", "compare --name val/loss"),
    "records": (f"show {ONE}", f"tail {ONE}", "check", "compare"),
}


@dataclass
class Line:
    """One kind of work, measured at several sizes.

    Attributes:
        title: what is done.
        axis: what there is more of: `experiments` or `records`.
        is_process: a whole process; else a call.
        base: processor seconds at the size in LEAST.
        points: sizes, each with its processor seconds.
    """

    title: str
    axis: str
    is_process: bool
    base: float = 0.0
    points: dict[int, float] = field(default_factory=dict)

    @property
    def exponent(self) -> float:
        """Of the time beyond `base`, at the largest sizes; NaN if it is not above that."""
        above = {
            size: seconds - self.base
            for size, seconds in self.points.items()
            if seconds > 1.5 * self.base
        }
        fitted = sorted(above.items())[-_FITTED:]
        if len(fitted) < 2:
            return float("nan")
        sizes, seconds = np.log(fitted).T
        return float(np.polyfit(sizes, seconds, 1)[0])

    @property
    def grows_too_fast(self) -> bool:
        """Whether the time grows faster than the size."""
        return self.exponent > LIMIT


def measure(
    bench: Bench,
    sizes: dict[str, Sequence[int]],
    only: str = "",
    progress: Callable[[str], object] = lambda what: None,
) -> Iterator[Line]:
    """Measure all lines whose title contains `only`; a size that memory cannot hold is left out.

    Args:
        bench: the work directory, in which stores are kept.
        sizes: ascending, of each axis.
        only: a part of the titles.
        progress: called with what is measured next.
    """
    corpora = Corpora(bench)

    def store(axis: str, size: int) -> Path:
        several = axis == "experiments"
        return corpora.experiments(*((size, RECORDS_EACH) if several else (1, size)))

    for axis, chosen in sizes.items():
        works = [(title, False) for title in CALLS[axis]]
        works += [(title, True) for title in PROCESSES[axis]]
        for title, is_process in works:
            if only not in title:
                continue
            line = Line(title.replace(ONE, "ID"), axis, is_process)
            for size in (LEAST[axis], *chosen):
                if axis == "records" and size * _HELD > _memory() // 2:
                    continue
                progress(f"{title}, {size:,} {axis}")
                root = store(axis, size)
                seconds = _sample(bench, title, is_process, root, store(axis, chosen[0]))
                if size == LEAST[axis]:
                    line.base = seconds
                else:
                    line.points[size] = seconds
            yield line


def _sample(bench: Bench, title: str, is_process: bool, root: Path, small: Path) -> float:
    """Processor seconds: the least of several samples, or of two if it takes long."""
    least = float("inf")
    for number in range(bench.repeat):
        if is_process:
            seconds = _process_seconds("--root", str(root), *title.split())
        else:
            seconds = float(bench.ours("scale", title, root, small)["seconds"])
        least = min(least, seconds)
        if number and least > _LONG:
            break
    return least


def _process_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "expstore", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _memory() -> int:
    """Bytes that are available, as far as the system says."""
    info = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s*(\d+) kB", info.read_text()) if info.exists() else None
    return int(found[1]) * 1024 if found else 1 << 33


def table(lines: Sequence[Line]) -> Iterator[str]:
    """The figures as Markdown, a table for each axis, and what grows faster than its work."""
    for axis in dict.fromkeys(line.axis for line in lines):
        own = [line for line in lines if line.axis == axis]
        sizes = sorted({size for line in own for size in line.points})
        header = [
            f"processor time by {axis}",
            str(LEAST[axis]),
            *(f"{size:,}" for size in sizes),
            "exponent",
        ]
        yield from report.table(header, (_cells(line, sizes) for line in own), markdown=True)
        yield ""
    named = [f"`{line.title}` by {line.axis}" for line in lines if line.grows_too_fast]
    yield (
        f"Faster than its work (exponent above {LIMIT:g}) grows: {', '.join(named) or 'nothing'}."
    )


def _cells(line: Line, sizes: Sequence[int]) -> list[str]:
    title = f"`expstore {line.title}`" if line.is_process else f"call of `{line.title}`"
    times = (line.base, *(line.points.get(size) for size in sizes))
    exponent = "flat" if np.isnan(line.exponent) else f"{line.exponent:.2f}"
    return [title, *("-" if time is None else _short(time) for time in times), exponent]


def _short(seconds: float) -> str:
    """`12 us`, `3.4 ms`, `25 s`."""
    units = (1e-6, "us"), (1e-3, "ms"), (1.0, "s")
    unit, name = next(
        (low for low, high in pairwise(units) if seconds < 0.9995 * high[0]), units[-1]
    )
    return f"{report.number(seconds / unit)} {name}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scaling", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; takes about a minute")
    parser.add_argument("--only", metavar="NAME", default="", help="only what contains this")
    parser.add_argument(
        "--work",
        metavar="DIR",
        type=Path,
        help="keep the stores here for the next run (8 GB); default: a temporary directory",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="write scaling.svg and scaling.md there; default: print the table",
    )
    parser.add_argument("--repeat", type=int, default=3, help="samples of what takes little time")
    return parser.parse_args()


def main() -> None:
    """Measure, and print or write the table and the picture."""
    options = _options()
    sizes: dict[str, Sequence[int]] = {"experiments": EXPERIMENTS, "records": RECORDS}
    if options.quick:
        sizes = {"experiments": (10, 30, 100), "records": RECORDS[:3]}
    with tempfile.TemporaryDirectory(prefix="expstore-scaling-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(work, None, options.quick, options.repeat)
        facts = report.machine(bench, "tests.benchmarks.scaling")
        lines: list[Line] = []
        for line in measure(bench, sizes, options.only, report.progress):
            lines.append(line)
            if options.output is not None:  # as far as it is known, since this may take long
                write(lines, options.output, bench, facts)
    report.progress("")
    if options.output is None:
        print("\n".join(table(lines)))


def write(lines: Sequence[Line], output: Path, bench: Bench, facts: dict[str, Any]) -> None:
    """Write the picture, and the table with the conditions, into a directory."""
    output.mkdir(parents=True, exist_ok=True)
    draw(lines, output / "scaling.svg")
    text = "\n".join(table(lines))
    (output / "scaling.md").write_text(
        "# How time grows with size\n\n![Processor time by size](scaling.svg)\n\n"
        f"{text}\n\n"
        f"Many experiments have {RECORDS_EACH} records each; many records are in one log. Five "
        f"names in turn. Least of {bench.repeat} samples in processes of their own, of two where "
        f"it takes over {_LONG:g} s. The exponent is that of the time beyond the first column's, "
        f"at the {_FITTED} largest sizes.\n\n"
        f"Measured on {facts['date']} with `{facts['command']}` ({facts['mode']}): {facts['cpu']}, "
        f"{facts['cores']} cores, Python {facts['python']}, NumPy {facts['numpy']}, "
        f"{facts['kernel']}, {facts['file_system']}; load {facts['load']:.1f} at the start.\n"
    )


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads' start is no work of ours
    main()
