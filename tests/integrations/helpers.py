"""Running the programs, and reading what they left."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.helpers.paths import ROOT

TIMEOUT = 110
REASON = "{} is not installed; tests/integrations/setup makes an environment that has it"


def needs(*modules: str) -> None:
    """Skip a test, or a module of tests, without these modules."""
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(REASON.format(module), allow_module_level=True)


def environment(root: Path) -> dict[str, str]:
    """Of a program: the store, Keras on JAX, no search for GPUs, and no rank."""
    ours = {
        "EXPSTORE_ROOT": str(root),
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in ("RANK", "TERM")}
    return {**inherited, **ours}


def run(command: list[str], root: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, below the root's parent."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=root.parent,
        env={**environment(root), **extra},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def train(framework: str, root: Path, mode: str) -> subprocess.CompletedProcess[str]:
    """Run a framework's program; see `tests.integrations.programs`."""
    return run(["-m", f"tests.integrations.programs.{framework}", str(root), mode], root)


def curve(store: ExperimentStore, commit_id: str, name: str) -> list[tuple[int, float]]:
    """Steps and values of a metric, without what is superseded."""
    table = store.get_metrics(commit_id, superseded=False)[name]
    return list(zip(table.steps.tolist(), table.values.tolist(), strict=True))
