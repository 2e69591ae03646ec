"""Running an operation in a forked child with strace attached to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.base import Counter, Skip, fork


def require() -> None:
    """Raise Skip if strace is not installed."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed")


def trace(work: Callable[[], None], log: Path, *options: str) -> int:
    """Run `work` in a child under strace.

    Args:
        work: the operation; it may end the process.
        log: the file to write the system calls to.
        options: further options of strace.

    Returns:
        The child's exit code, negative for a signal.

    Raises:
        Skip: strace may not attach to a process here.
    """
    wait, go = os.pipe()
    ready = Counter()

    def child() -> None:
        os.close(go)
        ready[0] = 1  # from here on, only this read precedes the operation's calls
        os.read(wait, 1)
        work()

    process = fork(child)
    while not ready[0]:
        time.sleep(0.0005)
    command = ["strace", "-f", "-y", "-p", str(process), "-o", str(log), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            # TracerPid is set before the child is stopped; only strace's own message is reliable.
            assert strace.stderr is not None
            message = strace.stderr.readline().decode().strip()
            if "attached" not in message:
                raise Skip(message or "strace printed nothing")
        finally:
            os.write(go, b"!")
            os.close(go)
            os.close(wait)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
