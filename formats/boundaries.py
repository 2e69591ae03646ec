"""Where a long sequence may be cut: offsets of record starts, found in one pass.

Guarantees: each offset is exactly where reading one record after another would begin one; memory is
one block, or one record where that is longer. Records that come in the same order again and again
cost a fifth of what decoding them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from formats.repetition import Codes, Repetition
from formats.schema import Schema
from formats.starts import PADDING, Bytes, Offsets, Walk


def boundaries(schema: Schema, blocks: Iterable[memoryview], every: int) -> Iterator[int]:
    """The first start of a whole record at or behind each multiple of `every`, but for 0.

    One start may be the first behind several multiples, and comes once. Constants are not looked
    at, as by `columns.record_starts`.

    Args:
        schema: the declaration of one record.
        blocks: the sequence's bytes, from the first record on, in pieces of any size.
        every: bytes.
    """
    due = every
    for offset, starts in _starts(Walk(schema), blocks):
        while starts.size and offset + starts[-1] >= due:
            start = offset + int(starts[np.searchsorted(starts, due - offset)])
            yield start
            due = (start // every + 1) * every


def _starts(walk: Walk, blocks: Iterable[memoryview]) -> Iterator[tuple[int, Offsets]]:
    """The starts of whole records, some at a time, each batch with the offset it counts from."""
    repetition = Repetition(walk)
    held: Bytes = np.empty(0, np.uint8)  # a record that is not whole yet
    offset = 0
    for block in blocks:
        end = held.size + len(block)
        data = np.zeros(end + PADDING, np.uint8)
        data[: held.size] = held
        data[held.size : end] = np.frombuffer(block, np.uint8)
        begin = 0
        while (bounds := repetition.match(data, begin, end)[0]).size > 1:
            yield offset, bounds[:-1]
            begin = int(bounds[-1])
        bounds = walk.bounds(data, begin, end)
        if bounds.size > 1:
            yield offset, bounds[:-1]
            # An order is told by the lengths of the texts as well; each byte is compared anyhow.
            lengths = walk.run_starts(data, bounds[:-1])[1]
            repetition.learn(data, bounds, _codes(lengths), end)
        begin = int(bounds[-1])
        held = data[begin:end].copy()
        offset += begin


def _codes(lengths: list[Offsets]) -> Codes:
    return {str(index): length.astype(np.int32) for index, length in enumerate(lengths)}
