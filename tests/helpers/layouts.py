"""Logs as programs leave them, for tests of what reads many at a time."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from formats import RECORD, RecordCodec
from tests.helpers.logs import NOW

CODEC = RecordCodec(RECORD)
WHOLE = CODEC.build(timestamp=NOW, step=1, value=0.5, name="loss")
NAMES = "loss", "acc", "val/loss", "l\u00f6ss", "\x01odd"
VALUES = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0])
TAILS = [b"", b"", b"", WHOLE[:11], b"\0" * 25, b"\0\0\0\0torn" + WHOLE, WHOLE[11:] + WHOLE]
CLOCKS = [NOW, NOW, NOW, NOW + (1 << 24), 5, 1 << 40]


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """A log of a few names in turn, or in any order, of any steps; perhaps with a damaged end."""
    turn = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
    names = turn * draw(st.integers(0, 12))
    if draw(st.booleans()):
        names = names + draw(st.lists(st.sampled_from(NAMES), max_size=3))
    clock, backwards = draw(st.sampled_from(CLOCKS)), draw(st.booleans())
    values = draw(st.lists(VALUES, min_size=len(names), max_size=len(names)))
    return b"".join(
        CODEC.build(
            timestamp=clock + place,
            step=(len(names) - place if backwards else place) // len(turn),
            value=value,
            name=name,
        )
        for place, (name, value) in enumerate(zip(names, values, strict=True))
    ) + draw(st.sampled_from(TAILS))
