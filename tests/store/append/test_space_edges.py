"""Reserving space in long files, and on systems that cannot reserve any."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from expstore.store.append import space
from expstore.store.append.log import AppendLog
from expstore.store.append.space import ReservedSpace
from tests.helpers.logs import log


@pytest.mark.parametrize("offset", [2**31 - 10, 2**31 + 10, 2**32 + 10, 2**40 + 10])
def test_space_is_reserved_at_any_offset(offset: int, tmp_path: Path) -> None:
    """Beyond 2 and 4 GiB too, in a sparse file: its size stays, and its blocks grow."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(offset)
        reserved = ReservedSpace(path)
        reserved.reserve(file.fileno(), offset, 24)
        found = os.fstat(file.fileno())
    assert found.st_size == offset
    assert found.st_blocks > 0
    assert reserved.end >= offset + 24


def test_system_without_fallocate_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reserved, nothing fails, and the limit is asked for once in a while only."""
    asked = []
    getrlimit = resource.getrlimit
    monkeypatch.setattr(space, "_fallocate", lambda: None)
    monkeypatch.setattr(
        resource, "getrlimit", lambda which: asked.append(which) or getrlimit(which)
    )
    path = tmp_path / "metrics.bin"
    own = AppendLog(path)
    for _ in range(10):
        own.append(log(3))
    own.close()
    assert path.read_bytes() == log(3) * 10
    assert len(asked) == 1


def test_other_systems_are_not_asked_for_fallocate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the C library by Linux's name could fail there."""
    monkeypatch.setattr(space.sys, "platform", "darwin")
    assert space._fallocate.__wrapped__() is None
