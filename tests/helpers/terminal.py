"""Running a command on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import threading


def on_terminal(command: list[str], columns: int = 80) -> str:
    """The output of a command whose standard output is a terminal of so many columns."""
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
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    try:
        subprocess.run(command, stdout=theirs, check=True, timeout=60, env=environment)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    return output.decode()
