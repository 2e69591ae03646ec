"""Syncing, with each system's own call."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable

import pytest

from expstore.store.files.systems import posix

CALLS = [posix.sync, posix.sync_data]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the system calls that are made, on a macOS that there is not."""
    made: list[str] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(os, "fsync", lambda descriptor: made.append("fsync"))
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: made.append("fdatasync"))
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, command: made.append(str(command)))
    return made


def test_linux_syncs_data_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data alone is enough for a log, whose size the call takes along."""
    made: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: made.append("fsync"))
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: made.append("fdatasync"))
    for call in CALLS:
        call(3)
    assert made == ["fsync", "fdatasync"]


@pytest.mark.parametrize("call", CALLS)
def test_macos_empties_the_drives_cache(call: Callable[[int], None], calls: list[str]) -> None:
    """Its fsync does not, and its fdatasync is not even declared."""
    call(3)
    assert calls == ["51"]


@pytest.mark.parametrize("call", CALLS)
def test_a_file_system_that_cannot_gets_what_it_can(
    call: Callable[[int], None], calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one on a network; any other failure leaves records in doubt, and is raised."""

    def refuse(descriptor: int, command: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    number = errno.ENOTSUP
    call(3)
    assert calls == ["fsync"]
    number = errno.EIO
    with pytest.raises(OSError, match="refused"):
        call(3)
    assert calls == ["fsync"]
