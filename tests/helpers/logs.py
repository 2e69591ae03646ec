"""Logs of records for tests to damage."""

from __future__ import annotations

from formats import RECORD, RecordCodec

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
