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
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import expstore
from expstore import ExperimentStore, ExpStoreError, Metadata
from tests.faults.base import Counter, Figures, Skip, fork, read_log

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
    """

    prepare: Callable[[ExperimentStore], None]
    act: Callable[[ExperimentStore], object]
    check: Callable[[ExperimentStore, bool], None]


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
}


def run(directory: Path, *, every: int = 1, seed: int = 0) -> Figures:
    """Every `every`-th pair of call and fault, of all operations.

    Raises:
        Skip: strace is missing, or may not attach to a process here.
    """
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    figures: Figures = {"calls": 0, "faults": 0, "killed": 0, "refused": 0, "went on": 0}
    number = seed
    for name, verb in VERBS.items():
        store = ExperimentStore(directory / name.replace(" ", "-"))
        calls = list(_calls(_trace(store, verb, "")[1]))
        assert calls, "strace saw no call"
        figures["calls"] += len(calls)
        for call, count in calls:
            for fault in FAULTS:
                number += 1
                if number % every:
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


def _trace(
    store: ExperimentStore, verb: Verb, inject: str, *, short: bool = False
) -> tuple[int, str]:
    """Run the operation on a new store in a child under strace; return exit code and calls."""
    shutil.rmtree(store.root, ignore_errors=True)
    store.initialize()
    verb.prepare(store)
    wait, go = os.pipe()
    ready = Counter()
    child = fork(lambda: _child(ExperimentStore(store.root), verb, wait, go, ready, short))
    while not ready[0]:
        time.sleep(0.0005)
    log = store.root.with_suffix(".strace")
    command = ["strace", "-f", "-y", "-p", str(child), "-o", str(log)]
    command += ["-e", f"inject={inject}"] if inject else []
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            # TracerPid is set before the child is stopped; only strace's own message is reliable.
            assert strace.stderr is not None
            message = strace.stderr.readline().decode().strip()
            if "attached" not in message:
                raise Skip(message or "strace printed nothing")
        finally:
            os.write(go, b"!")
            os.close(go)
            os.close(wait)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, log.read_text()


def _child(
    store: ExperimentStore, verb: Verb, wait: int, go: int, ready: Counter, short: bool
) -> None:
    os.close(go)
    if short:
        write = os.write
        os.write = lambda descriptor, data: write(descriptor, data[:_SHORT])
    ready[0] = 1  # from here on, only this read precedes the operation's calls
    os.read(wait, 1)
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
