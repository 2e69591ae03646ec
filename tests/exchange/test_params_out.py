"""Parameters, tags and status in exports, and back again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyarrow import parquet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import expstore
from expstore import ExperimentStore
from expstore.exchange.export import export_file
from expstore.exchange.imports import import_experiments
from expstore.exchange.sinks import FileFormat
from expstore.exchange.tensorboard import export_tensorboard
from tests.helpers.tables import run

PARAMS = {
    "lr": 0.5,
    "model": {"depth": 3, "kind": "net"},
    "amp": True,
    "ema": False,
    "sizes": [1, 2],
}


@pytest.fixture
def tried(store: ExperimentStore) -> ExperimentStore:
    """A store with a run that has parameters, one with others, and one without any."""
    with expstore.start(store.root, "a", params=PARAMS, tags=["base", "x"]) as one:
        one.log({"loss": 0.5, "status": 1.0}, step=1)
    with expstore.start(store.root, "b", params={"lr": 1, "amp": "auto"}) as one:
        one.log({"loss": 0.25}, step=1)
    store.create_experiment("c")
    store.log_metric("c", "loss", 1.0, 1)
    return store


@pytest.mark.parametrize("wide", [True, False])
def test_parquet_has_a_column_for_each_parameter(
    tried: ExperimentStore, tmp_path: Path, wide: bool
) -> None:
    """With one type each: numbers, truth values, or text; null where there is none."""
    path = tmp_path / "all.parquet"
    export_file(tried, None, path, "parquet", wide_form=wide, params=True)
    table = parquet.read_table(path)
    first = {row["commit_id"]: row for row in reversed(table.to_pylist())}
    wanted = {"tags": "base, x", "status": "finished", "param:lr": 0.5, "param:model.depth": 3}
    wanted |= {"param:model.kind": "net", "param:amp": "true", "param:sizes": "[1, 2]"}
    wanted |= {"param:ema": False}
    assert wanted.items() <= first["a"].items()
    assert (first["b"]["param:lr"], first["b"]["param:amp"]) == (1.0, "auto")
    assert {name: first["c"][name] for name in wanted} == dict.fromkeys(wanted) | {
        "status": "unknown"
    }
    assert ("metric:status" in table.column_names) == wide


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("to", ["csv", "jsonl"])
def test_parameters_come_back(
    tried: ExperimentStore, tmp_path: Path, to: FileFormat, wide: bool
) -> None:
    """Flat, with their types, tags and status; the metric named as a column keeps its name."""
    path = tmp_path / f"all.{to}"
    export_file(tried, None, path, to, wide_form=wide, params=True)
    again = ExperimentStore(tmp_path / "again")
    import_experiments(again, None, path)
    info = again.read_run("a")
    assert info.params["lr"] == 0.5
    assert (info.params["model.depth"], info.params["model.kind"]) == (3, "net")
    assert info.params["amp"] is True
    assert info.tags == ("base", "x")
    assert (again.status("a"), again.status("c")) == ("finished", "unknown")
    assert set(again.get_metrics("a").names) == {"loss", "status"}
    assert again.read_run("c").params == {}


def test_tensorboard_gets_hparams(tried: ExperimentStore, tmp_path: Path) -> None:
    """As its own plugin reads them, with how the session ended; they come back, too."""
    export_tensorboard(tried, ["a"], tmp_path / "runs")
    found = EventAccumulator(str(tmp_path / "runs" / "a"))
    found.Reload()
    data = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    session = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info
    assert session.hparams["lr"].number_value == 0.5
    assert session.hparams["model.kind"].string_value == "net"
    again = ExperimentStore(tmp_path / "again")
    import_experiments(again, None, tmp_path / "runs")
    assert again.read_run("a").params == {
        "lr": 0.5,
        "model.depth": 3,
        "model.kind": "net",
        "amp": True,
        "ema": False,
        "sizes": "[1, 2]",
    }
    assert again.status("a") == "finished"


def test_event_files_do_not_depend_on_the_process(tried: ExperimentStore, tmp_path: Path) -> None:
    """So those of several are those of one, to the byte; the order of a map is otherwise random."""
    for name, jobs in (("one", 1), ("two", 2)):
        export_tensorboard(tried, ["a", "b"], tmp_path / name, jobs=jobs)
    (one,), (other,) = ((tmp_path / name / "a").iterdir() for name in ("one", "two"))
    assert one.read_bytes() == other.read_bytes()


def test_a_broken_run_json_is_reported(tried: ExperimentStore, tmp_path: Path) -> None:
    """Its metrics are exported, without parameters."""
    (tried.experiment_path("a") / "run.json").write_text("{")
    report = export_file(tried, None, tmp_path / "a.parquet", "parquet", params=True)
    assert (list(report.failures), report.rows) == (["a"], 4)
    report = export_tensorboard(tried, None, tmp_path / "runs")
    assert (list(report.failures), report.rows) == (["a"], 4)


def test_the_command_takes_parameters_along(tried: ExperimentStore, tmp_path: Path, capsys) -> None:
    """Only where there are columns for them; a name that nothing has is an error."""
    root = ("--root", tried.root)
    done = run(capsys, *root, "export", "--to", "csv", "--with-params")
    assert "param:model.depth" in done.out.splitlines()[0]
    target = ("--to", "tensorboard", "-o", str(tmp_path / "events"))
    assert run(capsys, *root, "export", *target, "--with-params").code == 2
    assert run(capsys, *root, "export", "--to", "csv", "--name", "typo").code == 1


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
def test_what_is_no_text_is_escaped_in_a_parameter(
    store: ExperimentStore, tmp_path: Path, format_name: str
) -> None:
    """JSON can hold surrogates that no table can: the other rows are exported all the same."""
    params = {"bad": "a\ud800", "\udfffname": "x", "byte": "\udcff"}
    with expstore.start(store.root, "a", params=params, tags=["\ud800"]) as one:
        one.log({"loss": 0.5}, step=1)
    path = tmp_path / f"all.{format_name}"
    export_file(store, None, path, format_name, params=True)
    if format_name == "csv":
        assert {r"a\ud800", r"param:\udfffname", r"\xff"} <= {
            *re.split(r"[,\n\"]", path.read_text())
        }
        return
    (row,) = parquet.read_table(path).to_pylist()
    assert (row["tags"], row["param:bad"], row["param:byte"]) == (r"\ud800", r"a\ud800", r"\xff")
    assert row[r"param:\udfffname"] == "x"
