"""Running commands in processes forked from one that has already loaded the modules.

Starting Python for each of some hundreds of calls would take a quarter of the suite's time. A
forked command has streams, a directory and an environment of its own, and ends as any program of
Python does.
"""

from __future__ import annotations

import array
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.helpers.paths import ROOT

TAKEN_AWAY = "EXPSTORE_TESTS_TAKEN_AWAY"
"""The variable with the modules that commands cannot import, separated by commas."""

SHARED = "EXPSTORE_TESTS_COMMANDS"
"""The variable with the `address` of another process, which a process of its own would repeat."""

_TIMEOUT = 60.0  # seconds, for any command
_SERVER = "from tests.helpers.commands_server import main; main()"
# The same as `Command`, for shells: a program that needs almost nothing of Python to start.
_PROGRAM = """\
#!{python} -IS
import _socket, array, marshal, os, sys
streams = []
for stream in range(3):
    try:
        os.fstat(stream)
        streams.append(stream)
    except OSError:
        pass
server = _socket.socket(_socket.AF_UNIX)
server.connect({address!r})
passed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", streams))] if streams else []
server.sendmsg([bytes(1)], passed)
environment = dict(os.environ)
server.sendall(marshal.dumps((streams, sys.argv[1:], os.getcwd(), environment, "")))
server.shutdown(_socket.SHUT_WR)
answer = b""
while data := server.recv(100):
    answer += data
os._exit(int(answer.split()[1]))
"""


class Command:
    """A running `expstore`; it sees no descriptors but its streams.

    Args:
        arguments: the arguments after the program's name.
        stdin, stdout, stderr: its streams; None: closed.
        cwd: the working directory; None: the current one.
        environment: None: that of this process.
        patch: code to run before the command, which may replace what it uses.

    Attributes:
        pid: the id of its process.
    """

    def __init__(
        self,
        *arguments: str,
        stdin: IO[Any] | int | None,
        stdout: IO[Any] | int | None,
        stderr: IO[Any] | int | None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        patch: str = "",
    ) -> None:
        given = [stdin, stdout, stderr]
        streams = [number for number in range(3) if given[number] is not None]
        files = [one if isinstance(one, int) else one.fileno() for one in given if one is not None]
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(address())
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        self._server.sendmsg([bytes(1)], passed if files else [])
        variables = dict(os.environ if environment is None else environment)
        where = str(cwd or Path.cwd())
        self._server.sendall(marshal.dumps((streams, arguments, where, variables, patch)))
        self._server.shutdown(socket.SHUT_WR)
        self._answers = self._server.makefile("rb")
        self.pid = int(self._answers.readline())

    def poll(self) -> bool:
        """Whether it has ended."""
        return bool(select.select([self._server], [], [], 0)[0])

    def wait(self, timeout: float = _TIMEOUT) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        if not select.select([self._server], [], [], timeout)[0]:
            self.kill()
            raise TimeoutError(f"timed out after {timeout:g} s")
        code = int(self._answers.readline())
        self._answers.close()
        self._server.close()
        return code

    def kill(self) -> None:
        """End it, unless it has ended."""
        if self._server.fileno() >= 0 and not self.poll():
            os.kill(self.pid, signal.SIGKILL)


def expstore(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    patch: str = "",
    stdin: IO[Any] | int | str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `expstore` without a terminal.

    Args:
        stdin: a file, or the text in one.
        arguments, cwd, environment, patch: as for `Command`.
    """
    words = [str(argument) for argument in arguments]
    with (
        tempfile.TemporaryFile("w+") as text,
        tempfile.TemporaryFile("w+", newline="") as stdout,
        tempfile.TemporaryFile("w+", newline="") as stderr,
    ):
        if isinstance(stdin, str):
            text.write(stdin)
            text.seek(0)
            stdin = text
        command = Command(
            *words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            environment=environment,
            patch=patch,
        )
        code = command.wait()
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(words, code, stdout.read(), stderr.read())


def program(path: Path) -> Path:
    """Make a program that runs `expstore` in a forked process, for shells to start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PROGRAM.format(python=sys.executable, address=address()))
    path.chmod(0o755)
    return path


@cache
def address() -> str:
    """The socket of the process that commands are forked from; it ends with this one."""
    if shared := os.environ.pop(SHARED, None):
        return shared
    path = str(Path(tempfile.mkdtemp(prefix="expstore-"), "commands"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(ROOT)},  # it inherits no other import path
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    return path
