"""What salvage believes: the limits of the counter and of a label's characters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from formats import RECORD
from formats.damage.candidates import _hash_texts, _numbers
from formats.damage.salvage import Gap, Stretch, resync
from formats.metrics import ROLES
from formats.schema import Schema
from tests.helpers.logs import CODEC, NOW

SCHEMA = Schema.of(RECORD)
JUNK = b"\xff" * 9  # no clock is plausible in it
STEPS = 100


def pieces(data: bytes) -> list[Stretch | Gap]:
    """What salvage keeps and leaves out."""
    return list(resync(SCHEMA, ROLES, lambda at, n: data[at : at + n], len(data)))


def record(step: int, name: str = "loss") -> bytes:
    """One record."""
    return CODEC.build(timestamp=NOW, step=step, value=0.5, name=name)


@pytest.mark.parametrize("step", [0, STEPS, 2 * STEPS - 1, 2 * STEPS, 4_000_000_000])
def test_counter_far_beyond_all_others_is_not_believed(step: int) -> None:
    """Between two gaps, a record counts as real up to one more than twice the greatest step."""
    good = b"".join(map(record, range(STEPS)))
    odd = record(step)
    data = good + JUNK + odd + JUNK + good
    first, last = Stretch(0, len(good), STEPS), Stretch(len(data) - len(good), len(good), STEPS)
    between = [
        Gap(len(good), len(JUNK)),
        Stretch(len(good) + len(JUNK), len(odd), 1),
        Gap(len(data) - len(good) - len(JUNK), len(JUNK)),
    ]
    if step > 2 * (STEPS - 1) + 1:
        between = [Gap(len(good), len(odd) + 2 * len(JUNK))]
    assert pieces(data) == [first, *between, last]


def test_no_counter_is_judged_where_nothing_is_chained() -> None:
    """A log of one record, of any step, has no others to compare it with."""
    alone = record(4_000_000_000)
    assert pieces(alone) == [Stretch(0, len(alone), 1)]


def hashed(texts: list[bytes]) -> tuple[list[int], list[bool]]:
    """The hashes of texts, and whether each is printable."""
    lengths = np.array(list(map(len, texts)), np.int64)
    begins = np.concatenate((np.zeros(1, np.int64), lengths.cumsum()[:-1]))
    padded = np.frombuffer(b"".join(texts) + bytes(8), np.uint8)
    hashes, printable = _hash_texts(_numbers(padded, "<u8"), begins, lengths)
    return hashes.tolist(), printable.tolist()


def test_labels_are_printable_as_in_a_plain_loop() -> None:
    """Labels of 0 to 20 bytes with every byte at every place: none below a space is printable."""
    texts = [b""]
    for size in range(1, 21):
        for place, byte in itertools.product(range(size), range(256)):
            text = bytearray(b"\x20" * size)
            text[place] = byte
            texts.append(bytes(text))
            texts.append(bytes(text).replace(b"\x20", b"\xff"))
    expected = [bool(text) and min(text) >= 0x20 for text in texts]
    assert hashed(texts)[1] == expected


def test_equal_labels_and_no_others_have_equal_hashes() -> None:
    """Every byte and the length count; what follows the label does not."""
    texts = [b""]
    for size in range(1, 21):
        texts += [b"a" * place + b"b" + b"a" * (size - place - 1) for place in range(size)]
        texts += [b"a" * size, b"a" * (size - 1) + b"\0", bytes(size)]
    texts += [b"x" * size for size in range(21)]
    hashes = hashed(texts + texts[::-1])[0]
    assert hashes == [*hashes[: len(texts)], *hashes[: len(texts)][::-1]]
    assert len(set(hashes)) == len(set(texts))


def test_hash_of_a_label_does_not_depend_on_the_others() -> None:
    """A log is hashed block by block, and a label is to be known in all of them."""
    texts = [b"x" * size for size in range(30)]
    assert hashed(texts)[0] == [hashed([text])[0][0] for text in texts]
