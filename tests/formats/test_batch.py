"""Batches: the same bytes and errors as building one record after another."""

from __future__ import annotations

from typing import Any

import construct as c
import hypothesis.strategies as st
import pytest
from hypothesis import given

from formats import META, RECORD, FieldValueError, FormatError, RecordCodec, Text, UnsupportedSchema
from formats.fields import LengthPrefixedText

# Both byte orders, two texts, a constant, a shared float, and an integer that varies.
OTHER = c.Struct(
    "magic" / c.Const(7, c.Int8ub),
    "first" / c.Int16ul,
    "second" / c.Int32ub,
    "ratio" / c.Float32l,
    "name" / Text,
    "count" / c.Int16sl,
    "note" / LengthPrefixedText(c.Int16ub),
    "last" / c.Int8ub,
)
RECORDS, OTHERS = RecordCodec(RECORD), RecordCodec(OTHER)

ANY = st.one_of(
    st.integers(-(2**66), 2**66), st.floats(), st.booleans(), st.text(max_size=3), st.none()
)


def outcome(act: Any) -> Any:
    """The bytes, or the error."""
    try:
        return act()
    except FormatError as error:
        return type(error), str(error)


@given(
    st.lists(st.text(max_size=70), max_size=7, unique=True),
    st.data(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**32 - 1),
)
def test_batch_equals_one_after_another(
    names: list[str], data: st.DataObject, timestamp: int, step: int
) -> None:
    """The bytes are equal for any names that fit and any doubles."""
    if any(len(name.encode()) > 255 for name in names):
        names = [name[:60] for name in names]
    values = data.draw(st.lists(st.floats(), min_size=len(names), max_size=len(names)))
    build = RECORDS.batch([{"name": name} for name in names], "value")
    assert build(values, timestamp=timestamp, step=step) == b"".join(
        RECORDS.build(timestamp=timestamp, step=step, value=value, name=name)
        for name, value in zip(names, values, strict=True)
    )


@given(st.lists(ANY, min_size=3, max_size=3), ANY, ANY)
def test_batch_refuses_what_one_record_refuses(
    values: list[Any], timestamp: Any, step: Any
) -> None:
    """The same error and message: for bools, strings, and numbers out of range."""
    names = ["loss", "é" * 20, ""]
    build = RECORDS.batch([{"name": name} for name in names], "value")
    assert outcome(lambda: build(values, timestamp=timestamp, step=step)) == outcome(
        lambda: b"".join(
            RECORDS.build(timestamp=timestamp, step=step, value=value, name=name)
            for name, value in zip(names, values, strict=True)
        )
    )


@given(
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), ANY), min_size=1, max_size=4),
    st.one_of(st.integers(0, 2**16 - 1), ANY),
    st.one_of(st.floats(width=32), ANY),
)
def test_batch_follows_any_declaration(rows: list[Any], first: Any, ratio: Any) -> None:
    """Other fields, byte orders and texts need no special code."""
    shared = {"first": first, "second": 5, "ratio": ratio, "last": 1}
    build = OTHERS.batch([{"name": name, "note": note} for name, note, _ in rows], "count")
    assert outcome(lambda: build([count for *_, count in rows], **shared)) == outcome(
        lambda: b"".join(
            OTHERS.build(**shared, name=name, note=note, count=count) for name, note, count in rows
        )
    )


def test_text_too_long_for_a_batch_is_refused_at_once() -> None:
    """Making the batch fails, as building the record would."""
    with pytest.raises(FieldValueError, match="256 bytes"):
        RECORDS.batch([{"name": "x" * 256}], "value")
    with pytest.raises(FieldValueError, match="expected str, got int"):
        RECORDS.batch([{"name": 3}], "value")  # type: ignore[dict-item]


@pytest.mark.parametrize("count", [2, 4])
def test_wrong_number_of_values_is_refused(count: int) -> None:
    """No record gets the value of another."""
    build = RECORDS.batch([{"name": name} for name in "abc"], "value")
    with pytest.raises(ValueError, match="values to unpack"):
        build([0.5] * count, timestamp=1, step=1)


def test_declaration_that_cannot_be_batched_is_refused() -> None:
    """The error names the field."""
    with pytest.raises(UnsupportedSchema, match="field job_name"):
        RecordCodec(META).batch([], "timestamp")
    with pytest.raises(UnsupportedSchema, match="field name"):
        RECORDS.batch([], "name")
    with pytest.raises(UnsupportedSchema, match="field loss"):
        RECORDS.batch([], "loss")
