"""mlflow's stores: the database if there is one, else the files."""

from __future__ import annotations

from pathlib import Path

from expstore.exchange.sources import mlflowfiles, mlflowsqlite
from expstore.exchange.sources.base import Reading, Runs


def recognise(path: Path) -> bool:
    """Whether it is a database or a file store of mlflow, or a directory with an `mlruns`."""
    return mlflowsqlite.recognise(path) or (path.is_dir() and mlflowfiles.recognise(_files(path)))


def runs(path: Path, reading: Reading) -> Runs:
    """The runs in either.

    Raises:
        As `mlflowfiles.runs` and `mlflowsqlite.runs`.
    """
    if not path.is_dir() or mlflowsqlite.recognise(path):
        yield from mlflowsqlite.runs(path, reading)
    else:
        yield from mlflowfiles.runs(_files(path), reading)


def _files(path: Path) -> Path:
    inner = path / "mlruns"
    return inner if inner.is_dir() and not inner.is_symlink() else path
