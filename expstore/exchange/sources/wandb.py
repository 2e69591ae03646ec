"""W&B's run folders (`wandb/offline-run-*`, `wandb/run-*`), read without an account.

Read from `run-*.wandb`: the history, configuration, summary, tags, notes, name, start and exit of a
run, whether it was synced or not. Where that file is missing, as in folders that keep only `files`,
the history is on W&B's server alone: then the last values in `files/wandb-summary.json` become one
point each, which a note says. Media, tables, artifacts, system metrics and console output are
counted and left out.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources import wandblog
from expstore.exchange.sources.base import BAD, MALFORMED, ForeignRun, Reading, Runs, shown
from expstore.exchange.sources.builder import MetricsBuilder
from expstore.exchange.sources.files import (
    files_below,
    first_bytes,
    is_regular,
    modified,
    read_json,
)
from expstore.exchange.sources.jsonlines import flat
from expstore.exchange.sources.jsontext import LargeNumber
from expstore.exchange.sources.params import fitting, read_yaml, typed
from expstore.exchange.sources.wandbhistory import RowReader, checked, item
from expstore.exchange.sources.wandblog import Fields, fields
from expstore.model.runinfo import Outcome, RunInfo, RunStart

_SUMMARY = "wandb-summary.json"
_HISTORY, _SUMMARY_RECORD, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
_OTHERS = {
    4: "lines of output",
    6: "files",
    7: "system metrics",
    8: "artifacts",
    13: "lines of output",
}
_INNER = frozenset({"_step", "_runtime", "_timestamp", "_wandb"})
_PLAIN = frozenset({int, float, bool})  # the types of numbers
_WORDS = ("NaN", "Infinity", "-Infinity")


def recognise(path: Path) -> bool:
    """Whether it is a `.wandb` file, or a directory with run folders."""
    if path.is_dir():
        return bool(_sources(path))
    return first_bytes(path, 4) == wandblog.MAGIC


def _sources(path: Path) -> list[Path]:
    """The log of each run; its summary where there is no log."""
    found = files_below(path, lambda name: name.endswith(".wandb") or name == _SUMMARY)
    logs = [file for file in found if file.suffix == ".wandb"]
    folders = {file.parent for file in logs}
    return sorted(
        logs
        + [f for f in found if f.name == _SUMMARY and not folders & {f.parent, f.parent.parent}]
    )


def runs(path: Path, reading: Reading) -> Runs:
    """The runs of a folder, sorted by their folders' names, which begin with their times.

    Raises:
        ImportSourceError: none.
    """
    sources = _sources(path) if path.is_dir() else [path]
    if not sources:
        raise ImportSourceError(f"{path}: no run of W&B (run-*.wandb, {_SUMMARY}) found")
    names = {source.name for source in sources if "latest-run" not in source.parts}
    for source in sources:
        if "latest-run" in source.parts and source.name in names and source.suffix == ".wandb":
            continue  # a copy of one of the others, made of a link
        run = _Run(source, reading)
        yield reading.attempt(run.name, run.read)


class _Run:
    """One run, while it is read."""

    def __init__(self, source: Path, reading: Reading) -> None:
        folder = source.parent.parent if source.parent.name == "files" else source.parent
        self.source = source
        self.reading = reading
        self.files = folder / "files"
        self.name = source.stem if source.suffix == ".wandb" else folder.resolve().name
        for prefix in ("offline-", "run-"):
            self.name = self.name.removeprefix(prefix)
        self.builder = MetricsBuilder(str(source), reading.skip)
        self.rows = RowReader()
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.facts: dict[str, Any] = {"tags": []}
        self.last_step = -1

    def read(self) -> ForeignRun:
        """The run."""
        if self.source.suffix == ".wandb":
            self._read_log()
        config = self.config or self._config()
        summary = self.summary or self._summary()
        started, user, host = self._started()
        stamp = int(started) if started is not None else modified(self.source)
        if not len(self.builder):
            self._add_summary(summary, stamp)
        if self.builder.bad:
            self.left_out[BAD] = self.builder.bad
        self.reading.advance(len(self.builder))
        table = self.builder.table()
        ended = float(table.timestamps.max()) if len(table) else None
        code = self.facts.get("exit")
        starts: tuple[RunStart, ...] = ()
        if started is not None:
            outcome: Outcome | None = None if code is None else "failed" if code else "finished"
            error = f"exit code {code}" if code else ""
            starts = (
                RunStart(
                    started,
                    ended if outcome else None,
                    outcome,
                    error,
                    host,
                ),
            )
        tags = tuple(dict.fromkeys(self.facts["tags"]))
        origin = {
            key: self.facts[key] for key in ("project", "group", "sweep") if self.facts.get(key)
        }
        info = RunInfo(
            params=fitting(typed(config), self.left_out),
            tags=tags,
            notes=self.facts.get("notes", ""),
            origin=origin,
            starts=starts,
        )
        return ForeignRun(
            self.name,
            table,
            self.facts.get("display_name", ""),
            user,
            stamp,
            info,
            self.left_out,
            tuple(self.notes),
            timed=started is not None,
        )

    def _read_log(self) -> None:
        if not self.source.stat().st_size:  # the run has just begun, or was killed at once
            self.notes.append(f"{self.source.name} is empty")
            return
        ended = 0
        for end, data in wandblog.records(self.source):
            try:
                for number, value in fields(data):
                    self._take(number, value)
            except (IndexError, *MALFORMED) as error:
                self.builder.refuse_unless_skipped(
                    ImportSourceError(f"{self.source}: record before byte {end}: {error}")
                )
            ended = end
        if ended + wandblog._HEADER < self.source.stat().st_size:
            self.notes.append(
                f"{self.source.name} is torn or damaged from byte {ended}; the rest was left out"
            )

    def _take(self, number: int, value: Any) -> None:
        """One field of a record."""
        if number == _HISTORY:
            self._add_history(checked(value))
        elif number in (_SUMMARY_RECORD, _CONFIG):
            target = self.summary if number == _SUMMARY_RECORD else self.config
            for part, entry in fields(value):
                if part == 1:
                    key, found = item(fields(checked(entry)))
                    if key != "_wandb":
                        target[key] = found
        elif number == _RUN:
            self._add_run(fields(value))
        elif number == _EXIT:
            self.facts["exit"] = dict(fields(value)).get(1, 0)
        elif number in _OTHERS:
            self.left_out[_OTHERS[number]] += 1

    def _add_run(self, parts: Fields) -> None:
        names = {1: "id", 3: "project", 6: "group", 8: "display_name", 9: "notes", 12: "sweep"}
        names[13] = "host"
        for number, value in parts:
            if number in names:
                self.facts[names[number]] = checked(value).decode("utf-8", "replace")
            elif number == 10:
                self.facts["tags"].append(checked(value).decode("utf-8", "replace"))
            elif number == 4:
                for part, entry in fields(checked(value)):
                    if part == 1:
                        key, found = item(fields(checked(entry)))
                        if key != "_wandb":
                            self.config[key] = found
            elif number == 17:
                time = dict(fields(checked(value)))
                self.facts["start"] = int(time.get(1, 0)) + int(time.get(2, 0)) / 1e9

    def _add_history(self, data: bytes) -> None:
        """One call of `log`: its items, and its step."""
        row, recorded = self.rows.read(data)
        step = row.get("_step", self.last_step + 1 if recorded is None else recorded)
        self.last_step = step if isinstance(step, int) else self.last_step + 1
        time = row.get("_timestamp", self.facts.get("start", 0.0))
        self._add(row, self.last_step, math.floor(time))

    def _add_summary(self, summary: dict[str, Any], stamp: int) -> None:
        if not summary:
            return
        self.notes.append(
            "its history is not in the folder; each metric has the last value of the summary alone"
        )
        step, time = summary.get("_step", 0), summary.get("_timestamp", stamp)
        whole = isinstance(step, int) and isinstance(time, int | float)
        self._add(summary, step if whole else 0, math.floor(time) if whole else stamp)

    def _add(self, row: dict[str, Any], step: int, time: int) -> None:
        where = f"{self.source}: step {step}"
        cells = {key: value for key, value in row.items() if key not in _INNER}
        if not _PLAIN.issuperset(map(type, cells.values())):
            cells = self._numbers(cells, where)
        self.builder.add_row(cells, step, time, where)

    def _numbers(self, cells: dict[str, Any], where: str) -> dict[str, float]:
        """The numbers of a row; all else is counted."""
        numbers: dict[str, float] = {}
        for key, value in flat(_without_media(cells, self.left_out)).items():
            if isinstance(value, bool | int | float) or value in _WORDS:
                numbers[key] = float(value)
            elif isinstance(value, LargeNumber):
                fault = f"{shown(key, 40)!r}: {shown(value, 80)!r} is too large for a float"
                self.builder.refuse_unless_skipped(ImportSourceError(f"{where}: {fault}"))
            elif value is not None:
                self.left_out[f"texts and lists of {shown(key, 40)!r}"] += 1
        return numbers

    def _started(self) -> tuple[float | None, str, str]:
        """When it started, by whom and where."""
        found = self._document("wandb-metadata.json")
        started = self.facts.get("start")
        if started is None and isinstance(text := found.get("startedAt"), str):
            from datetime import UTC, datetime

            try:
                time = datetime.fromisoformat(text)
                started = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
            except ValueError:
                self.notes.append(f"its start {shown(text, 40)!r} is not a time")
        user, host = found.get("username", ""), self.facts.get("host") or found.get("host", "")
        return started, str(user or ""), str(host or "")

    def _summary(self) -> dict[str, Any]:
        return self._document(_SUMMARY)

    def _config(self) -> dict[str, Any]:
        """The parameters in config.yaml, which has each under `value`."""
        path = self.files / "config.yaml"
        found: Any = read_yaml(path) if is_regular(path) else {}
        if not isinstance(found, dict):
            return {}
        return {
            str(key): value["value"] if isinstance(value, dict) and "value" in value else value
            for key, value in found.items()
            if key not in ("_wandb", "wandb_version")
        }

    def _document(self, name: str) -> dict[str, Any]:
        path = self.files / name
        if not is_regular(path):
            path = self.source.with_name(name)
        found = read_json(path, 1 << 24) if is_regular(path) else {}
        return found if isinstance(found, dict) else {}


def _without_media(cells: dict[str, Any], left_out: Counter[str]) -> dict[str, Any]:
    """The cells that are not images, tables or histograms, which are counted."""
    kept: dict[str, Any] = {}
    for key, value in cells.items():
        if isinstance(value, dict) and isinstance(kind := value.get("_type"), str):
            left_out[f"{shown(kind, 40)} media"] += 1
        else:
            kept[key] = value
    return kept
