"""TensorBoard's log directories: which event files are one run, and what its parts are called.

Guarantees: every directory with event files is a run, with three exceptions, which join the run
around them: Keras' `train` and `validation`, under that prefix; what `add_scalars` writes, under
the tag of all; and the one directory that `add_hparams` makes. A run without scalars is counted,
and makes no experiment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import ForeignRun, Reading, Runs
from expstore.exchange.sources.eventfile import records
from expstore.exchange.sources.eventrun import EventRun
from expstore.exchange.sources.files import files_below, first_bytes
from expstore.exchange.sources.params import fitting, params_beside
from expstore.extras import require
from expstore.model.runinfo import RunInfo, RunStart
from expstore.model.table import MetricTable

EMPTY = "runs without scalars"

_MARK = "tfevents"
_VERSION = b"brain.Event:"  # what the first event of a file says
_PARTS = frozenset({"train", "learn", "validation", "val", "test", "eval", "evaluation"})
_HPARAMS = re.compile(r"\d{9,}\.\d+")  # add_hparams names its directory by the time
_PEEK = 50  # events in which the tag of `add_scalars` is looked for


def recognise(path: Path) -> bool:
    """Whether it is an event file, or a directory with some below it."""
    return bool(_event_files(path))


def _event_files(path: Path) -> list[Path]:
    """The event files below a directory, by their names; a file may also be known by its bytes."""
    if path.is_file():
        first = first_bytes(path, 64)
        # A text may have these words, too, but none of the zeros in the length of a short record.
        if _VERSION in first and not any(first[2:8]):
            return [path]
    return files_below(path, lambda name: _MARK in name)


@dataclass
class _Part:
    """A directory of one run: what its metrics are called there."""

    files: list[Path]
    prefix: str = ""
    tag: str = ""
    name: str = ""


@dataclass(frozen=True)
class _Around:
    """The directory around others: whether it has event files itself, and what those are called."""

    is_run: bool
    has_parts_only: bool
    has_one_hparams: bool


def runs(path: Path, reading: Reading) -> Runs:
    """The runs under a log directory, sorted; or the one of a single event file.

    A run is named by its path relative to `path`; event files in `path` itself form a run named
    after the last component of `path`.

    Raises:
        MissingExtraError: the extra `tensorboard` is not installed.
        ImportSourceError: no event files.
    """
    require("tensorboard.compat.proto.event_pb2", "tensorboard")
    found: dict[Path, list[Path]] = {}
    for file in _event_files(path):
        found.setdefault(file.parent, []).append(file)
    if not found:
        raise ImportSourceError(f"{path}: no TensorBoard event files (*{_MARK}*) found")
    top = path if path.is_dir() else path.parent
    for directory, parts in _joined(found, top).items():
        name = str(directory.relative_to(top)) if directory != top else top.resolve().name
        run = reading.attempt(
            name,
            lambda d=directory, n=name, p=parts: _read_run(d, n, p, reading),  # type: ignore[misc]
        )
        if isinstance(run, ForeignRun) and not len(run.table):
            reading.left_out[EMPTY] += 1
            reading.notes += [f"{name}: {note}" for note in run.notes]
        else:
            yield run


def _joined(found: dict[Path, list[Path]], top: Path) -> dict[Path, list[_Part]]:
    """The parts of each run."""
    names: dict[Path, list[str]] = {}
    for directory in found:
        names.setdefault(directory.parent, []).append(directory.name)
    around = {
        above: _Around(
            is_run=above in found,
            has_parts_only=all(name in _PARTS for name in below),
            has_one_hparams=sum(bool(_HPARAMS.fullmatch(name)) for name in below) == 1,
        )
        for above, below in names.items()
    }
    joined: dict[Path, list[_Part]] = {}
    for directory, files in sorted(found.items()):
        target, part = directory, _Part(files)
        if directory != top:
            target, part = _place(directory, files, around[directory.parent])
        joined.setdefault(target, []).append(part)
    return dict(sorted(joined.items()))


def _place(directory: Path, files: list[Path], around: _Around) -> tuple[Path, _Part]:
    """The run that a directory belongs to, and what its metrics are called in it."""
    above = directory.parent
    if directory.name in _PARTS and (around.is_run or around.has_parts_only):
        return above, _Part(files, prefix=f"{directory.name}/")
    if around.is_run:
        if _HPARAMS.fullmatch(directory.name):
            if around.has_one_hparams:
                return above, _Part(files)
        elif "_" in directory.name:
            for tag in _first_tags(files):
                stem = tag.replace("/", "_") + "_"
                if directory.name.startswith(stem):
                    key = directory.name.removeprefix(stem)
                    return above, _Part(files, f"{directory.name}/", tag, f"{tag}/{key}")
    return directory, _Part(files)


def _first_tags(files: list[Path]) -> Iterator[str]:
    """The tags in the first events; only one, if `add_scalars` has written them."""
    events = require("tensorboard.compat.proto.event_pb2", "tensorboard")
    messages = require("google.protobuf.message", "tensorboard")
    tags: set[str] = set()
    for file in files[:1]:
        try:
            for number, (_, data) in enumerate(records(file)):
                tags.update(value.tag for value in events.Event.FromString(data).summary.value)
                if number > _PEEK or len(tags) > 1:
                    break
        except (ImportSourceError, messages.DecodeError):
            return
    if len(tags) == 1:
        yield from tags


def _read_run(directory: Path, name: str, parts: list[_Part], reading: Reading) -> ForeignRun:
    run = EventRun(directory, reading)
    trainings = 0
    for part in parts:
        with_points = 0
        run.begin_directory()
        for file in part.files:
            names = {part.tag: part.name} if part.tag else None
            with_points += bool(run.read(file, names, part.prefix))
        trainings = max(trainings, with_points)
    table = run.table()
    if trainings > 1 and _goes_back(table):
        run.notes.append(
            f"{trainings} event files whose steps overlap are one run here, as in TensorBoard: if "
            "they are several trainings, put each into a folder of its own"
        )
    params = run.params or params_beside(directory, run.notes)
    starts: tuple[RunStart, ...] = ()
    if len(table) and run.outcome is not None:
        first, last = float(table.timestamps.min()), float(table.timestamps.max())
        starts = (RunStart(first, last, run.outcome),)
    info = RunInfo(params=fitting(params, run.left_out), starts=starts)
    job = name
    return ForeignRun(
        name, table, job_name=job, info=info, left_out=run.left_out, notes=tuple(run.notes)
    )


def _goes_back(table: MetricTable) -> bool:
    """Whether the steps of some metric go back."""
    import numpy as np

    steps = table.steps.astype(np.int64)
    order = np.argsort(table.name_codes, kind="stable")
    codes = table.name_codes[order]
    return bool(((np.diff(steps[order]) < 0) & (np.diff(codes) == 0)).any())
