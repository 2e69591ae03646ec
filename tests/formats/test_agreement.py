"""Where bytes stop being as expected, told by a plain loop as well."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from formats.columns.agreement import agreed


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, int]:
    """Data that agree with a repeated unit but for some bytes, its mask, and units at a time."""
    unit = draw(st.integers(1, 9))
    mask = bytes(draw(st.lists(st.sampled_from([0, 255]), min_size=unit, max_size=unit)))
    expected = bytes(
        a & b for a, b in zip(draw(st.binary(min_size=unit, max_size=unit)), mask, strict=True)
    )
    size = draw(st.integers(0, 80))
    noise = draw(st.binary(min_size=size, max_size=size))
    data = bytearray(expected[i % unit] | (noise[i] & ~mask[i % unit] & 255) for i in range(size))
    for place in draw(st.lists(st.integers(0, size - 1), max_size=2)) if size else []:
        data[place] ^= draw(st.integers(0, 255))
    return bytes(data), mask, expected, draw(st.integers(1, 5))


@given(cases())
def test_data_agree_up_to_the_first_byte_that_matters_and_differs(
    case: tuple[bytes, bytes, bytes, int],
) -> None:
    """Whatever is compared at once, and wherever the data end."""
    data, mask, expected, units = case
    unit = len(mask)
    differ = (
        place
        for place, byte in enumerate(data)
        if byte & mask[place % unit] != expected[place % unit]
    )
    found = agreed(
        np.frombuffer(data, np.uint8),
        np.frombuffer(mask, np.uint8),
        memoryview(expected * (units + 1)),
        bytearray(units * unit),
    )
    assert found == next(differ, len(data))
