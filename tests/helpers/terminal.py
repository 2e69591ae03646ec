"""Running a command on a terminal."""

from __future__ import annotations

import os
import pty
import threading

from tests.helpers.commands import Command


def on_terminal(
    *arguments: str, columns: int = 80, everything: bool = False, patch: str = "", **variables: str
) -> str:
    """What `expstore` prints, which must end without an error.

    Args:
        arguments: the arguments after the program's name.
        columns: the width of the terminal.
        everything: whether the other streams are the terminal, too.
        patch: code to run before the command.
        variables: further variables of the environment.
    """
    ours, theirs = pty.openpty()
    output = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # the command has ended
                return
            output.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **variables}
    try:
        with open(os.devnull, "r+") as null:
            other = theirs if everything else null
            command = Command(
                *arguments,
                stdin=other,
                stdout=theirs,
                stderr=other,
                environment=environment,
                patch=patch,
            )
            assert command.wait() == 0
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    return output.decode()
