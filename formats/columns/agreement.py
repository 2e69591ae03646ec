"""Bytes beside those that are expected, of which some do not matter.

Guarantees: every byte that matters is compared, and time is linear in what agrees.
"""

from __future__ import annotations

import numpy as np

from formats.columns.starts import Bytes


def agreed(data: Bytes, mask: Bytes, expected: memoryview, held: bytearray) -> int:
    """How many bytes of the data are as expected, up to the first that is not.

    Args:
        data: the bytes.
        mask: 255 for each byte that matters, 0 for others; it begins anew after its end.
        expected: for as many bytes as are compared at once, with 0 where they do not matter.
        held: room for as many, whole masks; one that stays in a core's cache with what is expected.
    """
    span, unit = len(held), mask.size
    masked = np.frombuffer(held, np.uint8)
    rows = masked.reshape(-1, unit)
    spans, rest = divmod(data.size, span)
    whole = spans * span
    # As bytes: NumPy would write what differs to memory, and read it again.
    wanted = expected[:span]
    for index, ahead in enumerate(data[:whole].reshape(spans, *rows.shape)):
        np.bitwise_and(ahead, mask, out=rows)
        if held != wanted:
            return index * span + first_difference(masked, wanted)
    if rest:
        units, end = rest // unit, rest - rest % unit
        ahead, wanted = data[whole:], expected[:rest]
        np.bitwise_and(ahead[:end].reshape(units, unit), mask, out=rows[:units])
        np.bitwise_and(ahead[end:], mask[: rest - end], out=masked[end:rest])
        if held[:rest] != wanted:
            return whole + first_difference(masked[:rest], wanted)
    return data.size


def first_difference(data: Bytes, expected: bytes | memoryview) -> int:
    """Where bytes of one length, which are not equal, differ first."""
    return int((data != np.frombuffer(expected, np.uint8)).argmax())
