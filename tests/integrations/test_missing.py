"""Hooks whose framework is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import expstore.integrations
from tests.integrations.helpers import environment

HOOKS = ("lightning", "transformers", "keras", "lightgbm", "xgboost", "optuna")


@pytest.mark.parametrize("name", HOOKS)
def test_a_missing_framework_is_named_with_its_extra(name: str, tmp_path: Path) -> None:
    """In one line that says what to install."""
    program = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name in ({name!r}, 'pytorch_lightning'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        f"import expstore.integrations.{name}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "MissingExtraError" in done.stderr
    assert f"; it comes with the extra `{name}`: pip install " in done.stderr


def test_importing_expstore_imports_no_framework(tmp_path: Path) -> None:
    """Nor does what all hooks share."""
    program = (
        "import sys, expstore, expstore.integrations.session, expstore.integrations.wandb\n"
        f"print([name for name in {(*HOOKS, 'torch', 'PIL')} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"
    assert expstore.integrations.__doc__
