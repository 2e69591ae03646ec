"""Imports: files of other tools become complete experiments, or the store stays unchanged."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from expstore import (
    ExperimentExistsError,
    ExperimentStore,
    FieldValueError,
    ImportSourceError,
    Metadata,
    Metric,
    MissingExtraError,
    UnreadableFileError,
)
from expstore.exchange.export import export_file
from expstore.exchange.imports import PartialImportError, import_experiments
from expstore.exchange.tensorboard import export_tensorboard
from expstore.model.times import unit_fault
from expstore.store.files import placing
from tests.helpers.paths import MEMORY
from tests.helpers.tables import hide, metrics, run, table_of

HEADER = "name,value,step,timestamp\n"
RUN_ID = "f373b7564d0c4889a04b5eebf59240b3"


def stores(directory: str) -> tuple[ExperimentStore, ExperimentStore]:
    """One store to export from, one to import into."""
    root = Path(directory)
    return ExperimentStore(root / "from"), ExperimentStore(root / "to")


def without_payload(rows: list[Metric]) -> list[Metric]:
    """The rows with every NaN replaced by the default one; text cannot carry NaN payloads."""
    return [row._replace(value=float("nan")) if row.value != row.value else row for row in rows]


@given(st.lists(metrics, min_size=1), st.lists(metrics, min_size=1))
def test_csv_round_trip_is_equal(first: list[Metric], second: list[Metric]) -> None:
    """Import reads back what export wrote: names of any bytes, values, steps, times, metadata."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        source, target = stores(directory)
        for commit_id, rows in {"0012": first, "b\udcff": second}.items():
            source.create_experiment(commit_id)
            source.write_metadata(Metadata(commit_id, -7, 'job "\r\n1"', "\udcfe"))
            with source.writer(commit_id) as writer:
                writer.append(table_of(rows))
        path = Path(directory) / "metrics.csv"
        export_file(source, None, path, "csv", metadata=True)
        imported = import_experiments(target, "csv", path)
        assert [row.commit_id for row in imported] == target.list_experiments() == ["0012", "b_"]
        for commit_id, rows in {"0012": first, "b\udcff": second}.items():
            tame = commit_id.replace("\udcff", "_")
            assert target.get_metrics(tame) == table_of(without_payload(rows))
            metadata = source.read_metadata(commit_id)
            assert target.read_metadata(tame) == replace(metadata, commit_id=tame)


def test_csv_of_many_blocks_round_trips(store: ExperimentStore, tmp_path: Path) -> None:
    """The file is read in several blocks, with different names and experiments in each."""
    rows = {
        commit_id: [Metric(f"{commit_id}/{n // 5000}", n / 7, n, n) for n in range(30_000)]
        for commit_id in ("a", "b")
    }
    for commit_id, metrics_of_one in rows.items():
        store.create_experiment(commit_id)
        with store.writer(commit_id) as writer:
            writer.append(table_of(metrics_of_one))
    export_file(store, None, tmp_path / "metrics.csv", "csv")
    assert (tmp_path / "metrics.csv").stat().st_size > 2 << 20
    import_experiments(store, "csv", tmp_path / "metrics.csv", prefix="again-")
    for commit_id, metrics_of_one in rows.items():
        assert store.get_metrics(f"again-{commit_id}") == table_of(metrics_of_one)


# Times that an event file can hold, as floats; some of them would be in a smaller unit.
timed = metrics.map(lambda m: m._replace(timestamp=m.timestamp >> 12))


# Protobuf's texts are never empty names here: TensorBoard has no scalar without a tag.
@given(st.lists(timed.filter(lambda m: not unit_fault(m.timestamp)), min_size=1))
def test_tensorboard_round_trip_is_equal(rows: list[Metric]) -> None:
    """Names, steps, times and order survive; values are rounded to 32 bits."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory, np.errstate(over="ignore"):
        source, target = stores(directory)
        source.create_experiment("a")
        with source.writer("a") as writer:
            writer.append(table_of(rows))
        export_tensorboard(source, None, Path(directory) / "runs")
        import_experiments(target, "tensorboard", Path(directory) / "runs")
        found, wanted = target.get_metrics("a"), source.get_metrics("a")
        assert [m._replace(value=0) for m in found] == [m._replace(value=0) for m in wanted]
        np.testing.assert_array_equal(found.values, wanted.values.astype(np.float32))


def write_events(path: Path, events: list[Event]) -> None:
    """Write an event file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())


def scalar(tag: str, value: float, step: int, wall_time: float = 1_700_000_000.9) -> Event:
    """An event as PyTorch and TensorFlow 1 write it."""
    values = [Summary.Value(tag=tag, simple_value=value)]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=values))


def tensor(tag: str, value: Any, step: int, plugin: str) -> Event:
    """An event as TensorFlow 2 writes it; only a tag's first event names the plugin."""
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
    values = [Summary.Value(tag=tag, tensor=make_tensor_proto(value), metadata=metadata)]
    return Event(wall_time=1_700_000_001, step=step, summary=Summary(value=values))


def test_tensorboard_runs_become_experiments(store: ExperimentStore, tmp_path: Path) -> None:
    """Each directory with event files is a run; both kinds of scalars are read, images are not."""
    write_events(
        tmp_path / "runs" / "one" / "first" / "events.out.tfevents.1.host",
        [
            Event(wall_time=1, file_version="brain.Event:2"),
            scalar("loss", 0.5, 1),
            tensor("acc", np.float32(0.25), 1, "scalars"),
            tensor("acc", np.float64(0.1), 2, ""),
            tensor("image", b"png", 2, "images"),
        ],
    )
    write_events(tmp_path / "runs" / "two" / "events.out.tfevents.2.host", [scalar("x", 1.0, 0)])
    write_events(tmp_path / "runs" / "two" / "events.out.tfevents.3.host", [scalar("x", 2.0, 1)])
    imported = import_experiments(
        store, "tensorboard", tmp_path / "runs", prefix="tb-", user="someone"
    )
    assert [(row.commit_id, row.metrics) for row in imported] == [
        ("tb-one_first", 3),
        ("tb-two", 2),
    ]
    assert imported[0].left_out == {"images": 1}
    assert list(store.get_metrics("tb-one_first")) == [
        Metric("loss", 0.5, 1, 1_700_000_000),
        Metric("acc", 0.25, 1, 1_700_000_001),
        Metric("acc", 0.1, 2, 1_700_000_001),
    ]
    assert store.read_metadata("tb-one_first") == Metadata(
        "tb-one_first", 1_700_000_000, "one/first", "someone"
    )
    assert store.files_path("tb-two").is_dir()
    assert store.get_metrics("tb-two").values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damaged_event_file_is_reported(
    store: ExperimentStore, tmp_path: Path, damage: str
) -> None:
    """Events before the damage are imported, and a note gives the offset of the damage."""
    file = tmp_path / "run" / "events.out.tfevents.1.host"
    write_events(file, [scalar("loss", float(n), n) for n in range(1, 11)])
    data = bytearray(file.read_bytes())
    record = len(data) // 10
    if damage == "cut":
        del data[-3:]
    else:
        data[5 * record + 20] ^= 0xFF
    file.write_bytes(data)
    (imported,) = import_experiments(store, "tensorboard", file.parent, to_id="a")
    whole = 9 if damage == "cut" else 5
    assert imported.metrics == whole
    assert f"damaged from byte {whole * record}" in imported.notes[0]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (scalar("loss", 1.0, -1), "step -1"),
        (scalar("loss", 1.0, 2**32), "step 4294967296"),
        (scalar("n" * 256, 1.0, 1), "metric name"),
        (scalar("loss", 1.0, 1, float("nan")), "wall time that is not finite"),
        (scalar("loss", 1.0, 1, 1e300), "timestamp"),
    ],
)
def test_scalar_out_of_range_is_refused(store, tmp_path, event, message) -> None:
    """No value is wrapped or truncated: its run stays out as a whole, and the other comes in."""
    write_events(tmp_path / "runs" / "a" / "events.out.tfevents.1", [scalar("loss", 1.0, 1)])
    write_events(tmp_path / "runs" / "b" / "events.out.tfevents.1", [event])
    with pytest.raises(PartialImportError, match=message) as caught:
        import_experiments(store, "tensorboard", tmp_path / "runs")
    assert [run.name for run in caught.value.report.refused] == ["b"]
    assert os.listdir(store.root) == ["a"]


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    """A file store as mlflow 3 writes it: one run, one deleted run, one model."""
    experiment = tmp_path / "mlruns" / "908163019426743849"
    files = {
        "meta.yaml": "experiment_id: '908163019426743849'\nname: 'a: b'\n",
        f"{RUN_ID}/meta.yaml": (
            f"end_time: 1795413524905\nlifecycle_stage: active\nrun_id: {RUN_ID}\n"
            'run_name: \'first run: "é" long words long words long words long words long words '
            "long\n"
            "  words'\nstart_time: 1795413524894\ntags: []\nuser_id: root\n"
        ),
        f"{RUN_ID}/metrics/val/loss": "1795413524900 0.0 0\n1795413524902 0.1 1\n",
        f"{RUN_ID}/metrics/lr": "1795413524901 0.001 0 data digest\n1795413524902 nan 2\n",
        f"{RUN_ID}/metrics/old": "1795413525001 inf\n",
        "0a/meta.yaml": "lifecycle_stage: deleted\nrun_id: 0a\n",
        "models/m-1/meta.yaml": "model_id: m-1\n",
    }
    for name, text in files.items():
        (experiment / name).parent.mkdir(parents=True, exist_ok=True)
        (experiment / name).write_text(text)
    (tmp_path / "mlruns" / "0").mkdir()
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    return tmp_path / "mlruns"


@pytest.mark.parametrize("below", ["", "908163019426743849", f"908163019426743849/{RUN_ID}"])
def test_mlflow_runs_become_experiments(store, mlruns: Path, below: str) -> None:
    """Metrics are ordered by time, in whole seconds, with the run's name and user."""
    (imported,) = import_experiments(store, "mlflow", mlruns / below)
    assert (imported.commit_id, imported.metrics) == (RUN_ID, 5)
    found = store.get_metrics(RUN_ID)
    assert [(m.name, m.step, m.timestamp) for m in found] == [
        ("val/loss", 0, 1795413524),
        ("lr", 0, 1795413524),
        ("val/loss", 1, 1795413524),
        ("lr", 2, 1795413524),
        ("old", 0, 1795413525),
    ]
    np.testing.assert_array_equal(found.values, [0.0, 0.001, 0.1, np.nan, np.inf])
    assert store.read_metadata(RUN_ID) == Metadata(
        RUN_ID, 1795413524, 'first run: "é"' + " long words" * 6, "root"
    )


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("metrics/lr", "1795413524901 0.1\n1795413524901 x 1\n", "lr: line 2"),
        ("metrics/lr", "1795413524901 0.1 -1\n", "step -1"),
        ("metrics/lr", "1795413524901000 0.1 7\n", "metric 'lr' at step 7: .* in milliseconds"),
        ("metrics/lr", "\n", "line 1"),
        ("meta.yaml", "a: [", "not YAML"),
        ("meta.yaml", "- a list\n", "no runs"),
    ],
)
def test_malformed_mlflow_files_are_refused(store, mlruns, file, text, message) -> None:
    """The error names the file and line, and nothing is imported."""
    path = mlruns / "908163019426743849" / RUN_ID
    (path / file).write_text(text)
    with pytest.raises(ImportSourceError, match=message):
        import_experiments(store, "mlflow", path)
    assert os.listdir(store.root) == []


def test_csv_of_one_experiment_needs_no_commit_id(store: ExperimentStore, tmp_path: Path) -> None:
    """The run is named after the file, columns may be in any order, created is the first time."""
    path = tmp_path / "run7.csv"
    path.write_text("step,timestamp,name,value\n1,30,loss,Infinity\n2,20,loss,1e-3\n")
    import_experiments(store, "csv", path, prefix="old-")
    assert list(store.get_metrics("old-run7")) == [
        Metric("loss", float("inf"), 1, 30),
        Metric("loss", 0.001, 2, 20),
    ]
    assert store.read_metadata("old-run7") == Metadata("old-run7", 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty: no header"),
        ("name,name,value,step,timestamp\na,b,1,1,1\n", "more than one column is named 'name'"),
        (HEADER + "loss,abc,1,1\n", "value"),
        (HEADER + "loss,,1,1\n", "line 2: value '' is not a number"),
        (HEADER + "loss,1,1.5,1\n", "1.5"),
        (HEADER + "loss,1,-1,1\n", "metric 'loss' has step -1"),
        (HEADER + "loss,1,4294967296,1\n", "step 4294967296"),
        (HEADER + "loss,1,1,9223372036854775808\n", "9223372036854775808"),
        (HEADER + f"{'n' * 256},1,1,1\n", "metric name"),
        (HEADER + "loss,1,1\n", "line 2: 3 cells where the header has 4"),
        (HEADER.encode() + b"\xff,1,1,1\n", "not UTF-8"),
        (
            HEADER + "loss,1,7,1700000000123\n",
            "metric 'loss' at step 7: .* in milliseconds, .*1,000",
        ),
        (HEADER + "loss,1,7,1700000000123456\n", "in microseconds, .*divide it by 1,000,000"),
        (
            HEADER.replace("\n", ",created\n") + "loss,1,7,1700000000,1700000000123456789\n",
            "creation, .* in nanoseconds",
        ),
    ],
)
def test_malformed_csv_is_refused(store, tmp_path, text, message) -> None:
    """The error names the file and the reason, and nothing is imported."""
    path = tmp_path / "metrics.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ImportSourceError, match=message) as caught:
        import_experiments(store, "csv", path)
    assert str(caught.value).startswith(str(path))
    assert os.listdir(store.root) == []


def test_an_existing_experiment_is_never_changed(store: ExperimentStore, tmp_path, capsys) -> None:
    """If one id is taken, that run stays out, and the file's other experiments are imported."""
    store.create_experiment("b")
    store.log_metric("b", "loss", 1.0, 1)
    before = store.metrics_path("b").read_bytes()
    path = tmp_path / "metrics.csv"
    path.write_text("commit_id," + HEADER + "a,loss,1,1,1\nb,loss,2,2,2\n")
    with pytest.raises(PartialImportError, match="b: already exists"):
        import_experiments(store, "csv", path)
    done = run(capsys, "--root", store.root, "import", "--from", "csv", path)
    assert (done.code, done.out) == (1, "a  1 metric, already there\n")
    assert "b: not imported: " in done.err
    assert sorted(os.listdir(store.root)) == ["a", "b"]
    assert store.metrics_path("b").read_bytes() == before


@pytest.mark.parametrize("flags", [True, False])
def test_an_import_never_takes_over_a_name(
    store: ExperimentStore, mlruns: Path, monkeypatch: pytest.MonkeyPatch, flags: bool
) -> None:
    """Not even an empty directory that `start` has just made, whatever the system can do."""
    place_new = placing.place_new
    if not flags:
        monkeypatch.setattr(placing, "_rename", lambda *_: False)

    def start(building: Path, target: Path) -> None:
        target.mkdir()  # as `start` does, at the worst moment
        inode.append(target.stat().st_ino)
        place_new(building, target)

    inode: list[int] = []
    monkeypatch.setattr(placing, "place_new", start)
    with pytest.raises(ExperimentExistsError, match=f"{RUN_ID}: already exists"):
        import_experiments(store, "mlflow", mlruns)
    assert store.experiment_path(RUN_ID).stat().st_ino == inode[0]
    assert os.listdir(store.experiment_path(RUN_ID)) == []
    assert os.listdir(store.root) == [RUN_ID]


def test_an_interrupted_import_says_what_is_there(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names what was imported; run again, the import completes it."""
    path = tmp_path / "metrics.csv"
    path.write_text("commit_id," + HEADER + "".join(f"{name},loss,1,1,1\n" for name in "abc"))
    place = placing.place_new

    def fails(building: Path, target: Path) -> None:
        if target.name == "c":
            raise OSError(errno.EIO, "Input/output error")
        place(building, target)

    with monkeypatch.context() as patch:
        patch.setattr(placing, "place_new", fails)
        with pytest.raises(UnreadableFileError, match=r"imported before that: a, b$"):
            import_experiments(store, "csv", path)
    assert sorted(os.listdir(store.root)) == ["a", "b"]
    again = import_experiments(store, "csv", path)
    assert [row.already_there for row in again] == [True, True, False]


def test_a_failing_import_leaves_no_new_store(tmp_path: Path) -> None:
    """A root in which nothing came in is not created, or removed again."""
    path = tmp_path / "metrics.csv"
    path.write_text(HEADER + "loss,x,1,1\n")
    store = ExperimentStore(tmp_path / "new")
    with pytest.raises(ImportSourceError):
        import_experiments(store, "csv", path)
    assert not store.root.exists()


def test_one_id_names_one_run(store: ExperimentStore, tmp_path: Path) -> None:
    """--to-id with several runs is an error; two runs of one name have ids that do not change."""
    path = tmp_path / "metrics.csv"
    path.write_text("commit_id," + HEADER + "a,loss,1,1,1\nb,loss,1,1,1\n")
    with pytest.raises(ImportSourceError, match="more than one run"):
        import_experiments(store, "csv", path, to_id="c")
    assert os.listdir(store.root) == []
    for name in ("a/b", "a_b"):
        write_events(tmp_path / "runs" / name / "events.out.tfevents.1", [scalar("x", 1.0, 1)])
    first = import_experiments(store, "tensorboard", tmp_path / "runs")
    again = import_experiments(store, "tensorboard", tmp_path / "runs")
    assert [row.commit_id for row in first] == [row.commit_id for row in again]
    assert first[0].commit_id == "a_b"
    assert first[1].commit_id.startswith("a_b-")
    assert all(row.already_there for row in again)


def test_a_name_that_is_too_long_is_cut_and_marked(store: ExperimentStore, tmp_path: Path) -> None:
    """Its id is a file name, and the same each time; the name is in run.json as a whole."""
    path = tmp_path / "metrics.csv"
    path.write_text("commit_id," + HEADER + f"{'b' * 300},loss,1,1,1\n,loss,1,1,1\n")
    long, empty = import_experiments(store, "csv", path)
    assert len(long.commit_id) <= 255
    assert import_experiments(store, "csv", path)[0].commit_id == long.commit_id
    assert store.read_run(long.commit_id).origin["imported"]["name"] == "b" * 300
    assert empty.commit_id == "run"


def test_a_user_too_long_is_refused(store: ExperimentStore, tmp_path: Path) -> None:
    """Metadata that the format cannot hold is refused before anything is written."""
    path = tmp_path / "metrics.csv"
    path.write_text(HEADER + "loss,1,1,1\n")
    with pytest.raises(FieldValueError, match="user"):
        import_experiments(store, "csv", path, user="u" * 256)
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("source", ["tensorboard", "csv", "mlflow"])
def test_a_source_that_is_missing_is_an_error(store, tmp_path, capsys, source: str) -> None:
    """One line, and the store stays empty."""
    done = run(capsys, "--root", store.root, "import", "--from", source, tmp_path / "none")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "none" in done.err
    assert os.listdir(store.root) == []


@pytest.mark.parametrize(
    ("library", "source", "extra"),
    [
        ("tensorboard", "tensorboard", "tensorboard"),
        ("yaml", "mlflow", "mlflow"),
    ],
)
def test_missing_library_names_its_extra(
    store, mlruns, monkeypatch, library, source, extra, tmp_path
) -> None:
    """One line says what to install."""
    hide(monkeypatch, library)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "events.out.tfevents.1").touch()
    path = mlruns if source == "mlflow" else tmp_path / "logs"
    with pytest.raises(MissingExtraError, match=rf"pip install .*\[{extra}\]"):
        import_experiments(store, source, path)


def test_command_lists_what_it_imported(store: ExperimentStore, mlruns: Path, capsys) -> None:
    """It prints one line per experiment, or JSON and nothing else."""
    asked = ("--root", store.root, "import", "--from", "mlflow", mlruns)
    done = run(capsys, *asked, "--to-id", "mine")
    assert (done.code, done.out) == (0, "mine  5 metrics\n")
    left_out = "expstore: left out deleted runs: 1\nexpstore: left out models: 1\n"
    assert done.err == left_out
    listed = run(capsys, *asked, "--prefix", "m-", "--json")
    row = {"commit_id": f"m-{RUN_ID}", "name": RUN_ID, "metrics": 5, "added": 5, "params": 0}
    row |= {"notes": [], "left_out": {}, "already_there": False}
    found = json.loads(listed.out)
    assert found["experiments"] == [row]
    assert (found["kind"], found["refused"]) == ("mlflow", [])
    assert found["left_out"] == {"deleted runs": 1, "models": 1}
    again = run(capsys, *asked, "--to-id", "mine")
    assert (again.code, again.out) == (0, "mine  5 metrics, already there\n")
    assert run(capsys, *asked, "--to-id", "x", "--prefix", "y").code == 2


def test_runs_pass_through_the_progress_callback(store: ExperimentStore, mlruns: Path) -> None:
    """The callback sees each run with its name."""
    seen = []

    def progress(runs: Any) -> Iterator[Any]:
        for one in runs:
            seen.append(one.name)
            yield one

    import_experiments(store, "mlflow", mlruns, progress=progress)
    assert seen == [RUN_ID]


def test_ids_are_tame_and_the_original_name_is_kept(store: ExperimentStore, tmp_path: Path) -> None:
    """A name that a shell would act on is not made an id; a job name of the source stays."""
    names = {
        "x$(touch PWNED)": "x__touch_PWNED_",
        "-rf": "_rf",
        ".hidden": "_hidden",
        "a.b-1": "a.b-1",
    }
    names |= {"..": "_.", "gr\u00fcn": "gr\u00fcn", "a/b": "a_b", "new\nline": "new_line"}
    path = tmp_path / "metrics.csv"
    rows = "".join(f'"{name}",loss,1,1,1\n' for name in names)
    path.write_text("commit_id," + HEADER + rows)
    import_experiments(store, "csv", path)
    assert store.list_experiments() == sorted(names.values())
    jobs = {store.read_metadata(tame).job_name for name, tame in names.items() if name != tame}
    assert jobs == {name for name, tame in names.items() if name != tame}
    assert store.read_metadata("a.b-1").job_name == ""
    path.write_text("commit_id,job_name," + HEADER + "b c,train,loss,1,1,1\n")
    import_experiments(store, "csv", path)
    assert store.read_metadata("b_c").job_name == "train"
