"""Logs of records for tests to damage."""

from __future__ import annotations

from pathlib import Path

from formats import RECORD, RecordCodec
from tests.faults.base import read_log

NOW = 1_700_000_000
CODEC = RecordCodec(RECORD)


def log(count: int, timestamp: int = NOW, names: tuple[str, ...] = ("loss", "acc")) -> bytes:
    """The encoded records of an ordinary run."""
    return b"".join(
        CODEC.build(
            timestamp=timestamp + n, step=n // len(names), value=n / 7, name=names[n % len(names)]
        )
        for n in range(count)
    )


def record(name: str) -> bytes:
    """A record identified by its name."""
    return CODEC.build(timestamp=1_700_000_000, step=1, value=0.5, name=name)


def names(path: Path) -> list[str]:
    """The names in a log, which must end at a record boundary."""
    records, rest = read_log(path)
    assert rest == 0
    return [name for name, _, _ in records]
