"""Histories in JSON: lines, Hugging Face's trainer_state.json, Keras', and W&B's folders."""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import expstore
from expstore import ExperimentStore, ImportSourceError, Metric
from expstore.exchange.export import export_file
from expstore.exchange.imports import ImportOptions, import_experiments, import_source
from expstore.exchange.sources import files, wandblog
from expstore.exchange.sources.wandbhistory import RowReader
from expstore.model.runinfo import RunStart


def points(store: ExperimentStore, commit_id: str) -> list[tuple[str, int, float]]:
    """Names, steps and values, in the order of the log."""
    return [(m.name, m.step, m.value) for m in store.get_metrics(commit_id)]


def write_lines(path: Path, *rows: object) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_json_lines_come_in(store: ExperimentStore, tmp_path: Path) -> None:
    """As detectron2 writes them to metrics.json; texts and lists are told, objects flattened."""
    path = write_lines(
        tmp_path / "output" / "metrics.json",
        {"iteration": 19, "loss": 0.5, "eta": "1 day", "box": {"ap": 1, "per": [1, 2]}},
        {"iteration": 39, "loss": math.nan, "new": None, "ok": True},
    )
    (row,) = import_experiments(store, None, path)
    assert row.commit_id == "output-metrics"
    assert row.left_out == {"text column 'eta'": 1, "text column 'box/per'": 1}
    found = points(store, "output-metrics")
    assert [one[:2] for one in found] == [("loss", 19), ("box/ap", 19), ("loss", 39), ("ok", 39)]
    assert math.isnan(found[2][2])


def test_rays_results_have_their_configuration(store: ExperimentStore, tmp_path: Path) -> None:
    """Under `config`, in each line; and times."""
    line = {"training_iteration": 1, "timestamp": 1_700_000_000, "reward": 1.5}
    path = write_lines(tmp_path / "PPO_1" / "result.json", line | {"config": {"lr": 0.1}})
    import_experiments(store, None, path, to_id="a")
    assert list(store.get_metrics("a")) == [Metric("reward", 1.5, 1, 1_700_000_000)]
    assert store.read_run("a").params == {"lr": 0.1}


def test_exported_json_lines_round_trip(store: ExperimentStore, tmp_path: Path) -> None:
    """Every value, step, time and name, also those that JSON has no number for."""
    rows = [Metric("loss", value, 7, -3) for value in (0.1, math.inf, -math.inf)]
    rows += [Metric("\\xff", 1.5, 2**32 - 1, 5), Metric("\udcff", 2.5, 0, 5)]
    for commit_id in ("a", "b"):
        store.create_experiment(commit_id)
        with store.writer(commit_id) as writer:
            for row in rows:
                writer.append(
                    {"name": row.name, "value": [row.value], "step": [row.step]}
                    | {"timestamp": [row.timestamp]}
                )
    export_file(store, None, tmp_path / "all.jsonl", "jsonl")
    import_experiments(store, None, tmp_path / "all.jsonl", prefix="new-")
    for commit_id in ("a", "b"):
        assert store.get_metrics(f"new-{commit_id}") == store.get_metrics(commit_id)


def test_a_line_that_is_being_written_is_left_out(store: ExperimentStore, tmp_path: Path) -> None:
    """One that is broken elsewhere is refused with its number, or skipped."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    report = import_source(store, path)
    assert (report.imported[0].metrics, report.left_out) == (1, {"unfinished last line": 1})
    path.write_text('{"step": 1, "loss": 0.5}\n[1]\n{"step": 2, "loss": 0.25}\n')
    with pytest.raises(ImportSourceError, match="line 2: not a JSON object"):
        import_experiments(store, None, path, to_id="b")
    report = import_source(store, path, None, ImportOptions(to_id="b", skip=True))
    assert (report.imported[0].metrics, report.left_out) == (2, {"lines that are not JSON": 1})


def test_the_last_checkpoint_of_a_training_comes_in(store: ExperimentStore, tmp_path: Path) -> None:
    """It has the history of all; the older ones are counted."""
    for step in (500, 1000):
        state = {
            "num_train_epochs": 3,
            "train_batch_size": 8,
            "log_history": [
                {"epoch": 0.5, "loss": 1.5, "step": 500},
                {"epoch": 1.0, "eval_loss": 1.25, "eval_runtime": 3.5, "step": 1000},
            ][: step // 500],
        }
        path = tmp_path / "model" / f"checkpoint-{step}" / "trainer_state.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(state))
    report = import_source(store, tmp_path)
    assert report.left_out == {"older checkpoints": 1}
    assert points(store, "model") == [
        ("loss", 500, 1.5),
        ("epoch", 500, 0.5),
        ("eval_loss", 1000, 1.25),
        ("eval_runtime", 1000, 3.5),
        ("epoch", 1000, 1.0),
    ]
    assert store.read_run("model").params == {"num_train_epochs": 3, "train_batch_size": 8}


@pytest.mark.parametrize(
    "document",
    [
        {"loss": [0.5, 0.25], "acc": [0.75, 1]},
        {"loss": {"0": 0.5, "1": 0.25}, "acc": {"0": 0.75, "1": 1}},
        {"epoch": [0, 1], "history": {"loss": [0.5, 0.25], "acc": [0.75, 1]}},
    ],
)
def test_histories_of_keras_come_in(
    document: dict[str, Any], store: ExperimentStore, tmp_path: Path
) -> None:
    """As a list or a map by epoch for each metric."""
    path = tmp_path / "history.json"
    path.write_text(json.dumps(document))
    import_experiments(store, None, path)
    assert points(store, "history") == [
        ("loss", 0, 0.5),
        ("acc", 0, 0.75),
        ("loss", 1, 0.25),
        ("acc", 1, 1.0),
    ]


@pytest.mark.parametrize(
    "text", ['{"a": "b"}', "[1]", '{"a": {"b": [1.5]}}', "{" * 50_000, "", "\0"]
)
def test_other_documents_are_not_recognised(
    text: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """The error names the kinds, and --from."""
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ImportSourceError, match="--from"):
        import_experiments(store, None, path)


# W&B's files, encoded by hand: there is no writer that needs no account and no service.


def varint(number: int) -> bytes:
    """An integer of protobuf."""
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


def field(number: int, value: bytes | str | int | float) -> bytes:
    """A field of protobuf."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + np.float64(value).tobytes()
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def history(step: int, **row: Any) -> bytes:
    """A record of one call of `log`, with the step of each as W&B adds it."""
    row = {"_step": step, "_timestamp": 1_700_000_000.5 + step, "_runtime": step} | row
    items = b"".join(
        field(1, field(2, key) + field(16, json.dumps(value))) for key, value in row.items()
    )
    return field(2, items + field(2, field(1, step)))


def item(number: int, key: str, value: Any) -> bytes:
    """A record with one item of the configuration or the summary."""
    return field(number, field(1, field(1, key) + field(16, json.dumps(value))))


def log(*records: bytes) -> bytes:
    """A file with these records, in chunks as LevelDB cuts them."""
    data = bytearray(b":W&B" + b"\xe1\xbe\0")
    for record in records:
        rest, first = record, True
        while rest or first:
            room = (1 << 15) - len(data) % (1 << 15)
            if room < 7:
                data += bytes(room)
                continue
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = bytes([(1 if not rest else 2) if first else (4 if not rest else 3)])
            checksum = zlib.crc32(part, zlib.crc32(kind)).to_bytes(4, "little")
            data += checksum + len(part).to_bytes(2, "little") + kind + part
            first = False
    return bytes(data)


def wandb_folder(path: Path, data: bytes, name: str = "offline-run-20231114_221320-abc") -> Path:
    """A run's folder."""
    folder = path / "wandb" / name
    (folder / "files").mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(data)
    return folder


RUN = field(17, field(1, "abc") + field(3, "proj") + field(8, "nice name") + field(9, "a note")
            + field(10, "base") + field(10, "x") + field(13, "host1")
            + field(17, field(1, 1_700_000_000) + field(2, 500_000_000)))  # fmt: skip


def test_a_run_of_wandb_comes_in(store: ExperimentStore, tmp_path: Path) -> None:
    """History, configuration, name, notes, tags and exit; media and texts are counted."""
    data = log(
        RUN,
        item(5, "lr", 0.5),
        item(5, "model", {"depth": 3}),
        item(5, "_wandb", {"x": 1}),
        history(0, loss=0.5, nested={"a": 1}, image={"_type": "image-file"}, text="hello"),
        history(1, loss="NaN", ok=True),
        field(7, b""),
        field(18, field(1, 1)),
    )
    wandb_folder(tmp_path, data)
    (row,) = import_experiments(store, None, tmp_path)
    assert (row.commit_id, row.params) == ("abc", 2)
    assert points(store, "abc")[:2] == [("loss", 0, 0.5), ("nested/a", 0, 1.0)]
    assert str(points(store, "abc")[2:]) == "[('loss', 1, nan), ('ok', 1, 1.0)]"
    assert store.get_metrics("abc").timestamps.tolist() == [1_700_000_000] * 2 + [1_700_000_001] * 2
    info = store.read_run("abc")
    assert info.params == {"lr": 0.5, "model": {"depth": 3}}
    assert (info.tags, info.notes, info.origin["project"]) == (("base", "x"), "a note", "proj")
    assert info.starts == (
        RunStart(1_700_000_000.5, 1_700_000_001.0, "failed", "exit code 1", "host1"),
    )
    assert store.read_metadata("abc").job_name == "nice name"
    assert row.left_out == {
        "image-file media": 1,
        "texts and lists of 'text'": 1,
        "system metrics": 1,
    }


ROWS = [{"step": 3, "loss": 0.5, "eval": {"acc": 1}}, {"step": 4, "loss": "NaN", "x": None}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_an_array_of_objects_comes_in(
    packed: bool, indent: int | None, store: ExperimentStore, tmp_path: Path
) -> None:
    """As JSON lines do; a bad one is named by its number, or skipped."""
    path = tmp_path / ("log.json.gz" if packed else "log.json")
    write = gzip.compress if packed else bytes
    path.write_bytes(write(json.dumps(ROWS, indent=indent).encode()))
    (row,) = import_experiments(store, None, path)
    assert (row.commit_id, row.metrics) == ("log", 3)
    assert points(store, "log")[:2] == [("loss", 3, 0.5), ("eval/acc", 3, 1.0)]
    path.write_bytes(write(json.dumps([*ROWS, 7, {"step": -1, "loss": 1}]).encode()))
    with pytest.raises(ImportSourceError, match="object 3: not a JSON object"):
        import_experiments(store, None, path)
    report = import_source(store, path, None, ImportOptions(to_id="b", skip=True))
    assert report.left_out == {"objects that are not JSON": 1}
    assert report.imported[0].left_out["rows with a bad step"] == 1


@pytest.mark.parametrize(
    "text",
    [
        '[{"step": 1, "loss": 2}',
        '[{"step": 1, "loss": 2} 7 "',
        '[{"step": 1, "loss": 2}, {"step": 2,',
        '[{"step": 1, "loss": ' + "[" * 100_000,
        '[{"step": 1, "loss": 1}, {"step": 2, "loss": ' + "9" * 5000 + "}]",
    ],
)
def test_a_torn_array_is_refused(text: str, store: ExperimentStore, tmp_path: Path) -> None:
    """With one error, and nothing of it comes in."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ImportSourceError, match=r"not JSON|not a JSON|nested|digits"):
        import_experiments(store, "jsonl", tmp_path / "a.json")
    assert os.listdir(store.root) == []


@pytest.mark.parametrize("text", ["[]", "[1]", '[{"name": "x"}]', '[[{"step": 1}]]', "["])
def test_other_arrays_are_not_recognised(text: str, store: ExperimentStore, tmp_path: Path) -> None:
    """Only those of objects with a step are."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ImportSourceError, match="not recognised"):
        import_experiments(store, None, tmp_path / "a.json")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_packed_file_is_as_the_file(name: str, store: ExperimentStore, tmp_path: Path) -> None:
    """By itself, in a directory, and with a name that says nothing."""
    text = {
        "a.csv": "step,loss\n1,0.5\n2,0.25",
        "a.tsv": "step\tloss\n1\t0.5\n2\t0.25",
        "a.jsonl": '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}',
    }[name]
    data = gzip.compress(text.encode())
    inner = "metrics.csv.gz" if name == "a.csv" else f"{name}.gz"
    for number, path in enumerate([f"{name}.gz", "x", f"sub/{inner}"]):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
        source = tmp_path / "sub" if "/" in path else tmp_path / path
        (row,) = import_experiments(store, None, source, prefix=f"{number}-")
        assert not row.commit_id.endswith((".gz", Path(name).suffix))
        assert [point[2] for point in points(store, row.commit_id)] == [0.5, 0.25]
    (tmp_path / "torn.csv.gz").write_bytes(data[:-9])
    with pytest.raises(ImportSourceError, match="not a whole gzip file"):
        import_experiments(store, None, tmp_path / "torn.csv.gz")


def test_a_small_file_that_becomes_a_huge_one_is_refused(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not unpacked beyond a limit; one that is as large by itself is read."""
    monkeypatch.setattr(files, "_UNPACKED", 1 << 16)
    lines = b"1,0.5\n" * (1 << 16)
    for name, text in (
        ("a.csv.gz", b"step,loss\n" + lines),
        ("b.json.gz", b"[" + b" " * (1 << 18)),
    ):
        (tmp_path / name).write_bytes(gzip.compress(text))
        with pytest.raises(ImportSourceError, match="too many for its size; unpack it"):
            import_experiments(store, "csv" if "csv" in name else "jsonl", tmp_path / name)
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"step,loss\n" + lines, 0))
    (row,) = import_experiments(store, None, tmp_path / "c.csv.gz")
    assert row.metrics == 1 << 16


@pytest.mark.parametrize(
    "record",
    [
        field(2, 5),
        field(2, field(1, field(16, "{"))),
        field(2, field(1, field(1, "loss") + field(16, "1" + "0" * 400))),
        history(0, loss=0.5, _timestamp="soon"),
        history(2**40, loss=0.5),
        field(17, field(4, 7)),
        b"\xff" * 30,
    ],
)
def test_an_odd_record_of_wandb_keeps_its_run_out(
    record: bytes, store: ExperimentStore, tmp_path: Path
) -> None:
    """With one typed error; --skip takes in the others."""
    wandb_folder(tmp_path, log(RUN, history(0, acc=1.5), record))
    with pytest.raises(ImportSourceError):
        import_experiments(store, None, tmp_path)
    report = import_source(store, tmp_path, None, ImportOptions(skip=True))
    assert [row.metrics for row in report.imported] == [1]
    assert report.imported[0].left_out["values that a store cannot hold"] == 1


def test_newer_items_of_wandb_are_read(store: ExperimentStore, tmp_path: Path) -> None:
    """Since 2025 an item may have its value as it is, instead of JSON."""
    values = {4: 1, 5: 5, 6: 0.25, 8: '{"b": 2}'}
    items = b"".join(
        field(1, field(1, f"m{kind}") + field(kind, value)) for kind, value in values.items()
    )
    wandb_folder(tmp_path, log(RUN, field(2, items + field(2, field(1, 7)))))
    import_experiments(store, None, tmp_path)
    assert points(store, "abc") == [
        ("m4", 7, 1.0),
        ("m5", 7, -3.0),
        ("m6", 7, 0.25),
        ("m8/b", 7, 2.0),
    ]


NAMES = st.sampled_from(["a", "b", "a/b", "long" * 40, "", "é"])
CELLS = st.integers() | st.floats() | st.text(max_size=3) | st.none() | st.just({"c": 1.5})


@given(rows=st.lists(st.lists(st.tuples(NAMES, CELLS), max_size=5), max_size=6))
def test_rows_of_wandb_are_read_whatever_the_row_before_was(
    rows: list[list[tuple[str, Any]]],
) -> None:
    """Names that repeat from row to row are remembered, which changes nothing."""
    reader = RowReader()
    for step, row in enumerate(rows):
        items = b"".join(
            field(1, field(1, name) + field(16, json.dumps(cell))) for name, cell in row
        )
        data = items + field(2, field(1, step)) + field(200, "of newer versions")
        assert str(reader.read(data)) == str((dict(row), step))


LONG = '{"name": "loss", "step": %d, "value": %s}\n'
WIDE = '{"commit_id": "a", "step": %d, "timestamp": 1700000000, "loss": %s}\n'
LARGE = "is too large for a float"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"step": 0, "loss": Infinity}\n{"step": 1, "loss": NUMBER}\n'),
        ("a.json", '[{"step": 0, "loss": Infinity}, {"step": 1, "loss": NUMBER}]'),
        ("a.jsonl", LONG % (0, "Infinity") + LONG % (1, "NUMBER")),
        ("a.jsonl", WIDE % (0, "Infinity") + WIDE % (1, "NUMBER")),
        ("a.json", '{"loss": [Infinity, NUMBER]}'),
        ("a/trainer_state.json", '{"log_history": [{"loss": Infinity}, {"loss": NUMBER}]}'),
    ],
)
@pytest.mark.parametrize("number", ["1e999", "-1E+400", "9" * 400 + ".5", "9" * 400])
def test_a_number_of_json_that_is_too_large_is_refused(
    name: str, text: str, number: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """It does not become infinite, as the word does; `skip` leaves it out."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("NUMBER", number))
    with pytest.raises(ImportSourceError, match=LARGE):
        import_experiments(store, None, path, to_id="a")
    (row,) = import_source(store, path, None, ImportOptions("a", skip=True)).imported
    assert row.left_out == {"values that a store cannot hold": 1}
    assert points(store, "a") == [("loss", 0, math.inf)]


@pytest.mark.parametrize("number", ["1e999", "9" * 400])
def test_numbers_that_are_all_too_large_are_no_text(
    number: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """Such a column is refused like one that has others; a text that looks like one is left out."""
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"step": 0, "loss": {number}, "acc": 0.5, "code": "1e999"}}\n')
    with pytest.raises(ImportSourceError, match=LARGE):
        import_experiments(store, None, path)
    (row,) = import_source(store, path, None, ImportOptions(skip=True)).imported
    assert row.left_out == {"values that a store cannot hold": 1, "text column 'code'": 1}
    assert points(store, "a") == [("acc", 0, 0.5)]


def test_a_number_of_wandb_that_is_too_large_is_refused(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """In the history and in the summary; `skip` leaves it out, and nothing else of its row."""
    item_ = field(1, field(2, "loss") + field(16, "1e999"))
    row = field(2, item_ + field(1, field(2, "acc") + field(16, "Infinity")))
    folder = wandb_folder(tmp_path, log(RUN, row))
    with pytest.raises(ImportSourceError, match=f"step 0: 'loss': '1e999' {LARGE}"):
        import_experiments(store, None, tmp_path)
    options = ImportOptions(skip=True)
    assert import_source(store, tmp_path, None, options).imported[0].metrics == 1
    assert points(store, "abc") == [("acc", 0, math.inf)]
    (folder / "run-abc.wandb").unlink()
    (folder / "files" / "wandb-summary.json").write_text('{"loss": -1e999, "lr": 0.5}')
    (found,) = import_source(store, tmp_path, None, options).imported
    assert found.left_out == {"values that a store cannot hold": 1}
    assert points(store, found.commit_id) == [("lr", 0, 0.5)]


def test_a_parameter_that_is_too_large_is_its_text(store: ExperimentStore, tmp_path: Path) -> None:
    """As in all parameters; the words of JSON stay what they are."""
    path = tmp_path / "PPO_1" / "result.json"
    path.parent.mkdir()
    line = '{"training_iteration": 1, "config": {"lr": 1e999, "clip": Infinity, "n": 2.5}}\n'
    path.write_text(line)
    import_experiments(store, None, path, to_id="a")
    assert store.read_run("a").params == {"lr": "1e999", "clip": "Infinity", "n": 2.5}


def test_without_a_history_the_summary_comes_in(store: ExperimentStore, tmp_path: Path) -> None:
    """A note says that the history is not there."""
    folder = tmp_path / "run-20231114_221320-xyz" / "files"
    folder.mkdir(parents=True)
    summary = {"loss": 0.5, "_step": 9, "_timestamp": 1_700_000_000.5, "_wandb": {"runtime": 1}}
    (folder / "wandb-summary.json").write_text(json.dumps(summary))
    (folder / "config.yaml").write_text("_wandb:\n  value: {}\nlr:\n  desc: null\n  value: 0.5\n")
    (folder / "wandb-metadata.json").write_text(
        '{"startedAt": "2023-11-14T22:13:00Z", "username": "me"}'
    )
    (row,) = import_experiments(store, "wandb", tmp_path)
    (commit_id,) = store.list_experiments()
    assert list(store.get_metrics(commit_id)) == [Metric("loss", 0.5, 9, 1_700_000_000)]
    assert store.read_run(commit_id).params == {"lr": 0.5}
    assert store.read_metadata(commit_id).user == "me"
    assert any("history is not in the folder" in note for note in row.notes)


def records_of(path: Path, data: bytes) -> Iterator[bytes]:
    """The records that are read from a file's bytes."""
    path.write_bytes(data)
    return (record for _, record in wandblog.records(path))


@pytest.mark.parametrize("size", [0, 1, 32_747, 32_748, 32_754, 32_761, 100_000])
def test_records_across_blocks_are_whole(size: int, tmp_path: Path) -> None:
    """Wherever the end of a block is."""
    wanted = [b"a" * size, b"b", b"c" * size, b"d"]
    assert list(records_of(tmp_path / "a", log(*wanted))) == wanted


@given(st.data())
def test_damage_ends_a_log_of_wandb(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Records before it are whole, and none is made up."""
    wanted = [history(step, loss=step / 2) for step in range(5)]
    whole = bytearray(log(*wanted))
    place = data.draw(st.integers(7, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(place + 1, len(whole)))
    path = tmp_path_factory.getbasetemp() / "damaged"
    found = list(records_of(path, bytes(whole[:cut])))
    assert found == wanted[: len(found)]
    assert len(found) < 5


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_an_error(data: bytes) -> None:
    """Nothing else is raised, whatever the message says of its lengths."""
    try:
        found = wandblog.fields(data)
    except (ValueError, IndexError):
        return
    assert sum(len(value) for _, value in found if isinstance(value, bytes)) <= len(data)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.log"])
def test_json_lines_with_a_byte_order_mark_come_in(
    store: ExperimentStore, tmp_path: Path, encoding: str, name: str
) -> None:
    """As PowerShell writes them, whatever the file is called."""
    path = tmp_path / name
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n', encoding)
    report = import_source(store, path)
    assert report.kind == "jsonl"
    assert points(store, "a") == [("loss", 1, 0.5), ("loss", 2, 0.25)]


def test_exported_wide_json_lines_round_trip(store: ExperimentStore, tmp_path: Path) -> None:
    """Each experiment comes back as itself, with names that other columns have, and its user."""
    names = ["loss", "step", "time", "tags", "", "a/b", "\\xff"]
    for commit_id in ("a", "b"):
        with store.start_experiment(commit_id, job_name="train", user="alice") as writer:
            for step, value in enumerate((0.1, -0.0, math.inf, -math.inf)):
                writer.log_many(dict.fromkeys(names, value), step=step * 1000)
    path = tmp_path / "all.jsonl"
    export_file(store, None, path, "jsonl", wide_form=True, with_metadata=True)
    import_experiments(store, None, path, prefix="new-")
    assert store.list_experiments() == ["a", "b", "new-a", "new-b"]
    for commit_id in ("a", "b"):
        came = store.get_metrics(f"new-{commit_id}")
        assert sorted(came, key=str) == sorted(store.get_metrics(commit_id), key=str)
        assert store.read_metadata(f"new-{commit_id}").user == "alice"


def test_a_bad_line_of_wide_json_lines_is_named(store: ExperimentStore, tmp_path: Path) -> None:
    """Or left out and counted."""
    path = tmp_path / "all.jsonl"
    rows = [{"commit_id": name, "step": 1, "timestamp": 5, "loss": 0.5} for name in ("a", "b", 3)]
    write_lines(path, *rows)
    with pytest.raises(ImportSourceError, match="line 3: no text as commit_id"):
        import_source(store, path)
    assert store.list_experiments() == []
    report = import_source(store, path, None, ImportOptions(skip=True))
    assert [row.commit_id for row in report.imported] == ["a", "b"]
    assert report.left_out == {"lines without an id, step or time": 1}


def test_json_lines_that_are_not_utf8_are_refused(store: ExperimentStore, tmp_path: Path) -> None:
    """JSON is UTF-8: a byte that is not does not become part of a parameter or a name."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 2}\n{"step": 2, "loss": 1, "config": {"a": "\xe9"}}\n')
    with pytest.raises(ImportSourceError, match="line 2: not a JSON object: not UTF-8"):
        import_experiments(store, None, path)
    report = import_source(store, path, None, ImportOptions(skip=True))
    assert (report.imported[0].metrics, report.left_out) == (1, {"lines that are not JSON": 1})


def test_an_update_brings_the_end_of_a_run_without_new_points(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """One that was imported while it ran; a start that the experiment has had since is kept."""
    running = [RUN, item(5, "lr", 0.5), history(0, loss=0.5)]
    folder = wandb_folder(tmp_path, log(*running))
    import_experiments(store, None, tmp_path)
    assert store.read_run("abc").starts[0].outcome is None
    with expstore.start(store.root, commit_id="abc", resume=True):
        pass
    ended = log(*running, item(5, "late", 1), field(18, field(1, 1)))
    (folder / "run-abc.wandb").write_bytes(ended)
    for options, outcomes in (
        (ImportOptions(), [None, "finished"]),
        (ImportOptions(update=True, dry_run=True), [None, "finished"]),
        (ImportOptions(update=True), ["failed", "finished"]),
    ):
        import_source(store, tmp_path, None, options)
        assert [start.outcome for start in store.read_run("abc").starts] == outcomes
    assert store.read_run("abc").params == {"lr": 0.5, "late": 1}
    (row,) = import_source(store, tmp_path, None, ImportOptions(update=True)).imported
    assert row.already_there
