"""CSV and TSV files: a row per step, or a row per metric.

A row per step is what Lightning, Keras, ultralytics, Stable-Baselines, RLlib, DVCLive, CatBoost,
TensorBoard's and W&B's downloads and `export --wide` write. A directory is searched for the file
names of these programs; what they write in several files beside each other is one run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import expstore.exchange.sources.texttable as tables
from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import EMPTY, EmptyTableError, ForeignRun, Reading, Runs
from expstore.exchange.sources.builder import renamed
from expstore.exchange.sources.files import bare, encoding_of, files_below, first_unpacked, modified
from expstore.exchange.sources.grid import UNTIMED, Grid, run_of
from expstore.exchange.sources.headers import STEPS
from expstore.exchange.sources.longform import LongReader, is_long
from expstore.exchange.sources.params import fitting, params_beside
from expstore.exchange.sources.severalruns import (
    chart_runs,
    exported_runs,
    is_chart,
)
from expstore.model.runinfo import RunInfo
from expstore.model.table import MetricTable
from formats.errors import counted

_NAMES = re.compile(
    r"metrics\.csv|results\.csv|progress\.csv|(.+\.)?monitor\.csv|training(_log)?\.csv|"
    r"(train_)?log\.csv|history\.csv|.+\.tsv|run-.*tag-.*\.csv|"
    r"wandb_export.*\.csv"
)
_DOWNLOAD = re.compile(r"run-(?P<run>.*?)-?tag-(?P<tag>.+)")  # TensorBoard's name for a download
_OF_LIST = frozenset({"State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep"})
"""What W&B's list of runs has after `Name`; each may be hidden in a download."""
_NEVER_STEPS = frozenset({"State", "Runtime"})  # together they are of nothing else


def recognise(path: Path) -> bool:
    """Whether it is a CSV or TSV file, or a directory with some that a trainer has named."""
    if path.is_dir():
        return bool(files_below(path, _wanted))
    start = first_unpacked(path)
    if bare(path).suffix.lower() in (".csv", ".tsv"):
        return True
    text = start.decode(encoding_of(start), "replace")
    line = text.split("\n", 1)[0]
    return line[:1] not in "{[" and "\0" not in text and ("," in line or "\t" in line)


def _wanted(name: str) -> bool:
    return _NAMES.fullmatch(name.removesuffix(".gz")) is not None


def runs(path: Path, reading: Reading) -> Runs:
    """The runs of a file, or of all files below a directory that a trainer has named.

    Raises:
        ImportSourceError: no such file, or it is not a table.
    """
    if not path.is_dir():
        yield from _runs_of_file(path, bare(path).stem, reading)
        return
    files = files_below(path, _wanted)
    if not files:
        raise ImportSourceError(
            f"{path}: no metrics.csv, results.csv, progress.csv or other table of a trainer; give "
            "the file itself"
        )
    top = path.resolve().name
    for inner, parts in _together(path, files).items():
        name = top if inner == path else str(inner.relative_to(path))
        if len(parts) > 1 or bare(parts[0]).suffix == ".tsv":
            found = _attempt_joined(inner, parts, name, reading)
        else:
            found = _runs_of_file(parts[0], name, reading)
        yield from reading.spare(name, found)


def _together(top: Path, files: list[Path]) -> dict[Path, list[Path]]:
    """The files of each run, by where its directory is, or would be if it had one of its own."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(_directory(top, file), []).append(file)
    found: dict[Path, list[Path]] = {}
    for folder, parts in folders.items():
        separate = len(parts) > 1 and all(bare(part).suffix == ".csv" for part in parts)
        for part in parts:
            where = folder
            if download := _DOWNLOAD.fullmatch(bare(part).stem):
                where = folder / download["run"].strip("-._")
            elif separate:
                where = bare(part).with_suffix("")
            found.setdefault(where, []).append(part)
    return found


def _directory(top: Path, file: Path) -> Path:
    """The directory of a file's run: DVCLive has RUN/plots/metrics/train/loss.tsv."""
    if bare(file).suffix == ".tsv":
        for inner in file.relative_to(top).parents:
            if inner.name == "metrics":
                folder = top / inner
                folder = folder.parent if folder.parent.name == "plots" else folder
                return folder.parent if folder != top else folder
    return file.parent


def _attempt_joined(folder: Path, parts: list[Path], name: str, reading: Reading) -> Runs:
    yield reading.attempt(name, lambda: _joined(folder, parts, name, reading))


def _joined(folder: Path, parts: list[Path], name: str, reading: Reading) -> ForeignRun:
    """One run of several files, each with metrics of its own."""
    notes: list[str] = []
    left_out: Counter[str] = Counter()
    tables_: list[MetricTable] = []
    timed = True
    for part in parts:
        try:
            grid, _ = _grid(part, reading)
        except EmptyTableError:
            left_out[EMPTY] += 1
            continue
        table = grid.table(modified(parts[0]))
        tables_.append(renamed(table, _naming(folder, part, table.names)))
        timed = timed and grid.timed
        left_out += grid.left_out
        notes += [note for note in grid.notes if note not in notes]
    if not tables_:
        raise EmptyTableError(f"{folder}: {counted(len(parts), 'table')} without rows")
    params = fitting(params_beside(parts[0].parent, notes), left_out)
    created = None if timed else modified(parts[0])
    if not timed:
        notes.append(UNTIMED)
    info = RunInfo(params=params)
    return ForeignRun(
        name, _concatenated(tables_), "", "", created, info, left_out, tuple(notes), timed
    )


def _naming(folder: Path, part: Path, columns: Sequence[str]) -> Callable[[str], str]:
    """What a file's metrics are called: CatBoost's test/Logloss, DVCLive's train/loss."""
    part = bare(part)
    if download := _DOWNLOAD.fullmatch(part.stem):
        return lambda name: download["tag"] if name == "Value" else f"{download['tag']}/{name}"
    if part.stem in ("learn_error", "test_error", "time_left"):
        prefix = part.stem.partition("_")[0]
        return lambda name: f"{prefix}/{name}"
    inner = part.relative_to(folder).with_suffix("").parts
    if "metrics" in inner:
        inner = inner[len(inner) - inner[::-1].index("metrics") :]
    whole = "/".join(inner)
    if part.stem in columns:  # one metric a file, named as the file
        return lambda name: whole if name == part.stem else name
    return lambda name: f"{whole}/{name}"


def _concatenated(parts: list[MetricTable]) -> MetricTable:
    """The points of several tables, by time and then by step."""
    import numpy as np

    names = list(dict.fromkeys(name for part in parts for name in part.names))
    codes = [
        np.array([names.index(name) for name in part.names], np.int32)[part.name_codes]
        for part in parts
        if len(part)
    ]
    parts = [part for part in parts if len(part)]
    columns = [
        np.concatenate([getattr(part, column) for part in parts]) if parts else np.zeros(0)
        for column in ("values", "steps", "timestamps")
    ]
    order = np.lexsort((columns[1], columns[2]))
    return MetricTable(
        names,
        (np.concatenate(codes) if codes else np.zeros(0))[order].astype(np.int32),
        columns[0][order],
        columns[1][order].astype(np.uint32),
        columns[2][order].astype(np.int64),
    )


def _runs_of_file(path: Path, name: str, reading: Reading) -> Runs:
    with tables.opened_table(path, reading.skip) as table:
        several = None
        if is_long(table.header):
            several = _long
        elif tables.is_exported(table.header):
            several = exported_runs
        elif is_chart(table.header):
            several = chart_runs
        elif reading.step_column is None and _is_list(table):
            raise ImportSourceError(
                f"{path}: a list of runs, with a row per run and no steps; download the chart of a "
                "metric, or import the run's folder; if its rows are steps of one run, name their "
                "column with --step-column"
            )
        if several is not None:
            if several is not chart_runs:
                reading.refuse_columns(path)
            yield from several(path, table, reading)
            reading.left_out += table.left_out
            reading.notes += [f"{path}: {note}" for note in table.notes]
            if not table.rows:
                raise EmptyTableError(f"{path}: has a header, but no rows")
            return
    yield reading.attempt(name, lambda: _single(path, name, reading))


def _is_list(table: tables.TextTable) -> bool:
    """Whether it is W&B's list of runs, which may have what looks like steps: a run's last."""
    header = table.header
    if header[0] != "Name" or _OF_LIST.isdisjoint(header):
        return False
    if _NEVER_STEPS.issubset(header) or not any(name.lower() in STEPS for name in header):
        return True
    names = [row[0] for row in next(iter(table.blocks()), [])]
    return len(set(names)) == len(names)


def _long(path: Path, table: tables.TextTable, reading: Reading) -> Runs:
    gatherer = LongReader(path, table.header, reading)
    for block in table.blocks():
        gatherer.extend(block, lambda row, first=table.rows: table.place(first + row))  # type: ignore[misc]
    yield from gatherer.runs()


def _grid(path: Path, reading: Reading) -> tuple[Grid, dict[str, Any]]:
    """A file in wide form, and what the comment at its top says."""
    with tables.opened_table(path, reading.skip) as table:
        grid = Grid(str(path), reading, table.place, table.comma)
        for block in table.blocks():
            grid.extend(table.header, block)
        grid.left_out += table.left_out
        grid.notes += table.notes
    for name in table.unnamed:
        grid.drop_index(name)
    if not grid.rows:
        raise EmptyTableError(f"{path}: has a header, but no rows")
    return grid, table.comment


def _single(path: Path, name: str, reading: Reading) -> ForeignRun:
    grid, facts = _grid(path, reading)
    start = facts.pop("t_start", None)
    base = float(start) if isinstance(start, int | float) else None
    run = run_of(grid, name, path, facts | params_beside(path.parent, grid.notes), base=base)
    file = bare(path)
    download = _DOWNLOAD.fullmatch(file.stem)
    if run.table.names == ("Value",) and download:
        run = replace(run, table=renamed(run.table, lambda _: download["tag"]))
        name = download["run"].strip("-._") or name if name == file.stem else name
    if name == file.stem and _NAMES.fullmatch(file.name):  # many runs have a file of this name
        name = f"{path.resolve().parent.name}-{name}".removeprefix("-")
    return replace(run, name=name)
