"""The last boundary of a log that is longer than the blocks in which it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from expstore.store.append import boundary
from expstore.store.append.boundary import last_boundary
from expstore.store.append.log import AppendLog
from tests.helpers.logs import CODEC

RECORD = CODEC.build(timestamp=1_700_000_000, step=1, value=0.5, name="loss")


@pytest.mark.parametrize("block", [4 * len(RECORD), 4 * len(RECORD) - 1, 4 * len(RECORD) + 1])
@pytest.mark.parametrize("count", [3, 4, 5, 8, 11, 12, 13])
def test_log_of_several_blocks_is_parsed_to_its_end(
    count: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a block ends exactly at a record, or the log exactly at a block."""
    monkeypatch.setattr(boundary, "_BLOCK", block)
    path = tmp_path / "metrics.bin"
    path.write_bytes(RECORD * count)
    log = AppendLog(path)
    log.append(RECORD)
    log.append(RECORD)
    log.close()
    assert path.read_bytes() == RECORD * (count + 2)
    assert os.listdir(tmp_path) == ["metrics.bin"]


@pytest.mark.parametrize("torn", [0, 1, 20])
@pytest.mark.parametrize("count", [3, 4, 8, 9])
def test_boundary_and_rest_are_those_of_the_part_asked_for(
    count: int, torn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any boundary, to the end of the log or to an offset before it."""
    size = len(RECORD)
    monkeypatch.setattr(boundary, "_BLOCK", 4 * size)
    path = tmp_path / "metrics.bin"
    path.write_bytes(RECORD * count + RECORD[:torn])
    with path.open("rb") as file:
        for start in range(count + 1):
            found = last_boundary(CODEC, file.fileno(), start * size)
            assert found == (count * size, torn)
            for stop in range(start * size, count * size + 1):
                found = last_boundary(CODEC, file.fileno(), start * size, stop)
                assert found == (stop // size * size, stop % size)
