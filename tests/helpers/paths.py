"""Paths of the project, its tests and the golden vectors."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
VECTORS = TESTS / "vectors"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where temporary files are made that are synced hundreds of times; None: the usual place."""
