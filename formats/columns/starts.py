"""Record boundaries: exact offsets of variable-length records, many at a time.

Guarantees: `RecordWalk.bounds` returns exactly the offsets that reading one record after another
would visit; guesses only affect speed. Time is linear in the bytes walked, for any bytes.

A record's start depends on the record before it, which would force a scalar loop. Instead the bytes
are split into *lanes* that are walked in parallel: one NumPy step advances every lane by a record.
A lane's first start is guessed from bytes that are constant over a sample of records (such as the
high bytes of a timestamp), then checked against the end of the lane before it. A lane with a wrong
start is walked again from there.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.wire import wire_type
from formats.errors import TruncatedError
from formats.schema import Run, Schema
from formats.walk import flat, read_value

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]

PADDING = 64
"""Bytes after a buffer's data that gathers may read; their contents never matter."""

_SAMPLE = 64  # records walked one by one to plan the lanes
# Records per lane: fewer need more guesses, more give fewer lanes per step. Best is the square root
# of all records times what a guess costs, as a share of what a step costs.
_SHORTEST, _LONGEST, _GUESS = 8, 80, 0.07
_MIN_LANES = 32  # with fewer, a step's fixed cost exceeds the scalar walk's
_SYNC_BYTES = 6  # constant bytes to look for: enough to be distinctive, few to compare
_SYNC_WINDOW = 1024  # maximum of bytes searched for a lane's first start
_REPAIRS = 6  # rounds of walking lanes with a wrong start again
_FAR = np.iinfo(np.int64).max


def items(data: Bytes, width: int) -> NDArray[np.void]:
    """A view of the `width` bytes from each offset on: NumPy's fastest items of any width."""
    return np.ndarray((data.size - width + 1,), f"V{width}", data, 0, (1,))


def gather(data: Bytes, at: Offsets, width: int) -> Bytes:
    """The `width` bytes at each offset, as rows of a matrix."""
    return items(data, width)[at].view(np.uint8).reshape(at.size, width)


@lru_cache(maxsize=64)
def record_walk(schema: Schema) -> RecordWalk:
    """The schema's RecordWalk, which holds no state."""
    return RecordWalk(schema)


class RecordWalk:
    """The steps from one record to the next, derived from a schema."""

    def __init__(self, schema: Schema) -> None:
        schema.require_columns()
        self.schema = schema
        self.runs = schema.runs
        self.min_size = schema.min_size
        self._steps = [
            (run.width, run.width - run.text.width, struct.Struct(run.text.format).unpack_from)
            if run.text
            else (run.width, 0, None)
            for run in self.runs
        ]
        self.heads = [np.dtype((np.void, run.width)) for run in self.runs]
        self._fixed = not schema.texts
        self.places = [
            (
                field,
                wire_type(field.kind),
                index,
                sum(f.width for f in run.fields[:position]),
            )
            for index, run in enumerate(self.runs)
            for position, field in enumerate(run.fields)
        ]  # each field, its type, the index of its run and its offset there
        self.columns = [
            (field.name, field.is_variable, dtype, dtype.newbyteorder("="), run, offset)
            for field, dtype, run, offset in self.places
        ]  # the same for schemas whose numbers NumPy converts: name, whether it is a text, ...

    def __reduce__(self) -> tuple[Any, ...]:
        return record_walk, (self.schema,)

    def bounds(self, data: Bytes, begin: int, end: int) -> Offsets:
        """The starts of all whole records in `data[begin:end]`, and the end of the last one.

        Args:
            data: bytes, with at least `PADDING` more after `end`.
        """
        if self._fixed:
            return np.arange(begin, end + 1, self.min_size, dtype=np.int64)
        sample = self._scalar(data, begin, end, _SAMPLE)
        if sample.size <= _SAMPLE:
            return sample
        lanes = self._lanes(data, sample, end)
        rest = self._scalar(data, int(lanes[-1]), end)
        return np.concatenate([sample[:-1], lanes[:-1], rest])

    def run_starts(self, data: Bytes, starts: Offsets) -> tuple[list[Offsets], list[Offsets]]:
        """For whole records, per run: the starts, and the lengths of its text (0 without one)."""
        begins, lengths = [starts], []
        for run in self.runs:
            lengths.append(_lengths(data, begins[-1], run).astype(np.int64))
            begins.append(begins[-1] + (run.width + lengths[-1]))
        return begins[:-1], lengths

    def _scalar(self, data: Bytes, begin: int, end: int, limit: int = -1) -> Offsets:
        """The bounds of at most `limit` records, one by one."""
        view, steps = data.data[:end], self._steps
        bounds = [begin]
        while len(bounds) != limit + 1:
            at = bounds[-1]
            try:
                for width, prefix, unpack in steps:
                    if unpack is not None:
                        at += unpack(view, at + prefix)[0]
                    at += width
            except struct.error:  # the data ends inside a length prefix
                break
            if at > end:
                break
            bounds.append(at)
        return np.array(bounds, np.int64)

    def _lanes(self, data: Bytes, sample: Offsets, end: int) -> Offsets:
        """The bounds after the sample, as far as lanes agree; the rest needs the scalar walk."""
        begin, sizes = int(sample[-1]), np.diff(sample)
        records = (end - begin) / sizes.mean()
        count = int(records / min(max((records * _GUESS) ** 0.5, _SHORTEST), _LONGEST))
        if count < _MIN_LANES:
            return sample[-1:]
        edges = begin + (end - begin) * np.arange(count + 1) // count
        entries = self._guess(data, edges[:-1], sample[:-1], int(sizes.max()))
        entries[0], edges = begin, edges[1:]
        rows = self._step(data, entries, edges)
        for repair in range(_REPAIRS + 1):
            inside = (rows < edges).sum(axis=0)
            exits = rows[inside, np.arange(count)]
            wrong = np.flatnonzero(exits[:-1] != entries[1:]) + 1
            if not wrong.size or repair == _REPAIRS:
                break
            if repair < _REPAIRS // 2:
                # A wrong lane has a wrong end, which is no evidence against the next lane.
                wrong = wrong[np.diff(wrong, prepend=-1) > 1]
            entries[wrong] = exits[wrong - 1]
            again = self._step(data, entries[wrong], edges[wrong])
            deeper = max(len(again) - len(rows), 0)
            rows = np.concatenate([rows, np.full((deeper, count), _FAR)])
            rows[:, wrong] = _FAR
            rows[: len(again), wrong] = again
        # Lane 0 has the right start, and so has every lane that begins where its neighbour ended.
        good = int(wrong[0]) if wrong.size else count
        bounds = rows.T[:good][rows.T[:good] < edges[:good, None]]
        last = exits[good - 1]
        # The last start is followed by either the next bound or the end of a torn record.
        return np.append(bounds, last) if last <= end else bounds

    def _guess(self, data: Bytes, edges: Offsets, sample: Offsets, longest: int) -> Offsets:
        """The offset at or after each edge that looks most like the start of a record."""
        width = self.runs[0].width
        heads = gather(data, sample, width)
        constant = np.flatnonzero((heads == heads[0]).all(axis=0))[:_SYNC_BYTES]
        # A little more than the sample's longest record, since others may be longer.
        window = min(longest + longest // 4 + 8, _SYNC_WINDOW)
        # Stay inside the buffer; a wrong guess is harmless.
        edges = np.minimum(edges, data.size - window - width)
        bytes_ = gather(data, edges, window + width)
        likeness = np.zeros((edges.size, window), np.uint8)
        for offset in constant:
            likeness += bytes_[:, offset : offset + window] == heads[0, offset]
        return np.asarray(edges + likeness.argmax(axis=1))

    def _step(self, data: Bytes, entries: Offsets, edges: Offsets) -> Offsets:
        """Walk every lane past its end: row i holds each lane's i-th start."""
        max_steps = int((edges - np.minimum(entries, edges)).max()) // self.min_size + 2
        rows = np.empty((max_steps, entries.size), np.int64)
        rows[0] = cursors = entries
        # Fixed widths are the same for all lanes and kept in `fixed`; cursors hold the rest.
        fixed = 0
        for index in range(1, max_steps):
            row = rows[index]
            for run in self.runs:
                if run.text is not None:
                    cursors = np.add(cursors, _lengths(data[fixed:], cursors, run), out=row)
                fixed += run.width
            if index % 4 == 0 and (cursors + fixed >= edges).all():
                break
        rows = rows[: index + 1]
        rows += self.min_size * np.arange(len(rows))[:, None]
        return rows


def _lengths(data: Bytes, begins: Offsets, run: Run) -> NDArray[Any]:
    """The lengths of the texts of the runs at `begins`; arbitrary outside the data."""
    if run.text is None:
        return np.zeros(begins.size, np.int64)
    places = range(run.width - run.text.width, run.width)
    first, *more = places if run.text.order == ">" else reversed(places)
    # Byte by byte: taking from contiguous bytes is seven times as fast as an unaligned gather.
    # Clipped: a lane may have run past the data.
    length: NDArray[Any] = data[first:].take(begins, mode="clip")
    for place in more:
        length = (length.astype(np.int64) << 8) | data[place:].take(begins, mode="clip")
    return length


def record_starts(declaration: Any, data: Any) -> tuple[Offsets, int]:
    """Where the whole records of `data` begin, and where the last one ends.

    Unlike in `parse_columns`, the records' constants are not checked. Of a torn header, the end
    is 0.

    Raises:
        FormatError: the header is not the declared one.
    """
    schema, begin = Schema.of(declaration), 0
    fresh = np.frombuffer(flat(data), np.uint8)
    if schema.header is not None:
        try:
            _, begin = read_value(schema.header, fresh.data)
        except TruncatedError:
            return np.empty(0, np.int64), 0
    padded = np.zeros(fresh.size + PADDING, np.uint8)
    padded[: fresh.size] = fresh
    bounds = record_walk(schema).bounds(padded, begin, fresh.size)
    return bounds[:-1], int(bounds[-1])
