"""The process that commands are forked from: see `tests.helpers.commands`."""

from __future__ import annotations

import array
import gc
import marshal
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import expstore
import expstore.cli
from tests.helpers import commands_loaded, installed
from tests.helpers.commands import TAKEN_AWAY

__all__ = ["commands_loaded", "expstore"]


def main() -> None:
    """Fork commands until standard input ends, as it does with the process that started this."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    ended, ending = os.pipe()
    os.set_blocking(ending, False)
    signal.set_wakeup_fd(ending)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()  # what is loaded is not searched for garbage in each command
    running: dict[int, socket.socket] = {}
    while True:
        ready = select.select([0, ended, listening], [], [])[0]
        if 0 in ready:
            shutil.rmtree(Path(listening.getsockname()).parent)
            return
        if ended in ready:
            os.read(ended, 1 << 12)
            _report(running)
        if listening in ready:
            connection = listening.accept()[0]
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(ended)
                os.close(ending)
                for other in (listening, *running.values()):
                    other.close()
                _run(connection)
                return
            running[child] = connection


def _report(running: dict[int, socket.socket]) -> None:
    """Send the exit codes of the commands that have ended."""
    for child in list(running):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            with running.pop(child) as connection:
                connection.send(b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(connection: socket.socket) -> None:
    """Run the command that was asked for, set up as if a shell had started it."""
    given = array.array("i")
    _, passed, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * given.itemsize))
    for _, _, data in passed:
        given.frombytes(data)
    with connection.makefile("rb") as request:
        streams, arguments, cwd, environment, patch = marshal.loads(request.read())
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    installed.take_away(filter(None, os.environ.pop(TAKEN_AWAY, "").split(",")))
    for stream in range(3):
        os.close(stream)
    for stream, file in zip(streams, given, strict=True):
        os.dup2(file, stream)
        os.close(file)
    encoding, _, errors = environment.get("PYTHONIOENCODING", "").partition(":")
    options: Any = {"encoding": encoding or "utf-8", "closefd": False}
    sys.stdin = open(0, errors=errors or None, **options) if 0 in streams else None  # noqa: SIM115
    sys.stdout = open(1, "w", errors=errors or None, **options) if 1 in streams else None  # noqa: SIM115
    sys.stderr = (
        open(2, "w", 1, errors="backslashreplace", **options) if 2 in streams else None  # noqa: SIM115
    )
    sys.argv = ["expstore", *arguments]
    connection.send(b"%d\n" % os.getpid())
    connection.close()
    exec(patch, {"expstore": expstore, "sys": sys})
    expstore.cli.main()
