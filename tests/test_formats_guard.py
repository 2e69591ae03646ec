"""Projects that have their own module named `formats`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

INSTALLED = bool(entry_points(group="pytest11", name="expstore"))
PROGRAMS = {
    "the module comes first": "import expstore",
    "it is loaded already": "import formats, expstore",
    "a submodule is imported": "import expstore.errors",
}


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, which comes before this project on the path."""
    command = [sys.executable, *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a module named `formats`."""
    (tmp_path / "formats.py").write_text("print('ran')\nCSV = 1\n")
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_import_names_the_file_in_the_way(project: Path, program: str) -> None:
    """One clear ImportError, without running the file."""
    done = run(project, "-c", program)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ImportError: expstore needs its own package `formats`")
    assert str(project / "formats.py") in error
    assert "rename" in error
    assert done.stdout == ("ran\n" if "import formats" in program else "")


def test_a_directory_without_code_is_not_in_the_way(tmp_path: Path) -> None:
    """Python prefers a regular package to a directory without `__init__.py`."""
    (tmp_path / "formats").mkdir()
    assert run(tmp_path, "-c", "import expstore; print(expstore.Metric.__name__)").stdout == (
        "Metric\n"
    )


@pytest.mark.skipif(not INSTALLED, reason="pytest finds the plugin by the installed entry point")
def test_pytest_runs_in_a_project_with_its_own_formats(project: Path) -> None:
    """The plugin always loads, but does not import expstore until its fixture is used."""
    (project / "test_own.py").write_text(
        "import sys, formats\n"
        "def test_own():\n"
        "    assert formats.CSV == 1\n"
        "    assert 'expstore' not in sys.modules\n"
        "def test_fixture(experiment_store):\n"
        "    pass\n"
    )
    done = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "expstore needs its own package `formats`" in done.stdout
