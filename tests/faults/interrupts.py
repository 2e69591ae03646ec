"""Ctrl-C at any moment: no descriptor or lock is left behind, and no acknowledged record is lost.

A trace function raises KeyboardInterrupt in the store's code, at each place where the interpreter
may run a signal's handler: after a call, at the start of a function, and at the end of a loop's
round. After each interrupt the log must be open nowhere, which a write lease shows, and the same
operation must succeed.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dis import opname
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import expstore
from expstore import ExperimentStore, Metadata, RunInfo
from expstore.store import runfile
from expstore.store.append.cut import Lease
from expstore.store.care.state import run_states
from expstore.store.read.together import read_together
from tests.faults.base import Figures, read_log

_HANDLED_AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME", "JUMP_BACKWARD"}
_CODE = str(Path(expstore.__file__).parent / "store")


class Interrupter:
    """Interrupts an operation at the `at`-th place in the store's code."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0
        self.where = ""

    def run(self, act: Callable[[], object]) -> None:
        """Run an operation, which may end before the place comes."""
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # interrupted in `__del__`
        sys.settrace(self._call)
        try:
            with suppress(KeyboardInterrupt):
                act()
        finally:
            sys.settrace(None)
            sys.unraisablehook = hook

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_CODE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        code, before = frame.f_code.co_code, ""

        def instruction(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal before
            if event == "opcode":
                if before in _HANDLED_AFTER:
                    self.seen += 1
                    if self.seen == self.at:
                        self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                        sys.settrace(None)
                        raise KeyboardInterrupt
                before = opname[code[frame.f_lasti]]
            return instruction

        return instruction


def _open_files(root: Path) -> list[str]:
    """The files of a store that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue  # that of the listing itself
        if target.startswith(str(root)):
            found.append(target)
    return found


def _with_writer(durability: str) -> Callable[[ExperimentStore, int], None]:
    def act(store: ExperimentStore, step: int) -> None:
        # No `with`: what was opened before the interrupt came is closed with its last reference.
        writer = store.writer("run", durability=durability, interval_seconds=0.02)  # type: ignore[arg-type]
        with writer:
            writer.log_many({"a": 0.5, "b": 0.5}, step)
            writer.log("a", 0.5, step)
            writer.flush()
            writer.log("a", 0.5, step)

    return act


def _log_metric(store: ExperimentStore, step: int) -> None:
    store.log_metric("run", "a", 0.5, step)
    store.log_metrics("run", {"a": 0.5, "b": 0.5}, step)


def _read(store: ExperimentStore, _: int) -> None:
    store.get_metrics("run")
    store.check("run")


def _read_many(store: ExperimentStore, _: int) -> None:
    known = list(runfile.read_all(store.location, ["run"]))
    list(read_together(store.location, ["run"]))
    list(run_states(store.location, [("run", RunInfo())]))
    list(store.iter_files("run"))
    assert not isinstance(known[0][1], Exception)


def _repair(store: ExperimentStore, _: int) -> None:
    path = store.metrics_path("run")
    if not read_log(path)[1]:  # otherwise the repair of the same tear was interrupted
        with path.open("ab") as file:
            file.write(b"\1" * 18)
    store.repair("run")


def _write_metadata(store: ExperimentStore, step: int) -> None:
    store.write_metadata(Metadata("run", step))


OPERATIONS: dict[str, Callable[[ExperimentStore, int], None]] = {
    "writer": _with_writer("process"),
    "interval writer": _with_writer("interval"),
    "power writer": _with_writer("power"),
    "log_metric": _log_metric,
    "read": _read,
    "read many": _read_many,
    "repair": _repair,
    "metadata": _write_metadata,
}


def run(directory: Path, *, every: int = 1, names: Collection[str] = OPERATIONS.keys()) -> Figures:
    """Interrupt each operation at every `every`-th place."""
    figures: Figures = {"interrupts": 0}
    for name, act in OPERATIONS.items():
        if name not in names:
            continue
        root = directory / name.replace(" ", "-")
        at = 0
        while True:
            at += every
            store = ExperimentStore(root)
            store.create_experiment("run")
            store.log_metric("run", "before", 0.5, at)
            before = len(read_log(store.metrics_path("run"))[0])
            interrupter = Interrupter(at)
            interrupter.run(partial(act, store, at))
            if interrupter.seen < at:
                break
            figures["interrupts"] += 1
            where = f"{name}, place {at}, {interrupter.where}"
            left = _left_open(root)
            assert not left, f"{where}: {left} stays open"
            _check_usable(store, act, at, where, before)
    return figures


def _left_open(root: Path) -> list[str]:
    """What stays open; a thread that still has to sync keeps the log open until it has."""
    gc.collect()  # the interrupt's traceback
    until = time.monotonic() + 5
    while (found := _open_files(root)) and time.monotonic() < until:
        time.sleep(0.001)
    return found


def _check_usable(
    store: ExperimentStore,
    act: Callable[[ExperimentStore, int], None],
    step: int,
    where: str,
    before: int,
) -> None:
    """The same store object goes on, in another thread, which would hang on a lock left held."""
    failures: list[BaseException] = []

    def again() -> None:
        try:
            act(store, step)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), f"{where}: hangs"
    assert not failures, f"{where}: {failures}"
    records, rest = read_log(store.metrics_path("run"))
    assert rest == 0, f"{where}: torn"
    assert len(records) >= before, f"{where}: records were lost"
    path = store.metrics_path("run")
    descriptor = os.open(path, os.O_RDWR)
    try:
        with Lease(descriptor):  # refused while the log is open anywhere
            pass
    finally:
        os.close(descriptor)
    if path.stat().st_size > 1 << 16:
        os.truncate(path, 0)  # to stay fast
