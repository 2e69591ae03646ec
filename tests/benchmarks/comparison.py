"""Measures the peers: in rounds, one sample of each, every sample in its own process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.corpora import FIVE
from tests.benchmarks.harness import Bench, Unavailable
from tests.benchmarks.peers import PEERS, Peer

UNIT = "ns a point"
MEASURES = {
    "log_each": "log one by one",
    "log_steps": "log a step at once",
    "read_all": "read all",
    "read_one": "read one name, a point of it",
}
Samples = dict[str, dict[str, list[float]]]


def run(kind: str, measure: str, directory: str, points: str) -> dict[str, Any]:
    """One timed measure in this process; `fill` only prepares for reading.

    Raises:
        AssertionError: the values read are not those logged.
        Unavailable, ModuleNotFoundError: the peer is not installed.
    """
    (peer_class,) = (peer for peer in PEERS if peer.__name__ == kind)
    peer = peer_class(Path(directory))
    rows = [(step, step / 7) for step in range(int(points) // len(FIVE))]
    reads = measure.startswith("read")
    work, arguments = getattr(peer, measure), () if reads else (rows,)
    start = time.perf_counter()
    values = work(*arguments)
    seconds = time.perf_counter() - start
    if reads:
        names = 1 if measure == "read_one" else len(FIVE)
        expected = np.repeat([value for _, value in rows], names)
        np.testing.assert_allclose(np.sort(values), expected, rtol=1e-6)  # some store 32 bits
    return {"seconds": seconds}


def measure(bench: Bench, progress: Callable[[str], None]) -> tuple[Samples, list[str]]:
    """All samples by peer and measure, and notes on what could not be measured."""
    samples: Samples = {}
    notes = []
    for peer in PEERS:
        progress(f"filling {peer.title}")
        directory, points = _fresh(_filled(bench, peer)), _points(bench, peer, reads=True)
        try:
            bench.ours("peer", peer.__name__, "fill", directory, points)
            samples[peer.title] = {title: [] for title in MEASURES.values()}
        except Unavailable as reason:
            notes.append(f"{peer.title}: {reason}")
    for _ in range(bench.repeat):
        for peer in PEERS:
            for name, title in MEASURES.items():
                if peer.title in samples and hasattr(peer, name):
                    progress(f"{peer.title}: {title}")
                    samples[peer.title][title].append(_sample(bench, peer, name))
    return samples, notes


def _points(bench: Bench, peer: type[Peer], *, reads: bool) -> int:
    return peer.points[reads] // bench.size(1, 10)


def _filled(bench: Bench, peer: type[Peer]) -> Path:
    return bench.work / "peers" / peer.__name__


def _fresh(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _sample(bench: Bench, peer: type[Peer], name: str) -> float:
    """Nanoseconds per point that is logged or returned."""
    reads = name.startswith("read")
    points = _points(bench, peer, reads=reads)
    directory = _filled(bench, peer)
    if not reads:
        directory = _fresh(directory.with_name("scratch"))
    result = bench.ours("peer", peer.__name__, name, directory, points)
    return float(result["seconds"]) / (points // len(FIVE) if name == "read_one" else points) * 1e9
