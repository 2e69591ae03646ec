"""Hostile sources of an import: one typed error, no large allocation, and nothing written."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DataType
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from expstore import ExperimentStore, ExpStoreError, FormatError, ImportSourceError
from expstore.exchange.imports import import_experiments
from expstore.exchange.sources import eventfile

MEMORY = 200 << 20  # bytes that an import may add


def peak() -> int:
    """The largest amount of memory that this process has used, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def aliases(levels: int = 9, width: int = 9) -> str:
    """A few hundred bytes that expand to a gigabyte when they are made a text."""
    lines = ['a0: &a0 ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    for level in range(1, levels):
        items = ",".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{items}]")
    return "\n".join([*lines, f"run_id: 0a\nrun_name: *a{levels - 1}\n"])


RUN = "run_id: 0a\nlifecycle_stage: active\n"
YAML = {
    "aliases": aliases(),
    "alias of itself": "run_id: &a [*a]\n",
    "merge": "a: &a {run_id: 0a}\n<<: *a\n",
    "deep": "run_id: " + "[" * 50_000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(1000)) + "run_id: 0a",
    "long": RUN + "x: " + "y" * (2 << 20),
    "number of many digits": RUN + "start_time: " + "9" * 5000,
    "large number": RUN + "start_time: " + "9" * 30,
    "no number": RUN + "start_time: soon\n",
    "date": RUN + "start_time: 2026-13-45\n",
    "tagged date": RUN + "start_time: !!timestamp 2026-13-45\n",
    "tagged int": RUN + "start_time: !!int zz\n",
    "tagged float": RUN + "start_time: !!float zz\n",
    "tagged bool": RUN + "start_time: !!bool zz\n",
    "binary": RUN + "start_time: !!binary zz\n",
    "object": RUN + "x: !!python/object/apply:os.system ['true']\n",
    "list as a key": "? [a, b]\n: c\n" + RUN,
    "not UTF-8": RUN + "x: \udcff\n",
    "control": RUN + "x: \x01\n",
    "unfinished": "run_id: 'x\n",
    "long name": RUN + "user_id: " + "x" * 300,
}
HARMLESS = {
    "date as a name": RUN + "run_name: 2026-13-45\nstart_time: 1000\n",
    "digits as an id": "run_id: 1234567890123456789\nstart_time: 1000\nlifecycle_stage: active\n",
    "exponent as an id": "run_id: 1e5\nrun_name: null\nstart_time: 1000\n",
    "list as a name": RUN + "run_name: [a]\n",
}


def import_yaml(store: ExperimentStore, directory: Path, text: str) -> None:
    """Import a run with this meta.yaml and one point."""
    metrics = directory / "run" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "loss").write_text("1000 0.5 1\n")
    (directory / "run" / "meta.yaml").write_text(text, "utf-8", "surrogateescape")
    import_experiments(store, "mlflow", directory / "run")


@pytest.mark.parametrize("kind", YAML)
def test_hostile_yaml_is_refused(kind: str, store: ExperimentStore, tmp_path: Path) -> None:
    """Whatever PyYAML would make of it."""
    before = peak()
    with pytest.raises((ImportSourceError, FormatError)) as caught:
        import_yaml(store, tmp_path, YAML[kind])
    assert len(str(caught.value)) < 1000
    assert peak() - before < MEMORY
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("kind", HARMLESS)
def test_a_text_in_yaml_is_a_text(kind: str, store: ExperimentStore, tmp_path: Path) -> None:
    """An id that looks like a number is not changed."""
    import_yaml(store, tmp_path, HARMLESS[kind])
    (commit_id,) = store.list_experiments()
    assert f"run_id: {commit_id}\n" in HARMLESS[kind]
    assert store.read_metadata(commit_id).created.timestamp() == 1


@pytest.mark.parametrize(
    "line",
    [
        "x" * 10_000_000,
        "9" * 5000 + " 1 1",
        "1 1 " + "9" * 5000,
        f"{10**400} 1 1",
        "1 x 1",
        "\0" * 100,
    ],
    ids=["long", "time", "step", "large", "value", "zeros"],
)
def test_hostile_metrics_of_mlflow_are_refused(
    line: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """A line is read up to a limit."""
    metrics = tmp_path / "run" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "loss").write_text(line)
    (tmp_path / "run" / "meta.yaml").write_text(RUN)
    with pytest.raises(ImportSourceError) as caught:
        import_experiments(store, "mlflow", tmp_path / "run")
    assert len(str(caught.value)) < 1000
    assert os.listdir(store.root) == []


def test_a_metric_with_a_hole_is_not_read_into_memory(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """A file that takes no space on the disk may be as long as a disk."""
    metrics = tmp_path / "run" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "loss").touch()
    os.truncate(metrics / "loss", 1 << 40)
    (tmp_path / "run" / "meta.yaml").write_text(RUN)
    with pytest.raises(ImportSourceError, match="line 1"):
        import_experiments(store, "mlflow", tmp_path / "run")


def event(tensor: TensorProto) -> Event:
    """An event with a tensor that claims to be a scalar."""
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    value = Summary.Value(tag="loss", tensor=tensor, metadata=metadata)
    return Event(wall_time=1_700_000_000, step=1, summary=Summary(value=[value]))


def shaped(*sizes: int, **values: Any) -> TensorProto:
    """A tensor of this shape, whatever its values are."""
    dims = [TensorShapeProto.Dim(size=size) for size in sizes]
    return TensorProto(
        **{"dtype": DataType.DT_FLOAT, **values, "tensor_shape": TensorShapeProto(dim=dims)}
    )


NO_SCALARS = {
    "many promised": shaped(1 << 29, float_val=[1.0]),
    "more promised": shaped(1 << 40, 1 << 40, float_val=[1.0]),
    "negative": shaped(-1, float_val=[1.0]),
    "none": shaped(0),
    "text": make_tensor_proto(b"0.5"),
    "complex": make_tensor_proto(np.complex64(1j)),
    "wide complex": make_tensor_proto(np.complex128(1j)),
    "unknown type": shaped(dtype=DataType.DT_RESOURCE),
    "no type": shaped(dtype=DataType.DT_INVALID),
    "reference": shaped(dtype=DataType.DT_FLOAT_REF, float_val=[1.0]),
}
MALFORMED = {
    "no value": shaped(),
    "many values": shaped(1, float_val=[1.0, 2.0]),
    "many dimensions": shaped(*[1] * 1000, float_val=[1.0]),
    "odd content": shaped(tensor_content=b"abc"),
    "long content": shaped(tensor_content=bytes(8)),
    "double negative": shaped(-1, -1, float_val=[1.0]),
}


def import_events(store: ExperimentStore, directory: Path, *events: Event) -> Any:
    """Import an event file."""
    (directory / "run").mkdir()
    with (directory / "run" / "events.out.tfevents.1").open("wb") as file:
        for one in events:
            RecordWriter(file).write(one.SerializeToString())
    return import_experiments(store, "tensorboard", directory / "run", to_id="a")


@pytest.mark.parametrize("kind", NO_SCALARS)
def test_a_tensor_that_is_no_scalar_is_left_out(
    kind: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """It is counted, and its shape is not believed."""
    before = peak()
    scalar = event(make_tensor_proto(np.float32(0.5)))
    scalar.summary.value[0].tag = "acc"
    (imported,) = import_events(store, tmp_path, event(NO_SCALARS[kind]), scalar)
    assert imported.metrics == 1
    assert sum(imported.left_out.values()) == 1
    assert peak() - before < MEMORY


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_scalar_is_refused(kind: str, store: ExperimentStore, tmp_path: Path) -> None:
    """With one typed error, and nothing is written."""
    with pytest.raises(ImportSourceError):
        import_events(store, tmp_path, event(MALFORMED[kind]))
    assert os.listdir(store.root) == []


@pytest.mark.parametrize(
    "value",
    [np.float16(0.5), np.float64(0.5), np.int8(1), np.int64(1), np.uint16(1), np.bool_(True)],
)
def test_scalars_of_each_type_are_read(value: Any, store: ExperimentStore, tmp_path: Path) -> None:
    """The types that TensorBoard's own scalars may have."""
    import_events(store, tmp_path, event(make_tensor_proto(value)))
    assert store.get_metrics("a").values.tolist() == [float(value)]


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 63) + 5, (1 << 64) - 1])
def test_the_length_of_a_record_is_not_believed(
    length: int, store: ExperimentStore, tmp_path: Path
) -> None:
    """The events before it are imported, and the damage is reported."""
    first = event(make_tensor_proto(np.float32(0.5)))
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "events.out.tfevents.1"
    with path.open("wb") as file:
        RecordWriter(file).write(first.SerializeToString())
        size = file.tell()
        header = struct.pack("<Q", length)
        file.write(header + struct.pack("<I", masked_crc32c(header)) + b"data")
    before = peak()
    (imported,) = import_experiments(store, "tensorboard", tmp_path / "run", to_id="a")
    assert imported.metrics == 1
    assert f"damaged from byte {size}" in imported.notes[0]
    assert peak() - before < MEMORY


def test_a_record_that_is_too_large_is_refused(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with a hole may hold a record of any length."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "events.out.tfevents.1"
    header = struct.pack("<Q", 1 << 40)
    path.write_bytes(header + struct.pack("<I", masked_crc32c(header)))
    os.truncate(path, (1 << 40) + 16)
    with pytest.raises(ImportSourceError, match="at most"):
        import_experiments(store, "tensorboard", tmp_path / "run")
    assert os.listdir(store.root) == []
    assert eventfile.RECORD_LIMIT < 1 << 30


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "name,value,step,timestamp\nloss,1,1," + "9" * 5000 + "\n",
        "name,value,step,timestamp\nloss,1,99999999999999999999,1\n",
        "name,value,step,timestamp,created\nloss,1,1,1,soon\n",
        'name,value,step,timestamp\n"loss,1,1,1\n',
        "name,value,step,timestamp\nloss,1,1\n",
        "name,value,step,timestamp\n\0,1,1,x\n",
        "name," * 100_000 + "\n",
        "name,value,step,timestamp\n" + "x" * 2000 + ",1,1,1\n",
        "step,loss\n1," + "x" * 1_000_000 + "\n",
        "step,loss\n99999999999999999999,1\n",
    ],
)
def test_hostile_csv_is_refused(text: str, store: ExperimentStore, tmp_path: Path) -> None:
    """With one typed error, and nothing is written."""
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises((ExpStoreError, FormatError)) as caught:
        import_experiments(store, "csv", tmp_path / "metrics.csv")
    assert len(str(caught.value)) < 2000
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("source", ["csv", "mlflow", "tensorboard"])
def test_a_source_without_permission_or_of_another_kind_is_refused(
    source: Any, store: ExperimentStore, tmp_path: Path
) -> None:
    """A missing path, and a FIFO, which is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "missing", tmp_path / "fifo"):
        with pytest.raises(ImportSourceError):
            import_experiments(store, source, path)
