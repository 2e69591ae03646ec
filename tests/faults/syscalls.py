"""Each system call of each operation fails, or kills the process: the result is always valid.

A child prepares and waits; strace attaches to it and makes one call fail (or kills the child at
that call); the child performs one operation and exits. The state it left is then checked, and the
operation is done again without a fault, which must put everything right.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import expstore
from expstore import ExperimentStore, ExpStoreError, Metadata
from expstore.exchange.imports import Imported, import_experiments
from tests.faults import strace
from tests.faults.base import Figures, read_log
from tests.faults.strace import trace

FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO", "error=EINTR")
_SHORT = 7  # bytes that a short write takes
_DONE, _REFUSED, _UNTYPED = 0, 3, 4
# Calls that the interpreter makes at any time, or that have no effect.
_NOISE = {
    "futex",
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "rt_sigaction",
    "rt_sigprocmask",
    "exit_group",
    "getrandom",
    "madvise",
    "gettid",
    "clock_nanosleep",
    "restart_syscall",
    "read",
    "select",
}


class Verb(NamedTuple):
    """One operation under test.

    Attributes:
        prepare: makes the initial store.
        act: performs the operation.
        check: checks what an interrupted `act` left; it receives whether `act` succeeded.
        final: the call that begins the final phase: in it, the quick form kills at every call, and
            it leaves out what is before.
    """

    prepare: Callable[[ExperimentStore], None]
    act: Callable[[ExperimentStore], object]
    check: Callable[[ExperimentStore, bool], None]
    final: str = ""


_OLD, _NEW = (
    Metadata("run", 1_600_000_000, "old", "me"),
    Metadata("run", 1_700_000_000, "new", "me"),
)


def _prepare(store: ExperimentStore) -> None:
    store.create_experiment("run")
    store.write_metadata(_OLD)
    (store.files_path("run") / "deep").mkdir()
    (store.files_path("run") / "deep" / "artifact").write_bytes(b"x")
    for step in range(3):
        store.log_metric("run", "loss", step / 7, step)


def _check_whole(store: ExperimentStore) -> None:
    assert store.list_experiments() == ["run"]
    assert store.read_metadata("run") == _OLD
    assert (store.files_path("run") / "deep" / "artifact").read_bytes() == b"x"
    assert len(read_log(store.metrics_path("run"))[0]) == 3


def _check_create(store: ExperimentStore, done: bool) -> None:
    assert not done or store.files_path("run").is_dir()
    assert set(os.listdir(store.root)) <= {"run"}
    store.create_experiment("run")
    assert store.files_path("run").is_dir()


def _check_start(store: ExperimentStore, done: bool) -> None:
    started = store.metadata_path("run").exists()
    assert started or not done
    # What has no metadata was not started, so that starting it again works without further ado.
    with expstore.start(store.root, "run", user="me", resume=started) as run:
        run.log({"loss": 0.5}, step=1)
    assert store.list_experiments() == ["run"]
    assert store.read_metadata("run").user == "me"
    assert read_log(store.metrics_path("run")) == ([("loss", 1, 0.5)], 0)


def _check_metadata(store: ExperimentStore, done: bool) -> None:
    found = store.read_metadata("run")
    assert found in ([_NEW] if done else [_OLD, _NEW]), found
    store.write_metadata(_NEW)
    assert store.read_metadata("run") == _NEW
    assert sorted(os.listdir(store.experiment_path("run"))) == ["files", "meta.bin", "metrics.bin"]


def _check_append(store: ExperimentStore, done: bool) -> None:
    before = [("loss", step, step / 7) for step in range(3)]
    added = [(f"m{k}", 3, 0.5) for k in range(3)]
    path = store.metrics_path("run")
    records, rest = read_log(path)
    assert records[:3] == before, "earlier records were lost"
    assert rest == 0, "a tear without a torn write"
    assert records[3:] in ([added] if done else [[], added]), records[3:]
    store.log_metric("run", "after", 0.5, 4)
    assert read_log(path) == ([*records, ("after", 4, 0.5)], 0)


def _check_prune(store: ExperimentStore, _: bool) -> None:
    if store.list_experiments():
        _check_whole(store)  # what cannot be examined is kept, which is not an error
    store.prune_experiments(0)
    assert os.listdir(store.root) == [], "an interrupted prune was not cleaned up"


def _with_writer(durability: str) -> Callable[[ExperimentStore], None]:
    def act(store: ExperimentStore) -> None:
        with store.writer("run", durability=durability) as writer:  # type: ignore[arg-type]
            writer.log_many({f"m{k}": 0.5 for k in range(3)}, 3)

    return act


_RUNS = ("run0", "run1")


def _prepare_import(store: ExperimentStore) -> None:
    for run in _RUNS:
        files = {
            "meta.yaml": f"run_id: {run}\nlifecycle_stage: active\nstart_time: 1700000000000\n",
            "metrics/loss": "".join(f"1700000000000 {step / 7} {step}\n" for step in range(9)),
        }
        for name, text in files.items():
            path = store.root.with_name("mlruns") / "1" / run / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    path.parents[2].joinpath("meta.yaml").write_text("experiment_id: '1'\nname: e\n")


def _import(store: ExperimentStore) -> list[Imported]:
    return import_experiments(store, "mlflow", store.root.with_name("mlruns"))


def _check_import(store: ExperimentStore, done: bool) -> None:
    there = store.list_experiments()
    assert not done or there == list(_RUNS)
    before = {run: store.metrics_path(run).read_bytes() for run in there}
    # Killed anywhere, it goes on: what is there is whole, and is not written again.
    assert [row.commit_id for row in _import(store) if row.already_there] == there
    assert store.list_experiments() == list(_RUNS)
    for run in _RUNS:
        data = store.metrics_path(run).read_bytes()
        assert before.get(run, data) == data
        assert len(read_log(store.metrics_path(run))[0]) == 9
        assert store.read_metadata(run) == Metadata(run, 1_700_000_000)
        assert store.files_path(run).is_dir()


def _prepare_salvage(store: ExperimentStore) -> None:
    _prepare(store)
    with store.metrics_path("run").open("ab") as file:
        file.write(b"torn")


def _check_salvage(store: ExperimentStore, done: bool) -> None:
    there = store.experiment_exists("saved")
    assert there or not done
    if there and not store.metadata_path("saved").exists():
        assert done  # and it has reported that the source's metadata could not be read
        return
    assert store.salvage("run", "saved").already_there == there
    assert read_log(store.metrics_path("saved"))[0] == read_log(store.metrics_path("run"))[0]
    assert store.read_metadata("saved") == replace(_OLD, commit_id="saved")
    assert store.files_path("saved").is_dir()


VERBS = {
    "create": Verb(lambda store: None, lambda s: s.create_experiment("run"), _check_create),
    "start": Verb(
        lambda store: None, lambda s: expstore.start(s.root, "run", user="me"), _check_start
    ),
    "write_metadata": Verb(_prepare, lambda s: s.write_metadata(_NEW), _check_metadata),
    "log_metrics": Verb(
        _prepare, lambda s: s.log_metrics("run", {f"m{k}": 0.5 for k in range(3)}, 3), _check_append
    ),
    "writer": Verb(_prepare, _with_writer("process"), _check_append),
    "power writer": Verb(_prepare, _with_writer("power"), _check_append),
    "prune": Verb(_prepare, lambda s: s.prune_experiments(0), _check_prune),
    "import": Verb(_prepare_import, _import, _check_import),
    "salvage": Verb(
        _prepare_salvage, lambda s: s.salvage("run", "saved"), _check_salvage, "renameat2"
    ),
}


def run(
    directory: Path, *, every: int = 1, seed: int = 0, names: tuple[str, ...] = tuple(VERBS)
) -> Figures:
    """Every `every`-th pair of call and fault, of the operations named.

    Raises:
        Skip: strace is missing, or may not attach to a process here.
    """
    strace.require()
    figures: Figures = {"calls": 0, "faults": 0, "killed": 0, "refused": 0, "went on": 0}
    number = seed
    for name, verb in ((name, VERBS[name]) for name in names):
        store = ExperimentStore(directory / name.replace(" ", "-"))
        _prepared(store, verb)
        verb.act(store)  # loads what it needs, which is no part of the operation
        calls = list(_calls(_trace(store, verb, "")[1]))
        assert calls, "strace saw no call"
        figures["calls"] += len(calls)
        final = False
        for call, count in calls:
            final = final or call == verb.final
            for fault in FAULTS:
                number += 1
                chosen = number % every == 0 and (every == 1 or final or not verb.final)
                if not (chosen or (final and fault == "signal=KILL")):
                    continue
                inject = f"{call}:{fault}:when={count}"
                code, log = _trace(store, verb, inject)
                where = f"{name}, {inject}: exit {code}\n{log}"
                assert code in (_DONE, _REFUSED, -signal.SIGKILL), where
                figures["faults"] += 1
                figures["killed"] += code < 0
                figures["refused"] += code == _REFUSED
                figures["went on"] += code == _DONE
                try:
                    # A new store object: nothing is remembered across a crash.
                    verb.check(ExperimentStore(store.root), code == _DONE)
                except (AssertionError, ExpStoreError) as error:
                    raise AssertionError(f"{error}\n{where}") from error
        if verb.check is _check_append:
            # strace can only fake the return value of a short write; this one is really short.
            code, log = _trace(store, verb, "", short=True)
            assert code == _REFUSED, f"{name}, short write: exit {code}\n{log}"
            verb.check(ExperimentStore(store.root), False)
            figures["faults"] += 1
            figures["refused"] += 1
    figures["states not allowed"] = 0
    return figures


def _prepared(store: ExperimentStore, verb: Verb) -> None:
    shutil.rmtree(store.root, ignore_errors=True)
    store.initialize()
    verb.prepare(store)


def _trace(
    store: ExperimentStore, verb: Verb, inject: str, *, short: bool = False
) -> tuple[int, str]:
    """Run the operation on a new store in a child under strace; return exit code and calls."""
    _prepared(store, verb)
    log = store.root.with_suffix(".strace")
    options = ["-e", f"inject={inject}"] if inject else []
    code = trace(lambda: _act(ExperimentStore(store.root), verb, short), log, *options)
    return code, log.read_text()


def _act(store: ExperimentStore, verb: Verb, short: bool) -> None:
    os.environ["PATH"] = os.devnull  # without git, whose calls are not the store's
    if short:
        write = os.write
        os.write = lambda descriptor, data: write(descriptor, data[:_SHORT])
    try:
        verb.act(store)
    except (ExpStoreError, OSError):  # closing a directory may fail, and is no operation
        os._exit(_REFUSED)
    except BaseException as error:
        os.write(2, f"untyped: {error!r}\n".encode())
        os._exit(_UNTYPED)
    os._exit(_DONE)


def _calls(log: str) -> Iterator[tuple[str, int]]:
    """Each system call of the operation, numbered among the calls of its name from 1."""
    seen: dict[str, int] = {}
    for line in log.splitlines():
        found = re.match(r"\d+\s+(\w+)\(", line)
        if found and found[1] not in _NOISE:
            seen[found[1]] = seen.get(found[1], 0) + 1
            yield found[1], seen[found[1]]
