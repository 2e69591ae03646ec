"""mlflow's SQLite store (`mlflow.db`), which it has by default since version 3.

Guarantees: mlflow need not be installed. The database is opened for reading only; nothing is
written, not even a journal beside it, and mlflow may use it meanwhile: a writer is waited for, and
each run is read as of one moment. No code in the database runs: only plain tables are read.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import BAD, ForeignRun, Reading, Runs, brief
from expstore.exchange.sources.builder import MetricsBuilder
from expstore.exchange.sources.files import first_bytes, is_regular
from expstore.exchange.sources.mlflowruns import DELETED, MODELS, MlflowRun

_NAMES = ("mlflow.db", "mlruns.db")
_MAGIC = b"SQLite format 3\0"
_WAL = 2  # the file format that a journal beside the database needs
_WAIT = 30.0  # seconds for a writer
_LENGTH = 1 << 24  # of a text or a row in it, in bytes
_COUNTS = {"datasets": "inputs", "traces": "trace_info", "traces ": "traces"}
_RUNS = (
    *("run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage"),
    "experiment_id",
)


def database(path: Path) -> Path | None:
    """The database that a path is, or that is in it."""
    if path.is_dir():
        candidates = [path / name for name in _NAMES]
        found = next((one for one in candidates if is_regular(one)), None)
        if found is None:
            return None
        path = found
    return path if first_bytes(path, 16) == _MAGIC else None


def recognise(path: Path) -> bool:
    """Whether it is an SQLite database, or a directory with mlflow's."""
    return database(path) is not None


def runs(path: Path, reading: Reading) -> Runs:
    """The runs in a database, sorted by start; each is named by its run id.

    Raises:
        ImportSourceError: no database of mlflow, or it is damaged or locked for long.
    """
    file = database(path)
    if file is None:
        raise ImportSourceError(f"{path}: no SQLite database of mlflow (mlflow.db) found")
    with _errors(file), closing(_connected(file)) as connection:
        tables = _tables(connection)
        if not {"runs", "metrics", "params", "tags"} <= tables.keys():
            raise ImportSourceError(f"{file}: not mlflow's: it has no table of runs and metrics")
        for kind, table in _COUNTS.items():
            if table in tables:
                reading.left_out[kind.strip()] += _count(connection, table)
        for table in ("logged_models", "registered_models"):
            if table in tables:
                reading.left_out[MODELS] += _count(connection, table)
        experiments = {
            key: (_text(name), stage)
            for key, name, stage in _rows(
                connection, tables, "experiments", ("experiment_id", "name", "lifecycle_stage")
            )
        }
        order = "ORDER BY start_time, run_uuid"
        for row in _rows(connection, tables, "runs", _RUNS, order).fetchall():
            facts = dict(zip(_RUNS, row, strict=True))
            name, stage = experiments.get(facts["experiment_id"], ("", None))
            if "deleted" in (facts["lifecycle_stage"], stage):
                reading.left_out[DELETED] += 1
                continue
            run_id = _text(facts["run_uuid"])
            yield reading.attempt(
                run_id,
                lambda f=facts, n=name: _checked_run(file, connection, tables, f, n, reading),  # type: ignore[misc]
            )


@contextmanager
def _errors(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ImportSourceError(f"{file}: {brief(error)}") from error


def _connected(file: Path) -> sqlite3.Connection:
    # A database in WAL mode that nobody has open has no journal; SQLite would make one.
    beside = file.with_name(f"{file.name}-wal")
    idle = first_bytes(file, 20)[18:20] == bytes((_WAL, _WAL)) and not beside.exists()
    query = "mode=ro&immutable=1" if idle else "mode=ro"
    uri = f"file:{quote(str(file.resolve()))}?{query}"
    connection = sqlite3.connect(uri, uri=True, timeout=_WAIT, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LENGTH)
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """The columns of each plain table; views, which may compute anything, are not among them."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    names = [
        name for name, sql in found.fetchall() if not str(sql).upper().startswith("CREATE VIRTUAL")
    ]
    return {
        name: {
            row[1]
            for row in connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,))
            if row[6] == 0  # not computed
        }
        for name in names
    }


def _rows(
    connection: sqlite3.Connection,
    tables: dict[str, set[str]],
    table: str,
    columns: tuple[str, ...],
    rest: str = "",
    *values: Any,
) -> sqlite3.Cursor:
    """Some columns of a table; those that this version of mlflow lacks are null."""
    known = tables.get(table, set())
    chosen = ", ".join(name if name in known else f"NULL AS {name}" for name in columns)
    source = f"FROM {table}" if known else "WHERE 0"
    return connection.execute(f"SELECT {chosen} {source} {rest if known else ''}", values)


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _checked_run(file: Path, *arguments: Any) -> ForeignRun:
    """One run; an error of the database is that of this run."""
    with _errors(file):
        return _read_run(file, *arguments)


def _read_run(
    file: Path,
    connection: sqlite3.Connection,
    tables: dict[str, set[str]],
    facts: dict[str, Any],
    experiment: str,
    reading: Reading,
) -> ForeignRun:
    run_id = facts["run_uuid"]
    of_run = "WHERE run_uuid = ?"
    where = f"{file}: run {run_id}"
    builder = MetricsBuilder(where, reading.skip)
    left_out: Counter[str] = Counter()
    connection.execute("BEGIN")
    try:
        columns = ("key", "value", "is_nan", "step", "timestamp")
        order = f"{of_run} ORDER BY timestamp, step, key"
        for key, value, is_nan, step, timestamp in _rows(
            connection, tables, "metrics", columns, order, run_id
        ):
            number = float("nan") if is_nan else value
            if not isinstance(number, int | float) or not isinstance(timestamp, int):
                builder.refuse_unless_skipped(
                    ImportSourceError(f"{where}: metric {key!r} at step {step}: {value!r}")
                )
            else:
                builder.add(_text(key), float(number), step or 0, timestamp // 1000)
        params = _pairs(connection, tables, "params", of_run, run_id)
        tags = _pairs(connection, tables, "tags", of_run, run_id)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")
    if builder.bad:
        left_out[BAD] += builder.bad
    reading.advance(len(builder))
    run = MlflowRun(
        _text(run_id),
        _text(facts["name"]),
        _text(facts["user_id"]),
        _text(facts["status"]),
        experiment,
        _time(facts["start_time"]),
        _time(facts["end_time"]),
        params,
        tags,
    )
    return run.to_import(builder.table(), left_out)


def _pairs(
    connection: sqlite3.Connection,
    tables: dict[str, set[str]],
    table: str,
    rest: str,
    *values: Any,
) -> dict[str, str]:
    found = _rows(connection, tables, table, ("key", "value"), f"{rest} ORDER BY key", *values)
    return {_text(key): _text(value) for key, value in found}


def _time(value: Any) -> int | None:
    return value if isinstance(value, int) else None
