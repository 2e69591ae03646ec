"""Where records begin: exact boundaries of variable-length records, many at a time.

Guarantees: `Walk.bounds` returns exactly the chain that reading one record after another would
visit; guesses only decide how fast. Time is linear in the bytes walked, for any bytes.

A record's start is known only from the record before it, which makes a scalar loop of it. Here the
bytes are cut into *lanes* that are walked side by side, one NumPy step moving every lane by a
record. A lane's first start is guessed by bytes that stayed the same over a sample of records (the
high bytes of a timestamp), then held against where the lane before it really ended; a lane that
was entered wrongly is walked again from there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from formats.errors import UnsupportedSchema
from formats.schema import Field, Run, Schema

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]

PADDING = 64
"""Bytes of a buffer behind its data that gathers may touch; what they hold never matters."""

_SAMPLE = 64  # records walked one by one, from which lanes are laid out
_LANE_RECORDS = 40  # records in a lane: fewer cost guesses, more leave too few lanes a step
_MIN_LANES = 32  # under this a step's fixed cost outweighs the scalar walk
_SYNC_BYTES = 6  # constant bytes looked for: enough to tell, few to compare
_SYNC_WINDOW = 1024  # bytes searched for a lane's first start, at most
_REPAIRS = 6  # rounds of walking wrongly entered lanes again
_FAR = np.iinfo(np.int64).max


def gather(data: Bytes, at: Offsets, width: int) -> Bytes:
    """The `width` bytes at each offset, as rows of a matrix."""
    # One void item a row is NumPy's fastest unaligned gather, whatever the width.
    items = np.ndarray((data.size - width + 1,), f"V{width}", data, 0, (1,))
    return items[at].view(np.uint8).reshape(at.size, width)


class Walk:
    """The steps from one record to the next, derived from a schema."""

    def __init__(self, schema: Schema) -> None:
        for field in schema:
            if field.absent is not None:
                raise UnsupportedSchema("may be absent, which columns cannot say", field=field.name)
        self.runs = schema.runs
        self.min_size = schema.min_size
        self._steps = [
            (run.width, run.text and (run.width - run.text.width, _unpacker(run.text)))
            for run in self.runs
        ]
        self._fixed = not schema.texts
        self.places = [
            (field, np.dtype(field.dtype), index, sum(f.width for f in run.fields[:position]))
            for index, run in enumerate(self.runs)
            for position, field in enumerate(run.fields)
        ]  # each field, its type, the number of its run and its offset there

    def bounds(self, data: Bytes, begin: int, end: int) -> Offsets:
        """The starts of all whole records in `data[begin:end]`, and the end of the last one.

        Args:
            data: bytes, with at least `PADDING` more of them behind `end`.
        """
        if self._fixed:
            return np.arange(begin, end + 1, self.min_size, np.int64)
        sample = self._scalar(data, begin, end, _SAMPLE)
        if sample.size <= _SAMPLE:
            return sample
        lanes = self._lanes(data, sample, end)
        rest = self._scalar(data, int(lanes[-1]), end)
        return np.concatenate([sample[:-1], lanes[:-1], rest])

    def run_starts(self, data: Bytes, starts: Offsets) -> tuple[list[Offsets], list[Offsets]]:
        """For whole records, run by run: where it begins, and its text's length (0 without one)."""
        begins, lengths = [starts], []
        for run in self.runs:
            lengths.append(_lengths(data, begins[-1], run))
            begins.append(begins[-1] + (run.width + lengths[-1]))
        return begins[:-1], lengths

    def _scalar(self, data: Bytes, begin: int, end: int, limit: int = -1) -> Offsets:
        """Bounds of at most `limit` records, one by one."""
        view, steps = memoryview(data)[:end], self._steps
        bounds = [begin]
        while len(bounds) != limit + 1:
            at = bounds[-1]
            try:
                for width, text in steps:
                    if text is not None:
                        at += text[1](view, at + text[0])[0]
                    at += width
            except struct.error:  # the data ends before a length prefix does
                break
            if at > end:
                break
            bounds.append(at)
        return np.array(bounds, np.int64)

    def _lanes(self, data: Bytes, sample: Offsets, end: int) -> Offsets:
        """Bounds from the end of the sample on, as far as lanes agree; scalar work may remain."""
        begin, sizes = int(sample[-1]), np.diff(sample)
        count = int((end - begin) // (_LANE_RECORDS * sizes.mean()))
        if count < _MIN_LANES:
            return sample[-1:]
        edges = begin + (end - begin) * np.arange(count + 1) // count
        entries = self._guess(data, edges[:-1], sample[:-1], int(sizes.max()))
        entries[0], edges = begin, edges[1:]
        rows = self._step(data, entries, edges)
        for repair in range(_REPAIRS + 1):
            behind = (rows < edges).sum(axis=0)
            exits = rows[behind, np.arange(count)]
            wrong = np.flatnonzero(exits[:-1] != entries[1:]) + 1
            if not wrong.size or repair == _REPAIRS:
                break
            entries[wrong] = exits[wrong - 1]
            again = self._step(data, entries[wrong], edges[wrong])
            deeper = max(len(again) - len(rows), 0)
            rows = np.concatenate([rows, np.full((deeper, count), _FAR)])
            rows[:, wrong] = _FAR
            rows[: len(again), wrong] = again
        # Lane 0 was entered rightly, and so was every lane that begins where its neighbour ended.
        good = int(wrong[0]) if wrong.size else count
        bounds = rows.T[:good][rows.T[:good] < edges[:good, None]]
        last = exits[good - 1]
        # Behind the last start lies either the next bound, or the end of a torn record.
        return np.append(bounds, last) if last <= end else bounds

    def _guess(self, data: Bytes, edges: Offsets, sample: Offsets, longest: int) -> Offsets:
        """The offset behind each edge that looks most like the start of a record."""
        width = self.runs[0].width
        heads = gather(data, sample, width)
        constant = np.flatnonzero((heads == heads[0]).all(axis=0))[:_SYNC_BYTES]
        window = min(longest, _SYNC_WINDOW)
        # Not beyond the buffer; a guess may be wrong.
        edges = np.minimum(edges, data.size - window - width)
        bytes_ = gather(data, edges, window + width)
        likeness = np.zeros((edges.size, window), np.uint8)
        for offset in constant:
            likeness += bytes_[:, offset : offset + window] == heads[0, offset]
        return np.asarray(edges + likeness.argmax(axis=1))

    def _step(self, data: Bytes, entries: Offsets, edges: Offsets) -> Offsets:
        """Walk every lane until it has left its bytes: row i holds each lane's i-th start."""
        most = int((edges - np.minimum(entries, edges)).max()) // self.min_size + 2
        rows = np.empty((most, entries.size), np.int64)
        rows[0] = entries
        for index in range(1, most):
            np.copyto(rows[index], self._next(data, rows[index - 1]))
            if index % 4 == 0 and (rows[index] >= edges).all():
                break
        return rows[: index + 1]

    def _next(self, data: Bytes, starts: Offsets) -> Offsets:
        """Where the records that begin at `starts` end; anything beyond `data` stays beyond."""
        for run in self.runs:
            starts = starts + (_lengths(data, starts, run) + run.width)
        return starts


def _unpacker(text: Field) -> Callable[[memoryview, int], tuple[int, ...]]:
    return struct.Struct(text.format).unpack_from


def _lengths(data: Bytes, begins: Offsets, run: Run) -> Offsets:
    """The lengths of the texts of the runs at `begins`; any length where that is outside."""
    length = np.zeros(begins.size, np.int64)
    if run.text is not None:
        places = range(run.width - run.text.width, run.width)
        for place in places if run.text.order == ">" else reversed(places):
            # Byte by byte, because taking from contiguous bytes is seven times as fast as an
            # unaligned gather; clipped, because a lane may have run beyond the data.
            length <<= 8
            length |= data[place:].take(begins, mode="clip")
    return length
