"""What the experiments share: forked workers, and an independent reader of logs."""

from __future__ import annotations

import mmap
import os
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from formats import RECORD, RecordCodec, TruncatedError

Figures = dict[str, Any]

_CODEC = RecordCodec(RECORD)


class Skip(Exception):  # noqa: N818 - not an error: this machine lacks something
    """Why an experiment cannot run here."""


def reference() -> str | None:
    """The path of the reference program, if there is one."""
    return os.environ.get("EXPSTORE_REFERENCE")


def fork(work: Callable[[], None]) -> int:
    """Run a function in a child process; return its process id.

    Forked, not spawned: thousands are needed, and importing would take a hundred times as long.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def join(*children: int) -> None:
    """Wait for children, all of which must succeed."""
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert not any(codes), f"exit codes {codes}"


class Counter:
    """Shared numbers that survive the child that counts: what was acknowledged before a kill."""

    def __init__(self, count: int = 1) -> None:
        self._memory = mmap.mmap(-1, 8 * count)

    def __setitem__(self, index: int, value: int) -> None:
        struct.pack_into("<q", self._memory, 8 * index, value)

    def __getitem__(self, index: int) -> int:
        return int(struct.unpack_from("<q", self._memory, 8 * index)[0])


def read_log(path: Path) -> tuple[list[tuple[str, int, float]], int]:
    """Name, step and value of each whole record, and the number of bytes after the last one."""
    data = path.read_bytes() if path.exists() else b""
    records, offset = [], 0
    while offset < len(data):
        try:
            values, offset = _CODEC.parse(data, offset)
        except TruncatedError:
            break
        records.append((values["name"], values["step"], values["value"]))
    return records, len(data) - offset


def check_steps(records: list[tuple[str, int, float]], name: str, acknowledged: int) -> int:
    """Check that the steps of `name` are 0, 1, 2, ... and include all acknowledged; count them."""
    steps = [step for other, step, _ in records if other == name]
    assert steps == list(range(len(steps))), f"{name}: lost or out of order"
    assert len(steps) >= acknowledged, f"{name}: {acknowledged} acknowledged, {len(steps)} found"
    return len(steps)
