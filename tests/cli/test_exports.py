"""Commands that look at an export to Parquet as at a store."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import expstore
from expstore import ExperimentStore
from expstore.compare import compare, curves, export_experiments, select
from expstore.compare.exportreader import ExportReader
from expstore.exchange.export import export_file
from expstore.report import write_report
from tests.helpers.tables import run


@pytest.fixture
def filled(store: ExperimentStore) -> ExperimentStore:
    """Runs with curves, one of them resumed, a name that is escaped, and one without metrics."""
    for number in range(4):
        with expstore.start(
            store.root, commit_id=f"r{number}", job_name="j", user="u", params={"lr": number}
        ) as one:
            for step in range(30):
                one.log({"loss": number * step, "\udcff": step}, step=step)
    with expstore.start(store.root, commit_id="r1", resume=True, from_step=5) as one:
        one.log({"loss": -1.0}, step=5)
    with expstore.start(store.root, commit_id="silent", job_name="j", user="u"):
        pass
    return store


@pytest.fixture
def directory(filled: ExperimentStore, tmp_path: Path) -> Path:
    """What a cluster exports, made by its parts without starting one."""
    from expstore.cluster import export_parquet, workers

    class Here:
        def __enter__(self) -> Here:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "chosen_client", lambda _: Here())
        patch.setattr(
            workers, "completed", lambda _, work, calls: enumerate(work(*one) for one in calls)
        )
        export_parquet(filled, tmp_path / "out", batch=500)
    return tmp_path / "out"


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "--json"),
        ("compare", "--where", "lr > 0 and loss:max < 60", "--sort", "loss:min"),
        ("compare", "--group-by", "lr", "--json"),
        ("compare", "r2", "r3", "--csv"),
        ("ls", "--where", "loss:max < 60", "--json"),
        ("ls", "--json", "--user", "u"),
        ("plot", "--name", "loss", "--where", "lr > 1"),
    ],
    ids=" ".join,
)
def test_a_command_says_what_it_says_of_the_store(
    filled: ExperimentStore,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
) -> None:
    """The same text, or the same JSON."""
    wanted = run(capsys, "--root", filled.root, *command)
    found = run(capsys, "--root", directory, *command)
    assert (found.code, found.out) == (wanted.code, wanted.out)
    assert "r2" in found.out or "count" in found.out or "loss" in found.out


def test_a_report_has_the_curves(filled: ExperimentStore, directory: Path, tmp_path: Path) -> None:
    """The same as of the store, without what was superseded."""
    pages = []
    for source, name in ((filled, "a.html"), (ExportReader(directory), "b.html")):
        assert write_report(source, tmp_path / name, title="t") == 5
        page = (tmp_path / name).read_text()
        pages.append(re.sub(r'"written":\d+', "", page))
    assert pages[0] == pages[1]


def test_curves_are_those_of_the_store(
    filled: ExperimentStore, directory: Path, tmp_path: Path
) -> None:
    """From one file, too, which does not tell what is superseded."""
    wanted = [(i, n, s.steps.tolist(), s.values.tolist()) for i, n, s in curves(filled)]
    export_file(filled, None, tmp_path / "m.parquet", "parquet")
    for place in (directory, tmp_path / "m.parquet"):
        found = curves(ExportReader(place))
        got = [(i, n, s.steps.tolist(), s.values.tolist()) for i, n, s in found]
        if place != directory:
            got, wanted = ([one for one in all_ if one[0] != "r1"] for all_ in (got, wanted))
        assert got == wanted


def test_a_path_is_enough(filled: ExperimentStore, directory: Path, tmp_path: Path) -> None:
    """Of a store or of an export, as text, as a path or as a URL of this machine."""
    for place in (filled.root, str(directory), directory, f"file://{directory}"):
        assert select(place, "lr > 1") == ["r2", "r3"]
        assert len(compare(place)) == 5
        assert len(curves(place, ["r2"])) == 2
        assert write_report(place, tmp_path / "r.html") == 5


def test_a_file_of_experiments_has_statistics_alone(
    filled: ExperimentStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are compared and listed; there is nothing to draw."""
    export_experiments(filled, tmp_path / "e.parquet")
    wanted = run(capsys, "--root", filled.root, "compare", "--json").out
    assert run(capsys, "--root", tmp_path / "e.parquet", "compare", "--json").out == wanted
    done = run(capsys, "--root", tmp_path / "e.parquet", "plot", "--name", "loss")
    assert done.code == 1
    assert "e.parquet has one row per experiment, and no curves; those are in the store" in done.err
    written = str(tmp_path / "e.html")
    done = run(capsys, "--root", tmp_path / "e.parquet", "report", "-o", written)
    assert done.code == 0
    assert "no curves" in done.err
    for root in (filled.root, tmp_path / "e.parquet"):  # said of nothing else
        done = run(capsys, "--root", root, "ls")
        assert (done.code, done.err) == (0, "")


def test_what_needs_a_store_says_so(
    directory: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And what is missing is named as in a store."""
    for command in (("check",), ("show", "r1"), ("new", "x")):
        done = run(capsys, "--root", directory, *command)
        assert done.code
        assert "is an export, not a store" in done.err
    done = run(capsys, "--root", directory, "compare", "nothing")
    assert (done.code, "no experiment nothing" in done.err) == (1, True)
    assert run(capsys, "--root", directory, "compare", "--cluster").code == 2
    (directory / "_SUCCESS").unlink()
    assert "not complete" in run(capsys, "--root", directory, "ls").err
    listed = run(capsys, "--root", tmp_path / "experiments", "ls", "--json").out
    assert len(json.loads(listed)) == 5
