"""Signals that end a command: it puts things in order, however many come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

_COMMAND = """
import os, signal, sys
from expstore import cli
from expstore.cli import ending

def command():
    try:
        os.kill(os.getpid(), signal.{first})
    finally:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            os.kill(os.getpid(), getattr(signal, name))
        print("in order", flush=True)
        if {moments} < 0:
            os.kill(os.getpid(), signal.{first})

class Last:
    def __del__(self, kill=os.kill, own=os.getpid(), numbers=(signal.SIGINT, signal.SIGTERM)):
        for number in numbers:  # when Python has given up its handlers
            kill(own, number)

last = Last()
cli._load_and_run = command
ending._MOMENTS = {moments}
cli.main()
"""


def _ended(first: str, moments: float, **options: object) -> tuple[str, str, int]:
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND.format(first=first, moments=moments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize(
    ("first", "code"), [("SIGINT", 130), ("SIGTERM", -signal.SIGTERM), ("SIGHUP", -signal.SIGHUP)]
)
def test_the_first_signal_ends_a_command_and_others_wait(first: str, code: int) -> None:
    """It says one line, and whoever waits for it learns of the first signal."""
    assert _ended(first, 30) == ("in order\n", "expstore: interrupted\n", code)


def test_a_command_that_takes_long_to_end_is_ended() -> None:
    """By another signal after a few seconds, at once."""
    assert _ended("SIGINT", -1) == ("", "", -signal.SIGINT)


def test_what_a_program_was_started_to_ignore_stays_so() -> None:
    """As a shell starts a job in the background."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    assert _ended("SIGINT", 30, preexec_fn=ignore)[2] == -signal.SIGTERM
