"""How long until the first curve can be seen: of `expstore report`, and of TensorBoard.

Wall time of whole programs, from their start to the complete report, or to the first answer of
TensorBoard's HTTP interface that has points. TensorBoard reads event files that hold the same
points, with its fast loader if `tensorboard-data-server` is installed.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Unavailable
from tests.helpers.paths import ROOT

RUN, TAG = "0" * 40, "loss"  # a run and a metric of the store that `Corpora.experiments` makes
_PATIENCE = 300.0  # seconds
_PAUSE = 0.02


def of_report(root: Path, output: Path) -> float:
    """Seconds until `expstore report` has written its file."""
    return finished("report", "--output", str(output), root=root)


def finished(*arguments: str, root: Path) -> float:
    """Seconds that a command of `expstore` takes; see `told`."""
    start = time.perf_counter()
    told(*arguments, root=root)
    return time.perf_counter() - start


def told(*arguments: str, root: Path) -> str:
    """What a command of `expstore` says on standard error.

    Raises:
        Unavailable: it fails, as one that this version does not have.
    """
    command = [sys.executable, "-m", "expstore", "--root", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise Unavailable(f"expstore {arguments[0]} failed: {done.stderr.strip()}")
    return done.stderr


def event_files(root: Path) -> Path:
    """The points of a store as event files, made once beside it."""
    target = root.with_name(f"{root.name}-events")
    if not target.exists():
        finished("export", "--to", "tensorboard", "--output", str(target), root=root)
    return target


def of_tensorboard(events: Path, fast: bool = True) -> float:
    """Seconds until TensorBoard's server answers with the points of a curve."""
    try:
        import tensorboard  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unavailable(f"no {error.name}") from error
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(events)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--load_fast", str(fast).lower()]
    wanted = urllib.parse.urlencode({"run": RUN, "tag": TAG})
    url = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?{wanted}"
    return answered(command, url, lambda body: len(json.loads(body)) > 1)


def answered(command: Sequence[str], url: str, is_curve: Callable[[bytes], Any]) -> float:
    """Seconds from the start of a server until an answer of its is a curve; then it is ended.

    Raises:
        Unavailable: it exits, or gives none in time.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    ) as server:
        try:
            while time.perf_counter() - start < _PATIENCE:
                if server.poll() is not None:
                    raise Unavailable(f"{command[2]} exited with {server.returncode}")
                try:
                    with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
                        if is_curve(answer.read()):
                            return time.perf_counter() - start
                except OSError:
                    pass  # not listening yet, or no such run yet
                time.sleep(_PAUSE)
            raise Unavailable(f"{command[2]} gave no curve in {_PATIENCE:g} s")
        finally:
            server.terminate()


def free_port() -> int:
    """A port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
