"""The end of what a program of a run prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from expstore import ExperimentStore
from expstore.watch.console import ConsoleEnd


@pytest.fixture
def log(store: ExperimentStore) -> Path:
    """The file, which does not exist yet."""
    files = store.create_experiment("a") / "files"
    files.mkdir(exist_ok=True)
    return files / "console.log"


def test_lines_are_text(store: ExperimentStore, log: Path) -> None:
    """Without colours, titles and cursor movements; of a progress bar the last form."""
    log.write_bytes(
        b"\x1b[1;31mred\x1b[0m\n\x1b]0;title\x07plain\n 1%\r 50%\r100%\r\nback\x08\n"
        b"\xff\xe2\x82\xac\n\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n\x1b(Bend"
    )
    assert ConsoleEnd(store, "a").lines() == [
        *("red", "plain", "100%", r"back\x08", "\ufffd€", "link", "Bend")
    ]


def test_only_the_end_is_read_and_only_if_it_is_another(
    store: ExperimentStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long file the last whole lines; it may shrink, vanish and come back."""
    log.write_text("".join(f"line {place}\n" for place in range(100_000)))
    console = ConsoleEnd(store, "a")
    lines = console.lines()
    assert lines[-1] == "line 99999"
    assert 4_000 < len(lines) < 6_000
    assert all(line.startswith("line ") for line in lines)
    assert console.lines() is lines
    log.write_text("new\n")
    assert console.lines() == ["new"]
    log.unlink()
    assert console.lines() == []
    log.write_text("again")
    assert console.lines() == ["again"]


def test_no_link_is_followed(store: ExperimentStore, log: Path, tmp_path: Path) -> None:
    """Nor is anything but a regular file read; a run that is deleted has no lines."""
    (tmp_path / "secret").write_text("secret")
    log.symlink_to(tmp_path / "secret")
    assert ConsoleEnd(store, "a").lines() == []
    log.unlink()
    log.mkdir()
    assert ConsoleEnd(store, "a").lines() == []
    assert ConsoleEnd(store, "gone").lines() == []
