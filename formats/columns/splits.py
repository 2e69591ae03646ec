"""Where a long sequence may be cut: offsets of record starts, found in one pass.

Guarantees: each offset is exactly where reading one record after another would begin one; memory is
one block, or one record where that is longer. Records that come in the same order again and again
cost a small part of what decoding them does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from formats.columns.repetition import Codes, Repetition
from formats.columns.starts import PADDING, Bytes, Offsets, RecordWalk
from formats.schema import Schema


def split_points(schema: Schema, blocks: Iterable[memoryview], every: int) -> Iterator[int]:
    """The first start of a whole record at or behind each multiple of `every`, but for 0.

    One start may be the first behind several multiples, and comes once. Constants are not looked
    at, as by `columns.record_starts`.

    Args:
        schema: the declaration of one record.
        blocks: the sequence's bytes, from the first record on, in pieces of any size.
        every: bytes.
    """
    due = every
    for offset, end, bounds in _stretches(RecordWalk(schema), blocks):
        if offset + end <= due:
            continue
        starts = offset + bounds()[:-1]
        while starts[-1] >= due:
            start = int(starts[np.searchsorted(starts, due)])
            yield start
            due = (start // every + 1) * every


def _stretches(
    walk: RecordWalk, blocks: Iterable[memoryview]
) -> Iterator[tuple[int, int, Callable[[], Offsets]]]:
    """Records side by side: the offset that counting begins at, their end, and all their bounds."""
    repetition = Repetition(walk)
    data: Bytes = np.empty(0, np.uint8)
    offset = held = 0  # `held` bytes of a record that is not whole yet begin the data
    for block in blocks:
        begin, end = 0, held + len(block)
        if data.size < end + PADDING:
            data = np.concatenate([data[:held], np.empty(2 * end + PADDING - held, np.uint8)])
        data[held:end] = np.frombuffer(block, np.uint8)
        while (match := repetition.match(data, begin, end)).count:
            yield offset, match.end, match.bounds
            begin = match.end
        bounds = walk.bounds(data, begin, end)
        begin = int(bounds[-1])
        if bounds.size > 1:
            yield offset, begin, partial(np.asarray, bounds)
            # An order is told by the lengths of the texts as well; each byte is compared anyhow.
            lengths = walk.run_starts(data, bounds[:-1])[1]
            repetition.learn(data, bounds, _codes(lengths), end)
        held = end - begin
        data[:held] = data[begin:end].copy()
        offset += begin


def _codes(lengths: list[Offsets]) -> Codes:
    return {str(index): length.astype(np.int32) for index, length in enumerate(lengths)}
