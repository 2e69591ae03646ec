"""Random and mutated bytes through every parser: the quick form of `python -m tests.fuzz`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import CODECS, check_parsers, check_reference, random_input


@given(data=st.binary(max_size=200))
@settings(max_examples=250)
def test_noise_gives_format_errors_and_constructs_values(data: bytes) -> None:
    """Parsers raise only FormatError, and all agree with construct."""
    check_parsers(data)


@given(seed=st.integers(0, 1 << 62))
@settings(max_examples=400)
def test_mutated_files_give_format_errors_and_constructs_values(seed: int) -> None:
    """The same for valid files that were damaged."""
    check_parsers(random_input(random.Random(seed)))


@pytest.mark.skipif("EXPSTORE_REFERENCE" not in os.environ, reason="EXPSTORE_REFERENCE is not set")
def test_reference_reads_the_same(tmp_path: Path) -> None:
    """Both programs read two hundred inputs as experiments of a store."""
    rng = random.Random(11)
    inputs = [random_input(rng) for _ in range(200)]
    check_reference(os.environ["EXPSTORE_REFERENCE"], inputs, tmp_path)


def test_difference_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer itself can fail: it detects a parser that drops a record."""
    from formats.columns import record_starts

    def drops(schema: object, data: bytes) -> object:
        starts, end = record_starts(schema, data)
        return starts[1:], end

    monkeypatch.setattr("tests.fuzz.record_starts", drops)
    record = CODECS["RECORD"][1].build(timestamp=1, step=2, value=3.0, name="loss")
    with pytest.raises(AssertionError):
        check_parsers(record)
