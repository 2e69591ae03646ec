"""Logs that repeat one order of records from the first byte to the last, many of them at a time.

Guarantees: a log agrees with an order only if reading one record after another would find whole
repetitions of it in all its bytes, with clocks in a range that is known; everything but the numbers
is compared. Of the numbers, only those that are asked for are read.

The logs of a store often have one order, and only some of their metrics are wanted. Where `parse`
makes columns of all records of one log, an order is learned from one log, tried on the others, and
then says where in them the wanted numbers are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.clock import Clock
from formats.columns.numbers import NumberReader
from formats.columns.period import Period
from formats.columns.reading import Reading, period_of, reading_of
from formats.columns.starts import Offsets
from formats.columns.vocabulary import Vocabulary
from formats.schema import Schema

_PREFIX = 1 << 8  # bytes by which logs of other orders are told apart

_NO_CODES = np.empty(0, np.int32)


class Order:
    """An order of records that is repeated by whole logs; see `learned`.

    Args:
        reading: of its declaration.
        period: one repetition.
        label: the name of a text.

    Attributes:
        size: of a repetition, in bytes.
        records: in a repetition.
        labels: the label of each of them.
    """

    def __init__(self, reading: Reading, period: Period, label: str) -> None:
        texts = [field.name for field in reading.schema.texts]
        self.size, self.records = period.size, period.records
        self.labels = period.texts[texts.index(label)]
        self._period, self._walk, self._numbers = period, reading.walk, reading.numbers
        self._no_codes = [_NO_CODES] * len(texts)
        self._starts = np.array(period.starts)
        # As integers: NumPy's calls cost more.
        self._prefix = min(period.size, _PREFIX)
        self._mask = int.from_bytes(period.mask[: self._prefix], "little")
        self._masked = int.from_bytes(period.expected[: self._prefix], "little")

    @classmethod
    def learned(cls, schema: Schema, clock: Clock, label: str, log: bytes) -> Order | None:
        """The shortest order that a log repeats, which may be the log itself.

        None if its last record is not whole, or its clocks are not known to be usual.

        Args:
            schema: the declaration of one record, which `loop.is_walkable`.
            clock: a field and its usual values.
            label: the name of a text.
            log: all its bytes, not empty, and not so many that a loop over them takes long.
        """
        reading = reading_of(schema, clock)
        vocabularies = [Vocabulary() for _ in schema.texts]
        starts: list[int] = []
        codes: list[list[int]] = [[] for _ in schema.texts]
        end = reading.loop(log, 0, len(log), len(log), vocabularies, starts, codes)
        count = len(starts)
        clocks = reading.windows.shared(log, starts) if starts else None
        if end != len(log) or clocks is None:
            return None
        records = next(
            size
            for size in range(1, count + 1)
            if not count % size and all(one[size:] == one[: count - size] for one in codes)
        )
        firsts = [one[:records] for one in codes]
        period_end = [*starts, end][records]
        return cls(
            reading,
            period_of(reading, log, starts[:records], period_end, vocabularies, firsts, clocks),
            label,
        )

    def may_have(self, log: bytes) -> bool:
        """Whether a log has its size and its beginning, so that it probably agrees."""
        if len(log) % self.size:
            return False
        return int.from_bytes(log[: self._prefix], "little") & self._mask == self._masked

    def agrees(self, data: bytes) -> bool:
        """Whether the data, of one log or of several, are whole repetitions."""
        return self._period.count(data, 0) * self.size == len(data)

    def column(self, data: bytes, field: str) -> NDArray[Any]:
        """A number of all records of data that agree."""
        reader, rows = NumberReader(self._walk, field), len(data) // self.size
        return reader.of_period(data, self._period, None, [], 0, rows)[field]

    def numbers(self, data: bytes, places: list[int], rows: Offsets) -> dict[str, NDArray[Any]]:
        """The numbers of some records of repetitions, in their order.

        Args:
            data: which agree.
            places: of the records in a repetition, ascending.
            rows: which of the repetitions.

        Returns:
            The columns by name; nothing in those of texts.
        """
        starts = (rows[:, None] * self.size + self._starts[places]).reshape(-1)
        if not starts.size:
            return self._numbers.no_records()
        return self._numbers.gathered(data, starts, 0, self._no_codes)
