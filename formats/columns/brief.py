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

from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.columns.loop import compiled_loop
from formats.columns.period import Period
from formats.columns.repetition import Codes
from formats.columns.starts import Offsets, record_walk
from formats.columns.vocabulary import Vocabulary
from formats.kinds.numbers import Number
from formats.schema import Schema

LIMIT = 1 << 20
"""Maximum bytes of data to begin with `walk`: beyond, what it saves does not matter."""

_INT32 = np.dtype(np.int32).char
_QUOTAS = (8, 24, 96, 384, 512)  # records read one by one before each search for a period
_LONG = 1 << 16  # bytes from which on a longer search costs more than it saves
_SEARCHES = 3  # in such data
_FEW = 1 << 11  # bytes that the loop reads sooner than a period is learned
_ROUNDS = 24  # periods followed in one call; an order that breaks more often is the caller's
_PLACE, _GATHER, _ROW = 620, 3500, 2.5  # ns: a strided place, a gather, and a record of it

_remembered: dict[Schema, Period] = {}
"""By declaration, the order at the beginning of the log that was read last."""


class _Repeated(NamedTuple):
    """Periods one after another."""

    period: Period
    codes: list[bytearray]  # of one period's records, as int32; one item for each text
    origin: int  # byte offset of the first
    rows: int  # how many


class _Single(NamedTuple):
    """Records read one by one."""

    starts: Offsets
    codes: list[list[int]]


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
        self._vocabularies = vocabularies
        self._schema = schema
        self._starts: list[int] = []  # of records read one by one since the last part
        self._codes: list[list[int]] = [[] for _ in vocabularies]
        self._coded: tuple[Period, list[bytearray]] | None = None  # the last period, and its codes
        self.end = 0

    def walk(self, data: bytes, *, to_end: bool = True) -> int:
        """Find the records at the beginning of the data: all, if they are few or repetitive.

        Args:
            data: the bytes.
            to_end: whether also those of a period that the data end in; see `period`.

        Returns:
            The offset after the last one.
        """
        self._data, self.end, end = data, 0, len(data)
        self._parts: list[_Repeated | _Single] = []
        first = _remembered.get(self._schema)
        # One that soon ends would only keep the log's own order from being learned.
        if first is not None and (rows := first.count(data, 0)) * first.size * 2 > end:
            self._repeat(first, 0, rows)
            if self._is_followed(end, to_end):
                return self.end
        self._starts, self._codes = [], [[] for _ in self._vocabularies]
        read = compiled_loop(self._schema)
        searches = len(_QUOTAS) if end < _LONG else _SEARCHES
        rounds = tries = 0
        while self.end < end and rounds < _ROUNDS and tries < searches:
            at, quota = self.end, _QUOTAS[tries]
            self.end = read(data, at, end, quota, self._vocabularies, self._starts, self._codes)
            if self.end == at:
                break  # a torn record
            tries += 1
            if end - self.end > _FEW and self._learn():
                rounds, tries = rounds + 1, 0
                if self._is_followed(end, to_end):
                    break
        self._close()
        return self.end

    def _is_followed(self, end: int, to_end: bool) -> bool:
        """Whether nothing is left to find after the periods found last."""
        assert isinstance(self._parts[-1], _Repeated)
        return end - self.end < (1 if to_end else self._parts[-1].period.size)

    @property
    def period(self) -> tuple[list[int], Codes] | None:
        """The period that the records found end with, if so: what `Repetition.expect` needs.

        That is the starts of its last records and their end, and the codes of their texts.
        """
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Repeated) or not last.rows:
            return None
        begin = self.end - last.period.size
        names = (field.name for field in self._schema.texts)
        codes = (np.frombuffer(one, np.int32) for one in last.codes)
        bounds = [begin + start for start in last.period.starts]
        return [*bounds, self.end], dict(zip(names, codes, strict=True))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the records found, texts as codes."""
        made = [
            self._of_periods(*part) if isinstance(part, _Repeated) else self._of_records(*part)
            for part in self._parts
        ]
        if len(made) == 1:
            return made[0]
        if not made:
            return {
                name: np.empty(0, np.int32 if is_text else native)
                for name, is_text, _, native, *_ in self._walk.columns
            }
        return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

    def _of_periods(
        self, period: Period, codes: list[bytearray], origin: int, rows: int
    ) -> dict[str, NDArray[Any]]:
        if self._is_strided(period, rows):
            return self._strided(period, codes, origin, rows)
        texts = (_repeated(one, rows) for one in codes)
        return self._gathered(period.starts_of(rows), origin, texts)

    def _of_records(self, starts: Offsets, codes: list[list[int]]) -> dict[str, NDArray[Any]]:
        return self._gathered(starts, 0, (np.array(one, np.int32) for one in codes))

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
            self._repeat(period, 0, known + period.count(self._data, self.end))
            return True
        period = self._made(starts[-count:], [one[-count:] for one in self._codes], self.end)
        rows = period.count(self._data, self.end)
        if rows:
            self._close()
            self._repeat(period, self.end, rows)
        return rows > 0

    def _made(self, starts: list[int], codes: list[list[int]], end: int) -> Period:
        """The period of some records."""
        begin = starts[0]
        texts = [
            [vocabulary.texts[code] for code in one]
            for vocabulary, one in zip(self._vocabularies, codes, strict=True)
        ]
        mask = _mask(self._schema, texts)
        return Period(self._data[begin:end], mask, [at - begin for at in starts], texts)

    def _codes_of(self, period: Period) -> list[bytearray]:
        """The codes of its texts as int32, which are added to the vocabularies."""
        if self._coded is None or self._coded[0] is not period:
            pairs = zip(self._vocabularies, period.texts, strict=True)
            codes = [bytearray(array(_INT32, vocabulary.add(texts))) for vocabulary, texts in pairs]
            self._coded = period, codes
        return self._coded[1]

    def _repeat(self, period: Period, origin: int, rows: int) -> None:
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

    def _is_strided(self, period: Period, rows: int) -> bool:
        """Whether one strided array for each number of a period costs less than a gather."""
        if len(self._walk.heads) > 1:
            return False
        # Starts that are not held with the period cost as much as the gather.
        gathered = _GATHER if rows <= period.rows_held else 2 * _GATHER
        strided = period.records * (len(self._walk.columns) - 1) * _PLACE
        return strided < gathered + rows * period.records * _ROW

    def _strided(
        self, period: Period, codes: list[bytearray], origin: int, rows: int
    ) -> dict[str, NDArray[Any]]:
        """Each number by a strided array for each of its places in the period."""
        step, data, columns = (period.size,), self._data, {}
        for name, is_text, dtype, native, _, offset in self._walk.columns:
            if is_text:  # the only one: a text ends a run
                columns[name] = _repeated(codes[0], rows)
                continue
            column = np.empty((rows, period.records), native)
            for place, start in enumerate(period.starts):
                at = origin + start + offset
                column[:, place] = np.ndarray((rows,), dtype, data, at, step)
            columns[name] = column.reshape(-1)
        return columns

    def _gathered(
        self, starts: Offsets, origin: int, texts: Iterator[NDArray[np.int32]]
    ) -> dict[str, NDArray[Any]]:
        """Each number out of the bytes of its run, gathered for all records.

        Args:
            starts: of the records, counted from `origin`.
            texts: the columns of the texts, in order.
        """
        data, begins, heads = self._data, [starts], self._walk.heads
        if len(heads) > 1:
            ahead = np.frombuffer(data, np.uint8, -1, origin)
            begins, _ = self._walk.run_starts(ahead, starts)
        size = len(data) - origin + 1
        runs = [
            np.ndarray((size - head.itemsize,), head, data, origin, (1,))[begin]
            for head, begin in zip(heads, begins, strict=True)
        ]
        columns = {}
        for name, is_text, dtype, native, run, offset in self._walk.columns:
            if is_text:
                columns[name] = next(texts)
            else:
                items = runs[run]
                number = np.ndarray(items.shape, dtype, items, offset, items.strides)
                columns[name] = number.astype(native)
        return columns


@lru_cache(maxsize=64)
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


def _repeated(codes: bytearray, rows: int) -> NDArray[np.int32]:
    """So many repetitions of the codes."""
    return np.frombuffer(codes * rows, np.int32)


def _period(codes: list[list[int]]) -> int:
    """The shortest number of records that the last ones repeat once; 0 if they do not."""
    column, *others = codes
    last = column[-1]
    for count in range(1, len(column) // 2 + 1):
        if (
            column[-1 - count] == last
            and column[-count:] == column[-2 * count : -count]
            and (not others or all(one[-count:] == one[-2 * count : -count] for one in others))
        ):
            return count
    return 0


def _mask(schema: Schema, texts: list[list[bytes]]) -> bytes:
    """255 for each byte of some records that must repeat, 0 for those of numbers."""
    *before, after = _masks(schema)
    if after:
        before, texts = [*before, after], [*texts, [b""] * len(texts[0])]
    return b"".join(
        [
            fixed + b"\xff" * len(text)
            for record in zip(*texts, strict=True)
            for fixed, text in zip(before, record, strict=True)
        ]
    )


@lru_cache(maxsize=64)
def _masks(schema: Schema) -> list[bytes]:
    """The mask of what precedes each text, and of what follows the last one."""
    masks = [b""]
    for field in schema:
        masks[-1] += (b"\xff" if field.is_variable else b"\0") * field.width
        if field.is_variable:
            masks.append(b"")
    return masks
