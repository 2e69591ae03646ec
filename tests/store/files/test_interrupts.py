"""Ctrl-C does not interrupt what must be done to its end."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from expstore.store.files.interrupts import uninterrupted
from expstore.store.files.output import unfinished_directory, whole_file


def test_ctrl_c_waits_for_what_must_be_done() -> None:
    """It is raised after that; a second one while the first is answered is not."""
    steps: list[str] = []

    def interrupted(step: str) -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            steps.append(step)

    def answered() -> None:
        try:
            raise KeyboardInterrupt("first")
        finally:
            interrupted("again")

    with pytest.raises(KeyboardInterrupt):
        interrupted("done")
    with pytest.raises(KeyboardInterrupt, match="first"):
        answered()
    assert steps == ["done", "again"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_all_handlers_are_back_when_one_raises_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the program would never again hear of the others, such as SIGTERM."""
    heard: list[int] = []
    set_handler = signal.signal

    def interrupted(number: int, handler: Any) -> Any:
        result = set_handler(number, handler)
        if handler is signal.default_int_handler:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        return result

    def hear(number: int, _: object) -> None:
        heard.append(number)

    before = set_handler(signal.SIGTERM, hear)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            monkeypatch.setattr(signal, "signal", interrupted)
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is hear
    finally:
        set_handler(signal.SIGTERM, before)


@pytest.mark.parametrize("opened", [whole_file, unfinished_directory])
def test_a_second_ctrl_c_leaves_nothing_unfinished(
    opened: Callable[[Path], AbstractContextManager[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes while what the first one interrupted is removed."""
    removed: list[object] = []

    def interrupted(remove: Callable[..., None]) -> Callable[..., None]:
        def wrapped(path: object, **options: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            removed.append(path)
            remove(path, **options)

        return wrapped

    def write() -> None:
        with opened(tmp_path / "x"):
            raise KeyboardInterrupt("first")

    monkeypatch.setattr(Path, "unlink", interrupted(Path.unlink))
    monkeypatch.setattr(shutil, "rmtree", interrupted(shutil.rmtree))
    with pytest.raises(KeyboardInterrupt, match="first"):
        write()
    assert len(removed) == 1
    assert os.listdir(tmp_path) == []
