"""Parsing many records at once into NumPy columns, derived from a declaration.

Guarantees: columns hold what `GreedyRange(declaration).parse` would return: all whole records up to
the first that is torn or refused, such as one with a wrong constant. Numbers keep all their bits;
`construct` loses some of NaNs of 16 and 32 bits, since Python's floats have 64. `Columns.end` is
the offset after the records. A torn tail is never an error. Nothing is assumed about the data:
expectations only save work, and each is checked against the bytes. Memory use beyond the columns is
one block.

Numbers become arrays in native byte order, texts become codes into a tuple of distinct texts, and
other kinds what `wire` says. A header before the records is read first, into `ColumnParser.header`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.brief import LIMIT, BriefWalk, is_walkable
from formats.columns.output import Output, keep_freed_memory
from formats.columns.repetition import Match, Repetition
from formats.columns.starts import PADDING, Bytes, Offsets, gather, record_walk
from formats.columns.types import Columns, TextColumn
from formats.columns.vocabulary import MAX_WORDS, WORD, Vocabulary
from formats.columns.wire import column_type, refusal, refused, to_column
from formats.errors import FormatError, TooManyTextsError, TruncatedError
from formats.schema import Schema
from formats.walk import flat, read_value

BLOCK = 1 << 19
"""Bytes decoded at a time: enough to amortise NumPy's calls, few enough to stay in a core's cache
together with the result. Twice as many cost more in fresh memory than they save.
"""

_BEGINNING = 1 << 16  # bytes of a long log that are read as those of a short one

_EMPTY: Bytes = np.empty(0, np.uint8)

Buffer = bytes | bytearray | memoryview | NDArray[Any]


class _Plan:
    """What parsing needs to know of a declaration, worked out once."""

    def __init__(self, schema: Schema) -> None:
        self.walk = record_walk(schema)
        self.is_brief = is_walkable(schema)
        self.is_text = {field.name: field.is_text for field in schema.texts}
        self.types = {
            field.name: np.int32 if field.is_variable else column_type(field.kind)
            for field in schema
            if field.is_column
        }
        # What a prediction compares is enough for constants, but not for other checks.
        self.checked = [field for field in schema if field.kind.may_refuse]
        self.predicts = all(f.constant is not None and f.kind.is_raw for f in self.checked)


@lru_cache(maxsize=64)
def _plan(schema: Schema) -> _Plan:
    return _Plan(schema)


class ColumnParser:
    """Parses a stream that arrives in pieces of any size; opens no file.

    Codes stay valid from feed to feed: each text has one vocabulary, which only grows.

    Args:
        declaration: of the records, or of a header and the records; or its Schema.
        max_texts: maximum of distinct texts in a field, checked after each block; more raise
            TooManyTextsError. None: no limit.

    Attributes:
        header: the values of the header, once all its bytes were fed; None if there is none.

    Raises:
        UnsupportedSchema: a field may be absent.
    """

    def __init__(self, declaration: Any, max_texts: int | None = None) -> None:
        schema = Schema.of(declaration)
        self._plan = _plan(schema)
        self.header: dict[str, Any] | None = None
        self._expected = schema.header  # until it is read
        self._max_texts = max_texts
        self._walk = self._plan.walk
        self._repetition: Repetition | None = None  # made for data beyond a short log
        self._vocabularies = {name: Vocabulary() for name in self._plan.is_text}
        texts = list(self._vocabularies.values())
        self._brief = BriefWalk(schema, texts) if self._plan.is_brief else None
        self._buffer = _EMPTY
        self._held = 0  # bytes in the buffer: a record not yet whole
        self._end = 0  # bytes consumed from the stream
        self._start = 0  # where this call's first record begins
        self._count = 0  # records in earlier calls' columns
        self._error: FormatError | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_brief": None, "_plan": None}  # have compiled functions

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plan = _plan(self._walk.schema)
        texts = list(self._vocabularies.values())
        self._brief = BriefWalk(self._walk.schema, texts) if self._plan.is_brief else None

    def feed(self, block: Buffer) -> Columns:
        """All records that these bytes complete; a torn tail waits for the next feed."""
        raw = block if isinstance(block, bytes) else flat(block)
        begin, begun = 0, {}
        if self._brief is not None and not self._held and 0 < len(raw) <= LIMIT:
            raw = bytes(raw)
            begin = self._brief.walk(raw)
            begun = self._brief.columns()
            self._advance(begin)
            if begin == len(raw):
                return self._columns(begun)
            self._repetition = self._repetition or Repetition(self._walk)
        fresh = np.frombuffer(raw, np.uint8, -1, begin)
        output = self._output(fresh.size, begun)
        while fresh.size and self._error is None:
            room = self._room(min(fresh.size, BLOCK))
            taken = min(room.size, fresh.size)
            room[:taken] = fresh[:taken]
            fresh = fresh[taken:]
            self._decode(taken, output)
        return self._columns(output.finish())

    def read(self, readinto: Callable[[memoryview], int | None], size: int) -> Columns:
        """All records that `readinto` delivers until it returns 0, without holding all their bytes.

        Args:
            readinto: fills a buffer and returns how many bytes, such as `io.FileIO.readinto`.
            size: expected number of bytes, such as the file's size; it need not be right.
        """
        output = self._output(size)
        while self._error is None:
            got = readinto(self._room(min(size + 1, BLOCK)).data)
            if not got:
                break
            self._decode(got, output)
        return self._columns(output.finish())

    @property
    def texts_held(self) -> int:
        """The number of distinct texts held, for the field with the most."""
        return max((len(v.texts) for v in self._vocabularies.values()), default=0)

    def _output(self, size: int, begun: Mapping[str, NDArray[Any]] | None = None) -> Output:
        """Room for the records of so many bytes, after those that columns have already begun."""
        capacity = (self._held + size) // self._walk.min_size
        return Output(self._plan.types, self._vocabularies, capacity, begun or {})

    def _room(self, wanted: int) -> Bytes:
        """A free part of the buffer, after the bytes held."""
        if self._buffer.size < self._held + wanted + PADDING:
            # Doubled, so that copying a record that spans many blocks takes linear time in total.
            buffer = np.empty(2 * self._held + wanted + PADDING, np.uint8)
            buffer[: self._held] = self._buffer[: self._held]
            self._buffer = buffer
        return self._buffer[self._held : self._held + wanted]

    def _decode(self, fresh: int, output: Output) -> None:
        """Move the buffer's whole records to the output, and the rest to the buffer's beginning."""
        data, begin, end = self._buffer, 0, self._held + fresh
        if self._repetition is None:
            keep_freed_memory()
            self._repetition = Repetition(self._walk)
            if self._brief is not None:
                begin = self._begin(self._brief, self._repetition, data[:end], output)
        if self._expected is not None:
            begin = self._read_header(self._expected, data, end)
        while begin < end and self._expected is None:
            match = self._repetition.match(data, begin, end)
            if not match.count:
                break
            begin = self._emit_match(data, match, output)
        if end - begin >= self._walk.min_size and self._expected is None:
            bounds = self._walk.bounds(data, begin, end)
            begin = self._emit(data, bounds, output)
            if bounds.size > 1 and self._error is None and self._plan.predicts:
                self._repetition.learn(data, bounds, output.last(bounds.size - 1), end)
        self._advance(begin)
        self._held = end - begin
        if begin:
            data[: self._held] = data[begin:end].copy()

    def _begin(self, brief: BriefWalk, repetition: Repetition, data: Bytes, output: Output) -> int:
        """Read the beginning of a long log as that of a short one, which learns its order sooner.

        Returns:
            The end of the last record.
        """
        end = brief.walk(data[:_BEGINNING].tobytes(), to_end=False)
        output.add(brief.columns())
        if (period := brief.period) is not None:
            bounds, codes = period
            repetition.expect(data, np.array(bounds), codes, data.size)
        return end

    def _advance(self, size: int) -> None:
        """Count bytes of whole records as consumed."""
        self._end += size
        limit = self._max_texts
        if limit is None:
            return
        for vocabulary in self._vocabularies.values():
            if len(vocabulary.texts) > limit:
                raise TooManyTextsError(
                    f"more than {limit:,} distinct texts in one field", offset=self._end
                )

    def _read_header(self, schema: Schema, data: Bytes, end: int) -> int:
        """The end of the header; 0 if it is not whole yet, or not the declared one."""
        try:
            self.header, size = read_value(schema, data.data[:end])
        except TruncatedError:
            return 0
        except FormatError as error:
            self._error = error
            return 0
        self._expected, self._start = None, size
        return size

    def _emit_match(self, data: Bytes, match: Match, output: Output) -> int:
        """Write matched records, whose texts and constants are already compared, to the output.

        Returns:
            The end of the last one.
        """
        room = output.extend(match.count)
        heads: list[Bytes] = []
        if not match.is_dense:
            begins = [match.bounds()[:-1]]
            if len(self._walk.runs) > 1:
                begins, _ = self._walk.run_starts(data, begins[0])
            heads = self._heads(data, begins)
        for field, dtype, run, offset in self._walk.places:
            if not field.is_column:
                continue
            target = output.arrays[field.name][room]
            if field.is_variable:
                target[:] = match.codes(field.name)
            elif heads:
                target[...] = to_column(field.kind, _column(heads[run], dtype, offset))
            else:
                for which, values in match.strides(field.name, dtype, data):
                    target[which] = to_column(field.kind, values)
        return match.end

    def _heads(
        self, data: Bytes, begins: list[Offsets], extra: list[int] | None = None
    ) -> list[Bytes]:
        """Each run's numbers and the `extra` bytes after them, one row per record."""
        runs = self._walk.runs
        wider = extra or [0] * len(runs)
        return [
            gather(data, begin, run.width + more)
            for run, begin, more in zip(runs, begins, wider, strict=True)
        ]

    def _emit(self, data: Bytes, bounds: Offsets, output: Output) -> int:
        """Write records with arbitrary texts to the output.

        Returns:
            The end of the last one written; a wrong constant stops early.
        """
        starts, runs = bounds[:-1], self._walk.runs
        if not starts.size:
            return int(bounds[0])
        begins, lengths = self._walk.run_starts(data, starts)
        extra = [WORD * min(-(-int(text.max()) // WORD), MAX_WORDS) for text in lengths]
        heads = self._heads(data, begins, extra)
        count = self._conforming(heads, begins, output.count)
        if not count:
            return int(bounds[0])
        room = output.extend(count)
        for field, dtype, run, offset in self._walk.places:
            if not field.is_column:
                continue
            head, target = heads[run][:count], output.arrays[field.name][room]
            if not field.is_variable:
                target[...] = to_column(field.kind, _column(head, dtype, offset))
            else:
                width = runs[run].width
                texts = begins[run][:count] + width, lengths[run][:count], head, width
                target[:] = self._vocabularies[field.name].codes(data, *texts)
        return int(bounds[count])

    def _conforming(self, heads: list[Bytes], begins: list[Offsets], before: int) -> int:
        """How many records precede the first that is refused, whose error is stored."""
        count = len(heads[0])
        if not self._plan.checked:
            return count
        for field, dtype, run, offset in self._walk.places:
            if not field.kind.may_refuse:
                continue
            found = _column(heads[run], dtype, offset)[:count]
            wrong = refused(field, found)
            if wrong.any():
                count = int(wrong.argmax())
                at = self._end + int(begins[run][count]) + offset
                index = self._count + before + count
                self._error = refusal(field, found[count : count + 1], at, index)
        return count

    def _columns(self, arrays: dict[str, NDArray[Any]]) -> Columns:
        """The columns parsed by one call."""
        columns: dict[str, Any] = arrays
        count = len(next(iter(arrays.values())))
        for name, is_text in self._plan.is_text.items():
            vocabulary = self._vocabularies[name]
            raw = partial(vocabulary.known, len(vocabulary.texts))
            columns[name] = TextColumn(columns[name], raw, is_text)
        self._count += count
        start, self._start = self._start, self._end
        return Columns(columns, count, self._end, self._error, start)


def _column(head: Bytes, dtype: np.dtype[Any], offset: int) -> NDArray[Any]:
    """One number from every row."""
    return np.ndarray(len(head), dtype, head, offset, head.strides[:1])


def parse_columns(declaration: Any, data: Buffer) -> Columns:
    """All whole records at the beginning of `data`, after the header if one is declared."""
    return ColumnParser(declaration).feed(data)
