"""A second format of a log, unlike the store's: a header, no text in its records, fixed bytes."""

from __future__ import annotations

from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    Enum,
    Float32b,
    GreedyRange,
    Int8ub,
    Int16ub,
    Int64ub,
    Struct,
)

from formats import Format, Roles, Text

SAMPLES = Struct(
    "header"
    / Struct(
        "magic" / Const(b"SMP1"),
        "rate" / Int16ub * "samples a second",
        "device" / Text * "where they come from",
    ),
    "samples"
    / GreedyRange(
        Struct(
            Const(0xA55A, Int16ub),
            "time" / Int64ub * "in microseconds since 1970-01-01 UTC",
            "sensor" / Bytes(4) * "its serial number",
            "state" / Enum(Int8ub, ok=0, hot=1),
            "axes" / Array(3, Float32b) * "in m/s2",
        )
    ),
)
FORMAT = Format("samples", SAMPLES, "Samples", "Of one device.", Roles(clock="time"))
NO_ROLES = Format("samples", SAMPLES)

HEADER_VALUES: dict[str, Any] = {"rate": 100, "device": "lab"}
HEADER = bytes.fromhex("534d5031 0064 03 6c6162")
SIZE = 27
NOW = 1_700_000_000_000_000


def values(number: int) -> dict[str, Any]:
    """The fields of a sample."""
    return {
        "time": NOW + number,
        "sensor": number.to_bytes(4, "big"),
        "state": "hot" if number % 3 == 1 else "ok",
        "axes": [number / 2, -1.0, 0.0],
    }


def sample(number: int) -> bytes:
    """The bytes of a sample."""
    return FORMAT.codec.build(**values(number))
