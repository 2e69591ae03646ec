"""`expstore serve` as a program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from expstore import ExperimentStore
from tests.helpers.application import log, run
from tests.live.client import curves, events

pytest.importorskip("starlette", reason="the extra `serve` is not installed")


@contextmanager
def serving(store: ExperimentStore, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program, and the address that it printed."""
    command = [sys.executable, "-m", "expstore", "--root", str(store.root), "serve", "--port", "0"]
    started = subprocess.Popen(
        [*command, "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    try:
        yield started, json.loads(started.stdout.readline())["address"]
    finally:
        started.kill()
        started.communicate()


def files(root: Path) -> dict[Path, tuple[int, int]]:
    """All files and directories below a root, with size and time of change."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*")}


def test_it_serves_until_it_is_interrupted_and_writes_nothing(store: ExperimentStore) -> None:
    """Also while a page is open; there is no traceback, and the exit code is 0."""
    log(store, "run", {"loss": [1.0, 2.0]})
    before = files(store.root)
    with serving(store) as (program, address):
        assert address.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=address, timeout=20) as http:
            assert "Content-Security-Policy" in http.get("/").text
            stream = events(http, runs=["run"], metrics=["loss"])
            assert next(kind for _, kind, _ in stream if kind == "points") == "points"
            assert curves(http, {"run": ["loss"]})["run", "loss"][0]["n"] == 2
            program.send_signal(signal.SIGINT)
            assert program.wait(20) == 0
            stream.close()
        assert program.stderr is not None
        assert program.stderr.read() == ""
    assert files(store.root) == before


def test_another_address_gets_a_token(store: ExperimentStore) -> None:
    """Without which nothing is answered."""
    with serving(store, "--host", "0.0.0.0") as (_, address):
        port = address.partition("?")[0].rpartition(":")[2].strip("/")
        base = f"http://127.0.0.1:{port}"
        token = address.partition("?token=")[2]
        assert len(token) >= 32
        assert httpx.get(base).status_code == 401
        assert httpx.get(base, params={"token": token}).status_code == 200


def test_a_token_cannot_be_left_out_where_others_can_connect(store: ExperimentStore) -> None:
    """Nor can a root that does not exist be served."""
    result = run(store, "serve", "--host", "0.0.0.0", "--no-token")
    assert result.exit_code == 1
    assert "token" in str(result.exception)
    store.root.rmdir()
    result = run(store, "serve")
    assert result.exit_code == 1
    assert "experiments" in str(result.exception)
