"""Paths of the project, its tests and the golden vectors."""

import os
import shutil
from pathlib import Path


def _memory() -> str | None:
    memory = "/dev/shm"  # of 64 MiB in some containers, which is too little
    if not hasattr(os, "statvfs") or not os.access(memory, os.W_OK):
        return None
    return memory if shutil.disk_usage(memory).free >= 2 << 30 else None


ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
VECTORS = TESTS / "vectors"
MEMORY = _memory()
"""Where temporary files are made, since most of them are synced; None: the usual place."""
