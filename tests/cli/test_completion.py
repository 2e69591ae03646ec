"""Completion in real shells: a commit id is offered only if a shell takes it for nothing else."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.helpers import commands
from tests.helpers.paths import ROOT

HOSTILE = (
    "x$(touch PWNED)",
    "only$(touch PWNED)",
    "x`touch PWNED`",
    "x;touch PWNED",
    'x";touch PWNED;"',
    "x';touch PWNED;'",
    "x\ntouch PWNED\n",
    "x|touch PWNED",
    "x* ?[a-z]",
    "x\\$(touch PWNED)",
    "x(e:'touch PWNED':)",
)
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
BEFORE = {"zsh": "autoload -Uz compinit && compinit -u -D; setopt no_beep", "bash": "", "fish": ""}
PAUSE = 20.0  # seconds to wait for what a shell should show


class Terminal:
    """A shell on a terminal."""

    def __init__(self, command: list[str], directory: Path, path: str) -> None:
        environment = {
            **os.environ,
            "PATH": path,
            "PS1": "",
            "HOME": str(directory),
            "TERM": "dumb",
            "PYTHONPATH": str(ROOT),
        }
        self.screen = ""
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(directory)
            os.execvpe(command[0], command, environment)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def wait(self, text: str) -> None:
        """Read until a text appears."""
        deadline = time.monotonic() + PAUSE
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.screen!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                self.screen += os.read(self._terminal, 1 << 16).decode("utf-8", "replace")
        self.screen = self.screen.partition(text)[2]

    def close(self) -> None:
        """End the shell."""
        os.close(self._terminal)
        os.waitpid(self._process, 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_runs_no_code(shell: str, tmp_path: Path) -> None:
    """Neither when the user presses Tab, nor when they enter the line that it completed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    for commit_id in (*HOSTILE, "tame-id.1", "-x"):
        store.create_experiment(commit_id)
    program = commands.program(tmp_path / "bin" / "expstore")
    script = subprocess.run(
        [sys.executable, "-m", "expstore", "--show-completion", shell],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (tmp_path / "completion").write_text(script)
    terminal = Terminal(SHELLS[shell], tmp_path, f"{program.parent}:{os.environ['PATH']}")
    try:
        terminal.type(f"{BEFORE[shell]}\n. ./completion\necho re''ady\n")
        terminal.wait("ready")
        terminal.type("expstore show tam\t")
        terminal.wait("tame-id.1")
        terminal.type("\n")
        terminal.wait("metrics")
        for keys in ("on\t", "x\t\t"):
            terminal.type(f"expstore show {keys}\n")
            terminal.type("echo do''ne\n")
            terminal.wait("done")
    finally:
        terminal.close()
    assert not list(tmp_path.rglob("PWNED*"))


def test_only_tame_ids_are_offered(tmp_path: Path) -> None:
    """A store that cannot be read offers none, and prints no error into the command line."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    for commit_id in (*HOSTILE, "tame-id.1", "xavier", "gr\u00fcn", "-x"):
        store.create_experiment(commit_id)

    def offered(root: object, typed: str) -> list[str]:
        environment = {"COMP_WORDS": f"expstore show {typed}", "COMP_CWORD": "2"}
        environment |= {"_EXPSTORE_COMPLETE": "complete_bash", "EXPSTORE_ROOT": str(root)}
        done = commands.expstore(environment=os.environ | environment)
        assert done.stderr == ""
        return done.stdout.split()

    assert offered(store.root, "x") == ["xavier"]
    assert offered(store.root, "") == ["gr\u00fcn", "tame-id.1", "xavier"]
    assert offered(tmp_path / "nowhere", "") == []
    assert offered("nonsense://host", "") == []
