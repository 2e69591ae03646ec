"""Texts to codes: a growing set of distinct texts, numbered in order of first appearance.

Guarantees: equal bytes have equal codes, and different bytes different codes (hashing only finds a
candidate, which is then compared byte by byte). A code never changes. NUL bytes, empty texts and
texts of any length need no special treatment.

Texts of up to 64 bytes are compared as 8-byte words in NumPy; longer ones, and each text's first
appearance, go through a dict.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from formats.columns.starts import PADDING, Bytes, Offsets

Words = NDArray[np.uint64]

WORD = 8
MAX_WORDS = PADDING // WORD

_FEW = 256  # up to this many records, a dict is faster than arrays
_FEWEST_BITS = 12  # of a slot's number: some tens of texts seldom share one, and it fits in a cache
_FIRST_BATCH = 64  # unknown texts added one by one before the rest is looked up again
_MASKS = [
    np.array(
        [(1 << 8 * min(max(length - WORD * word, 0), WORD)) - 1 for length in range(PADDING + 1)],
        "<u8",
    )
    for word in range(MAX_WORDS)
]
"""For each word, indexed by text length: a mask of the bytes that belong to the text."""


def words_of(rows: Bytes, offset: int, lengths: Offsets) -> list[Words]:
    """The texts at `offset` in each row, as columns of words zero-filled after each text."""
    shortest = int(lengths.min(initial=PADDING))
    words = []
    for word in range((rows.shape[1] - offset) // WORD):
        found = np.ndarray(len(rows), "<u8", rows, offset + WORD * word, rows.strides[:1])
        is_full = shortest >= WORD * (word + 1)
        words.append(found.copy() if is_full else found & _MASKS[word].take(lengths, mode="clip"))
    return words


class Vocabulary:
    """Distinct texts and their codes.

    Attributes:
        texts: by code.
        index: the codes by text; `add_one` is what enters a text.
    """

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.index: dict[bytes, int] = {}
        self._table: _Table | None = None  # made when arrays are looked up first

    def codes(
        self, data: Bytes, begins: Offsets, lengths: Offsets, rows: Bytes, offset: int
    ) -> Offsets:
        """The codes of the texts at `begins`; unknown texts are added.

        Args:
            rows: the same texts at `offset` in each row, cut or padded to whole words.
        """

        def one_by_one(which: Offsets | slice) -> list[int]:
            raw = data.data
            places = zip(begins[which].tolist(), lengths[which].tolist(), strict=True)
            return self.add([bytes(raw[begin : begin + length]) for begin, length in places])

        if lengths.size <= _FEW:
            return np.array(one_by_one(slice(None)), np.int64)
        words = words_of(rows, offset, lengths)
        codes = self._find(words, lengths)
        unknown = np.flatnonzero(codes < 0)
        batch = _FIRST_BATCH
        while unknown.size:
            codes[unknown[:batch]] = one_by_one(unknown[:batch])
            unknown = unknown[batch:]
            codes[unknown] = self._find([word[unknown] for word in words], lengths[unknown])
            unknown = unknown[codes[unknown] < 0]
            batch *= 4
        return codes

    def add(self, texts: Sequence[bytes]) -> list[int]:
        """The codes of texts, known or not."""
        index, texts_ = self.index, self.texts
        codes = []
        for text in texts:
            code = index.setdefault(text, len(index))
            if code == len(texts_):
                texts_.append(text)
            codes.append(code)
        return codes

    def add_one(self, text: bytes) -> int:
        """The code of a text that is not known yet."""
        code = self.index[text] = len(self.texts)
        self.texts.append(text)
        return code

    def known(self, count: int) -> tuple[bytes, ...]:
        """The first `count` texts."""
        return tuple(self.texts[:count])

    def _find(self, words: list[Words], lengths: Offsets) -> Offsets:
        """Codes; -1 for a text that is unknown or too long for words."""
        if self._table is None:
            self._table = _Table()
        if self._table.count < len(self.texts):
            self._table.admit(self.texts[self._table.count :])
        return self._table.find(words, lengths)


class _Table:
    """The texts as arrays: a hash table with linear probing.

    Attributes:
        count: how many texts were admitted; their codes are 0, 1, 2, ...
    """

    def __init__(self) -> None:
        # Random, so that nobody can craft data that collides.
        self._factors = [np.uint64(random.getrandbits(64) | 1) for _ in range(MAX_WORDS + 1)]
        self.count = 0
        # By code, plus one item: code -1 finds a text that equals no other.
        self._lengths = np.full(1, -1, np.int64)
        self._words = [np.zeros(1, np.uint64)] * MAX_WORDS
        self._table = np.full(2, -1, np.int64)
        self._shift = np.uint64(63)

    def find(self, words: list[Words], lengths: Offsets) -> Offsets:
        """Codes; -1 for a text that was not admitted or is too long for words."""
        slots = (self._hash(words, lengths) >> self._shift).view(np.int64)
        codes = self._table.take(slots)
        differ = self._differ(codes, words, lengths)
        probing = np.flatnonzero(differ)
        if not probing.size:
            return codes
        probing = probing[codes[probing] >= 0]
        codes[differ] = -1
        while probing.size:
            slots[probing] = (slots[probing] + 1) % self._table.size
            found = self._table.take(slots[probing])
            differ = self._differ(found, [word[probing] for word in words], lengths[probing])
            codes[probing[~differ]] = found[~differ]
            probing = probing[differ & (found >= 0)]
        return codes

    def _differ(self, codes: Offsets, words: list[Words], lengths: Offsets) -> NDArray[np.bool_]:
        differ: NDArray[np.bool_] = self._lengths.take(codes) != lengths
        for known, word in zip(self._words, words, strict=False):
            differ |= known.take(codes) != word
        return differ

    def _hash(self, words: list[Words], lengths: Offsets) -> Words:
        """Hash the texts; words after a text are zero, so their number makes no difference."""
        total = lengths.view(np.uint64) * self._factors[-1]
        for factor, word in zip(self._factors, words, strict=False):
            total += word * factor
        return total

    def admit(self, texts: list[bytes]) -> None:
        """Enter further texts."""
        first, last = self.count, self.count + len(texts)
        if last >= self._lengths.size:
            self._grow(2 * last)
        width = PADDING
        joined = b"".join(text[:width].ljust(width, b"\0") for text in texts)
        rows = np.frombuffer(joined, np.uint8).reshape(len(texts), width)
        lengths = np.array([len(text) for text in texts], np.int64)
        for known, word in zip(self._words, words_of(rows, 0, lengths), strict=True):
            known[first:last] = word
        # `find` cannot compare a text too long for words.
        self._lengths[first:last] = np.where(lengths > width, -1, lengths)
        self._place(np.arange(first, last))
        self.count = last

    def _grow(self, capacity: int) -> None:
        known, room = len(self._lengths) - 1, capacity - len(self._lengths) + 1
        self._lengths = np.append(self._lengths, np.full(room, -1))
        self._words = [np.append(word, np.zeros(room, np.uint64)) for word in self._words]
        bits = max((4 * capacity).bit_length(), _FEWEST_BITS)
        self._table = np.full(1 << bits, -1, np.int64)
        self._shift = np.uint64(64 - bits)
        self._place(np.arange(known))

    def _place(self, codes: Offsets) -> None:
        """Enter codes into the table, each at its slot or the next free one."""
        codes = codes[self._lengths[codes] >= 0]
        words = [known[codes] for known in self._words]
        slots = (self._hash(words, self._lengths[codes]) >> self._shift).view(np.int64)
        while codes.size:
            free = self._table[slots] < 0
            self._table[slots[free]] = codes[free]
            lost = self._table[slots] != codes
            codes, slots = codes[lost], (slots[lost] + 1) % self._table.size
