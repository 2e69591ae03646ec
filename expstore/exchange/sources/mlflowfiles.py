"""mlflow's file store (`mlruns`), of any version, which consists of YAML and text files.

Guarantees: mlflow need not be installed, nothing in its store is changed, and no link is followed
out of it. Milliseconds are rounded down to whole seconds. mlflow keeps each metric in its own file,
so points of different metrics are ordered by time, then by step. Every text and line is read up to
a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import BAD, ForeignRun, Reading, Runs, reading_file
from expstore.exchange.sources.builder import MetricsBuilder
from expstore.exchange.sources.columns import float_of
from expstore.exchange.sources.files import files_below, is_regular, opened, read_document
from expstore.exchange.sources.mlflowruns import DELETED, MODELS, MlflowRun
from expstore.exchange.sources.params import PARAMS, read_yaml

_META = "meta.yaml"
_DEPTH = 3  # folders between the store and a deleted run, or a model
_INNER = frozenset({"artifacts", "metrics", "params", "tags", "inputs", "outputs"})  # of a run
_LINE_LIMIT = 1 << 12  # bytes of a metric's line; mlflow's have fewer than a hundred
_TEXT_LIMIT = 1 << 16  # bytes of a parameter or tag; mlflow allows 8,000


def recognise(path: Path) -> bool:
    """Whether it is a store, an experiment or a run of one."""
    return any(True for _ in _meta_files(path)) or _is_run(path)


def _is_run(folder: Path) -> bool:
    """Whether a folder without meta.yaml is a run, as copies of old stores have them."""
    return (folder / "metrics").is_dir() and (folder / "tags").is_dir()


def _meta_files(path: Path) -> Iterator[Path]:
    """The meta.yaml files of the store, its experiments and its runs; `.trash` is included."""
    folders = [path]
    for depth in range(_DEPTH + 1):
        below: list[Path] = []
        for folder in folders:
            if is_regular(folder / _META):
                yield folder / _META
            if depth < _DEPTH:
                below += _folders(folder)
        folders = below


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with reading_file(folder):
        return sorted(
            one
            for one in folder.iterdir()
            if not one.is_symlink() and one.is_dir() and one.name not in _INNER
        )


def runs(path: Path, reading: Reading) -> Runs:
    """The runs of a store, of an experiment, or a single one; sorted.

    A run is named by its run id.

    Raises:
        MissingExtraError: the extra `mlflow` is not installed.
        ImportSourceError: no runs.
    """
    experiments: dict[Path, str] = {}
    found = False
    for file in _meta_files(path):
        folder = file.parent
        if "models" in folder.relative_to(path).parts:
            reading.left_out[MODELS] += 1  # the registry, or logged models
            continue
        try:
            facts = _facts(file)
        except ImportSourceError as error:
            found = True
            yield reading.attempt(folder.name, lambda e=error: _raise(e))  # type: ignore[misc]
            continue
        run_id = facts.get("run_id") or facts.get("run_uuid")
        if run_id is None:
            if "experiment_id" in facts:
                experiments[folder] = facts.get("name", "")
            elif "model_id" in facts:
                reading.left_out[MODELS] += 1
            continue
        found = True
        trashed = ".trash" in folder.relative_to(path).parts
        if facts.get("lifecycle_stage") == "deleted" or trashed:
            reading.left_out[DELETED] += 1
            continue
        yield reading.attempt(
            run_id,
            lambda f=folder, r=run_id, x=facts: _read_run(  # type: ignore[misc]
                f, r, x, experiments.get(f.parent, ""), reading
            ),
        )
    if not found:
        raise ImportSourceError(f"{path}: no runs of an mlflow file store ({_META}) found")


def _raise(error: ImportSourceError) -> ForeignRun:
    raise error


def _facts(file: Path) -> dict[str, str]:
    """The texts in a meta.yaml, by name."""
    facts = read_yaml(file)
    if not isinstance(facts, dict):
        return {}
    return {key: value for key, value in facts.items() if isinstance(value, str)}


def _read_run(
    folder: Path, run_id: str, facts: dict[str, str], experiment: str, reading: Reading
) -> ForeignRun:
    metrics = folder / "metrics"
    left_out: Counter[str] = Counter()
    points: list[tuple[int, int, str, float, str]] = []
    builder = MetricsBuilder(str(folder), reading.skip)
    for path in _files(metrics):
        points += _points(path, str(path.relative_to(metrics)), builder)
    points.sort(key=lambda point: point[:2])
    for milliseconds, step, name, value, where in points:
        builder.add(name, value, step, milliseconds // 1000, where)
    if builder.bad:
        left_out[BAD] += builder.bad
    if artifacts := len(_files(folder / "artifacts")):
        left_out["artifacts"] += artifacts
    with reading_file(folder / _META):
        run = MlflowRun(
            run_id,
            facts.get("run_name", "") or facts.get("name", ""),
            facts.get("user_id", ""),
            facts.get("status", ""),
            experiment,
            _time(facts.get("start_time")),
            _time(facts.get("end_time")),
            _texts(folder / "params", left_out),
            _texts(folder / "tags", left_out),
        )
    reading.advance(len(builder))
    return run.to_import(builder.table(), left_out)


def _files(folder: Path) -> list[Path]:
    with reading_file(folder):
        if folder.is_symlink() or not folder.is_dir():
            return []
    return files_below(folder, lambda name: True)


def _time(text: str | None) -> int | None:
    return int(text) if text and text != "null" else None


def _texts(folder: Path, left_out: Counter[str]) -> dict[str, str]:
    """The text of each file, by its path; parameters and tags may have slashes in their names."""
    found: dict[str, str] = {}
    for path in _files(folder):
        try:
            text = read_document(path, _TEXT_LIMIT)
        except ImportSourceError:
            left_out[PARAMS] += 1
        else:
            found[str(path.relative_to(folder))] = text.decode("utf-8", "replace").rstrip("\n")
    return found


def _points(
    path: Path, name: str, builder: MetricsBuilder
) -> Iterator[tuple[int, int, str, float, str]]:
    """Parse lines of `milliseconds value [step [dataset digest]]`; the step defaults to 0."""
    with opened(path) as file, reading_file(path):
        lines = iter(lambda: file.readline(_LINE_LIMIT), b"")
        for number, line in enumerate(lines, 1):
            try:
                parts: list[Any] = [*line.rstrip(b"\r\n").split(b" "), b"0"][:3]
                where = f"{path}: line {number}"
                value = float_of(parts[1].decode())
                yield int(parts[0]), int(parts[2]), name, value, where
            except (ValueError, IndexError, OverflowError) as error:
                fault = f"not `milliseconds value step`: {line[:80].decode('utf-8', 'replace')!r}"
                if isinstance(error, OverflowError):
                    fault = str(error)
                builder.refuse_unless_skipped(ImportSourceError(f"{path}: line {number}: {fault}"))
