"""TensorBoard's log directories: restarts, parts of one run, parameters, and single files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from expstore import ExperimentStore, ImportSourceError
from expstore.exchange.imports import ImportOptions, import_experiments, import_source

TIME = 1_700_000_000


def write(path: Path, *events: Event, version: str = "brain.Event:2") -> Path:
    """Write an event file, which begins with its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        if version:
            events = (Event(wall_time=TIME, file_version=version), *events)
        for event in events:
            writer.write(event.SerializeToString())
    return path


def scalar(tag: str, value: float, step: int) -> Event:
    """One point."""
    values = [Summary.Value(tag=tag, simple_value=value)]
    return Event(wall_time=TIME + step, step=step, summary=Summary(value=values))


def restart(step: int) -> Event:
    """What a writer with `purge_step` begins with."""
    return Event(wall_time=TIME, step=step, session_log=SessionLog(status=SessionLog.START))


def hparams(**params: object) -> list[Event]:
    """What `add_hparams` writes: parameters, and how the session ended."""
    start = plugin_data_pb2.SessionStartInfo()
    for name, value in params.items():
        kind = (
            "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        )
        setattr(start.hparams[name], f"{kind}_value", value)
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    events = []
    for data in (
        plugin_data_pb2.HParamsPluginData(session_start_info=start),
        plugin_data_pb2.HParamsPluginData(session_end_info=end),
    ):
        plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
        value = Summary.Value(tag="_hparams_", metadata=SummaryMetadata(plugin_data=plugin))
        events.append(Event(wall_time=TIME, summary=Summary(value=[value])))
    return events


def accumulated(directory: Path) -> list[tuple[str, int, float]]:
    """What TensorBoard itself shows."""
    found = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    found.Reload()
    return sorted(
        (tag, point.step, point.value)
        for tag in found.Tags()["scalars"]
        for point in found.Scalars(tag)
    )


def points(store: ExperimentStore, commit_id: str) -> list[tuple[str, int, float]]:
    """The same of an experiment."""
    return sorted((m.name, m.step, m.value) for m in store.get_metrics(commit_id))


@pytest.mark.parametrize("version", ["brain.Event:2", ""])
def test_what_a_restart_supersedes_is_dropped(
    version: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """As TensorBoard does, which has another rule for files without a version."""
    run = tmp_path / "run"
    first = [scalar(tag, 1.0, step) for step in range(10) for tag in ("loss", "acc")]
    again = [scalar("loss", 2.0, step) for step in range(5, 8)]
    write(run / "events.out.tfevents.1.a", *first, version=version)
    write(
        run / "events.out.tfevents.2.a", *([restart(5)] if version else []), *again, version=version
    )
    (row,) = import_experiments(store, None, run)
    assert points(store, "run") == accumulated(run)
    assert row.metrics == (5 + 5 if version else 5 + 10) + 3
    assert row.left_out == {"points superseded by a restart": 10 if version else 5}


def test_parts_of_a_run_join_it(store: ExperimentStore, tmp_path: Path) -> None:
    """Keras' folders, those of add_scalars, and the one of add_hparams."""
    runs = tmp_path / "runs"
    name = "events.out.tfevents.1.a"
    write(runs / "keras" / "train" / name, scalar("epoch_loss", 0.5, 1))
    write(runs / "keras" / "validation" / name, scalar("epoch_loss", 0.75, 1))
    write(runs / "torch" / name, scalar("lr", 0.25, 1))
    write(runs / "torch" / "my_loss_first_half" / name, scalar("my/loss", 1.5, 1))
    write(runs / "torch" / "other_run" / name, scalar("my/loss", 3.5, 1))
    write(
        runs / "torch" / "1700000000.125" / name,
        *hparams(lr=0.5, layers=3.0, amp=True, net="a"),
        scalar("hparam/acc", 1.0, 0),
    )
    report = import_source(store, runs)
    assert [row.commit_id for row in report.imported] == ["keras", "torch", "torch_other_run"]
    assert points(store, "keras") == [
        ("train/epoch_loss", 1, 0.5),
        ("validation/epoch_loss", 1, 0.75),
    ]
    assert points(store, "torch") == [
        ("hparam/acc", 0, 1.0),
        ("lr", 1, 0.25),
        ("my/loss/first_half", 1, 1.5),
    ]
    info = store.read_run("torch")
    assert info.params == {"lr": 0.5, "layers": 3, "amp": True, "net": "a"}
    assert store.status("torch") == "finished"


def test_sessions_of_a_sweep_stay_apart(store: ExperimentStore, tmp_path: Path) -> None:
    """Several folders of add_hparams are several runs."""
    for number in range(2):
        write(
            tmp_path / "runs" / f"1700000000.{number}" / "events.out.tfevents.1",
            *hparams(lr=float(number)),
            scalar("hparam/acc", number / 2, 0),
        )
    rows = import_experiments(store, None, tmp_path / "runs")
    assert [store.read_run(row.commit_id).params["lr"] for row in rows] == [0, 1]


def test_runs_without_scalars_make_no_experiment(store: ExperimentStore, tmp_path: Path) -> None:
    """Neither an empty file, nor one of garbage, nor one with only a graph; they are counted."""
    runs = tmp_path / "runs"
    write(runs / "good" / "events.out.tfevents.1", scalar("loss", 0.5, 1))
    write(runs / "graph" / "events.out.tfevents.1", Event(wall_time=TIME, graph_def=b"x"))
    write(runs / "empty" / "events.out.tfevents.1", version="").write_bytes(b"")
    write(runs / "garbage" / "events.out.tfevents.1").write_bytes(b"garbage" * 100)
    report = import_source(store, runs)
    assert store.list_experiments() == ["good"]
    assert report.left_out == {"runs without scalars": 3}
    assert any("garbage" in note and "byte 0" in note for note in report.notes)


def test_several_trainings_in_a_folder_are_told(store: ExperimentStore, tmp_path: Path) -> None:
    """One run, as TensorBoard shows it, with a note."""
    for number in (1, 2):
        write(
            tmp_path / "run" / f"events.out.tfevents.{number}.a",
            *[scalar("loss", float(number), step) for step in range(3)],
        )
    (row,) = import_experiments(store, None, tmp_path / "run")
    assert row.metrics == 6
    assert any("2 event files whose steps overlap" in note for note in row.notes)


def test_a_single_event_file_is_a_source(store: ExperimentStore, tmp_path: Path) -> None:
    """Named after its folder; its neighbours do not come in."""
    path = write(tmp_path / "run7" / "events.out.tfevents.1.a", scalar("loss", 0.5, 1))
    write(tmp_path / "run7" / "events.out.tfevents.2.a", scalar("loss", 0.25, 2))
    (row,) = import_experiments(store, None, path)
    assert (row.commit_id, row.metrics) == ("run7", 1)


def test_a_bad_point_is_skipped_if_asked(store: ExperimentStore, tmp_path: Path) -> None:
    """The others of its run come in, in their order; the error gives the byte."""
    path = write(
        tmp_path / "run" / "events.out.tfevents.1.a",
        scalar("loss", 0.5, 1),
        scalar("loss", 1.5, -1),
        scalar("n" * 300, 1.5, 1),
        scalar("loss", 0.25, 2),
    )
    with pytest.raises(ImportSourceError, match=r"event at byte \d+: metric"):
        import_experiments(store, None, path)
    report = import_source(store, path, None, ImportOptions(skip=True))
    assert report.imported[0].left_out == {"values that a store cannot hold": 2}
    assert points(store, "run") == [("loss", 1, 0.5), ("loss", 2, 0.25)]


def test_escapes_in_other_peoples_tags_are_kept(store: ExperimentStore, tmp_path: Path) -> None:
    """Only in files that `export` has written they stand for bytes."""
    write(tmp_path / "a" / "events.out.tfevents.1.host", scalar("\\xff", 0.5, 1))
    import_experiments(store, None, tmp_path / "a")
    assert store.get_metrics("a").names == ("\\xff",)


def test_many_records_of_all_lengths_are_framed(store: ExperimentStore, tmp_path: Path) -> None:
    """Also those that cross the blocks in which a file is read."""
    rng = np.random.default_rng(1)
    events = []
    for step in range(300):
        image = Summary.Image(encoded_image_string=rng.bytes(int(rng.integers(1, 60_000))))
        events.append(
            Event(step=step, summary=Summary(value=[Summary.Value(tag="i", image=image)]))
        )
        events.append(scalar("loss", step / 4, step))
    path = write(tmp_path / "run" / "events.out.tfevents.1", *events)
    assert path.stat().st_size > 1 << 22
    (row,) = import_experiments(store, None, path)
    assert points(store, "run") == [("loss", step, step / 4) for step in range(300)]
    assert row.left_out == {"images": 300}


def test_an_event_file_of_another_name_is_known_by_its_bytes(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """As a download, or standard input, has it; a file of other bytes is none."""
    path = write(tmp_path / "run", scalar("loss", 0.5, 1)).rename(tmp_path / "download.bin")
    report = import_source(store, path, None, ImportOptions(to_id="a"))
    assert report.kind == "tensorboard"
    assert points(store, "a") == [("loss", 1, 0.5)]
    path.write_bytes(bytes(100))
    with pytest.raises(ImportSourceError, match="no TensorBoard event files"):
        import_source(store, path, "tensorboard")
