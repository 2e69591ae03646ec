"""Tables of other programs: their columns of steps and times are found, and every number comes in.

Each text has the shape that a program writes; the numbers are the tests' own.
"""

from __future__ import annotations

import math
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, ImportSourceError, InvalidCommitIdError, Metric
from expstore.exchange.export import export_file
from expstore.exchange.imports import Imported, ImportOptions, import_experiments, import_source
from tests.helpers.paths import MEMORY
from tests.helpers.tables import metrics, run, table_of

STAMP = 1_700_000_123


def imported(store: ExperimentStore, path: Path, text: str, **options: object) -> list[Imported]:
    """Write a file with a fixed time, and import it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    os.utime(path, (STAMP, STAMP))
    report = import_source(store, path, None, ImportOptions(**options))  # type: ignore[arg-type]
    if report.refused:
        raise report.refused[0].error
    return report.imported


def points(store: ExperimentStore, commit_id: str) -> list[tuple[str, int, float]]:
    """Names, steps and values, in the order of the log."""
    return [(m.name, m.step, m.value) for m in store.get_metrics(commit_id)]


LIGHTNING = "epoch,step,train_loss,val_loss\n0,49,0.5,\n0,49,,0.25\n1,99,0.125,\n"
KERAS = "epoch,accuracy,loss,val_loss\n0,0.5,1.5,NA\n1,0.75,1.0,1.25\n"
ULTRALYTICS = (
    "                  epoch,         train/box_loss,   lr/pg0\r\n"
    "                      1,                 1.8237,   0.0001\r\n"
    "                      2,                    nan,   0.0002\r\n"
)
BASELINES = "rollout/ep_rew_mean,time/fps,time/total_timesteps\n,350,2048\n9.5,360,4096\n"
SHAPES = {
    "lightning": (
        LIGHTNING,
        [
            ("train_loss", 49, 0.5),
            ("epoch", 49, 0.0),
            ("val_loss", 49, 0.25),
            ("epoch", 49, 0.0),
            ("train_loss", 99, 0.125),
            ("epoch", 99, 1.0),
        ],
    ),
    "keras": (
        KERAS,
        [
            ("accuracy", 0, 0.5),
            ("loss", 0, 1.5),
            ("accuracy", 1, 0.75),
            ("loss", 1, 1.0),
            ("val_loss", 1, 1.25),
        ],
    ),
    "stable-baselines": (
        BASELINES,
        [
            ("time/fps", 2048, 350.0),
            ("rollout/ep_rew_mean", 4096, 9.5),
            ("time/fps", 4096, 360.0),
        ],
    ),
    "step as a float": ("step,loss\n1.0,0.5\n2.0,0.25\n", [("loss", 1, 0.5), ("loss", 2, 0.25)]),
    "tabs": ("iter\tLogloss\n0\t0.5\n1\t0.25\n", [("Logloss", 0, 0.5), ("Logloss", 1, 0.25)]),
    "semicolons and commas": ("step;loss\n1;0,5\n2;1,25\n", [("loss", 1, 0.5), ("loss", 2, 1.25)]),
    "byte order mark": ("\ufeffstep,loss\n1,0.5\n", [("loss", 1, 0.5)]),
    "quoted": ('"step","a,b"\n"1","0.5"\n', [("a,b", 1, 0.5)]),
    "empty lines": ("step,loss\n1,0.5\n\n2,0.25\n", [("loss", 1, 0.5), ("loss", 2, 0.25)]),
    "truth": ("step,done\n1,False\n2,True\n", [("done", 1, 0.0), ("done", 2, 1.0)]),
    "header again": ("step,loss\n1,0.5\nstep,loss\n1,1.5\n", [("loss", 1, 0.5), ("loss", 1, 1.5)]),
    "epochs with a fraction": (
        "epoch,total_steps,loss\n0.5,10,0.5\n1.5,20,0.25\n",
        [("loss", 10, 0.5), ("epoch", 10, 0.5), ("loss", 20, 0.25), ("epoch", 20, 1.5)],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_wide_tables_come_in(shape: str, store: ExperimentStore, tmp_path: Path) -> None:
    """The steps are found, and blanks are skipped."""
    text, wanted = SHAPES[shape]
    (row,) = imported(store, tmp_path / "a.csv", text)
    assert (row.commit_id, row.metrics) == ("a", len(wanted))
    assert points(store, "a") == wanted
    assert set(store.get_metrics("a").timestamps.tolist()) == {STAMP}
    assert store.read_metadata("a").timestamp == STAMP


def test_a_padded_header_and_nan_are_understood(store: ExperimentStore, tmp_path: Path) -> None:
    """As ultralytics writes them; nan is a value, and not a blank."""
    imported(store, tmp_path / "train4" / "results.csv", ULTRALYTICS)
    found = store.get_metrics("train4-results")
    assert found.names == ("train/box_loss", "lr/pg0")
    assert found["train/box_loss"].steps.tolist() == [1, 2]
    assert math.isnan(found["train/box_loss"].values[1])


TIMES = {
    "1700000000": 1_700_000_000,
    "1700000000.9": 1_700_000_000,
    "1700000000999": 1_700_000_000,
    "1700000000999999": 1_700_000_000,
    "1700000000999999999": 1_700_000_000,
    "2023-11-14T22:13:20.500Z": 1_700_000_000,
    "2023-11-14 22:13:20": 1_700_000_000,
    "2023-11-14 23:13:20+01:00": 1_700_000_000,
    "2023-11-14_22-13-20": 1_700_000_000,
}


@pytest.mark.parametrize("time", TIMES)
def test_times_are_understood(time: str, store: ExperimentStore, tmp_path: Path) -> None:
    """In any unit, as ISO text, and as Ray writes dates."""
    (row,) = imported(store, tmp_path / "a.csv", f"timestamp,step,loss\n{time},1,0.5\n")
    assert list(store.get_metrics("a")) == [Metric("loss", 0.5, 1, TIMES[time])]
    assert any("milliseconds" in note for note in row.notes) == (len(time) == 13)


def test_a_time_since_the_start_is_a_metric(store: ExperimentStore, tmp_path: Path) -> None:
    """A column `time` that has no time of day is not taken for one."""
    imported(store, tmp_path / "a.csv", "epoch,time,loss\n1,12.5,0.5\n")
    assert points(store, "a") == [("loss", 1, 0.5), ("time", 1, 12.5)]


def test_a_monitor_file_has_its_start_in_a_comment(store: ExperimentStore, tmp_path: Path) -> None:
    """Its rows are episodes; its times count from the start."""
    text = '#{"t_start": 1700000000.5, "env_id": "CartPole-v1"}\nr,l,t\n9.0,9,1.25\n20.0,20,3.75\n'
    (row,) = imported(store, tmp_path / "logs" / "monitor.csv", text)
    found = store.get_metrics(row.commit_id)
    assert (row.commit_id, row.params) == ("logs-monitor", 1)
    assert [(m.name, m.step, m.timestamp) for m in found["r"]] == [
        ("r", 0, 1_700_000_001),
        ("r", 1, 1_700_000_004),
    ]
    assert store.read_run("logs-monitor").params == {"env_id": "CartPole-v1"}
    assert any("rows are counted" in note for note in row.notes)


@pytest.mark.parametrize(
    ("start", "elapsed"), [("1e999", "1.25"), ("Infinity", "1.25"), ("1700000000", "inf")]
)
def test_a_monitor_file_without_usual_times_has_that_of_the_file(
    start: str, elapsed: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """No time is made of a start or of seconds that are not finite."""
    path = tmp_path / "monitor.csv"
    text = f'#{{"t_start": {start}}}\nr,l,t\n9.0,9,{elapsed}\n'
    (row,) = imported(store, path, text)
    found = store.get_metrics(row.commit_id)
    assert {m.timestamp for m in found} == {int(path.stat().st_mtime)}
    assert any("no times" in note for note in row.notes)


def test_a_bad_value_of_an_exported_table_is_named_by_its_line(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Of the file, not of its experiment's rows."""
    rows = "a,0,1700000000,0.5\nb,0,1700000000,0.5\na,1,1700000000,0.5\nb,1,1700000000,x\n"
    text = f"commit_id,step,timestamp,loss\n{rows}"
    (tmp_path / "a.csv").write_text(text)
    (refused,) = import_source(store, tmp_path / "a.csv").refused
    assert "line 5: column 'loss'" in str(refused.error)


def test_the_user_names_the_columns(store: ExperimentStore, tmp_path: Path) -> None:
    """Of steps and of times; one that is not there, or is neither, is refused by name."""
    text = "step,samples,when,loss\n1,640,1700000000,0.5\n2,1280,1700000060,0.25\n"
    options = {"step_column": "samples", "time_column": "when"}
    imported(store, tmp_path / "a.csv", text, **options)
    assert list(store.get_metrics("a"))[1] == Metric("step", 1.0, 640, 1_700_000_000)
    with pytest.raises(ImportSourceError, match=r"no column is named 'x'; the columns are: step"):
        imported(store, tmp_path / "b.csv", text, step_column="x")
    with pytest.raises(ImportSourceError, match=r"'loss' has 0\.5, which is not a whole step"):
        imported(store, tmp_path / "b.csv", text, step_column="loss")
    with pytest.raises(ImportSourceError, match="'samples' has no times"):
        imported(store, tmp_path / "b.csv", text, time_column="samples")


def test_text_columns_are_told(store: ExperimentStore, tmp_path: Path) -> None:
    """They are left out with their names and counts; they are no bad values."""
    (row,) = imported(store, tmp_path / "a.csv", "step,mode,loss\n1,train,0.5\n2,val,0.25\n")
    assert row.left_out == {"text column 'mode'": 2}
    assert points(store, "a") == [("loss", 1, 0.5), ("loss", 2, 0.25)]


BAD = {
    "text among numbers": ("step,loss\n1,0.5\n2,oops\n", "line 3: column 'loss': 'oops'", 1),
    "negative step": ("step,loss\n-1,0.5\n2,0.25\n", "line 2: column 'step': step -1", 1),
    "large step": ("step,loss\n1,0.5\n4294967296,0.25\n", "line 3: column 'step': step 4", 1),
    "step that is a text": ("step,loss\n1,0.5\nx,0.25\n", "line 3: .* not a step", 1),
    "underscores": ("step,loss\n1,0.5\n2,1_0\n", "line 3: column 'loss'", 1),
    "cells missing": ("step,loss,acc\n1,0.5\n2,0.25,1\n", "line 2: 2 cells .* has 3", 2),
    "long name": (f"step,{'n' * 256},loss\n1,0.5,0.5\n", "a.csv: metric name .* 256 bytes", 1),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_value_is_refused_with_its_line_or_skipped(
    kind: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """It keeps its run out; `skip` leaves out the value, and counts it."""
    text, message, kept = BAD[kind]
    with pytest.raises(ImportSourceError, match=message):
        imported(store, tmp_path / "a.csv", text)
    assert os.listdir(store.root) == []
    (row,) = imported(store, tmp_path / "a.csv", text, skip=True)
    assert row.metrics == kept
    assert row.left_out


def test_a_last_line_that_is_being_written_is_left_out(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """A training that runs is no error."""
    (row,) = imported(store, tmp_path / "a.csv", "step,loss,acc\n1,0.5,1\n2,0.2")
    assert (row.metrics, row.left_out) == (2, {"unfinished last line": 1})


def test_a_download_of_tensorboard_has_the_tag_as_its_name(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """And the run's."""
    text = "Wall time,Step,Value\n1700000000.5,3,0.5\n"
    imported(store, tmp_path / "run-exp1-tag-train_loss.csv", text)
    assert list(store.get_metrics("exp1")) == [Metric("train_loss", 0.5, 3, 1_700_000_000)]


def test_downloads_of_one_run_of_tensorboard_join(store: ExperimentStore, tmp_path: Path) -> None:
    """TensorBoard downloads one file per tag."""
    for name, value in (("run-.-tag-loss", 0.5), ("run-.-tag-acc", 1), ("run-b-tag-loss", 2)):
        (tmp_path / "csv").mkdir(exist_ok=True)
        text = f"Wall time,Step,Value\n1700000000.5,3,{value}\n"
        (tmp_path / "csv" / f"{name}.csv").write_text(text)
    report = import_source(store, tmp_path)
    assert [row.commit_id for row in report.imported] == ["csv", "csv_b"]
    assert sorted(points(store, "csv")) == [("acc", 3, 1.0), ("loss", 3, 0.5)]
    assert points(store, "csv_b") == [("loss", 3, 2.0)]


def test_a_chart_of_wandb_may_have_any_axis(store: ExperimentStore, tmp_path: Path) -> None:
    """Its first column has the steps, if they are whole; `_step` is a metric then."""
    header = '"evaluations","a - _step","a - _step__MIN"'
    folder = tmp_path / "charts"
    folder.mkdir()
    (folder / "wandb_export_2024-01-01T00_00_00.000+00_00.csv").write_text(
        f'{header}\n"60","0","0"\n"62","1","1"\n'
    )
    import_source(store, folder)
    assert points(store, "a") == [("_step", 60, 0.0), ("_step", 62, 1.0)]
    (tmp_path / "b.csv").write_text('"Relative Time","b - x","b - x__MAX"\n"0.5","7","7"\n')
    import_source(store, tmp_path / "b.csv")
    assert points(store, "b") == [("x", 0, 7.0), ("Relative Time", 0, 0.5)]


def test_a_chart_of_wandb_has_several_runs(store: ExperimentStore, tmp_path: Path) -> None:
    """Each column is a run; the columns of bounds are counted."""
    header = '"Step","sweep-1 - loss","sweep-1 - loss__MIN","sweep-2 - loss","sweep-2 - loss__MAX"'
    path = tmp_path / "chart.csv"
    path.write_text(f"{header}\n1,0.5,0.5,,\n2,0.25,0.25,1.5,1.5\n")
    report = import_source(store, path)
    assert [row.commit_id for row in report.imported] == ["sweep-1", "sweep-2"]
    assert points(store, "sweep-1") == [("loss", 1, 0.5), ("loss", 2, 0.25)]
    assert points(store, "sweep-2") == [("loss", 2, 1.5)]
    assert report.left_out == {"columns of bounds (__MIN, __MAX)": 2}


def test_a_list_of_runs_is_refused_by_name(store: ExperimentStore, tmp_path: Path) -> None:
    """It has no history, whichever of its columns were shown when it was downloaded."""
    for shown in ("State,Runtime", "Runtime", "Notes,User,Tags,Created,Sweep", "Created"):
        cells = shown.replace("Runtime", "10")
        with pytest.raises(ImportSourceError, match="a list of runs"):
            imported(store, tmp_path / "a.csv", f"Name,{shown},epoch,loss\nx,{cells},9,0.5\n")


def test_a_table_with_steps_of_one_name_is_no_list_of_runs(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Nor is one whose column of steps is named; others may call a column `User` or `Created`."""
    header = "Name,User,Created,epoch,loss"
    text = f"{header}\nnet,me,today,0,0.5\nnet,me,today,1,0.25\n"
    imported(store, tmp_path / "a.csv", text)
    assert points(store, "a") == [("loss", 0, 0.5), ("loss", 1, 0.25)]
    (tmp_path / "b.csv").write_text("Name,Runtime,loss\nx,10,0.5\ny,12,0.25\n")
    with pytest.raises(ImportSourceError, match="name their column with --step-column"):
        import_source(store, tmp_path / "b.csv")
    import_source(store, tmp_path / "b.csv", None, ImportOptions(step_column="Runtime"))
    assert points(store, "b") == [("loss", 10, 0.5), ("loss", 12, 0.25)]


def test_parameters_beside_a_table_come_along(store: ExperimentStore, tmp_path: Path) -> None:
    """Lightning's hparams.yaml; a broken one keeps no number out."""
    version = tmp_path / "lightning_logs" / "version_0"
    version.mkdir(parents=True)
    (version / "hparams.yaml").write_text("lr: 0.001\nmodel:\n  depth: 3\nname: net\n")
    (version / "metrics.csv").write_text(LIGHTNING)
    (row,) = import_experiments(store, None, tmp_path / "lightning_logs")
    assert (row.commit_id, row.params) == ("version_0", 3)
    assert store.read_run("version_0").params == {
        "lr": 0.001,
        "model": {"depth": 3},
        "name": "net",
    }
    (version / "hparams.yaml").write_text("lr: !!python/object:os.system x\n")
    (row,) = import_experiments(store, None, version, to_id="b")
    assert row.metrics == 6
    assert any("parameters were left out" in note for note in row.notes)


def test_files_of_one_run_join(store: ExperimentStore, tmp_path: Path) -> None:
    """DVCLive has a file per metric, CatBoost one per set; each is one run."""
    files = {
        "dvclive/plots/metrics/train/loss.tsv": "timestamp\tstep\tloss\n1700000000000\t0\t0.5\n",
        "dvclive/plots/metrics/acc.tsv": "timestamp\tstep\tacc\n1700000001000\t0\t1\n",
        "catboost_info/learn_error.tsv": "iter\tLogloss\n0\t0.5\n",
        "catboost_info/test_error.tsv": "iter\tLogloss\n0\t0.75\n",
        "catboost_info/time_left.tsv": "iter\tPassed\tRemaining\n0\t11\t12\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert len(import_experiments(store, None, tmp_path)) == 2
    assert points(store, "dvclive") == [("train/loss", 0, 0.5), ("acc", 0, 1.0)]
    assert sorted(points(store, "catboost_info")) == [
        ("learn/Logloss", 0, 0.5),
        ("test/Logloss", 0, 0.75),
        ("time/Passed", 0, 11.0),
        ("time/Remaining", 0, 12.0),
    ]


def test_a_metric_may_be_called_as_steps_are(store: ExperimentStore, tmp_path: Path) -> None:
    """DVCLive logs `epoch` beside its steps, in a file of that name."""
    path = tmp_path / "dvclive" / "plots" / "metrics" / "epoch.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("step\tepoch\n49\t0\n99\t1\n")
    import_source(store, tmp_path)
    assert points(store, "dvclive") == [("epoch", 49, 0.0), ("epoch", 99, 1.0)]


@pytest.mark.parametrize("empty", ["", "step,loss\n"])
def test_an_empty_file_keeps_no_other_out(
    empty: str, store: ExperimentStore, tmp_path: Path, capsys
) -> None:
    """In a directory it is counted; a file that is no table is a run that stays out."""
    files = {"a/metrics.csv": "step,loss\n1,0.5\n", "b/metrics.csv": empty}
    files |= {"c/learn_error.tsv": "iter\tRMSE\n0\t1\n", "c/test_error.tsv": empty}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    report = import_source(store, tmp_path)
    assert [(row.commit_id, row.metrics) for row in report.imported] == [("a", 1), ("c", 1)]
    assert (report.refused, report.left_out) == ([], {"files without rows": 1})
    assert report.imported[1].left_out == {"files without rows": 1}
    (tmp_path / "b" / "metrics.csv").write_text('step,"loss\n')
    report = import_source(store, tmp_path, None, ImportOptions(prefix="x-"))
    assert [row.commit_id for row in report.imported] == ["x-a", "x-c"]
    assert [run.name for run in report.refused] == ["b"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-32-be"])
def test_a_byte_order_mark_names_the_encoding(
    encoding: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """Of a table with any name, as spreadsheets write it."""
    data = ("\ufeff" * encoding.endswith("be") + "step\tprécision\r\n1\t0.5\r\n").encode(encoding)
    for name in ("a.csv", "a.txt"):
        (tmp_path / name).write_bytes(data)
        import_experiments(store, None, tmp_path / name, to_id=name)
        assert points(store, name) == [("précision", 1, 0.5)]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("step,loss\n1,2\n".encode("utf-16-le"), "byte order mark"),
        ("step,é\n1,2\n".encode("latin-1"), "is not UTF-8"),
        (b"1,0.5\n2,0.25\n", "numbers alone; add a line"),
        (b"0,0.5\n1,0.25\n", "numbers alone; add a line"),
        (b"step,Loss,Loss\n1,2,3\n", "more than one column is named 'Loss'"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(
    data: bytes, fault: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """A first row of numbers would otherwise be lost as names."""
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(ImportSourceError, match=fault):
        import_experiments(store, None, tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(
            (cell, math.nan)
            for cell in ("nan", "NaN", "NAN", "-nan", "1.#QNAN", "-1.#IND", "-nan(ind)")
        ),
        *((cell, math.inf) for cell in ("inf", "Infinity", "+inf", "INF", "1.#INF")),
        *((cell, -math.inf) for cell in ("-inf", "-Infinity", "-1.#INF")),
        *((cell, None) for cell in ("", "NA", "n/a", "#N/A", "null", " ")),
    ],
)
def test_every_spelling_of_a_number_is_understood(
    cell: str, value: float | None, store: ExperimentStore, tmp_path: Path
) -> None:
    """Those of Python, of C, and of C on Windows; blanks are skipped."""
    imported(store, tmp_path / "a.csv", f"step,loss\n1,0.5\n2,{cell}\n")
    found = [point[2] for point in points(store, "a")]
    assert str(found) == str([0.5] if value is None else [0.5, value])


@pytest.mark.parametrize("header", ["step,loss,x", "name,step,value"])
def test_a_number_that_is_too_large_is_refused(
    header: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """It does not become infinite; `skip` leaves it out."""
    row = "a,1,{}" if "name" in header else "1,{},1"
    for number in ("1e999", "9" * 5000):
        text = f"{header}\n" + "".join(row.format(cell) + "\n" for cell in ("inf", number, "0.5"))
        with pytest.raises(ImportSourceError, match=r"line 3: .* is too large for a float"):
            imported(store, tmp_path / "a.csv", text)
        (found,) = imported(store, tmp_path / "a.csv", text, skip=True)
        assert found.left_out == {"values that a store cannot hold": 1}


def test_why_nothing_of_a_table_comes_in_is_told(store: ExperimentStore, tmp_path: Path) -> None:
    """Its only column of metrics may be one of texts."""
    path = tmp_path / "a.csv"
    path.write_text("step,acc\n1,95%\n2,96%\n")
    report = import_source(store, path)
    assert report.left_out == {"runs without metrics": 1, "text column 'acc'": 2}


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
@pytest.mark.parametrize(
    ("cells", "kept"),
    [(("0", "1", "2"), False), (("1", "2", "3"), False), (("0", "2", "3"), True)],
)
def test_the_index_of_a_data_frame_is_left_out(
    header: str, cells: tuple[str, ...], kept: bool, store: ExperimentStore, tmp_path: Path
) -> None:
    """A first column without a name that numbers the rows is no metric; another one is."""
    text = f"{header},step,loss\n" + "".join(f"{cell},{5},0.5\n" for cell in cells)
    (row,) = imported(store, tmp_path / "a.csv", text)
    names = {name for name, _, _ in points(store, "a")}
    assert names == {"loss"} | ({header or "column 1"} if kept else set())
    assert row.left_out == ({} if kept else {"columns that number the rows": 1})


@given(st.lists(metrics, min_size=1))
def test_the_wide_form_round_trips(rows: list[Metric]) -> None:
    """Names of any bytes, values, steps and times of a file that `export --wide` has written."""
    last = {(row.name, row.step): row for row in rows}  # of several at a step, the last
    times: dict[int, int] = {}
    for row in rows:
        times[row.step] = row.timestamp
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        source = ExperimentStore(Path(directory, "from"))
        target = ExperimentStore(Path(directory, "to"))
        source.create_experiment("a")
        with source.writer("a") as writer:
            writer.append(table_of(rows))
        path = Path(directory, "wide.csv")
        export_file(source, None, path, "csv", wide_form=True)
        import_experiments(target, None, path)
        found = {(m.name, m.step): m for m in target.get_metrics("a")}
    assert found.keys() == last.keys()
    for key, metric in found.items():
        value = last[key].value
        assert metric.value == value or (math.isnan(value) and math.isnan(metric.value))
        assert metric.timestamp == times[metric.step]


def test_escapes_in_other_peoples_names_are_kept(store: ExperimentStore, tmp_path: Path) -> None:
    """Only in a file that `export` has written they stand for bytes."""
    imported(store, tmp_path / "a.csv", "name,step,value\n\\xff,1,0.5\n")
    assert store.get_metrics("a").names == ("\\xff",)
    imported(store, tmp_path / "b.csv", "commit_id,name,value,step,timestamp\nb,\\xff,0.5,1,1\n")
    assert store.get_metrics("b").names == ("\udcff",)


@pytest.mark.parametrize("name", ["", "\udcff"])
def test_names_that_check_reports_do_not_come_in(
    name: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """Of a file that is not an export: neither an empty name, nor one that is not UTF-8."""
    (tmp_path / "a.csv").write_bytes(
        b"name,step,value\n" + name.encode("utf-8", "surrogateescape") + b",1,0.5\n"
    )
    with pytest.raises(ImportSourceError, match="line 2: metric name"):
        import_experiments(store, None, tmp_path / "a.csv")


def test_a_table_without_rows_is_an_error(store: ExperimentStore, tmp_path: Path, capsys) -> None:
    """Also for the command, which exits with 1."""
    for number, header in enumerate(["step,loss", "commit_id,name,value,step,timestamp"]):
        path = tmp_path / f"{number}.csv"
        path.write_text(header + "\n")
        done = run(capsys, "--root", store.root, "import", path)
        assert (done.code, done.out) == (1, "")
        assert "has a header, but no rows" in done.err


def test_a_table_that_is_imported_again_is_there_already(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Though a copy of the file has another time, which is all that the points have."""
    imported(store, tmp_path / "a.csv", KERAS)
    os.utime(tmp_path / "a.csv", (STAMP + 500, STAMP + 500))
    (row,) = import_experiments(store, None, tmp_path / "a.csv")
    assert row.already_there
    assert store.read_metadata("a").created == datetime.fromtimestamp(STAMP, UTC)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_last_number_that_may_be_cut_is_noted(
    store: ExperimentStore, tmp_path: Path, encoding: str
) -> None:
    """Half of 0.25 is a number too; a line with an end, also in UTF-16, is whole."""
    path = tmp_path / "a.csv"
    for number, (end, noted) in enumerate([("", True), ("\n", False), ("\r\n", False)]):
        path.write_bytes(f"step,loss\n1,0.5\n2,0.{end}".encode(encoding))
        (row,) = import_source(store, path, None, ImportOptions(to_id=f"a{number}")).imported
        assert row.metrics == 2
        assert any("may be cut" in note for note in row.notes) is noted


def test_a_last_line_of_one_character_is_being_written_too(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """The end of the line before it is not its own."""
    (row,) = imported(store, tmp_path / "a.csv", "step,loss\n1,0.5\n2")
    assert (row.metrics, row.left_out) == (1, {"unfinished last line": 1})


def test_a_cut_last_number_of_several_runs_is_noted(store: ExperimentStore, tmp_path: Path) -> None:
    """In a table that has a row per metric, it belongs to the source."""
    path = tmp_path / "a.csv"
    path.write_text("commit_id,name,value,step,timestamp\na,loss,0.5,1,17000000")
    report = import_source(store, path)
    assert [note for note in report.notes if "may be cut" in note]


def test_an_empty_id_is_refused(store: ExperimentStore, tmp_path: Path) -> None:
    """An unset variable of a shell does not become another name."""
    with pytest.raises(InvalidCommitIdError):
        imported(store, tmp_path / "a.csv", "step,loss\n1,0.5\n", to_id="")
    assert store.list_experiments() == []


def test_a_table_with_tensorboards_words_is_a_table(store: ExperimentStore, tmp_path: Path) -> None:
    """Event files are known by their first bytes, whatever they are called; texts are none."""
    imported(store, tmp_path / "a.csv", "step,brain.Event:2\n1,0.5\n")
    assert points(store, "a") == [("brain.Event:2", 1, 0.5)]
