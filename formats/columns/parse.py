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

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.brief import LIMIT, BriefWalk
from formats.columns.clock import NONE, UNKNOWN, Choice, Clock, windows_of
from formats.columns.emit import Emission
from formats.columns.memory import keep_freed_memory
from formats.columns.output import Output
from formats.columns.plan import plan_of
from formats.columns.reading import reading_of
from formats.columns.repetition import Repetition
from formats.columns.starts import PADDING, Bytes, Offsets
from formats.columns.types import Columns, TextColumn
from formats.columns.vocabulary import Vocabulary
from formats.errors import FormatError, TooManyTextsError, TruncatedError
from formats.schema import Schema
from formats.walk import flat, read_value

BLOCK = 1 << 20
"""Bytes decoded at a time: enough to amortise NumPy's calls, few enough for a core's cache."""

_BEGINNING = 1 << 17  # bytes of a long log that are read as those of a short one

_STRETCH, _LONGEST, _GROWTH = 1 << 16, 1 << 21, 8
"""Bytes walked one record after another until an order is looked for, and more each time that there
was none: walking costs least where there are many. So what is left is walked, too, if it is short.
"""

_LASTING = 1 << 18  # bytes that an order must continue for, or looking for the next one costs more

_MAPPED = 1 << 18  # bytes of data, and of arrays, that the allocator would map anew each time

_PIECE = 1 << 14  # records of which all arrays fit in a core's cache

_EMPTY: Bytes = np.empty(0, np.uint8)

Buffer = bytes | bytearray | memoryview | NDArray[Any]


class ColumnParser:
    """Parses a stream that arrives in pieces of any size; opens no file.

    Codes stay valid from feed to feed: each text has one vocabulary, which only grows.

    Args:
        declaration: of the records, or of a header and the records; or its Schema.
        max_texts: maximum of distinct texts in a field, checked after each block; more raise
            TooManyTextsError. None: no limit.
        clock: the field whose range is found on the way; see `Columns.clocks`.
        choice: which records the columns are to have; None: all. The texts of others are kept.

    Attributes:
        header: the values of the header, once all its bytes were fed; None if there is none.

    Raises:
        UnsupportedSchema: a field may be absent.
    """

    def __init__(
        self,
        declaration: Any,
        max_texts: int | None = None,
        clock: Clock | None = None,
        choice: Choice | None = None,
    ) -> None:
        schema = Schema.of(declaration)
        self._plan = plan_of(schema)
        self.header: dict[str, Any] | None = None
        self._expected = schema.header  # until it is read
        self._max_texts = max_texts
        self._walk = self._plan.walk
        self._repetition: Repetition | None = None  # made for data beyond a short log
        self._vocabularies = {name: Vocabulary() for name in self._plan.is_text}
        self._clock = clock
        self._emission = Emission(self._plan, self._vocabularies, clock, choice)
        self._brief = self._make_brief()
        self._stretch = _STRETCH  # bytes walked before an order is looked for
        self._matched = _LASTING  # bytes for which the last order continued
        self._buffer = _EMPTY
        self._held = 0  # bytes in the buffer: a record not yet whole
        self._end = 0  # bytes consumed from the stream
        self._start = 0  # where this call's first record begins
        self._before = 0  # records parsed by earlier calls

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_brief": None, "_plan": None}  # have compiled functions

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plan = plan_of(self._walk.schema)
        self._emission.resume(self._plan)
        self._brief = self._make_brief()

    def _make_brief(self) -> BriefWalk | None:
        if not self._plan.is_brief:
            return None
        reading = reading_of(self._walk.schema, self._clock)
        return BriefWalk(reading, list(self._vocabularies.values()), self._emission.choice)

    def _make_repetition(self) -> Repetition:
        keep_freed_memory()
        is_whole = self._emission.choice is None
        windows = windows_of(self._walk, self._clock)
        return Repetition(self._walk, windows, in_strands=is_whole)

    def choose_all(self, start: int) -> None:
        """Give all records from now on, and first those from `start` on again.

        Args:
            start: an earlier `Columns.start`; what is fed next must begin there.
        """
        self._emission.choice, self._emission.error, self._emission.count = None, None, self._before
        self._start = self._end = start
        self._held = 0
        self._brief, self._repetition = self._make_brief(), None

    def feed(self, block: Buffer) -> Columns:
        """All records that these bytes complete; a torn tail waits for the next feed."""
        raw = block if isinstance(block, bytes) else flat(block)
        begin, begun = 0, {}
        if self._brief is not None and not self._held and 0 < len(raw) <= LIMIT:
            raw = bytes(raw)
            if len(raw) >= _MAPPED:
                keep_freed_memory()
            begin = self._brief.walk(raw)
            begun = self._emission.of_brief(self._brief)
            self._advance(begin)
            if begin == len(raw):
                return self._columns(begun)
            self._repetition = self._repetition or self._make_repetition()
        fresh = np.frombuffer(raw, np.uint8, -1, begin)
        output = self._output(fresh.size, begun)
        while fresh.size and self._emission.error is None:
            room = self._room(min(fresh.size, self._block))
            taken = min(room.size, fresh.size)
            room[:taken] = fresh[:taken]
            fresh = fresh[taken:]
            self._decode(taken, output, more=bool(fresh.size))
        return self._columns(output.finish())

    def read(self, readinto: Callable[[memoryview], int | None], size: int) -> Columns:
        """All records that `readinto` delivers until it returns 0, without holding all their bytes.

        Args:
            readinto: fills a buffer and returns how many bytes, such as `io.FileIO.readinto`.
            size: expected number of bytes, such as the file's size; it need not be right.
        """
        output, fresh = self._output(size), 1
        while self._emission.error is None and fresh:
            fresh = _fill(self._room(min(size + 1, self._block)).data, readinto)
            self._decode(fresh, output, more=bool(fresh))
            if fresh > size:
                size += fresh  # there are more than expected
        return self._columns(output.finish())

    @property
    def texts_held(self) -> int:
        """The number of distinct texts held, for the field with the most."""
        return max((len(v.texts) for v in self._vocabularies.values()), default=0)

    def _output(self, size: int, begun: Mapping[str, NDArray[Any]] | None = None) -> Output:
        """Room for the records of so many bytes, after those that columns have already begun."""
        capacity = (self._held + size) // self._walk.min_size
        return Output(self._plan.types, capacity, begun or {})

    @property
    def _block(self) -> int:
        """Bytes to decode next: what is walked at once, except for a record that is longer."""
        return max(BLOCK, min(self._stretch, _LONGEST))

    def _room(self, wanted: int) -> Bytes:
        """A free part of the buffer, after the bytes held."""
        if self._buffer.size < self._held + wanted + PADDING:
            # Doubled, so that copying a record that spans many blocks takes linear time in total;
            # and with room for what a block may leave, which takes no memory until it is used.
            buffer = np.empty(2 * self._held + wanted + wanted // 8 + PADDING, np.uint8)
            buffer[: self._held] = self._buffer[: self._held]
            self._buffer = buffer
        return self._buffer[self._held : self._held + wanted]

    def _decode(self, fresh: int, output: Output, *, more: bool) -> None:
        """Move the buffer's whole records to the output, and the rest to the buffer's beginning.

        Args:
            fresh: bytes that were added to the buffer.
            output: of the records.
            more: whether others follow, so that some whole records may wait for them.
        """
        data, begin, end = self._buffer, 0, self._held + fresh
        if self._repetition is None:
            self._repetition = self._make_repetition()
            if self._brief is not None:
                begin = self._begin(self._brief, self._repetition, data[:end], output)
        if self._expected is not None:
            begin = self._read_header(self._expected, data, end)
        if self._expected is None:
            begin = self._records(self._repetition, data, begin, end, output, more)
        self._advance(begin)
        self._held = end - begin
        if begin:
            data[: self._held] = data[begin:end].copy()

    def _records(
        self,
        repetition: Repetition,
        data: Bytes,
        begin: int,
        end: int,
        output: Output,
        more: bool,
    ) -> int:
        """Move whole records to the output; returns the end of the last one."""
        emission, is_learned = self._emission, False
        while emission.error is None:
            while (match := repetition.match(data, begin, end, more=more)).count:
                self._matched += match.end - begin
                begin = emission.of_match(data, match, output)
                if match.waits:
                    return begin
            # A walk that the block's end cuts short shows no order: it waits for the next block.
            if match.waits or end - begin < (_STRETCH if more else self._walk.min_size):
                break
            is_short = not more and end - begin <= self._stretch * _GROWTH
            stop = end if is_short else min(end, begin + self._stretch)
            bounds = self._walk.bounds(data, begin, stop)
            if bounds.size > 1:
                for piece in _pieces(bounds):
                    begin, codes = emission.of_records(data, piece, output, self._end)
                    if emission.error is not None:
                        return begin
                if self._plan.predicts:
                    is_learned = repetition.learn(data, piece, codes, end)
                self._adapt(is_learned)
            elif stop == end:
                break  # a torn record
            else:
                self._stretch *= _GROWTH  # a record that is longer
        return begin

    def _adapt(self, is_learned: bool) -> None:
        """Walk few bytes next if orders last, and more if there was none, or it broke soon."""
        is_lasting = is_learned and self._matched >= _LASTING
        self._stretch = _STRETCH if is_lasting else min(_GROWTH * self._stretch, _LONGEST)
        if is_learned:
            self._matched = 0

    def _begin(self, brief: BriefWalk, repetition: Repetition, data: Bytes, output: Output) -> int:
        """Read the beginning of a long log as that of a short one, which learns its order sooner.

        Returns:
            The end of the last record.
        """
        end = brief.walk(data[:_BEGINNING].tobytes(), to_end=False)
        output.add(self._emission.of_brief(brief))
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
            self._emission.error = error
            return 0
        self._expected, self._start = None, size
        return size

    def _columns(self, arrays: dict[str, NDArray[Any]]) -> Columns:
        """The columns parsed by one call."""
        columns: dict[str, Any] = arrays
        count = len(next(iter(arrays.values())))
        for name, is_text in self._plan.is_text.items():
            vocabulary = self._vocabularies[name]
            raw = partial(vocabulary.known, len(vocabulary.texts))
            columns[name] = TextColumn(columns[name], raw, is_text)
        emission = self._emission
        seen, self._before = emission.count - self._before, emission.count
        start, self._start = self._start, self._end
        clocks = UNKNOWN if self._clock is None else emission.clocks
        emission.clocks = NONE
        return Columns(columns, count, self._end, emission.error, start, seen, clocks)


def _fill(buffer: memoryview, readinto: Callable[[memoryview], int | None]) -> int:
    """Fill a buffer, however few bytes come at a time, and return how many: fewer at the end."""
    filled = 0
    while filled < len(buffer) and (count := readinto(buffer[filled:])):
        filled += count
    return filled


def _pieces(bounds: Offsets) -> Iterator[Offsets]:
    """The bounds of about as many records as are best read at a time."""
    count = bounds.size - 1
    parts = -(-count // _PIECE)
    edges = [count * part // parts for part in range(parts + 1)]
    for first, last in pairwise(edges):
        yield bounds[first : last + 1]


def parse_columns(declaration: Any, data: Buffer) -> Columns:
    """All whole records at the beginning of `data`, after the header if one is declared."""
    return ColumnParser(declaration).feed(data)
