"""Short logs: records read by a compiled loop until their order repeats, the rest compared at once.

Guarantees: `BriefWalk.walk` finds exactly the records that reading one after another would find, up
to the offset where it stops; the caller goes on from there. Its work is bounded: data whose order
does not repeat is left to the caller after about a thousand records, or four thousand if their
texts go on being new.

Most logs are short, and log the same names in the same order. NumPy's calls cost more there than
the records do, so the first records are read by a loop generated from the declaration, as in
`formats.codec.record`. Once their texts have repeated, the bytes ahead are expected to repeat them:
everything but the numbers is compared in one operation. What was learned at the beginning of one
log is tried first at the beginning of the next, whoever parses it: the last order of each
declaration is remembered by the process. It only saves work, and is compared like any other.
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.columns.clock import NONE, UNKNOWN, Choice, joined
from formats.columns.nesting import Nesting, Records, begins_at
from formats.columns.period import Period, shortest_period
from formats.columns.reading import Reading, period_of, remember
from formats.columns.repetition import Codes
from formats.columns.starts import Offsets
from formats.columns.vocabulary import Vocabulary

LIMIT = 1 << 20
"""Maximum bytes of data to begin with `walk`: beyond, what it saves does not matter."""

_INT32 = np.dtype(np.int32).char
# Records read one by one before each search for a period; and how many searches are made in any
# case, in short data and in long: further ones cost more than they save unless texts are new.
_QUOTAS = (8, 24, 96, 384, 512, 1024, 2048)
_LONG = 1 << 16  # bytes
_SEARCHES = 5, 3
_BEGUN = 1 << 13  # bytes of a long log in which the order that it begins with may change
_STEPS = 8  # repetitions of an order that may be part of a longer one
_AHEAD = 4  # repetitions of that one which must have room in short data, or it costs more to learn
_TURNS = 3  # times that an order may end in more of it: it may be part of a longer one
_FEW = 1 << 11  # bytes that the loop reads sooner than a period is learned
_ROUNDS = 24  # periods followed in one call; an order that breaks more often is the caller's


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
        reading: of a declaration which `is_walkable`.
        vocabularies: of its texts, in order; they grow.
        choice: which records are wanted; None: all.

    Attributes:
        end: the offset after the last record found.
        count: the number of records found, wanted or not.
        clocks: once `columns` was called, the range of their clocks, or UNKNOWN.
    """

    def __init__(
        self,
        reading: Reading,
        vocabularies: list[Vocabulary],
        choice: Choice | None = None,
    ) -> None:
        self._reading = reading
        self._vocabularies = vocabularies
        if choice is not None:
            self._chosen = [field.name for field in reading.schema.texts].index(choice.field)
        self.clocks = UNKNOWN
        self._coded: tuple[Period, list[bytearray]] | None = None  # the last period, and its codes
        self.count = self.end = 0

    def walk(self, data: bytes, *, to_end: bool = True) -> int:
        """Find the records at the beginning of the data: all, if they are few or repetitive.

        Args:
            data: the bytes.
            to_end: whether also those of a period that the data end in; see `period`.

        Returns:
            The offset after the last one.
        """
        self._data, self.end, self.count, end = data, 0, 0, len(data)
        self._parts: list[_Repeated | _Single] = []
        reading = self._reading
        first = reading.known.get(reading.windows.high(data, 0))
        # One that soon ends would only keep the log's own order from being learned.
        if first is not None and (rows := first.count(data, 0)) * first.size * 2 > end:
            first.is_known = True
            self._add(first, 0, rows)
            if end - self.end < (1 if to_end else first.size):
                return self.end
        self._nesting, self._turns = Nesting(), _AHEAD if to_end else 1
        self._starts: list[int] = []  # of records read one by one since the last part
        self._codes: list[list[int]] = [[] for _ in self._vocabularies]
        read = reading.loop
        rounds = tries = 0
        while self.end < end and rounds < _ROUNDS and tries < len(_QUOTAS):
            if tries >= _SEARCHES[end >= _LONG] and not self._has_new_texts():
                break
            if rounds >= _TURNS and not to_end and self.end >= _BEGUN:
                break  # an order that does not last is found sooner among more records
            at, quota = self.end, _QUOTAS[tries]
            self.end = read(data, at, end, quota, self._vocabularies, self._starts, self._codes)
            if self.end == at:
                break  # a torn record
            tries += 1
            if end - self.end > _FEW and (period := self._learn()):
                rounds, tries = rounds + 1, 0
                # Nothing else is left, or the beginning of a further period.
                if end - self.end < (1 if to_end else period.size):
                    break
        self._close()
        return self.end

    def _has_new_texts(self) -> bool:
        """Whether the last records had so many distinct texts that a long period has just begun."""
        return any(2 * len(one.texts) >= len(self._starts) for one in self._vocabularies)

    @property
    def period(self) -> tuple[list[int], Codes] | None:
        """The period that the records found end with, if so: what `Repetition.expect` needs.

        That is the starts of its last records and their end, and the codes of their texts.
        """
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Repeated) or not last.rows:
            return None
        begin = self.end - last.period.size
        names = (field.name for field in self._reading.schema.texts)
        codes = (np.frombuffer(one, np.int32) for one in last.codes)
        bounds = [begin + start for start in last.period.starts]
        return [*bounds, self.end], dict(zip(names, codes, strict=True))

    def columns(self, wanted: NDArray[np.bool_] | None = None) -> dict[str, NDArray[Any]]:
        """Columns of the records found, texts as codes.

        Args:
            wanted: by code of the text that is chosen by, which records are wanted; None: all.
        """
        self.clocks = NONE
        made = [
            self._of_periods(wanted, *part)
            if type(part) is _Repeated
            else self._of_records(wanted, *part)
            for part in self._parts
        ]
        if len(made) == 1:
            return made[0]
        if not made:
            return self._reading.numbers.no_records()
        return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

    def _of_periods(
        self,
        wanted: NDArray[np.bool_] | None,
        period: Period,
        codes: list[bytearray],
        origin: int,
        rows: int,
    ) -> dict[str, NDArray[Any]]:
        self.clocks = joined(self.clocks, period.clocks)
        places: list[int] | None = None
        if wanted is not None:
            all_codes = [np.frombuffer(one, np.int32) for one in codes]
            places = wanted[all_codes[self._chosen]].nonzero()[0].tolist()
            if not places:
                return self._reading.numbers.no_records()
            codes = [bytearray(one[places]) for one in all_codes]
        return self._reading.numbers.of_period(self._data, period, places, codes, origin, rows)

    def _of_records(
        self, wanted: NDArray[np.bool_] | None, starts: Offsets, codes: list[list[int]]
    ) -> dict[str, NDArray[Any]]:
        texts = [np.array(one, np.int32) for one in codes]
        found = self._reading.numbers.gathered(self._data, starts, 0, texts)
        clocks = UNKNOWN
        if (clock := self._reading.clock) is not None:
            column = found[clock.field]
            # By their places: of so few, the numbers themselves cost four times as much.
            clocks = column.item(column.argmin()), column.item(column.argmax())
        self.clocks = joined(self.clocks, clocks)
        if wanted is None:
            return found
        which = wanted[texts[self._chosen]]
        return {name: column[which] for name, column in found.items()}

    def _learn(self) -> Period | None:
        """Follow the order of the records read last, if it has repeated; if it goes on."""
        count = shortest_period(self._codes)
        if not count:
            return None
        if not self._parts and all(one[count:] == one[:-count] for one in self._codes):
            return self._learn_first(count)
        rest = Records(self._starts, self._codes)
        if (turn := self._learn_turn(rest)) is not None:
            return turn
        last = rest.part(-count)
        period = self._made(last.starts, last.codes, self.end)
        rows = period.count(self._data, self.end)
        if rows:
            self._nesting.begun = rest, last.codes
            self._close()
            self._repeat(period, last.codes, self.end, rows)
        return period if rows else None

    def _learn_turn(self, rest: Records) -> Period | None:
        """Follow the order around that of the last part, if there is one; if it goes on.

        Args:
            rest: the records after that part.
        """
        if (found := self._whole_turn(rest)) is None:
            return None
        turn, place = found
        end = rest.starts[place]
        period = self._made(turn.starts, turn.codes, end)
        rows = period.count(self._data, end)
        if not rows:
            return None
        if not turn.starts[0]:
            remember(self._reading, self._data, period)
        self._nesting.begun = None
        self._starts, self._codes = rest.part(0, place)
        self._close()
        self._repeat(period, turn.codes, end, rows)
        return period

    def _whole_turn(self, rest: Records) -> tuple[Records, int] | None:
        """One repetition of that order, and how many of the rest belong to it; None if it is dear.

        As where the data has no room for enough others.
        """
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Repeated) or last.rows < _STEPS or not self._nesting.tries_left:
            return None
        begin, first = last.origin, rest.starts[0]
        longest = (len(self._data) - begin) // (self._turns + 1)
        if first - begin > longest:
            return None
        codes = _lists(last)
        place = begins_at(codes, rest.codes)
        if not place or rest.starts[place] - begin > longest:
            return None
        origins = range(begin, first, last.period.size)
        starts = [origin + start for origin in origins for start in last.period.starts]
        inner = Records(starts, [one * last.rows for one in codes])
        turn = self._nesting.whole(inner, rest, place)
        return None if turn is None else (turn, place)

    def _learn_first(self, count: int) -> Period:
        """Follow the order that the log began with: it is one part from its first byte on.

        Args:
            count: its records, which have repeated.
        """
        starts, known = self._starts, len(self._starts) // count
        codes = [one[:count] for one in self._codes]
        period = self._made(starts[:count], codes, starts[count])
        if (rows := period.count(self._data, 0)) < known:  # the clocks' high bytes change
            period = self._made(starts[:count], codes, starts[count], False)
            rows = period.count(self._data, 0)
        remember(self._reading, self._data, period)
        self._repeat(period, codes, 0, rows)
        return period

    def _made(
        self, starts: list[int], codes: list[list[int]], end: int, with_clocks: bool = True
    ) -> Period:
        """The period of some records.

        Args:
            starts, codes: of the records.
            end: of the last one.
            with_clocks: whether the high bytes of the clocks must repeat, if that proves a range.
        """
        data, reading = self._data, self._reading
        clocks = reading.windows.shared(data, starts) if with_clocks else None
        return period_of(reading, data, starts, end, self._vocabularies, codes, clocks)

    def _codes_of(self, period: Period) -> list[bytearray]:
        """The codes of its texts as int32, which are added to the vocabularies."""
        if self._coded is None or self._coded[0] is not period:
            pairs = zip(self._vocabularies, period.texts, strict=True)
            codes = [bytearray(array(_INT32, vocabulary.add(texts))) for vocabulary, texts in pairs]
            self._coded = period, codes
        return self._coded[1]

    def _repeat(self, period: Period, codes: list[list[int]], origin: int, rows: int) -> None:
        """Add a part of periods, which takes the place of what was read of it one by one."""
        for column in (self._starts, *self._codes):
            column.clear()
        self._coded = period, [bytearray(array(_INT32, one)) for one in codes]
        self._add(period, origin, rows)

    def _add(self, period: Period, origin: int, rows: int) -> None:
        self._parts.append(_Repeated(period, self._codes_of(period), origin, rows))
        self.count += rows * period.records
        self.end = origin + rows * period.size

    def _close(self) -> None:
        """Make the records read one by one a part."""
        if self._starts:
            self._parts.append(_Single(np.array(self._starts), self._codes))
            self.count += len(self._starts)
            self._starts, self._codes = [], [[] for _ in self._codes]


def _lists(part: _Repeated) -> list[list[int]]:
    """The codes of one repetition."""
    return [np.frombuffer(one, np.int32).tolist() for one in part.codes]
