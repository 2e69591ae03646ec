"""An export's directory: links are no parts, and others may delete at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from expstore import OutputExistsError
from expstore.cluster import directory

PART = "part-abc-000000000000000-0123456789abcdef.parquet"
UNFINISHED = ".expstore-0123456789abcdef.tmp"


@pytest.mark.parametrize("name", [PART, UNFINISHED, directory.SUCCESS, directory._MARK])
@pytest.mark.parametrize("kind", ["link", "directory", "dangling link"])
def test_what_only_has_the_name_of_a_part_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    """An export makes regular files only; nothing is deleted, or written through a link."""
    output = tmp_path / "output"
    directory.begin(output, {})
    outside = tmp_path / "outside"
    if kind != "dangling link":
        outside.write_bytes(b"of someone else")
    (output / name).unlink(missing_ok=True)
    if kind == "directory":
        (output / name).mkdir()
    else:
        (output / name).symlink_to(outside)
    before = sorted(os.listdir(output))
    with pytest.raises(OutputExistsError, match="not replaced"):
        directory.begin(output, {})
    assert sorted(os.listdir(output)) == before
    assert kind == "dangling link" or outside.read_bytes() == b"of someone else"


def test_what_another_export_deletes_at_the_same_time_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may be deleted between the listing and its turn."""
    output = tmp_path / "output"
    number = directory.begin(output, {})
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listdir(path), PART, UNFINISHED])
    directory.finish(output, number, (), whole=True)
    assert sorted(listdir(output)) == sorted([directory.SUCCESS, directory._MARK])
