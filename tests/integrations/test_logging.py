"""The standard library's logging, kept with a run."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest

import expstore
from expstore.integrations.logging import RunHandler
from expstore.store.start import begin

LOGGER = logging.getLogger("tests.integrations.logging")


def test_records_are_kept(tmp_path: Path) -> None:
    """At once, with their time and level; only while the handler is there."""
    LOGGER.warning("before")
    with expstore.start(tmp_path, "a") as run, RunHandler(run) as handler:
        path = run.files / "console.log"
        LOGGER.warning("epoch %d", 3)
        assert re.fullmatch(r"[-\d]+ [\d:,]+ WARNING [\w.]+: epoch 3\n", path.read_text())
        # Not by way of the logger: pytest keeps what is logged, and cannot pass that text on.
        error = ValueError("bad \udc80")
        handler.handle(LOGGER.makeRecord("x", 40, "x", 1, "failed", (), (type(error), error, None)))
        handler.setFormatter(logging.Formatter("%(message)s"))
        LOGGER.error("plain")
    LOGGER.warning("after")
    text = path.read_text()
    assert "ValueError: bad \\udc80\n" in text
    assert text.endswith("plain\n")
    assert "before" not in text
    handler.close()


def test_a_level_and_a_logger_choose(tmp_path: Path) -> None:
    """As for any handler."""
    with expstore.start(tmp_path, "a") as run, RunHandler(run, "ERROR", LOGGER):
        LOGGER.warning("left out")
        logging.getLogger("other").error("left out")
        LOGGER.error("kept")
        assert (run.files / "console.log").read_text().count("\n") == 1


def test_nothing_is_kept_twice_in_a_program_that_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console has what is shown; the records have a file of their own."""
    monkeypatch.setenv("EXPSTORE_ROOT", str(tmp_path))
    with begin(tmp_path, "a", command=["x"]):
        monkeypatch.setenv("EXPSTORE_RUN", "a")
        with expstore.start() as run, RunHandler(run):
            LOGGER.error("kept")
            assert os.listdir(run.files) == ["logging.log"]


def test_a_failure_does_not_end_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is reported as the logging library does."""
    with expstore.start(tmp_path, "a") as run, RunHandler(run):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
            LOGGER.error("lost")
        run.log({"loss": 1.0})
    assert "full" in capfd.readouterr().err
    assert len(run.store.get_metrics("a")) == 1
