"""Rows, their targets, and how they are measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

UNAVAILABLE = 3
"""The exit code of a worker that raised Unavailable, or lacks a module."""

Contender = Callable[[], float]
"""One sample, in the unit of its row."""


class Sample(float):
    """A sample with the peak memory of the work, in bytes; None if that is unknown."""

    peak: int | None = None

    @classmethod
    def of(cls, result: dict[str, Any], scale: float) -> Sample:
        """The seconds of a task of `worker`, times `scale`, with its peak memory."""
        sample = cls(result["seconds"] * scale)
        sample.peak = result.get("peak")
        return sample


class Unavailable(Exception):  # noqa: N818  a state of the machine, not an error
    """Something that a row needs is missing on this machine."""


@dataclass(frozen=True)
class Target:
    """What a row should reach.

    Attributes:
        text: how it is printed.
        unit: the unit of the figure.
        figure: computes the figure from the two medians (ours, the other's).
        met: whether a figure meets the target.
    """

    text: str
    unit: str
    figure: Callable[[float, float], float]
    met: Callable[[float], bool]


def faster(times: float) -> Target:
    """At least `times` times as fast as the other."""
    return Target(
        f">= {times:g}x as fast", "x", lambda ours, other: other / ours, lambda x: x >= times
    )


def at_most(times: float, what: str = "the time") -> Target:
    """At most `times` times what the other takes."""
    return Target(
        f"<= {times:g}x {what}", "x", lambda ours, other: ours / other, lambda x: x <= times
    )


def within(limit: float, unit: str) -> Target:
    """At most `limit`, whatever others take."""
    return Target(f"<= {limit:.3g} {unit}", unit, lambda ours, _: ours, lambda x: x <= limit)


def above(limit: float, unit: str, base: str) -> Target:
    """At most `limit` more than the other takes."""
    return Target(
        f"<= {limit:g} {unit} over {base}", unit, lambda ours, other: ours - other,
        lambda x: x <= limit,
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what is done.
        unit: the unit of the samples.
        target: what the row should reach.
        ours, other: take one sample; `other` is None if nothing is compared.
        other_name: the name of the other.
    """

    name: str
    unit: str
    target: Target
    ours: Contender
    other: Contender | None = None
    other_name: str = "reference"


@dataclass
class Result:
    """A row's samples, in the order they were taken."""

    row: Row
    ours: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    @property
    def figure(self) -> float:
        """The figure that the target applies to."""
        return self.row.target.figure(
            median(self.ours), median(self.other) if self.other else float("nan")
        )

    @property
    def peak(self) -> float | None:
        """The median of our peak memory in bytes; None if it was not measured."""
        peaks = [peak for one in self.ours if (peak := getattr(one, "peak", None)) is not None]
        return median(peaks) if peaks else None

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.row.target.met(self.figure)

    def as_json(self) -> dict[str, Any]:
        """Everything that was measured."""
        return {
            "name": self.row.name,
            "unit": self.row.unit,
            "ours": self.ours,
            "other": self.other,
            "other_name": self.row.other_name if self.other else None,
            "target": self.row.target.text,
            "peak": self.peak,
            "figure": self.figure,
            "met": self.met,
        }


def measure(row: Row, repeat: int) -> Result:
    """Take the samples in turn, the other's first.

    Raises:
        Unavailable: one of them cannot be taken here.
    """
    result = Result(row)
    for _ in range(repeat):
        if row.other is not None:
            result.other.append(row.other())
        result.ours.append(row.ours())
    return result


def spread(samples: Sequence[float]) -> str:
    """The spread of the samples: (maximum - minimum) / median."""
    return f"{(max(samples) - min(samples)) / median(samples):.0%}"


@dataclass
class Bench:
    """What the rows share.

    Attributes:
        work: the directory for corpora and scratch files.
        reference: the reference program, or None.
        quick: small sizes.
        repeat: the number of samples of each contender.
    """

    work: Path
    reference: str | None
    quick: bool
    repeat: int = 5

    def size(self, full: int, quick: int) -> int:
        """`full` or `quick`, depending on the mode."""
        return quick if self.quick else full

    def ours(self, task: str, *args: object, one_core: bool = False) -> dict[str, Any]:
        """One run of a task of `worker`, in a process of its own."""
        command = [sys.executable, "-m", "tests.benchmarks.worker", task, *map(str, args)]
        return _run(command, one_core)

    def theirs(self, command: str, *args: object, one_core: bool = False) -> dict[str, Any]:
        """One run of a command of the reference program, which times itself.

        Raises:
            Unavailable: there is no reference program.
        """
        if self.reference is None:
            raise Unavailable("no reference program (--reference or EXPSTORE_REFERENCE)")
        return _run([self.reference, command, *map(str, args)], one_core)


def _run(command: list[str], one_core: bool) -> dict[str, Any]:
    pin = partial(os.sched_setaffinity, 0, {max(os.sched_getaffinity(0))}) if one_core else None
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=pin,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode == UNAVAILABLE:
        raise Unavailable(done.stderr.strip())
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
