"""The command `watch`: on a terminal, and where there is none."""

from __future__ import annotations

import os
import pty
import select
import time
from pathlib import Path

import pytest

from tests.helpers.application import log, run
from tests.helpers.commands import Command

_PATIENCE = 30.0  # seconds


def test_it_needs_a_terminal(store) -> None:
    """In a pipe it says what to use instead."""
    result = run(store, "watch")
    assert result.exit_code == 1
    assert "needs a terminal" in result.output
    assert "expstore tail -f" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nosuch"], "nosuch"), (["--where", "lr <"], "expected"), (["--root", "/nosuch"], "/nosuch")],
)
def test_mistakes_are_said_before_anything_is_shown(store, arguments, message) -> None:
    """In one line, with an exit code."""
    command = ["watch", "--root", str(store.root), *arguments]
    code, output = on_terminal(command, b"")
    assert code in (1, 2)
    assert message in output
    assert "\x1b[?1049h" not in output  # the whole screen


def test_it_runs_on_a_terminal_and_leaves_it_as_it_was(store) -> None:
    """The metrics and ids that were asked for are shown; q ends it."""
    log(store, "one", {"loss": [3.0, 2.0], "other": [1.0]})
    log(store, "two", {"loss": [1.0, 0.5]})
    command = ["watch", "--root", str(store.root)]
    code, output = on_terminal([*command, "two", "--name", "lo*"], b"loss")
    assert code == 0
    assert "two" in output
    assert "other" not in output
    assert output.rindex("\x1b[?1049l") > output.rindex("\x1b[?1049h")


def on_terminal(command: list[str], shown: bytes) -> tuple[int, str]:
    """Run a command on a terminal of 100 by 30, and press q when it has shown something."""
    ours, theirs = pty.openpty()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        **{"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    }
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    child = Command(*command, **streams, environment=environment, cwd=Path("/"))
    os.close(theirs)
    output, deadline, is_asked = bytearray(), time.monotonic() + _PATIENCE, False
    try:
        while not child.poll() or select.select([ours], [], [], 0)[0]:
            assert time.monotonic() < deadline, output.decode(errors="replace")
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    output += os.read(ours, 1 << 16)
                except OSError:  # the other end is closed
                    break
            if shown and shown in output and not is_asked:
                os.write(ours, b"q")
                is_asked = True
        return child.wait(_PATIENCE), output.decode(errors="replace")
    finally:
        child.kill()
        os.close(ours)
