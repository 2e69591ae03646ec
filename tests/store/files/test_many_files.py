"""Reading many files of a directory at a time."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from expstore.store.files import descriptor, local
from expstore.store.files.place import open_root
from tests.helpers.descriptors import open_descriptors


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """Files of different content, and in between what is none."""
    found = []
    for number in range(150):
        found.append(f"{number:03}")
        if number % 7 == 2:
            continue  # missing
        if number % 7 == 4:
            (tmp_path / found[-1]).mkdir()
        elif number % 7 == 5:
            os.mkfifo(tmp_path / found[-1])
        else:
            (tmp_path / found[-1]).write_bytes(found[-1].encode() * (number % 5))
    return found


def check(names: list[str], found: list[bytes | OSError | None]) -> None:
    """Check that each outcome is that of the file."""
    for number, (name, one) in enumerate(zip(names, found, strict=True)):
        kinds: dict[int, type[OSError]] = {2: FileNotFoundError, 4: IsADirectoryError, 5: OSError}
        if kind := kinds.get(number % 7):
            assert isinstance(one, kind)
        else:
            assert one == name.encode() * (number % 5)


def test_each_file_has_its_outcome_in_its_place(tmp_path: Path, names: list[str]) -> None:
    """Whatever the files before it are; and none stays open."""
    before = open_descriptors()
    with open_root(tmp_path) as directory:
        check(names, list(directory.read_starts(names, 100)))
        check(names, list(directory.read_short(iter(names), 100)))
        assert list(directory.read_short(["001", "003", "006"], 3)) == [None, None, None]
        assert list(directory.read_starts(["001", "003"], 2)) == [b"00", b"00"]
        assert list(directory.read_starts([], 2)) == []
    assert open_descriptors() == before


def test_no_more_files_are_open_than_may_be(tmp_path: Path, names: list[str]) -> None:
    """A process that has nearly used up its descriptors still reads all of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open_root(tmp_path) as directory:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_descriptors()) + 4, hard))
        try:
            found = list(directory.read_short(names, 100))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check(names, found)


def test_a_file_that_fails_to_be_read_does_not_affect_the_others(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a bad block, when its first bytes are read or what may follow them."""
    real = os.pread

    def failing(number: int, size: int, offset: int) -> bytes:
        data = real(number, size, offset)
        if (data == b"001" and offset == 0) or (not data and offset == 9):
            raise OSError(5, "Input/output error")
        return data

    monkeypatch.setattr(local.fs, "pread", failing)
    with open_root(tmp_path) as directory:
        found = list(directory.read_short(names, 100))
    failed = [name for name, one in zip(names, found, strict=True) if getattr(one, "errno", 0) == 5]
    expected = [n for n in range(150) if n == 1 or (n % 5 == 3 and n % 7 not in (2, 4, 5))]
    assert failed == [f"{n:03}" for n in expected]


def test_a_file_that_fails_to_be_closed_does_not_affect_the_others(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a server that is gone: what was read was read, and none stays open."""
    before = open_descriptors()
    real, closed = os.close, 0

    def failing(number: int) -> None:
        nonlocal closed
        real(number)
        closed += 1
        if closed % 3:
            raise OSError(5, "Input/output error")

    with open_root(tmp_path) as directory:
        monkeypatch.setattr(descriptor.fs, "close", failing)
        found = list(directory.read_short(names, 100))
        monkeypatch.undo()
    assert closed > 60
    check(names, found)
    assert open_descriptors() == before


def test_an_error_after_the_files_are_open_closes_all(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt, for example."""
    before = open_descriptors()

    def interrupted(*_: object) -> bytes:
        assert len(open_descriptors() - before) > 10
        raise KeyboardInterrupt

    monkeypatch.setattr(local.fs, "pread", interrupted)
    with open_root(tmp_path) as directory, pytest.raises(KeyboardInterrupt):
        list(directory.read_short(names, 100))
    monkeypatch.undo()
    assert open_descriptors() == before


def test_outcomes_are_those_of_single_calls() -> None:
    """In their order, of calls with several arguments, as far as the shortest has them."""

    def divide(one: int, other: int) -> int:
        if not other:
            raise OSError(one)
        return one // other

    found = descriptor.outcomes(divide, [8, 9, 6], iter([2, 0, 3, 1]))
    assert [str(one) for one in found] == ["4", "9", "2"]
    assert isinstance(found[1], OSError)
    assert descriptor.outcomes(divide, [], [1]) == []
