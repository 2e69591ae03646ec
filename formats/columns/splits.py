"""Split points of a long sequence: offsets of record starts, found in one pass.

Guarantees: each offset is exactly where reading one record after another would begin one. Memory
use is one block, or one record if that is longer. Records that repeat in the same order cost a
small fraction of decoding them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from formats.columns.repetition import Codes, Repetition
from formats.columns.starts import PADDING, Bytes, Offsets, RecordWalk
from formats.schema import Schema


def split_points(declaration: Any, blocks: Iterable[memoryview], every: int) -> Iterator[int]:
    """The first start of a whole record at or after each positive multiple of `every`.

    A start that is the first after several multiples is yielded once. Constants are not checked, as
    in `columns.record_starts`.

    Args:
        declaration: of the records; or its Schema.
        blocks: the sequence's bytes, from the first record on, in pieces of any size.
        every: the spacing in bytes.
    """
    due = every
    for offset, end, starts_of in _stretches(RecordWalk(Schema.of(declaration)), blocks):
        if offset + end <= due:
            continue
        starts = offset + starts_of()
        while starts[-1] >= due:
            start = int(starts[np.searchsorted(starts, due)])
            yield start
            due = (start // every + 1) * every


def _stretches(
    walk: RecordWalk, blocks: Iterable[memoryview]
) -> Iterator[tuple[int, int, Callable[[], Offsets]]]:
    """Adjacent records: the base offset, and relative to it their end and all their starts."""
    repetition = Repetition(walk)
    data: Bytes = np.empty(0, np.uint8)
    offset = held = 0  # the data begins with `held` bytes of a record not yet whole
    for block in blocks:
        begin, end = 0, held + len(block)
        if data.size < end + PADDING:
            data = np.concatenate([data[:held], np.empty(2 * end + PADDING - held, np.uint8)])
        data[held:end] = np.frombuffer(block, np.uint8)
        while (match := repetition.match(data, begin, end)).count:
            yield offset, match.end, partial(match.starts, match.places("", None))
            begin = match.end
        bounds = walk.bounds(data, begin, end)
        begin = int(bounds[-1])
        if bounds.size > 1:
            yield offset, begin, partial(np.asarray, bounds[:-1])
            # Text lengths are enough to recognise an order; every byte is compared anyway.
            lengths = walk.run_starts(data, bounds[:-1])[1]
            repetition.learn(data, bounds, _codes(lengths), end)
        held = end - begin
        data[:held] = data[begin:end].copy()
        offset += begin


def _codes(lengths: list[Offsets]) -> Codes:
    return {str(index): length.astype(np.int32) for index, length in enumerate(lengths)}
