"""The results as text for a terminal or as Markdown, and the facts about the machine."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.benchmarks.harness import Bench, Result, spread


def progress(what: str) -> None:
    """Show on a terminal what is measured now."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def measured(result: Result) -> None:
    """Show a row's figure as soon as it is known: all of them take long."""
    progress("")
    name, *_, figure, verdict = full_line(result)
    print(f"{name}: {figure} (target {result.row.target.text}) {verdict}", file=sys.stderr)


def machine(bench: Bench, module: str = "tests.benchmarks") -> dict[str, Any]:
    """The machine and the versions that the figures were measured with by a module."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(bench.work),
        "date": datetime.now(UTC).date().isoformat(),
        "mode": "quick: sizes too small to judge by" if bench.quick else "full",
        # File names only: local paths mean nothing to other readers.
        "command": " ".join((f"python -m {module}", *(Path(word).name for word in sys.argv[1:]))),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _file_system(path: Path) -> str:
    """The type of the file system that holds a directory: that of the nearest mount above it."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    kinds = {fields[1]: fields[2] for fields in map(str.split, mounts.read_text().splitlines())}
    path = path.resolve()
    return next(kinds[str(p)] for p in (path, *path.parents) if str(p) in kinds)


def table(header: list[str], lines: Iterable[list[str]], markdown: bool = False) -> Iterator[str]:
    """A table of text, with the first column left-aligned and the others right-aligned."""
    lines = [header, *lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for number, line in enumerate(lines):
        first, *rest = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]
        yield ("| " + " | ".join(cells) + " |") if markdown else "  ".join(cells).rstrip()
        if number == 0:
            marks = [
                ":" + "-" * (widths[0] - 1),
                *("-" * (width - 1) + ":" for width in widths[1:]),
            ]
            yield (
                ("| " + " | ".join(marks) + " |")
                if markdown
                else "  ".join("-" * width for width in widths)
            )


def number(value: float) -> str:
    """A number with three significant digits or more."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def full_line(result: Result) -> list[str]:
    """A row with minimum and spread."""
    row, other = result.row, result.other
    return [
        row.name,
        row.unit,
        f"{number(median(other))} ({number(min(other))}, {spread(other)})" if other else "-",
        row.other_name if other else "-",
        f"{number(median(result.ours))} ({number(min(result.ours))}, {spread(result.ours)})",
        "-" if result.peak is None else f"{number(result.peak / 1e6)} MB",
        row.target.text,
        f"{number(result.figure)} {row.target.unit.split(' (')[0]}",
        "met" if result.met else "MISSED",
    ]


FULL = [
    "work",
    "unit",
    "other: median (min, spread)",
    "other",
    "expstore: the same",
    "its peak memory",
    "target",
    "measured",
    "",
]


def short_line(result: Result) -> list[str]:
    """A row as the README has it; figures without their spread."""
    row, other = result.row, result.other
    source = "" if row.other_name == "reference" else f" ({row.other_name})"
    return [
        row.name,
        f"{number(median(other))} {row.unit}{source}" if other else "",
        f"{number(median(result.ours))} {row.unit}",
        f"{number(result.figure)}{row.target.unit}" if row.target.unit == "x" else "",
        row.target.text + ("" if result.met else ", missed"),
        "" if result.peak is None else f"{number(result.peak / 1e6)} MB",
    ]


SHORT = ["work", "reference", "expstore", "ratio", "target", "peak memory"]


def text(report: dict[str, Any], results: list[Result]) -> Iterator[str]:
    """Everything, for a terminal."""
    yield from _facts(report["machine"])
    if results:
        yield ""
        yield from table(FULL, map(full_line, results))
    yield from _equality(report)
    yield from _peers(report, markdown=False)
    yield from (f"left out: {note}" for note in report["notes"])


def markdown(report: dict[str, Any], results: list[Result]) -> Iterator[str]:
    """The short form, for the README."""
    facts = report["machine"]
    if results:
        yield from table(SHORT, map(short_line, results), markdown=True)
    yield from _peers(report, markdown=True)
    yield from _equality(report)
    yield ""
    yield (
        f"Medians, measured on {facts['date']} with `{facts['command']}` ({facts['mode']}): "
        f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, NumPy "
        f"{facts['numpy']}, {facts['kernel']}, {facts['file_system']}."
    )
    yield from (f"Left out: {note}." for note in report["notes"])


def _facts(facts: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, facts))
    yield from (f"{name.replace('_', ' '):<{width}}  {fact}" for name, fact in facts.items())


def _equality(report: dict[str, Any]) -> Iterator[str]:
    if report["equality"]:
        yield ""
        yield "get_metrics compared with construct's GreedyRange(RECORD), values bit by bit:"
        yield ""
    for line in report["equality"]:
        share = "all" if line["compared"] == line["records"] else f"the first {line['compared']:,}"
        verdict = "equal" if line["equal"] else "DIFFERENT"
        yield f"- {line['corpus']}: {verdict} ({share} of {line['records']:,} records)"


def _peers(report: dict[str, Any], *, markdown: bool) -> Iterator[str]:
    if not report["peers"]:
        return
    measures = list(next(iter(report["peers"].values())))
    lines = [
        [title, *(number(median(s[m])) if s[m] else "-" for m in measures)]
        for title, s in report["peers"].items()
    ]
    yield ""
    yield from table([f"{report['peer_unit']}, 5 names a step", *measures], lines, markdown)
    if not markdown:
        yield ""
