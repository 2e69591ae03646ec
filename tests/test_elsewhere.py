"""A store on a system without POSIX, as Linux can play it; see `tests.helpers.elsewhere`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

# What every program starts with; a text file in the encoding of the locale is an error.
START = """
from tests.helpers.elsewhere import take_away
take_away()
import os, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="expstore|formats")
import expstore
from pathlib import Path
from expstore.store.files.systems import native, portable
assert native.own is portable
store = expstore.ExperimentStore("root")
"""


def run(program: str, directory: Path) -> list[str]:
    """The lines that a program prints with all that taken away."""
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", START + program],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


TRAIN = """
for name, rate in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
    with expstore.start("root", name, params={"lr": rate}, tags=["sweep"], user="u") as run:
        for step in range(3):
            run.log({"loss": rate / (step + 1), "acc": step}, step=step)
        (run.files / "notes.txt").write_text(name, encoding="utf-8")
"""


def test_a_run_is_logged_changed_and_read(tmp_path: Path) -> None:
    """The first calls of every program, by one process."""
    assert run(
        TRAIN
        + """
store.log_metric("a", "late", 1.0, 9)
store.log_metrics("a", {"late": 2.0}, 10)
with store.writer("a", durability="power") as writer:
    writer.log("synced", 3.0, 11)
store.change_run("a", lambda info: __import__("dataclasses").replace(info, notes="changed"))
with expstore.start("root", "a", resume=True) as run:
    run.log({"loss": 0.0}, step=12)
table, info = store.get_metrics("a"), store.read_run("a")
print(table.names, len(table), table.status.kind)
print(info.notes, info.params, len(info.starts), store.run_state("a").status)
print(store.list_experiments(), store.check("a").ok, store.read_metadata("b").user)
copied = store.copy_files("a", "copy")
print([file.name for file in store.iter_files("a")], [path.name for path in copied])
print(sorted(os.listdir("root/a")), sorted(os.listdir("root")))
""",
        tmp_path,
    ) == [
        "('loss', 'acc', 'late', 'synced') 10 clean",
        "changed {'lr': 0.1} 2 finished",
        "['a', 'b', 'c'] True u",
        "['notes.txt'] ['notes.txt']",
        "['files', 'meta.bin', 'metrics.bin', 'run.json'] ['a', 'b', 'c']",
    ]


def test_a_prune_spares_a_writer_of_this_process(tmp_path: Path) -> None:
    """What a writer has open stays, and nothing is left of what goes."""
    assert run(
        TRAIN
        + """
with store.writer("a") as writer:
    writer.log("loss", 0.5, 20)
    print(store.run_state("a").status, sorted(store.prune_experiments(0)), os.listdir("root"))
print(store.prune_experiments(0), os.listdir("root"))
""",
        tmp_path,
    ) == ["running ['b', 'c'] ['a']", "['a'] []"]


def test_locks_that_ended_take_no_memory(tmp_path: Path) -> None:
    """As those of a program that starts runs for weeks; nor is a directory left open."""
    assert run(
        TRAIN
        + """
writer = store.writer("a")
print(len(portable._locks), len(portable._directories))
writer.close()
print(len(portable._locks), len(portable._directories))
""",
        tmp_path,
    ) == ["1 1", "0 0"]


def test_runs_are_compared_and_reported(tmp_path: Path) -> None:
    """With conditions and an order; the page is one file."""
    assert run(
        TRAIN
        + """
from expstore.compare import compare
from expstore.report import write_report
rows = compare(store, where="lr > 0.15", sort="loss")
print([row.commit_id for row in rows])
write_report(store, Path("page.html"))
print(Path("page.html").read_text(encoding="utf-8").startswith("<!"))
""",
        tmp_path,
    ) == ["['b', 'c']", "True"]


def test_commands_run(tmp_path: Path) -> None:
    """Those that a user types first, an import among them, each as its own program would."""
    pytest.importorskip("typer", reason="the command line needs the extra `cli`")
    (tmp_path / "run.csv").write_text("step,loss\n1,0.5\n2,0.25\n")
    lines = run(
        TRAIN
        + """
import sys
from expstore.cli import main
for command in (
    "import run.csv",
    "ls",
    "show a",
    "compare --sort loss",
    "check",
    "export --to csv --output table.csv",
    "report --output page.html",
    "prune --keep 1 --yes",
):
    sys.argv = ["expstore", "--root", "root", *command.split()]
    try:
        code = main()
    except SystemExit as error:
        code = error.code
    print(command, "ended with", code or 0)
""",
        tmp_path,
    )
    assert [line for line in lines if "ended with" in line and "with 0" not in line] == []
    assert len([line for line in lines if "ended with 0" in line]) == 8
    assert len(list((tmp_path / "root").iterdir())) == 2  # what was imported just now is spared
    assert (tmp_path / "table.csv").read_text().count("\n") > 18
    assert (tmp_path / "page.html").exists()


def test_the_page_is_served(tmp_path: Path) -> None:
    """The application answers as it does elsewhere."""
    pytest.importorskip("starlette", reason="the page needs the extra `serve`")
    pytest.importorskip("httpx", reason="the client of the application needs httpx")
    assert run(
        TRAIN
        + """
from starlette.testclient import TestClient
from expstore.live import app
with TestClient(app(store), base_url="http://127.0.0.1") as client:
    print(client.get("/").status_code)
""",
        tmp_path,
    ) == ["200"]


def test_ids_that_windows_forbids_are_refused_there(tmp_path: Path) -> None:
    """Such a name would be another file, a device or a stream; here, it is an id like any other."""
    names = ["NUL", "con.txt", "a:b", "a.", "a ", "COM1", "a\\b", "a|b"]
    program = f"""
for name in {names!r}:
    try:
        store.create_experiment(name)
    except expstore.InvalidCommitIdError as error:
        assert "not a file name that this system allows" in str(error)
        print(name)
print(store.experiment_path("console.txt").name)
"""
    assert run(program, tmp_path) == [*names, "console.txt"]


def test_running_a_program_is_refused(tmp_path: Path) -> None:
    """Nothing is created, and the message says what is needed."""
    assert run(
        """
import sys
from expstore.integrations.program import run_program
sys.platform = "win32"
try:
    run_program(["python"], "root")
except expstore.ExpStoreError as error:
    print(error, os.path.exists("root"))
""",
        tmp_path,
    ) == ["running a program as a run needs Linux so far, not win32 False"]
