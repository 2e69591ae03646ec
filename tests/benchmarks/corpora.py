"""The logs and stores used for timing, made once and kept in the work directory.

Logs of up to a million records whose names take turns are written by the reference program, if
there is one; all others by our own writer, which writes the same bytes. Metadata is written as
plain files, without the sync that `write_metadata` makes for each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from construct import Struct, Tell

from expstore import ExperimentStore, MetricTable
from formats import META, METRICS, RECORD, RecordCodec, Schema, build_columns
from formats.columns import TextColumn
from tests.benchmarks.harness import Bench

_BLOCK = 1_000_000  # records written at a time
_REFERENCE_LIMIT = 1_000_000  # records: the reference writes 200,000 a second
_PIECE = 1 << 22  # bytes parsed by construct at a time: its objects take a hundred times as many

FIVE = ("loss", "acc", "lr", "grad/norm", "val/loss")


@dataclass(frozen=True)
class Corpus:
    """A log made of a repeated cycle of names.

    Attributes:
        title: its name in the table.
        names: the distinct names.
        count: records.
        cycle_steps: steps in a cycle.
        extra: further names in the last step of each cycle.
        random: the names are drawn at random, in one cycle as long as the log.
    """

    title: str
    names: tuple[str, ...]
    count: int
    cycle_steps: int = 1
    extra: tuple[str, ...] = ()
    random: bool = False

    @property
    def key(self) -> str:
        """Its experiment's id."""
        kind = "random" if self.random else f"plus{len(self.extra)}" if self.extra else "turn"
        return f"{kind}-{len(self.names)}-{self.count}"

    @property
    def plain(self) -> bool:
        """Whether the reference program's own command can write it."""
        return not (self.random or self.extra) and self.count % len(self.names) == 0

    @cached_property
    def _cycle(self) -> tuple[Any, Any]:
        if self.random:
            codes = np.random.default_rng(1).integers(0, len(self.names), self.count)
            return codes.astype(np.int32), np.arange(self.count) // len(self.names)
        codes = np.tile(np.arange(len(self.names), dtype=np.int32), self.cycle_steps)
        steps = np.repeat(np.arange(self.cycle_steps), len(self.names))
        further = np.arange(len(self.extra), dtype=np.int32) + len(self.names)
        return np.append(codes, further), np.append(steps, np.full(len(further), steps[-1]))

    @property
    def record_bytes(self) -> float:
        """The mean size of a record."""
        sizes = np.array([len(name.encode()) for name in self.names + self.extra])
        return Schema.of(RECORD).min_size + float(sizes[self._cycle[0]].mean())

    def columns(self, start: int, stop: int) -> dict[str, Any]:
        """Some of its records, for `MetricWriter.append`."""
        codes, steps = self._cycle
        index = np.arange(start, stop)
        cycle, place = np.divmod(index, len(codes))
        return {
            "name": TextColumn(codes[place], self.names + self.extra),
            "value": index / 7,
            "step": cycle * self.cycle_steps + steps[place],
            "timestamp": 1_700_000_000 + index // 997,
        }


class Corpora:
    """Corpora on disk.

    Attributes:
        store: the store that holds the logs.
        used: the corpora that were requested, which are compared with construct at the end.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.store = ExperimentStore(bench.work / "logs")
        self.used: dict[str, Corpus] = {}

    def log(self, corpus: Corpus) -> str:
        """The id of the experiment that holds the corpus, in `store`."""
        self.used[corpus.key] = corpus
        if not self.store.experiment_exists(corpus.key):
            self.store.initialize()
            # Under another name until complete, so that an interruption leaves nothing usable.
            partial = f"partial-{corpus.key}"
            shutil.rmtree(self.store.experiment_path(partial), ignore_errors=True)
            self.store.create_experiment(partial)
            self._write(partial, corpus)
            os.sync()  # or the kernel writes it back while something is timed
            self.store.experiment_path(partial).rename(self.store.experiment_path(corpus.key))
        return corpus.key

    def _write(self, commit_id: str, corpus: Corpus) -> None:
        if self._bench.reference and corpus.plain and corpus.count <= _REFERENCE_LIMIT:
            steps = corpus.count // len(corpus.names)
            self._bench.theirs("log-many", self.store.root, commit_id, steps, *corpus.names)
            return
        with self.store.writer(commit_id) as writer:
            for start in range(0, corpus.count, _BLOCK):
                writer.append(corpus.columns(start, min(start + _BLOCK, corpus.count)))

    def experiments(self, count: int, records: int = 0) -> Path:
        """The root of a store of `count` experiments with metadata, not sorted by age.

        Args:
            count: the experiments.
            records: in the log of each, five names in turn; 0: no log.
        """
        root = self._bench.work / f"experiments-{count}{f'-of-{records}' if records else ''}"
        if root.exists():
            return root
        partial = root.with_name(f"partial-{root.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        build = RecordCodec(META).build
        blocks = _random_blocks(Corpus("", FIVE, records))
        # Ages in steps of a prime: the reference's sort has work to do, the same each time.
        for number in range(count):
            commit_id = f"{number * 2654435761 % 2**32:08x}{number:032x}"
            (partial / commit_id / "files").mkdir(parents=True)
            timestamp = 1_700_000_000 + number * 7919 % count * 60
            metadata = build(
                timestamp=timestamp,
                commit_id=commit_id,
                job_name=f"train-{number % 100}",
                user=f"user{number % 10}",
            )
            (partial / commit_id / "meta.bin").write_bytes(metadata)
            if records:
                log = partial / commit_id / "metrics.bin"
                with log.open("wb") as file:
                    file.writelines(next(blocks))
                os.utime(log, (timestamp, timestamp))  # else a prune would spare what is so recent
        os.sync()
        partial.rename(root)
        return root

    def verify(self, corpus: Corpus, limit: int) -> tuple[int, bool]:
        """Compare `get_metrics` with construct.

        Args:
            corpus: what to compare.
            limit: records from the beginning; construct takes 10 us for each.

        Returns:
            The number of records compared, and whether all are equal, with values bit by bit.
        """
        table = self.store.get_metrics(self.log(corpus))
        parse = Struct("records" / METRICS, "end" / Tell).parse
        compared, position, equal = 0, 0, True
        with self.store.metrics_path(corpus.key).open("rb") as file:
            while compared < min(limit, corpus.count) and equal:
                file.seek(position)
                piece = parse(file.read(_PIECE))
                equal = bool(piece.records) and _equal(table, compared, piece.records)
                compared += len(piece.records)
                position += piece.end
        whole = compared < corpus.count or len(table) == corpus.count
        return compared, equal and whole


def _random_blocks(corpus: Corpus) -> Iterator[Iterator[bytes]]:
    """The bytes of logs without end, block by block, each with random values."""
    generator = np.random.default_rng(1)
    parts = range(0, corpus.count, _BLOCK)
    short = [corpus.columns(0, corpus.count)] if len(parts) == 1 else None  # made once for all

    def block(columns: dict[str, Any]) -> bytes:
        columns["value"] = generator.random(len(columns["step"]))
        return build_columns(RECORD, columns)

    while True:
        found = short or (corpus.columns(i, min(i + _BLOCK, corpus.count)) for i in parts)
        yield map(block, found)


def _equal(table: MetricTable, start: int, records: list[Any]) -> bool:
    part = table[start : start + len(records)]
    values = np.array([record.value for record in records])
    return (
        len(part) == len(records)
        and [part.names[code] for code in part.name_codes] == [record.name for record in records]
        and part.steps.tolist() == [record.step for record in records]
        and part.timestamps.tolist() == [record.timestamp for record in records]
        and bool((part.values.view("i8") == values.view("i8")).all())
    )
