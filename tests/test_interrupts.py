"""Tests that interrupt a program do so however the suite was started."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

_ASK = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"


def test_child_can_be_interrupted() -> None:
    """A program that a test starts is set up as if a person had started it."""
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize("start", [signal.SIG_IGN, signal.SIG_DFL])
def test_child_can_be_interrupted_however_the_suite_was_started(start: signal.Handlers) -> None:
    """A shell's background job ignores SIGINT from the start."""
    test = f"{Path(__file__).relative_to(ROOT)}::{test_child_can_be_interrupted.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        preexec_fn=partial(signal.signal, signal.SIGINT, start),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout
