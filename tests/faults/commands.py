"""The commands that write, as the experiments on power cuts run them: each in a directory.

A place holds `store`, `source` (what is imported) and `out` (what is exported).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib.backends.backend_svg
import pyarrow.csv
import pyarrow.parquet
import tensorboard.summary.writer.record_writer
from typer.testing import CliRunner

import expstore
from expstore import ExperimentStore, Metadata
from expstore.cli import base
from tests.helpers import commands_loaded

# Loaded once, for all the processes that are forked to run a command.
__all__ = ["commands_loaded", "matplotlib", "pyarrow", "tensorboard"]

_TIME = 1_700_000_000
_LATER = _TIME + 100


class Command(NamedTuple):
    """One command under test.

    Attributes:
        act: performs it in a place.
        units: the paths in the place that it makes or changes.
        prepare: makes what it works on.
        again: performs it once more after an interruption; None: `act` does.
        gradual: a unit may be seen incomplete until the command returns, and `again` completes it;
            otherwise each is as before or as after, at any moment.
        repeatable: performed again, it writes the same bytes.
    """

    act: Callable[[Path], object]
    units: tuple[str, ...]
    prepare: Callable[[Path], object] = lambda place: None
    again: Callable[[Path], object] | None = None
    gradual: bool = False
    repeatable: bool = True


def run(place: Path, *arguments: str) -> None:
    """Run `expstore` on the store in a place."""
    done = CliRunner().invoke(base.app, ["--root", str(place / "store"), *arguments])
    assert done.exit_code == 0, f"{arguments}: {done.output} {done.exception!r}"


def _store(place: Path) -> ExperimentStore:
    return ExperimentStore(place / "store", clock=lambda: float(_LATER))


def _fill(place: Path, damage: bytes = b"") -> None:
    """Two experiments; the log of `one` with damage in its middle or at its end."""
    store = _store(place)
    for commit_id in ("one", "two"):
        with store.start_experiment(commit_id, job_name="job", user="alice") as writer:
            for step in range(20):
                writer.log_many({"loss": step / 7, "accuracy": step / 20}, step)
    log = store.metrics_path("one").read_bytes()
    store.metrics_path("one").write_bytes(damage or log)
    (place / "out").mkdir(exist_ok=True)


def _fill_with_torn(place: Path) -> None:
    _fill(place)
    with _store(place).metrics_path("one").open("ab") as file:
        file.write(b"torn")


def _source(place: Path) -> None:
    """Three runs to import: a CSV file, and mlflow's file store."""
    (place / "source").mkdir()
    rows = [f"run{n},loss,{step / 7},{step},{_TIME + step}" for n in range(3) for step in range(50)]
    header = "commit_id,name,value,step,timestamp"
    (place / "source" / "metrics.csv").write_text("\n".join([header, *rows, ""]))
    for n in range(3):
        files = {
            "meta.yaml": f"run_id: run{n}\nlifecycle_stage: active\nstart_time: {_TIME * 1000}\n",
            "metrics/loss": "".join(f"{_TIME * 1000 + k} {k / 7} {k}\n" for k in range(50)),
        }
        for name, text in files.items():
            path = place / "source" / "mlruns" / "1" / f"run{n}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (place / "source" / "mlruns" / "1" / "meta.yaml").write_text("experiment_id: '1'\nname: e\n")


def _export(to: str, *options: str) -> Callable[[Path], None]:
    def act(place: Path) -> None:
        output = str(place / "out" / to)
        run(place, "export", "--to", to, "-o", output, "--force", *options)

    return act


def _then(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    def prepare(place: Path) -> None:
        for step in steps:
            step(place)

    return prepare


def _grow(place: Path) -> None:
    with _store(place).writer("two") as writer:
        for step in range(20, 60):
            writer.log("loss", step / 7, step)


def _start(place: Path, *, resume: bool = False) -> None:
    expstore.start(place / "store", "new", "job", "alice", resume=resume).close()


def _start_and_log(place: Path, *, resume: bool = False) -> None:
    run = expstore.start(place / "store", "new", "job", "bob", resume=resume, durability="power")
    run.log({"loss": 0.5}, step=1)
    os._exit(0)  # what was acknowledged needs no close


def _cluster(place: Path) -> None:
    from distributed import Client

    from expstore.cluster import export_parquet

    # Threads of this process are enough: each part is written by the same code.
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as client:
        report = export_parquet(_store(place), place / "out" / "parts", client, batch=300)
    assert not report.failures


def _write_metadata(place: Path) -> None:
    _store(place).write_metadata(Metadata("one", _LATER, "other job", "bob"))


def _salvage(place: Path) -> None:
    run(place, "salvage", "one", "--to", "saved")


def _new(place: Path) -> None:
    run(place, "new", "new", "--user", "alice", "--param", "lr=0.1")


def _new_or_set(place: Path) -> None:
    if (place / "store" / "new" / "meta.bin").exists():
        run(place, "set", "new", "--param", "lr=0.1")
    else:
        _new(place)


def _made(place: Path) -> None:
    """An experiment that a shell has made, and logged to."""
    _new(place)
    run(place, "log", "new", "loss", "0.5")


def _keep_files(place: Path) -> None:
    _fill(place)
    kept = place / "store" / "one" / "files" / "ckpt" / "last.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(bytes(range(256)) * 100)


def _rewind(place: Path) -> None:
    resumed = expstore.start(place / "store", "one", resume=True, from_step=10, durability="power")
    with resumed as run:
        run.log({"loss": 0.25}, step=10)


def _run_program(place: Path) -> None:
    resume = ["--resume"] * (place / "store" / "new" / "meta.bin").exists()
    run(place, "run", "--id", "new", *resume, "--quiet", "--", "echo", "trained")


def _import_rows(place: Path) -> None:
    run(place, "import", str(place / "source" / "metrics.csv"), "--update")


def _more_rows(place: Path) -> None:
    with (place / "source" / "metrics.csv").open("a") as file:
        file.writelines(f"run{n},loss,0.5,50,{_TIME + 50}\n" for n in range(4))


def _commands() -> dict[str, Command]:
    found = {
        "init": Command(
            lambda place: run(place / "deep" / "er", "init"), ("deep/er/store",), gradual=True
        ),
        "start": Command(
            _start,
            ("store/new",),
            again=lambda place: _start(place, resume=True),
            gradual=True,
            repeatable=False,
        ),
        "start, power": Command(
            _start_and_log,
            ("store/new",),
            again=lambda place: _start_and_log(place, resume=True),
            gradual=True,
            repeatable=False,
        ),
        "log": Command(
            lambda place: run(place, "log", "one", "loss", "0.5", "--step", "20"),
            ("store/one",),
            _fill,
            repeatable=False,
        ),
        "write_metadata": Command(_write_metadata, ("store/one",), _fill),
        "import csv": Command(
            lambda place: run(
                place, "import", "--from", "csv", str(place / "source" / "metrics.csv")
            ),
            ("store/run0", "store/run1", "store/run2"),
            _source,
        ),
        "import mlflow": Command(
            lambda place: run(place, "import", "--from", "mlflow", str(place / "source/mlruns")),
            ("store/run0", "store/run1", "store/run2"),
            _source,
        ),
        "salvage": Command(_salvage, ("store/saved",), _fill_with_torn),
        "repair": Command(
            lambda place: run(place, "repair", "one"), ("store/one",), _fill_with_torn, gradual=True
        ),
        "prune": Command(
            lambda place: run(place, "prune", "--keep", "0", "--grace", "0", "--yes"),
            ("store/one", "store/two"),
            _fill,
        ),
        "new": Command(_new, ("store/new",), again=_new_or_set, gradual=True, repeatable=False),
        "set": Command(
            lambda place: run(place, "set", "new", "--param", "lr=0.2", "--tag", "best"),
            ("store/new",),
            _made,
            repeatable=False,
        ),
        "end": Command(
            lambda place: run(place, "end", "new", "--status", "failed", "--force"),
            ("store/new",),
            _made,
            repeatable=False,
        ),
        "seal": Command(
            lambda place: run(place, "seal", "one", "two", "--force"),
            ("store/one", "store/two"),
            _fill,
        ),
        "rm": Command(
            lambda place: run(place, "rm", "one", "two", "--yes"),
            ("store/one", "store/two"),
            _fill,
            again=lambda place: run(place, "prune", "--keep", "0", "--grace", "0", "--yes"),
        ),
        "cp": Command(
            lambda place: run(place, "cp", "one", str(place / "out" / "kept"), "--force"),
            ("out/kept/ckpt/last.pt",),
            _keep_files,
        ),
        "rewind": Command(_rewind, ("store/one",), _fill, gradual=True, repeatable=False),
        "run": Command(_run_program, ("store/new",), gradual=True, repeatable=False),
        "import --update": Command(
            _import_rows,
            ("store/run0", "store/run1", "store/run2", "store/run3"),
            _then(_source, _import_rows, _more_rows),
            gradual=True,
        ),
        "report": Command(
            lambda place: run(place, "report", "-o", str(place / "out" / "report.html")),
            ("out/report.html",),
            _fill,
            repeatable=False,
        ),
        "plot": Command(
            lambda place: run(
                place, "plot", "--name", "loss", "-o", str(place / "out" / "loss.svg")
            ),
            ("out/loss.svg",),
            _fill,
            repeatable=False,
        ),
        "export --cluster": Command(_cluster, ("out/parts",), _fill, gradual=True),
        "export --cluster, again": Command(
            _cluster, ("out/parts",), _then(_fill, _cluster, _grow), gradual=True
        ),
    }
    for to in ("csv", "jsonl", "parquet"):
        act, units = _export(to), (f"out/{to}",)
        found[f"export {to}"] = Command(act, units, _fill)
        found[f"export {to}, replaced"] = Command(act, units, _then(_fill, act, _grow))
    wide = _export("csv", "--wide", "--with-params")
    found["export csv --wide"] = Command(wide, ("out/csv",), _fill)
    act, units = _export("tensorboard"), ("out/tensorboard/one", "out/tensorboard/two")
    found["export tensorboard"] = Command(act, units, _fill)
    found["export tensorboard, replaced"] = Command(act, units, _then(_fill, act, _grow))
    return found


COMMANDS = _commands()
