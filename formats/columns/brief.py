"""Short logs: records read by a compiled loop until their order repeats, the rest compared at once.

Guarantees: `BriefWalk.walk` finds exactly the records that reading one after another would find, up
to the offset where it stops; the caller goes on from there. Its work is bounded: data whose order
does not repeat is left to the caller after about a thousand records.

Most logs are short, and log the same names in the same order. NumPy's calls cost more there than
the records do, so the first records are read by a loop generated from the declaration, as in
`formats.codec.record`. Once their texts have repeated, the bytes ahead are expected to repeat them:
everything but the numbers is compared in one operation. What was learned at the beginning of one
log is tried first at the beginning of the next, whoever parses it: the last order of each
declaration is remembered by the process. It only saves work, and is compared like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.columns.loop import compiled_loop
from formats.columns.starts import Bytes, Offsets, gather, record_walk
from formats.columns.vocabulary import Vocabulary
from formats.kinds.numbers import Number
from formats.schema import Schema

LIMIT = 1 << 20
"""Maximum bytes of data to begin with `walk`: beyond, what it saves does not matter."""

_QUOTAS = (8, 24, 96, 384, 512)  # records read one by one before each search for a period
_LONG = 1 << 16  # bytes from which on a longer search costs more than it saves
_SEARCHES = 3  # in such data
_FEW = 1 << 11  # bytes that the loop reads sooner than a period is learned
_ROUNDS = 24  # periods followed in one call; an order that breaks more often is the caller's
_UNIT = 1 << 14  # bytes of template: a short log is compared in one operation
_PLACE, _GATHER, _ROW = 900, 11_000, 7  # ns: a strided place, a gather, and a record of it


class _Period(NamedTuple):
    """A repeated order of records: the expected bytes, which of them matter, and what they mean."""

    size: int  # bytes
    template: Bytes  # of several periods, as is the mask
    mask: Bytes
    starts: Offsets  # of one period's records, from its beginning
    texts: list[list[bytes]]  # of one period's records; one list for each text of the declaration


_remembered: dict[Schema, _Period] = {}
"""By declaration, the order at the beginning of the log that was read last."""


class _Repeated(NamedTuple):
    """Periods one after another."""

    period: _Period
    codes: list[Any]  # int32, of one period's records; one array for each text
    origin: int  # byte offset of the first
    rows: int  # how many

    @property
    def records(self) -> int:
        return self.rows * len(self.period.starts)

    @property
    def starts(self) -> Offsets:
        """Of all records."""
        origins = np.arange(self.rows)[:, None] * self.period.size + self.origin
        return (origins + self.period.starts).ravel()


class _Single(NamedTuple):
    """Records read one by one."""

    starts: Offsets
    codes: list[list[int]]

    @property
    def records(self) -> int:
        return len(self.starts)


class BriefWalk:
    """Walks the beginnings of logs of one declaration, one log after another.

    Args:
        schema: the declaration of one record, which `is_walkable`.
        vocabularies: of its texts, in order; they grow.

    Attributes:
        end: the offset after the last record found.
    """

    def __init__(self, schema: Schema, vocabularies: list[Vocabulary]) -> None:
        self._walk = record_walk(schema)
        self._masks = _masks(schema)
        self._read = compiled_loop(schema)
        self._vocabularies = vocabularies
        self._schema = schema
        self._coded: tuple[_Period, list[Any]] | None = None  # the last period, and its codes
        self.end = 0

    def walk(self, data: bytes) -> None:
        """Find the records at the beginning of the data: all, if they are few or repetitive."""
        self._data, self.end, end = data, 0, len(data)
        self._parts: list[_Repeated | _Single] = []
        self._starts: list[int] = []  # of records read one by one since the last part
        self._codes: list[list[int]] = [[] for _ in self._vocabularies]
        first = _remembered.get(self._schema)
        if first is not None and (rows := self._agreeing(first, 0)):
            self._repeat(first, 0, rows)
        searches = len(_QUOTAS) if end < _LONG else _SEARCHES
        rounds = tries = 0
        while self.end < end and rounds < _ROUNDS and tries < searches:
            at, quota = self.end, _QUOTAS[tries]
            self.end = self._read(
                data, at, end, quota, self._vocabularies, self._starts, self._codes
            )
            if self.end == at:
                break  # a torn record
            tries += 1
            if end - self.end > _FEW and self._learn():
                rounds, tries = rounds + 1, 0
        self._close()

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the records found, texts as codes."""
        made = [self._columns_of(part) for part in self._parts]
        if len(made) == 1:
            return made[0]
        if not made:
            return {
                field.name: np.empty(0, np.int32 if field.is_variable else native)
                for field, _, native, *_ in self._walk.columns
            }
        return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

    def _columns_of(self, part: _Repeated | _Single) -> dict[str, NDArray[Any]]:
        codes = iter(part.codes)
        if isinstance(part, _Repeated):
            turn = len(part.period.starts)
            if self._is_strided(part, turn):
                starts = part.period.starts.tolist()
                number = partial(self._strided, part, starts)
            else:
                number = partial(self._gathered, self._heads(part.starts))
        else:
            number = partial(self._gathered, self._heads(part.starts))
        columns = {}
        for field, dtype, native, run, offset in self._walk.columns:
            if not field.is_variable:
                columns[field.name] = number(dtype, native, run, offset)
            elif isinstance(part, _Repeated):
                column = np.empty((part.rows, turn), np.int32)
                column[:] = next(codes)
                columns[field.name] = column.reshape(-1)
            else:
                columns[field.name] = np.array(next(codes), np.int32)
        return columns

    def _learn(self) -> bool:
        """Follow the order of the records read last, if it has repeated; whether it goes on."""
        count = _period(self._codes)
        if not count:
            return False
        starts, known = self._starts, len(self._starts) // count
        if not self._parts and all(one[count:] == one[:-count] for one in self._codes):
            # The log began with this order: it is one part from its first byte on.
            if known * count < len(starts):
                self.end = starts[known * count]
            codes = [one[:count] for one in self._codes]
            end = starts[count] if count < len(starts) else self.end
            period = _remembered[self._schema] = self._made(starts[:count], codes, end)
            self._repeat(period, 0, known + self._agreeing(period, self.end))
            return True
        period = self._made(starts[-count:], [one[-count:] for one in self._codes], self.end)
        rows = self._agreeing(period, self.end)
        if rows:
            self._close()
            self._repeat(period, self.end, rows)
        return rows > 0

    def _made(self, starts: list[int], codes: list[list[int]], end: int) -> _Period:
        """The period of some records."""
        begin, size = starts[0], end - starts[0]
        times = max(_UNIT // size, 1)
        mask = np.frombuffer(b"".join(self._mask(codes)) * times, np.uint8)
        template = np.frombuffer(self._data[begin:end] * times, np.uint8) & mask
        texts = [
            [vocabulary.texts[code] for code in one]
            for vocabulary, one in zip(self._vocabularies, codes, strict=True)
        ]
        return _Period(size, template, mask, np.array(starts) - begin, texts)

    def _codes_of(self, period: _Period) -> list[Any]:
        """The codes of its texts, which are added to the vocabularies."""
        if self._coded is None or self._coded[0] is not period:
            pairs = zip(self._vocabularies, period.texts, strict=True)
            codes = [np.array(vocabulary.add(texts), np.int32) for vocabulary, texts in pairs]
            self._coded = period, codes
        return self._coded[1]

    def _mask(self, codes: list[list[int]]) -> Iterator[bytes]:
        """255 for each byte of some records that must repeat, 0 for those of numbers."""
        for record in zip(*codes, strict=True):
            texts = zip(self._vocabularies, record, strict=True)
            for fixed, has_text in self._masks:
                yield fixed
                if has_text:
                    vocabulary, code = next(texts)
                    yield b"\xff" * len(vocabulary.texts[code])

    def _agreeing(self, period: _Period, at: int) -> int:
        """How many whole periods follow."""
        size, unit = period.size, len(period.mask)
        begin, count = at, (len(self._data) - at) // size * size
        for length in (count - count % unit, count % unit):
            if not length:
                continue
            ahead = np.frombuffer(self._data, np.uint8, length, at)
            if length >= unit:
                differ = (ahead.reshape(-1, unit) & period.mask) != period.template
            else:
                differ = (ahead & period.mask[:length]) != period.template[:length]
            differ = differ.ravel()
            wrong = int(differ.argmax())
            if differ[wrong]:
                return (at + wrong - begin) // size
            at += length
        return count // size

    def _repeat(self, period: _Period, origin: int, rows: int) -> None:
        """Add a part of periods, which takes the place of what was read of it one by one."""
        for column in (self._starts, *self._codes):
            column.clear()
        self._parts.append(_Repeated(period, self._codes_of(period), origin, rows))
        self.end = origin + rows * period.size

    def _close(self) -> None:
        """Make the records read one by one a part."""
        if self._starts:
            self._parts.append(_Single(np.array(self._starts), self._codes))
            self._starts, self._codes = [], [[] for _ in self._codes]

    def _is_strided(self, part: _Repeated, turn: int) -> bool:
        """Whether one strided array for each number of a period costs less than a gather."""
        places = turn * len(self._walk.numbers)
        return len(self._walk.runs) == 1 and places * _PLACE < _GATHER + part.records * _ROW

    def _strided(
        self, part: _Repeated, starts: list[int], dtype: Any, native: Any, _: int, offset: int
    ) -> NDArray[Any]:
        """A number of all records, one strided array for each of its places in the period."""
        rows, step, data, origin = part.rows, (part.period.size,), self._data, part.origin + offset
        column = np.empty((rows, len(starts)), native)
        for place, start in enumerate(starts):
            column[:, place] = np.ndarray((rows,), dtype, data, origin + start, step)
        return column.reshape(-1)

    def _heads(self, starts: Offsets) -> list[Bytes]:
        """The numbers of each run, one row for each record."""
        data, runs = np.frombuffer(self._data, np.uint8), self._walk.runs
        begins = [starts] if len(runs) == 1 else self._walk.run_starts(data, starts)[0]
        return [gather(data, begin, run.width) for begin, run in zip(begins, runs, strict=True)]

    @staticmethod
    def _gathered(heads: list[Bytes], dtype: Any, native: Any, run: int, offset: int) -> Any:
        """A number of all records, out of their runs."""
        head = heads[run]
        return np.ndarray(len(head), dtype, head, offset, head.strides[:1]).astype(native)


def is_walkable(schema: Schema) -> bool:
    """Whether data are records of numbers and texts only, so that a simple loop reads them."""
    return (
        bool(schema.texts)
        and schema.header is None
        and all(
            field.is_variable or (isinstance(field.kind, Number) and field.kind.is_raw)
            for field in schema
        )
    )


def _period(codes: list[list[int]]) -> int:
    """The shortest number of records that the last ones repeat once; 0 if they do not."""
    column = codes[0]
    last = column[-1]
    for count in range(1, len(column) // 2 + 1):
        if column[-1 - count] == last and all(
            one[-count:] == one[-2 * count : -count] for one in codes
        ):
            return count
    return 0


@lru_cache(maxsize=64)
def _masks(schema: Schema) -> list[tuple[bytes, bool]]:
    """Each run's part of a mask, and whether a text follows it."""
    return [
        (
            b"".join(
                (b"\xff" if field.is_variable else b"\0") * field.width for field in run.fields
            ),
            run.text is not None,
        )
        for run in schema.runs
    ]
