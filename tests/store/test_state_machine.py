"""The store against an in-memory model: two stores on one root, writers, tears and prunes."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from expstore import (
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExperimentStore,
    Metadata,
    MetadataNotFoundError,
    MetricWriter,
    TornTailError,
)
from expstore.store.append import cut
from expstore.store.append import log as append_log
from tests.faults.base import read_log
from tests.helpers.paths import MEMORY

IDS = st.sampled_from(["a", "b", "c"])
SIDES = st.integers(0, 1)
NAMES = st.sampled_from(["", "loss", "é" * 100, "x" * 255])
VALUES = st.floats(allow_nan=False, width=64)
STEPS = st.integers(0, 2**32 - 1)
Row = tuple[str, int, float]


class Experiment:
    """The model of one experiment during its lifetime; recreating it makes a new object."""

    def __init__(self) -> None:
        self.metadata: Metadata | None = None
        self.rows: list[Row] = []
        self.torn = b""
        self.cut: list[bytes] = []
        self.writers: set[MetricWriter] = set()


class StoreMachine(RuleBasedStateMachine):
    """Each rule does the same to the real store and to the model."""

    writers: Bundle[tuple[MetricWriter, Experiment]] = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=MEMORY))
        self.patience = ExitStack()
        for module in (append_log, cut):
            self.patience.enter_context(mock.patch.object(module, "_PATIENCE", 0.0005))
        self.now = 1_700_000_000
        self.stores = [ExperimentStore(self.root, clock=self.clock) for _ in range(2)]
        self.model: dict[str, Experiment] = {}
        self.open: list[MetricWriter] = []

    def clock(self) -> float:
        return self.now

    def teardown(self) -> None:
        self.patience.close()
        for writer in self.open:
            with suppress(ExperimentGoneError):
                writer.close()
        shutil.rmtree(self.root)

    @initialize()
    def set_up(self) -> None:
        self.stores[0].initialize()

    @rule(side=SIDES, commit_id=IDS)
    def create(self, side: int, commit_id: str) -> None:
        self.stores[side].create_experiment(commit_id)
        self.model.setdefault(commit_id, Experiment())

    @rule(side=SIDES, commit_id=IDS, age=st.integers(0, 5), job=NAMES)
    def write_metadata(self, side: int, commit_id: str, age: int, job: str) -> None:
        metadata = Metadata(commit_id, self.now - age, job, "me")
        if commit_id in self.model:
            self.stores[side].write_metadata(metadata)
            self.model[commit_id].metadata = metadata
        else:
            self.refused(ExperimentNotFoundError, self.stores[side].write_metadata, metadata)

    @rule(side=SIDES, commit_id=IDS, name=NAMES, value=VALUES, step=STEPS)
    def log_metric(self, side: int, commit_id: str, name: str, value: float, step: int) -> None:
        self.append(
            commit_id,
            [(name, step, value)],
            lambda: self.stores[side].log_metric(commit_id, name, value, step),
        )

    @rule(side=SIDES, commit_id=IDS, values=st.dictionaries(NAMES, VALUES), step=STEPS)
    def log_metrics(self, side: int, commit_id: str, values: dict[str, float], step: int) -> None:
        rows = [(name, step, value) for name, value in values.items()]
        if rows:
            self.append(
                commit_id, rows, lambda: self.stores[side].log_metrics(commit_id, values, step)
            )

    @rule(target=writers, side=SIDES, commit_id=IDS)
    def open_writer(self, side: int, commit_id: str) -> Any:
        if commit_id not in self.model:
            self.refused(ExperimentNotFoundError, self.stores[side].writer, commit_id)
            self.create(side, commit_id)
        writer = self.stores[side].writer(commit_id)
        self.open.append(writer)
        self.model[commit_id].writers.add(writer)
        return writer, self.model[commit_id]

    @rule(
        pair=writers,
        values=st.dictionaries(NAMES, VALUES, min_size=1),
        step=STEPS,
        times=st.integers(1, 3),
    )
    def log_step(self, pair: Any, values: dict[str, float], step: int, times: int) -> None:
        writer, experiment = pair
        rows = [(name, step, value) for name, value in values.items()]
        for _ in range(times):  # repeated names take the fast path
            self.append_by(writer, experiment, rows, lambda: writer.log_many(values, step))

    @rule(pair=writers, name=NAMES, value=VALUES, step=STEPS)
    def log(self, pair: Any, name: str, value: float, step: int) -> None:
        writer, experiment = pair
        self.append_by(
            writer, experiment, [(name, step, value)], lambda: writer.log(name, value, step)
        )

    @rule(pair=consumes(writers))
    def close_writer(self, pair: Any) -> None:
        writer, experiment = pair
        # The last records of an experiment that a forced prune deleted are lost, which it says.
        gone = not any(known is experiment for known in self.model.values())
        with suppress(ExperimentGoneError) if gone else nullcontext():
            writer.close()
        experiment.writers.discard(writer)

    @rule(commit_id=IDS, size=st.integers(1, 20))
    def tear(self, commit_id: str, size: int) -> None:
        """Another program's writer is killed in the middle of a record."""
        experiment = self.model.get(commit_id)
        if experiment and not experiment.torn:
            with (self.root / commit_id / "metrics.bin").open("ab") as file:
                file.write(b"\x01" * size)
            experiment.torn = b"\x01" * size

    @rule(side=SIDES, keep=st.integers(0, 3), force=st.booleans())
    def prune(self, side: int, keep: int, force: bool) -> None:
        ranked = sorted(
            (commit_id for commit_id, e in self.model.items() if e.metadata),
            key=lambda c: (-self.model[c].metadata.timestamp, c),  # type: ignore[union-attr]
        )
        expected = [c for c in ranked[keep:] if force or not self.model[c].writers]
        plan = self.stores[side].plan_prune(keep, force=force)
        assert plan.pruned == expected
        assert {r.commit_id for r in plan if r.action == "skip" and r.metadata} == {
            *ranked[keep:]
        } - {*expected}
        assert self.stores[side].prune_experiments(keep, force=force) == expected
        for commit_id in expected:
            del self.model[commit_id]

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def the_same_experiments(self) -> None:
        for store in self.stores:
            assert store.list_experiments() == sorted(self.model)

    @precondition(lambda self: self.model)
    @rule(side=SIDES, commit_id=IDS)
    def read(self, side: int, commit_id: str) -> None:
        store, experiment = self.stores[side], self.model.get(commit_id)
        if experiment is None:
            self.refused(ExperimentNotFoundError, store.get_metrics, commit_id)
            return
        table = store.get_metrics(commit_id)
        assert [(m.name, m.step, m.value) for m in table] == experiment.rows
        if experiment.metadata is None:
            self.refused(MetadataNotFoundError, store.read_metadata, commit_id)
        else:
            assert store.read_metadata(commit_id) == experiment.metadata

    @invariant()
    def the_same_content(self) -> None:
        for commit_id, experiment in self.model.items():
            found, rest = read_log(self.root / commit_id / "metrics.bin")
            assert found == experiment.rows
            assert rest == len(experiment.torn)
            kept = [p.read_bytes() for p in (self.root / commit_id).glob("*.torn-*")]
            assert set(kept) == set(experiment.cut), "cut bytes are kept"

    def append(self, commit_id: str, rows: list[Row], act: Any) -> None:
        if commit_id not in self.model:
            self.refused(ExperimentNotFoundError, act)
        else:
            self.append_by(None, self.model[commit_id], rows, act)

    def append_by(self, writer: Any, experiment: Experiment, rows: list[Row], act: Any) -> None:
        if experiment not in self.model.values():
            self.refused(ExperimentGoneError, act)
        elif experiment.torn and experiment.writers - {writer}:
            self.refused(TornTailError, act)
        else:
            act()
            if experiment.torn:
                experiment.cut.append(experiment.torn)
                experiment.torn = b""
            experiment.rows += rows

    @staticmethod
    def refused(kind: type[Exception], act: Any, *arguments: Any) -> None:
        try:
            act(*arguments)
        except kind:
            return
        raise AssertionError(f"{kind.__name__} was not raised")


StoreMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase
TestStore.__doc__ = "Whatever is done in whatever order, the store does what the model says."
