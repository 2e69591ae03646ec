"""Cutting: what is kept is on disk before the cut, or nothing is cut."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from pathlib import Path

import pytest

from expstore import TornTailError, UnreadableFileError
from expstore.store.append.log import AppendLog
from expstore.store.read.survey import tail_of
from tests.helpers.logs import log

TEAR = b"\x01" * 18


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log that ends in a tear."""
    path = tmp_path / "metrics.bin"
    path.write_bytes(log(3) + TEAR)
    return path


def repair(path: Path) -> Path | None:
    """Cut the tear; returns the file that keeps it."""
    own = AppendLog(path, create=False)
    try:
        return own.repair(tail_of)[1]
    finally:
        own.close()


@pytest.fixture
def events(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs and cuts, in order: `sync NAME` and `cut`."""
    events: list[str] = []
    fsync, ftruncate = os.fsync, os.ftruncate

    def synced(descriptor: int) -> None:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            assert os.path.samestat(found, path.parent.stat())
            events.append("sync directory")
        else:
            (name,) = [
                entry.name
                for entry in path.parent.iterdir()
                if os.path.samestat(found, entry.stat())
            ]
            events.append(f"sync {name}")
        fsync(descriptor)

    def cut(descriptor: int, size: int) -> None:
        events.append("cut")
        ftruncate(descriptor, size)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "ftruncate", cut)
    return events


def test_what_is_kept_is_on_disk_before_the_cut(path: Path, events: list[str]) -> None:
    """Its bytes, and then its name; only then is the log cut, which is synced last."""
    kept = repair(path)
    assert kept is not None
    assert kept.read_bytes() == TEAR
    assert path.read_bytes() == log(3)
    assert events == [f"sync {kept.name}", "sync directory", "cut", f"sync {path.name}"]


def test_what_an_interrupted_attempt_kept_is_synced_too(path: Path, events: list[str]) -> None:
    """It may have been interrupted before it synced."""
    kept = path.with_name(f"metrics.bin.torn-{len(log(3))}")
    kept.write_bytes(TEAR)
    assert repair(path) == kept
    assert events == [f"sync {kept.name}", "sync directory", "cut", f"sync {path.name}"]
    assert sorted(os.listdir(path.parent)) == [path.name, kept.name]


def test_what_cannot_be_kept_under_any_name_is_not_cut(path: Path) -> None:
    """After a thousand tears at one offset, the next is an error, and the log is unchanged."""
    base = f"metrics.bin.torn-{len(log(3))}"
    for name in [base, *(f"{base}.{number}" for number in range(1, 1000))]:
        path.with_name(name).touch()
    for _ in range(2):
        with pytest.raises(UnreadableFileError, match="a thousand torn tails"):
            repair(path)
    assert path.read_bytes() == log(3) + TEAR
    assert len(os.listdir(path.parent)) == 1001
    path.with_name(f"{base}.999").unlink()
    assert repair(path) == path.with_name(f"{base}.999")
    assert path.read_bytes() == log(3)


@pytest.mark.parametrize("platform", ["darwin", "freebsd14"])
def test_system_without_leases_is_explained(
    platform: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cut, as nobody can be excluded; forcing is offered."""
    monkeypatch.setattr(sys, "platform", platform)
    for lacking in ("F_SETSIG", "F_SETLEASE", "F_WRLCK"):
        monkeypatch.delattr(fcntl, lacking)
    with pytest.raises(TornTailError, match=rf"{platform} has no leases.*--force"):
        repair(path)
    assert path.read_bytes() == log(3) + TEAR
    assert os.listdir(path.parent) == [path.name]
