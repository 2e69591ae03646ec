"""Random and mutated bytes through every parser; `python -m tests.fuzz` is the long form.

    python -m tests.fuzz                        a million inputs, on all cores but one
    python -m tests.fuzz --inputs 20000 --seed 7 --processes 1

Each input goes through the scalar codecs of META and RECORD, the columns, the tail check, and
salvage. Only FormatError may be raised, and parsed values must equal those of `construct`. If
EXPSTORE_REFERENCE names the reference program, both programs also read each input as a meta.bin and
as a metrics.bin; they must agree except for documented differences. At the first failure, the
input is printed and the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from formats import (
    META,
    METRICS,
    RECORD,
    FormatError,
    RecordCodec,
    TruncatedError,
    tail_status,
)
from formats.columns import parse_columns, record_starts
from formats.columns.splits import split_points
from formats.damage.salvage import Stretch, resync
from formats.metrics import ROLES
from formats.schema import Schema

CODECS = {"META": (META, RecordCodec(META)), "RECORD": (RECORD, RecordCodec(RECORD))}
PARSERS = {
    name: codec.parser(lambda *values: values, *(field.name for field in codec.schema))
    for name, (_, codec) in CODECS.items()
}
SCHEMA = Schema.of(RECORD)
BATCH = 250  # inputs that the reference reads in one run
REFUSED = "!"


def random_input(rng: random.Random) -> bytes:
    """Plain noise, or a valid file that was then damaged."""
    kind = rng.random()
    if kind < 0.15:
        return rng.randbytes(rng.randrange(120))
    if kind < 0.25:
        return bytes(rng.choice((0, 1, 255, rng.randrange(256))) for _ in range(rng.randrange(90)))
    data = bytearray(_metadata(rng) if kind < 0.55 else _records(rng))
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        _mutate(rng, data)
    return bytes(data)


def _text(rng: random.Random) -> str:
    raw = rng.choice((b"loss", b"acc", b"", b"x", rng.randbytes(rng.randrange(9)), b"n" * 255))
    return raw.decode("utf-8", "surrogateescape")


def _metadata(rng: random.Random) -> bytes:
    texts = {name: _text(rng) for name in ("commit_id", "job_name", "user")}
    return CODECS["META"][1].build(timestamp=rng.getrandbits(63), **texts)


def _records(rng: random.Random) -> bytes:
    return b"".join(
        CODECS["RECORD"][1].build(
            timestamp=rng.choice((1_700_000_000 + n, 0, rng.getrandbits(63) - (1 << 62))),
            step=rng.choice((n, rng.getrandbits(32))),
            value=struct.unpack(">d", rng.randbytes(8))[0],
            name=_text(rng),
        )
        for n in range(rng.randrange(8))
    )


def _mutate(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    size = rng.choice((1, 2, 4, 8, 21, 30))
    kind = rng.randrange(7)
    if kind == 0:
        del data[at:]
    elif kind == 1:
        del data[at : at + size]
    elif kind == 2:
        data[at:at] = rng.randbytes(size)
    elif kind == 3:
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif kind == 4:
        data[at:at] = data[at // 2 : at // 2 + size]
    elif kind == 5 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif at < len(data):
        data[at] = rng.choice((0, 1, 20, 127, 254, 255))


def check_parsers(data: bytes) -> None:
    """Check every parser against `construct` on these bytes, and against the other parsers."""
    for name, (declaration, codec) in CODECS.items():
        _check_codec(declaration, codec, data)
        _check_parser(codec, PARSERS[name], data)
    starts = _check_columns(data)
    _check_boundaries(data, starts)
    _check_tail(data, len(starts))
    _check_salvage(data)


def _check_codec(declaration: Any, codec: RecordCodec, data: bytes) -> None:
    stream = io.BytesIO(data)
    try:
        oracle = declaration.parse_stream(stream)
    except Exception:  # any exception means that construct refuses it
        oracle = None
    try:
        values, end = codec.parse(data)
    except FormatError as error:
        assert oracle is None, f"refused: {error}"
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
        return
    assert oracle is not None, "construct refuses it"
    assert end == stream.tell()
    assert [_bits(v) for v in values.values()] == [_bits(oracle[name]) for name in values]
    if all(field.default is None for field in codec.schema):
        assert _same_number(codec.build(**values), data[:end])


def _check_parser(
    codec: RecordCodec, parser: Callable[[bytes], tuple[Any, ...]], data: bytes
) -> None:
    outcomes: list[Any] = []
    for parse in (lambda: tuple(codec.parse(data)[0].values()), lambda: parser(data)):
        try:
            outcomes.append([_bits(value) for value in parse()])
        except FormatError as error:
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]


def _check_boundaries(data: bytes, starts: list[int]) -> None:
    every = 64
    expected = {
        next((start for start in starts if start >= due), None)
        for due in range(every, len(data) + every, every)
    }
    cut = len(data) // 3
    blocks = [memoryview(data)[:cut], memoryview(data)[cut:]]
    assert list(split_points(SCHEMA, blocks, every)) == sorted(expected - {None})


def _bits(value: Any) -> Any:
    return struct.pack(">d", value) if isinstance(value, float) else value


def _same_number(built: bytes, data: bytes) -> bool:
    """Equal bytes, except that some processors set a signalling NaN's quiet bit in a move."""
    return built == data or sum(a != b for a, b in zip(built, data, strict=True)) == 1


def _check_columns(data: bytes) -> list[int]:
    oracle = METRICS.parse(data)
    columns = parse_columns(SCHEMA, data)
    starts, end = record_starts(SCHEMA, data)
    assert columns.count == len(oracle) == len(starts)
    assert columns.end == end <= len(data)
    for field in SCHEMA:
        column = columns[field.name]
        if field.is_text:
            values = [column.values[code] for code in column.codes.tolist()]
        else:
            values = column.tolist()
        assert [_bits(v) for v in values] == [_bits(record[field.name]) for record in oracle]
    return [int(start) for start in starts]


def _check_tail(data: bytes, records: int) -> None:
    columns = parse_columns(SCHEMA, data)
    status = tail_status(SCHEMA, columns, len(data), ROLES)
    if status:
        assert columns.end == len(data)
    else:
        assert status.offset is not None
        assert status.offset + status.size == len(data)
        assert 0 <= status.records <= records
        assert status.kind != "torn" or status.offset == columns.end


def _check_salvage(data: bytes) -> None:
    position = 0
    codec = CODECS["RECORD"][1]
    for piece in resync(SCHEMA, ROLES, lambda at, count: data[at : at + count], len(data)):
        assert piece.offset == position
        assert piece.size > 0
        position += piece.size
        if isinstance(piece, Stretch):
            end = piece.offset
            for _ in range(piece.records):
                end = codec.parse(data, end)[1]
            assert end == position
    assert position == len(data)


def check_reference(reference: str, inputs: list[bytes], directory: Path) -> None:
    """Compare how both programs read each input as a meta.bin and as a metrics.bin."""
    store = ExperimentStore(directory)
    script = [f"R={reference}"]
    for number, data in enumerate(inputs):
        path = store.create_experiment(f"i{number}")
        (path / "meta.bin").write_bytes(data)
        (path / "metrics.bin").write_bytes(data)
        script.append(f"$R read-meta . i{number} 2>/dev/null || echo '{REFUSED}'")
        script.append(f"$R metrics . i{number} && echo '#'")
    done = subprocess.run(
        ["sh"],
        input="\n".join(script),
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers = done.stdout.split("#\n")
    assert len(answers) == len(inputs) + 1
    for number, data in enumerate(inputs):
        metadata, *metrics = answers[number].splitlines()
        try:
            _compare_metadata(store, f"i{number}", metadata)
            ours = [_line(metric) for metric in store.get_metrics(f"i{number}")]
            assert ours == metrics, "metrics differ from the reference's"
        except Exception as error:
            error.add_note(f"input: {data.hex()}")
            raise


def _compare_metadata(store: ExperimentStore, commit_id: str, theirs: str) -> None:
    try:
        ours = store.read_metadata(commit_id)
    except TruncatedError as error:
        # If cut inside a field, the reference crashes or fills in zeros; that is documented.
        assert theirs == REFUSED or error.field in {"commit_id", "job_name", "user"}
    except FormatError:
        assert theirs == REFUSED
    else:
        texts = (ours.commit_id, ours.job_name, ours.user)
        line = f"{ours.timestamp} " + " ".join(map(_hex, texts))
        assert line == theirs, "metadata differs from the reference's"


def _line(metric: Any) -> str:
    bits = struct.pack(">d", metric.value).hex()
    return f"{metric.timestamp} {metric.step} {bits} {_hex(metric.name)}"


def _hex(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").hex()


def _work(arguments: tuple[str, int]) -> tuple[int, str]:
    """Check one batch; return its size, and the failure or an empty string."""
    seed, count = arguments
    rng = random.Random(seed)
    inputs = [random_input(rng) for _ in range(count)]
    for data in inputs:
        try:
            check_parsers(data)
        except Exception as error:
            return count, f"{type(error).__name__}: {error}\ninput: {data.hex()}"
    reference = os.environ.get("EXPSTORE_REFERENCE")
    if reference:
        with tempfile.TemporaryDirectory() as directory:
            try:
                check_reference(reference, inputs, Path(directory))
            except Exception as error:
                return count, "\n".join((f"{type(error).__name__}: {error}", *_notes(error)))
    return count, ""


def _notes(error: Exception) -> list[str]:
    return list(getattr(error, "__notes__", []))


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=max((os.cpu_count() or 2) - 1, 1))
    chosen = parser.parse_args()
    batches = [
        (f"{chosen.seed} {start}", min(BATCH, chosen.inputs - start))
        for start in range(0, chosen.inputs, BATCH)
    ]
    done, began = 0, time.monotonic()
    with multiprocessing.Pool(chosen.processes) as pool:
        for count, wrong in pool.imap_unordered(_work, batches):
            if wrong:
                print(wrong)
                return 1
            done += count
            if done % (100 * BATCH) == 0:
                print(f"{done:,} inputs, {time.monotonic() - began:.0f} s", flush=True)
    against = "construct and the reference" if "EXPSTORE_REFERENCE" in os.environ else "construct"
    print(f"{done:,} inputs: only FormatError, 0 differences to {against}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
