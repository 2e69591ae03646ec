"""Damaged logs whose intact records are known, to test salvage.

The long form, `python -m tests.damage`, makes a thousand logs (or as many as its first argument
says) for each kind of clock, and salvages each. It prints one line for every log from which less
than 99.9% of the intact records were recovered, or more than one record that was never written, and
then the totals. For a clock near zero, which is weak evidence, the limits are 98% of the records,
and one false record in 50. The exit code is 1 if there was such a log.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from formats import RECORD, RecordCodec
from formats.damage.salvage import Stretch, resync
from formats.metrics import ROLES
from formats.schema import Schema

SCHEMA = Schema.of(RECORD)
CODEC = RecordCodec(RECORD)

NAMES = {
    "one": ["loss"],
    "five": ["loss", "acc", "val/loss", "val/acc", "lr"],
    "1 byte": ["a", "b", "c"],
    "long": [letter * size for letter, size in zip("abcde", (64, 109, 255, 200, 120), strict=True)],
    "many": [f"layer{number}/w" for number in range(500)],
    "not ASCII": [f"größe/{number}" for number in range(20)],
}

CLOCKS = {
    "seconds": (1_700_000_000, 1),
    "milliseconds": (1_700_000_000_123, 1000),
    "microseconds": (1_700_000_000_123_456, 10**6),
    "nanoseconds": (1_700_000_000_123_456_789, 10**9),
    "seconds since boot": (0, 1),
    "stopped": (0, 0),
    "before 1970": (-1_000_000, 1),
}
"""The first timestamp of a log, and how much a second adds to it, by kind of clock."""

NEAR_ZERO = {"seconds since boot", "stopped"}


@dataclass
class Log:
    """A damaged log.

    Attributes:
        data: its bytes.
        written: every record before the damage.
        intact: those whose bytes are all left.
    """

    data: bytes
    written: list[bytes]
    intact: list[bytes] = field(default_factory=list)


def records(
    rng: random.Random, count: int, names: list[str], in_turn: bool, clock: str = "seconds"
) -> list[bytes]:
    """Records as a training run writes them, with values that can be mistaken for records."""
    (timestamp, second), built = CLOCKS[clock], []
    for number in range(count):
        timestamp += second * (rng.random() < 0.1)
        step = number // len(names)
        value = rng.choice((0.0, 0.5, rng.random(), rng.gauss(0, 1), float(step), math.nan))
        name = names[number % len(names)] if in_turn else rng.choice(names)
        built.append(CODEC.build(timestamp=timestamp, step=step, value=value, name=name))
    return built


def damaged(
    rng: random.Random, written: list[bytes], tears: int, deletions: int, zeroed: int
) -> Log:
    """A log of these records with so many tears, deletions, and zeroed sectors."""
    torn = set(rng.sample(range(len(written) - 1), tears))
    data = bytearray()
    spans: list[tuple[int, int, bytes]] = []
    for number, record in enumerate(written):
        if number in torn:
            data += record[: rng.randrange(1, len(record))]
        else:
            spans.append((len(data), len(data) + len(record), record))
            data += record
    for _ in range(zeroed):
        start = rng.randrange(max(len(data) // 512, 1)) * 512
        size = min(rng.choice((512, 4096)), len(data) - start)
        data[start : start + size] = bytes(size)
    cuts: list[tuple[int, int]] = []
    for start in sorted((rng.randrange(len(data)) for _ in range(deletions)), reverse=True):
        end = min(start + rng.randrange(1, 5000), len(data))
        if all(end <= earlier for earlier, _ in cuts):
            cuts.append((start, end))
    intact = [
        record
        for start, end, record in spans
        if data[start:end] == record and all(end <= a or start >= b for a, b in cuts)
    ]
    for start, end in cuts:
        del data[start:end]
    return Log(bytes(data), written, intact)


def salvaged(data: bytes) -> Iterator[bytes]:
    """The records that salvage finds; every byte must be accounted for."""
    position = 0
    for piece in resync(SCHEMA, ROLES, lambda at, count: data[at : at + count], len(data)):
        assert piece.offset == position
        position += piece.size
        if isinstance(piece, Stretch):
            start = piece.offset
            for _ in range(piece.records):
                end = CODEC.parse(data, start)[1]
                yield data[start:end]
                start = end
            assert start == position
    assert position == len(data)


def judge(log: Log) -> tuple[int, int]:
    """The number of intact records lost, and of records found that were never written."""
    wanted = Counter(log.intact)
    others = Counter(log.written) - wanted
    false = 0
    for record in salvaged(log.data):
        for known in (wanted, others):
            if known[record]:
                known[record] -= 1
                break
        else:
            false += 1
    return wanted.total(), false


def falls_short(log: Log, lost: int, false: int, clock: str) -> bool:
    """Whether salvage lost or invented too many of a log's records."""
    if clock in NEAR_ZERO:
        return max(lost, false) > len(log.intact) / 50
    return lost > len(log.intact) / 1000 or false > 1


def corpus(count: int, size: int, clock: str = "seconds") -> Iterator[tuple[str, Log]]:
    """Logs of `size` records with every kind of name and every kind of damage."""
    damages = ((1, 0, 0), (20, 0, 0), (200, 0, 0), (0, 3, 0), (0, 0, 5), (40, 2, 3))
    for number in range(count):
        tears, deletions, zeroed = damages[number % len(damages)]
        kind = list(NAMES)[number // len(damages) % len(NAMES)]
        in_turn = bool(number // (len(damages) * len(NAMES)) % 2)
        rng = random.Random(f"salvage {number}")
        written = records(rng, size, NAMES[kind], in_turn, clock)
        log = damaged(rng, written, min(tears, size // 20), deletions, zeroed)
        yield f"{number}: {kind}, {tears} torn, {deletions} cut, {zeroed} zeroed", log


def main(count: int = 1000, size: int = 20_000) -> int:
    """Salvage the corpus and print the logs that fell short."""
    return max([judge_all(count, size, clock) for clock in CLOCKS])


def judge_all(count: int, size: int, clock: str) -> int:
    """Salvage the corpus of one clock; returns 1 if a log fell short, else 0."""
    intact = lost = false = short = 0
    for title, log in corpus(count, size, clock):
        missing, wrong = judge(log)
        intact, lost, false = intact + len(log.intact), lost + missing, false + wrong
        if falls_short(log, missing, wrong, clock):
            short += 1
            print(f"{title}: lost {missing} of {len(log.intact)}, {wrong} false", flush=True)
    found = f"{intact - lost} of {intact} intact records, {false} false, {short} short"
    print(f"{clock}: {count} logs: {found}", flush=True)
    return int(short > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
