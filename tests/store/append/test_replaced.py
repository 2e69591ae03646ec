"""A log or directory that is replaced under a live writer: nothing more is acknowledged."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from expstore import ExperimentGoneError, ExperimentStore, MetricWriter
from expstore.model.values import RECORD_CODEC
from expstore.store.append import locks
from expstore.store.files import identity
from tests.faults.base import read_log


def made_anew(path: Path) -> None:
    """`rm metrics.bin`, and another program makes it anew."""
    (path / "metrics.bin").unlink()
    (path / "metrics.bin").touch()


def copied_over(path: Path) -> None:
    """A copy is renamed over the log, as by rsync, a restore or `sed -i`."""
    shutil.copy(path / "metrics.bin", path / "copy")
    (path / "copy").rename(path / "metrics.bin")


def moved_and_made_anew(path: Path) -> None:
    """The experiment is moved to another store, under its name, and made anew."""
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.mkdir()
    path.rename(elsewhere / path.name)
    shutil.copytree(elsewhere / path.name, path)


def store_restored(path: Path) -> None:
    """The whole store is moved away, and a copy restored in its place."""
    root = path.parent
    root.rename(root.with_name("old"))
    shutil.copytree(root.with_name("old"), root)


def linked(path: Path) -> None:
    """A link takes the log's place, and leads to it; a store follows no links."""
    (path / "metrics.bin").rename(path / "other")
    (path / "metrics.bin").symlink_to("other")


REPLACE = [made_anew, copied_over, moved_and_made_anew, store_restored, linked]


def write(writer: MetricWriter, step: int) -> None:
    """Log one step in the way that training scripts do."""
    writer.log_many({"loss": 0.5, "accuracy": 0.5}, step)


@pytest.mark.parametrize("durability", ["process", "interval", "power"])
@pytest.mark.parametrize("replace", REPLACE)
def test_replaced_log_is_noticed_by_the_next_step(
    replace: Callable[[Path], None], durability: str, store: ExperimentStore
) -> None:
    """The error says which records may be lost: those since the log was last seen in place."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability=durability)  # type: ignore[arg-type]
    for step in range(3):
        write(writer, step)
    whole = store.metrics_path("abc").stat().st_size
    replace(store.experiment_path("abc"))
    held = read_log(store.metrics_path("abc"))
    with pytest.raises(ExperimentGoneError) as caught:
        write(writer, 3)
    assert read_log(store.metrics_path("abc")) == held
    if durability == "power":  # each was seen in place once it was on disk
        assert caught.value.start == caught.value.end
    else:
        assert (caught.value.start, caught.value.end) == (whole // 3 * 2, whole)
        assert f"2 records of step 2, between bytes {whole // 3 * 2}" in str(caught.value)
    with pytest.raises(ExperimentGoneError):
        write(writer, 4)
    writer.close()  # what is known already is not raised again


def truncated(path: Path) -> None:
    """The log is cut, as by `truncate -s`."""
    log = path / "metrics.bin"
    os.truncate(log, log.stat().st_size - 49)


def overwritten(path: Path) -> None:
    """A shorter file is copied over the log, as by `cp`, which keeps the inode."""
    (path / "metrics.bin").write_bytes(b"")
    (path / "metrics.bin").write_bytes(RECORD_CODEC.build(timestamp=1, step=1, value=1.0, name="x"))


def rewritten(path: Path) -> None:
    """Other content of greater length is written in place, as by some editors."""
    log = path / "metrics.bin"
    record = RECORD_CODEC.build(timestamp=1, step=1, value=1.0, name="x")
    log.write_bytes(record * (log.stat().st_size // len(record) + 2))


def edited(path: Path) -> None:
    """A byte is changed, and a record added; the end of what was known looks the same."""
    log = path / "metrics.bin"
    data = bytearray(log.read_bytes())
    data[-40] ^= 1
    log.write_bytes(data + RECORD_CODEC.build(timestamp=1, step=1, value=1.0, name="x"))


@pytest.mark.parametrize("durability", ["process", "interval", "power"])
@pytest.mark.parametrize("damage", [truncated, overwritten, rewritten, edited])
def test_log_that_was_cut_in_place_is_noticed_by_the_next_step(
    damage: Callable[[Path], None], durability: str, store: ExperimentStore
) -> None:
    """The error says which records may be lost; nothing more is acknowledged or written."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability=durability)  # type: ignore[arg-type]
    for step in range(3):
        write(writer, step)
    path = store.metrics_path("abc")
    whole = path.stat().st_size
    damage(store.experiment_path("abc"))
    held = path.read_bytes()
    time.sleep(0.001)
    for _ in range(2):
        with pytest.raises(ExperimentGoneError) as caught:
            write(writer, 3)
        start = 0 if damage in (rewritten, edited) else len(held)
        assert (caught.value.start, caught.value.end) == (start, whole)
        assert f"between bytes {start} and {whole}" in str(caught.value)
        assert path.read_bytes() == held
    writer.close()  # what is known already is not raised again


def test_step_that_was_written_to_a_cut_log_says_so_once(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps so close that the second looks only after its write."""
    monkeypatch.setattr("expstore.store.append.writer._CHECK_INTERVAL", 60.0)
    store.create_experiment("abc")
    writer = ExperimentStore(store.root).writer("abc")  # with the system's clock
    write(writer, 0)
    write(writer, 1)
    os.truncate(store.metrics_path("abc"), store.metrics_path("abc").stat().st_size // 2)
    with pytest.raises(ExperimentGoneError, match="the last record was still written, at byte 54"):
        write(writer, 2)
    assert store.get_metrics("abc").steps.tolist() == [0, 0, 2, 2]
    with pytest.raises(ExperimentGoneError):
        write(writer, 3)
    assert len(store.get_metrics("abc")) == 4
    writer.close()


@pytest.mark.parametrize("damage", [truncated, rewritten])
def test_last_records_in_a_log_cut_in_place_are_noticed_on_closing(
    damage: Callable[[Path], None], store: ExperimentStore
) -> None:
    """No later step would say so."""
    store.create_experiment("abc")
    writer = store.writer("abc")
    write(writer, 7)
    damage(store.experiment_path("abc"))
    with pytest.raises(ExperimentGoneError, match="lost"):
        writer.close()
    writer.close()


def test_other_content_of_the_same_size_is_noticed_on_closing(store: ExperimentStore) -> None:
    """By the last bytes; a step does not compare them."""
    store.create_experiment("abc")
    writer = store.writer("abc")
    write(writer, 7)
    path = store.metrics_path("abc")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ExperimentGoneError, match="rewritten in place"):
        writer.close()


def test_tear_that_another_program_cuts_off_is_no_loss(store: ExperimentStore) -> None:
    """A forced repair cuts after the last whole record; the writer goes on."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        write(writer, 1)
        with store.metrics_path("abc").open("ab") as other:
            other.write(b"\1" * 18)
        store.repair("abc", force=True)
        write(writer, 2)
    assert store.get_metrics("abc").steps.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("kind", ["process", "interval", "power"])
def test_last_records_in_a_replaced_log_are_noticed_on_closing(
    kind: str, store: ExperimentStore
) -> None:
    """No later step would say so."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability=kind)  # type: ignore[arg-type]
    write(writer, 7)
    made_anew(store.experiment_path("abc"))
    if kind == "power":
        writer.close()  # the record was on disk and in place when the call returned
        return
    with pytest.raises(ExperimentGoneError, match="2 records of step 7"):
        writer.close()
    assert not list(Path("/proc/self/fd").glob("*metrics*"))
    writer.close()


def test_moving_a_finished_experiment_is_no_error_on_closing(store: ExperimentStore) -> None:
    """All that was logged is in the log that was moved."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        write(writer, 1)
        store.experiment_path("abc").rename(store.root / "moved")
    assert len(store.get_metrics("moved")) == 2


def test_flush_into_a_replaced_log_is_an_error(store: ExperimentStore) -> None:
    """What was synced is no longer the experiment's."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="interval")
    write(writer, 1)
    copied_over(store.experiment_path("abc"))
    with pytest.raises(ExperimentGoneError, match="2 records of step 1"):
        writer.flush()
    writer.close()


@pytest.mark.parametrize(
    ("damage", "message"), [(truncated, "cut to"), (copied_over, "2 records of step 5")]
)
def test_log_damaged_while_it_is_synced_is_noticed_before_power_acknowledges(
    damage: Callable[[Path], None],
    message: str,
    store: ExperimentStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `power`, what a call acknowledges is on disk under the experiment's name."""
    store.create_experiment("abc")
    writer = store.writer("abc", durability="power")
    sync = os.fdatasync

    def damaged(descriptor: int) -> None:
        sync(descriptor)
        damage(store.experiment_path("abc"))

    monkeypatch.setattr(os, "fdatasync", damaged)
    with pytest.raises(ExperimentGoneError, match=message):
        write(writer, 5)


def test_experiment_that_became_a_link_to_itself_is_noticed(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same log, but readers of the store follow no link; so it is looked for less often."""
    monkeypatch.setattr(locks, "_LINK_INTERVAL", 0.01)
    path = store.create_experiment("abc")
    writer = store.writer("abc")
    write(writer, 1)
    path.rename(store.root / "moved")
    path.symlink_to("moved")
    time.sleep(0.02)
    with pytest.raises(ExperimentGoneError):
        write(writer, 2)


def test_change_of_the_working_directory_is_no_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative root means what it meant when the writer was opened."""
    monkeypatch.setattr(locks, "_LINK_INTERVAL", 0.0)
    monkeypatch.chdir(tmp_path)
    store = ExperimentStore("root")
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        write(writer, 1)
        (tmp_path / "inner").mkdir()
        monkeypatch.chdir(tmp_path / "inner")
        write(writer, 2)
    assert len(ExperimentStore(tmp_path / "root").get_metrics("abc")) == 4


@pytest.mark.parametrize("replace", REPLACE)
def test_identity_can_be_had_without_statx(
    replace: Callable[[Path], None], store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other systems, and in sandboxes that forbid the call."""
    for function in (None, lambda *_: -1):
        monkeypatch.setattr(identity.own, "library_function", lambda *_, f=function, **__: f)
        shutil.rmtree(store.root)
        shutil.rmtree(store.root.with_name("old"), ignore_errors=True)
        shutil.rmtree(store.root.with_name("elsewhere"), ignore_errors=True)
        store.create_experiment("abc")
        writer = store.writer("abc")
        write(writer, 1)
        write(writer, 2)
        replace(store.experiment_path("abc"))
        with pytest.raises(ExperimentGoneError):
            write(writer, 3)


def test_log_that_changed_between_two_calls_of_the_store_is_parsed_anew(
    store: ExperimentStore,
) -> None:
    """Even if it has the same size: a tear at its end is not appended to."""
    store.create_experiment("abc")
    for step in range(4):
        store.log_metric("abc", "loss", 0.5, step)
    path = store.metrics_path("abc")
    data = path.read_bytes()
    time.sleep(0.001)
    longer = RECORD_CODEC.build(timestamp=1_700_000_000, step=3, value=0.5, name="x" * 11)
    path.write_bytes(data[25:75] + longer + b"\1" * 18)
    assert path.stat().st_size == len(data)
    store.log_metric("abc", "loss", 0.5, 4)
    assert [step for _, step, _ in read_log(path)[0]] == [1, 2, 3, 4]
    assert read_log(path)[1] == 0


def test_follower_says_that_the_log_was_replaced(store: ExperimentStore) -> None:
    """And up to which byte it gave the records of the old one."""
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    follower = store.follow("abc")
    assert len(follower.poll()) == 1
    copied_over(store.experiment_path("abc"))
    with pytest.raises(ExperimentGoneError, match=r"replaced.* byte 25"):
        follower.poll()
    store.metrics_path("abc").unlink()
    with pytest.raises(ExperimentGoneError, match="deleted"):
        follower.poll()


def test_error_survives_being_sent() -> None:
    """With its offsets."""
    error = pickle.loads(pickle.dumps(ExperimentGoneError("message", 3, 7)))
    assert (str(error), error.start, error.end) == ("message", 3, 7)
