"""The layers of the packages: which folders may import which, checked for every import.

Imports inside functions and under TYPE_CHECKING count like all others, and so does a string that is
a module's full name, since it may be used to load the module. There are no exceptions.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import expstore.cluster
import expstore.compare
import expstore.testing
import formats.columns
from tests.helpers.paths import ROOT

# Each row: a folder or module, and all others of its package that it may import. All of expstore
# may import `formats`.
EXPSTORE = """
    errors      |
    extras      | errors
    model       | errors extras
    store       | errors extras model
    exchange    | errors extras model store
    compare     | errors extras model store
    testing     | errors extras model store
    integrations | errors extras model store
    report      | errors extras model store compare
    watch       | errors extras model store compare
    live        | errors extras model store compare report
    cluster     | errors extras model store exchange compare
    cli         | errors extras model store exchange compare report live watch cluster
    cli         | integrations testing __init__
    __main__    | cli
    __init__    | errors model store
"""
STORE = """
    files       |
    defaults    |
    serving     |
    processes   | files serving
    jobs        | files processes serving
    paths       | files
    artifacts   | files paths
    metafile    | files
    runfile     | files
    origin      | files
    read        | files
    notebook    | files metafile
    append      | files metafile read
    stream      | files metafile runfile read
    care        | files metafile runfile read append jobs
    views       |
    reader      | views jobs files metafile runfile artifacts paths read notebook stream care
    runs        | files runfile append reader
    keeper      | files metafile read append care runs
    repository  | files metafile runfile read append care runs keeper defaults
    monitor     |
    ending      |
    run         | files metafile runfile append repository monitor ending
    create      | files metafile runfile append repository defaults origin
    joining     | append repository run defaults
    start       | files metafile runfile read append repository run defaults origin create joining
    recordlog   | files read append care
    __init__    | repository
"""
FORMATS = """
    errors      |
    fields      | errors
    kinds       | errors fields
    schema      | errors fields kinds
    walk        | errors kinds schema
    meta        | fields
    metrics     | fields
    run         | errors
    catalog     | errors fields kinds schema meta metrics codec
    columns     | errors fields kinds schema walk
    codec       | errors fields kinds schema walk columns
    damage      | errors fields schema columns
    descriptions | errors fields kinds schema run catalog codec
    __init__    | errors fields schema meta metrics run catalog columns codec damage descriptions
"""
PLANS = {"expstore": EXPSTORE, "expstore.store": STORE, "formats": FORMATS}
ONE_SYSTEMS = {  # modules of the standard library that POSIX alone has, or Windows alone
    *("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"),
    *("msvcrt", "nt", "winreg", "_winapi"),
}
CORE = {"__init__.py", "__pycache__", "errors.py", "extras.py", "model", "store", "py.typed"}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("expstore", "formats")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported(path: Path) -> Iterator[str]:
    """The full names of everything that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^(?:expstore|formats)(?:\.\w+)+$", node.value)


def module_of(name: str) -> str | None:
    """The module of this project that has a name, if any."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        module = ".".join(parts[:count])
        for candidate in (module, f"{module}.__init__"):
            if candidate in FILES:
                return candidate
    return None


IMPORTS = {
    name: {found for one in imported(path) if (found := module_of(one))} - {name}
    for name, path in FILES.items()
}


def allowed(plan: str) -> dict[str, set[str]]:
    """Parse a table from above: the allowed imports of each part, which may have two rows."""
    table: dict[str, set[str]] = {}
    for line in plan.strip().splitlines():
        name, others = line.split("|")
        table.setdefault(name.strip(), set()).update(others.split())
    return table


@pytest.mark.parametrize("package", PLANS)
def test_imports_go_in_the_allowed_directions(package: str) -> None:
    """Every import between parts of a package is in its table, and every part has a row."""
    table, depth = allowed(PLANS[package]), package.count(".") + 1
    wrong = []
    for name, others in IMPORTS.items():
        if not name.startswith(f"{package}."):
            continue
        part = name.split(".")[depth]
        assert part in table, f"{name}: {package}/{part} has no row in the plan"
        for other in others:
            if other.startswith(f"{package}."):
                target = other.split(".")[depth]
                if target != part and target not in table[part]:
                    wrong.append(f"{name} -> {other}")
    assert not wrong


def test_there_are_no_import_cycles() -> None:
    """The modules have an order in which each imports only earlier ones."""
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", FILES)
def test_modules_are_short_and_say_what_they_are(name: str) -> None:
    """Each has a docstring, and at most 340 lines."""
    text = FILES[name].read_text()
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 340


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("formats")])
def test_formats_opens_no_file_and_knows_no_repository(name: str) -> None:
    """Bytes in, values out: no access to the system, and no import of expstore.

    One module asks the system for memory, and maps no file.
    """
    modules = {one.partition(".")[0] for one in imported(FILES[name])}
    assert not modules & {"expstore", "os", "pathlib", "shutil", "tempfile"}
    if "mmap" in modules:
        assert name == "formats.columns.memory"
        text = FILES[name].read_text()
        assert text.count("mmap.mmap(") == text.count("mmap.mmap(-1, ") == 1
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(FILES[name].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in calls


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("expstore")])
def test_repository_knows_no_layout(name: str) -> None:
    """expstore does not pack or unpack bytes, or declare a format."""
    assert not {one.partition(".")[0] for one in imported(FILES[name])} & {"struct", "construct"}


@pytest.mark.parametrize("name", FILES)
def test_what_one_system_has_is_used_in_one_folder(name: str) -> None:
    """Everything else runs on Windows too, or asks `systems` whether it can."""
    if not name.startswith("expstore.store.files.systems."):
        assert not {one.partition(".")[0] for one in imported(FILES[name])} & ONE_SYSTEMS


@pytest.mark.parametrize("package", ["expstore", "formats"])
def test_a_package_has_few_entries(package: str) -> None:
    """The listing of its folder is short enough to show the structure."""
    kept = [path for path in (ROOT / package).iterdir() if path.suffix in ("", ".py")]
    assert len([path for path in kept if path.name != "__pycache__"]) <= 15


def test_every_folder_is_installed() -> None:
    """pyproject.toml lists each folder that holds modules."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {name.removesuffix(".__init__") for name in FILES if name.endswith(".__init__")}
    # The plugin is installed under a name outside expstore; see its module.
    assert set(listed) == folders - {"expstore.testing.plugin"} | {"expstore_pytest"}


@pytest.mark.parametrize(
    "name",
    [
        *[f"expstore.{name}" for name in expstore.__all__],
        *[f"formats.{name}" for name in formats.__all__],
        *[f"formats.columns.{name}" for name in formats.columns.__all__],
        *[f"expstore.compare.{name}" for name in expstore.compare.__all__],
        "expstore.report.write_report",
        *[f"expstore.cluster.{name}" for name in expstore.cluster.__all__],
        *[f"expstore.testing.{name}" for name in expstore.testing.__all__],
    ],
)
def test_public_names_are_where_the_documents_say(name: str) -> None:
    """Other programs import them from there."""
    module, _, attribute = name.rpartition(".")
    assert getattr(importlib.import_module(module), attribute) is not None


def test_the_core_works_alone(tmp_path: Path) -> None:
    """It logs, reads and prunes with every other folder deleted."""
    shutil.copytree(ROOT / "formats", tmp_path / "formats")
    shutil.copytree(
        ROOT / "expstore",
        tmp_path / "expstore",
        ignore=lambda path, names: (
            set(names) - CORE if Path(path) == ROOT / "expstore" else {"__pycache__"}
        ),
    )
    program = (
        "import expstore\n"
        "with expstore.start('root', 'abc') as run: run.log({'loss': 0.5}, step=1)\n"
        "store = expstore.ExperimentStore('root')\n"
        "print(list(store.get_metrics('abc'))[0].value, store.check('abc').ok)\n"
        "print(store.prune_experiments(0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("0.5 True\n['abc']\n", "")
