"""Other ways to store the same points, measured like expstore: five metrics a step.

Each peer is used as its authors document it, at a size that takes about a second. None syncs to the
disk, which would cost all of them the same, except two of expstore's durability levels. The module
`comparison` times them and checks what they return. A library that is not installed is left out
with a note; the extra `bench` installs them all.
"""

from __future__ import annotations

import io
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from expstore import ExperimentStore, MetricWriter
from expstore.store.append.durability import Durability
from tests.benchmarks.corpora import FIVE
from tests.benchmarks.harness import Unavailable
from tests.helpers.paths import ROOT

ONE = FIVE[3]
NOW = 1_700_000_000
Values = Sequence[float] | NDArray[np.float64]
Rows = Sequence[tuple[int, float]]
"""Steps, and the value of all five metrics at each."""


class Peer:
    """One way to store points. A peer has those of these methods that it supports:

    `log_each(rows)` and `log_steps(rows)` log all five metrics of each row, in five calls or in
    one; `read_all()` and `read_one()` return all values, or those of the metric ONE.

    Attributes:
        title: its name in the table.
        points: the number of points logged, and the number read.
    """

    title: ClassVar[str]
    points: ClassVar[tuple[int, int]]

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "metrics.bin"

    def fill(self, rows: Rows) -> None:
        """Log the points to be read."""
        log = getattr(self, "log_steps", None) or getattr(self, "log_each", None)
        assert log is not None, f"{self.title} needs a way of its own"
        log(rows)


class ExpstoreWriter(Peer):
    """This library's writer."""

    durability: ClassVar[Durability] = "process"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._store = ExperimentStore(directory.parent)

    def _writer(self) -> MetricWriter:
        return self._store.writer(self.directory.name, durability=self.durability)

    def log_each(self, rows: Rows) -> None:
        with self._writer() as writer:
            for step, value in rows:
                for name in FIVE:
                    writer.log(name, value, step)

    def log_steps(self, rows: Rows) -> None:
        a, b, c, d, e = FIVE
        with self._writer() as writer:
            for step, x in rows:
                writer.log_many({a: x, b: x, c: x, d: x, e: x}, step)


class Expstore(ExpstoreWriter):
    """This library."""

    title, points = "expstore", (100_000, 1_000_000)

    def read_all(self) -> Values:
        return self._store.get_metrics(self.directory.name).values

    def read_one(self) -> Values:
        return self._store.get_metrics(self.directory.name)[ONE].values


class ExpstoreInterval(ExpstoreWriter):
    """This library, syncing at intervals."""

    title, points = "expstore, durability interval", (100_000, 5)
    durability = "interval"


class ExpstorePower(ExpstoreWriter):
    """This library, syncing with each call."""

    title, points = "expstore, durability power", (5_000, 5)
    durability = "power"


class RecordWriter(Peer):
    """Builds records one by one, and appends each, or those of a step together, to metrics.bin."""

    def _builder(self) -> Callable[[int, float], list[bytes]]:
        """A function that builds the records of a step with this value."""
        raise NotImplementedError

    def _write(self, rows: Rows, join: bool) -> None:
        build = self._builder()
        with self.path.open("ab", buffering=0) as file:
            for step, value in rows:
                records = build(step, value)
                for data in [b"".join(records)] if join else records:
                    file.write(data)

    def log_each(self, rows: Rows) -> None:
        self._write(rows, join=False)

    def log_steps(self, rows: Rows) -> None:
        self._write(rows, join=True)


class RecordReader(Peer):
    """Makes an object of each record in metrics.bin."""

    def _read(self) -> list[Any]:
        raise NotImplementedError

    def read_all(self) -> Values:
        return [record.value for record in self._read()]

    def read_one(self) -> Values:
        return [record.value for record in self._read() if record.name == ONE]


class Construct(RecordWriter, RecordReader):
    """The declaration itself, interpreted."""

    title, points = "construct, interpreted", (20_000, 50_000)

    def _builder(self) -> Callable[[int, float], list[bytes]]:
        from formats import RECORD

        return lambda step, value: [
            RECORD.build({"timestamp": NOW, "step": step, "value": value, "name": name})
            for name in FIVE
        ]

    def _read(self) -> list[Any]:
        from formats import METRICS

        return list(METRICS.parse(self.path.read_bytes()))


class HandWritten(RecordWriter):
    """The code one writes without a library: `struct` in a loop."""

    title, points = "a hand-written struct loop", (100_000, 500_000)
    _head = struct.Struct(">qIdB")

    def _builder(self) -> Callable[[int, float], list[bytes]]:
        pack, names = self._head.pack, [name.encode() for name in FIVE]
        return lambda step, value: [pack(NOW, step, value, len(name)) + name for name in names]

    def _read(self) -> Iterator[tuple[str, float, int, int]]:
        data, unpack, width, at = self.path.read_bytes(), self._head.unpack_from, 21, 0
        while at + width <= len(data):
            timestamp, step, value, length = unpack(data, at)
            at += width + length
            if at > len(data):
                return
            yield str(data[at - length : at], "utf-8"), value, step, timestamp

    def read_all(self) -> Values:
        return [row[1] for row in list(self._read())]

    def read_one(self) -> Values:
        return [row[1] for row in self._read() if row[0] == ONE]


class Kaitai(RecordReader):
    """The parser that Kaitai generates from `formats/metrics.ksy`; it has no writer in Python."""

    title, points = "Kaitai's generated Python", (100_000, 100_000)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        import kaitaistruct
        import yaml

        from tests.kaitai.languages import compiler_missing, generate

        if missing := compiler_missing():
            raise Unavailable(missing)
        schema = yaml.safe_load((ROOT / "formats" / "metrics.ksy").read_text())
        classes: dict[str, Any] = {}
        for source in generate({"metrics": schema}, ["python"])["python"].values():
            exec(source, classes)
        self._parse = classes["Metrics"]
        self._stream = kaitaistruct.KaitaiStream

    def fill(self, rows: Rows) -> None:
        HandWritten(self.directory).log_steps(rows)

    def _read(self) -> list[Any]:
        stream = self._stream(io.BytesIO(self.path.read_bytes()))
        return list(self._parse(stream).records)

    def read_one(self) -> Values:
        return [record.value for record in self._read() if record.name.value == ONE]


class TensorBoard(Peer):
    """tensorboardX writes, TensorBoard reads; values become 32-bit floats. One call per point."""

    title, points = "tensorboardX and TensorBoard", (10_000, 20_000)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        import tensorboardX
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        self._writer = partial(tensorboardX.SummaryWriter, str(directory))
        self._reader = partial(EventAccumulator, str(directory), size_guidance={"scalars": 0})

    def log_each(self, rows: Rows) -> None:
        with self._writer() as writer:
            for step, value in rows:
                for name in FIVE:
                    writer.add_scalar(name, value, step)

    def read_all(self) -> Values:
        reader = self._reader().Reload()
        return [s.value for name in reader.Tags()["scalars"] for s in reader.Scalars(name)]

    def read_one(self) -> Values:
        return [scalar.value for scalar in self._reader().Reload().Scalars(ONE)]


class Mlflow(Peer):
    """mlflow's file store: one text file per metric."""

    title, points = "mlflow's file store", (500, 5_000)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        self._client = MlflowClient(tracking_uri=directory.as_uri())
        run = directory / "run_id"
        if not run.exists():
            experiment = self._client.create_experiment("points")
            run.write_text(self._client.create_run(experiment).info.run_id)
        self._run = run.read_text()

    def log_each(self, rows: Rows) -> None:
        for step, value in rows:
            for name in FIVE:
                self._client.log_metric(self._run, name, value, NOW, step)

    def log_steps(self, rows: Rows) -> None:
        for step, value in rows:
            metrics = [self._metric(name, value, NOW, step) for name in FIVE]
            self._client.log_batch(self._run, metrics)

    def _values(self, name: str) -> list[float]:
        return [point.value for point in self._client.get_metric_history(self._run, name)]

    def read_all(self) -> Values:
        return [value for name in FIVE for value in self._values(name)]

    def read_one(self) -> Values:
        return self._values(ONE)


class Sqlite(Peer):
    """sqlite3, one row per point and an index on the name; write-ahead log, no sync."""

    title, points = "sqlite3, one row a point", (50_000, 500_000)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._base = sqlite3.connect(directory / "metrics.db", isolation_level=None)
        self._base.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS metrics (name TEXT, value REAL, step INT, timestamp INT);"
            "CREATE INDEX IF NOT EXISTS by_name ON metrics (name)"
        )

    _INSERT = "INSERT INTO metrics VALUES (?, ?, ?, ?)"

    def log_each(self, rows: Rows) -> None:
        for step, value in rows:
            for name in FIVE:
                self._base.execute(self._INSERT, (name, value, step, NOW))

    def log_steps(self, rows: Rows) -> None:
        for step, value in rows:
            self._base.execute("BEGIN")
            self._base.executemany(self._INSERT, [(name, value, step, NOW) for name in FIVE])
            self._base.execute("COMMIT")

    def read_all(self) -> Values:
        found = self._base.execute("SELECT name, value, step, timestamp FROM metrics").fetchall()
        return [row[1] for row in found]

    def read_one(self) -> Values:
        found = self._base.execute(
            "SELECT name, value, step, timestamp FROM metrics WHERE name = ?", (ONE,)
        )
        return [row[1] for row in found.fetchall()]


PEERS = (
    *(Expstore, ExpstoreInterval, ExpstorePower),
    *(Construct, HandWritten, Kaitai, TensorBoard, Mlflow, Sqlite),
)
