"""Pruning alongside writers: experiments in use are skipped, with the reason."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import Any

import pytest

from expstore import (
    DeletionError,
    ExperimentGoneError,
    ExperimentStore,
    InvalidCommitIdError,
    Metadata,
    RetentionPolicyError,
    UnreadableFileError,
)
from expstore.store import keeper as store_module
from expstore.store.append import locks
from expstore.store.files import system
from tests.faults.base import Counter, fork, join

NOW = 1_700_000_000


@pytest.fixture
def two(store: ExperimentStore) -> ExperimentStore:
    """A store with the experiments `new` and `old`."""
    for age, commit_id in enumerate(("new", "old")):
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, NOW - age))
        store.log_metric(commit_id, "loss", 0.5, 1)
    return store


def test_experiment_with_a_writer_is_skipped_with_the_reason(two: ExperimentStore) -> None:
    """By the plan and by the deletion, until the writer is closed; no lock file is left."""
    other = ExperimentStore(two.root)
    with other.writer("old") as writer:
        rows = {row.commit_id: row for row in two.plan_prune(1)}
        assert rows["old"].action == "skip"
        assert rows["old"].reason == "a writer has it open"
        assert rows["old"].metadata == Metadata("old", NOW - 1)
        assert two.prune_experiments(1) == []
        with pytest.raises(DeletionError, match="old: a writer has it open") as caught:
            two.delete_experiments(["old", "new"])
        assert caught.value.deleted == ["new"]
        writer.log("loss", 0.5, 2)
    assert sorted(os.listdir(two.experiment_path("old"))) == ["files", "meta.bin", "metrics.bin"]
    assert two.prune_experiments(0) == ["old"]


def test_kept_experiments_are_not_asked_for_writers(two: ExperimentStore) -> None:
    """A writer makes no difference to an experiment that is kept anyway, or protected."""
    with two.writer("new"), two.writer("old"):
        plan = {row.commit_id: row.reason for row in two.plan_prune(1, protect=["old"])}
    assert plan == {"new": "within limits", "old": "protected"}


def test_forced_prune_deletes_what_is_in_use(two: ExperimentStore) -> None:
    """The writer gets an error at its next append."""
    with two.writer("old") as writer:
        assert two.plan_prune(1, force=True).pruned == ["old"]
        assert two.prune_experiments(1, force=True) == ["old"]
        with pytest.raises(ExperimentGoneError):
            writer.log("loss", 0.5, 2)
    assert os.listdir(two.root) == ["new"]


def test_what_a_forced_prune_left_under_a_live_writer_is_swept(
    two: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's lock does not protect leftovers."""
    with two.writer("old") as writer, monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("expstore.store.care.delete.empty_directory", killed)
        with pytest.raises(KeyboardInterrupt):
            two.prune_experiments(1, force=True)
        patch.undo()
        assert len(os.listdir(two.root)) == 2
        with pytest.raises(ExperimentGoneError):
            writer.log("loss", 0.5, 2)
        two.prune_experiments(1)
    assert os.listdir(two.root) == ["new"]


def test_grace_spares_what_was_logged_to_lately(two: ExperimentStore) -> None:
    """For other programs' writers, which hold no lock; off by default."""
    path = two.metrics_path("old")
    os.utime(path, (time.time() - 100, time.time() - 100))
    assert two.plan_prune(1).pruned == ["old"]
    assert two.plan_prune(1, grace=99).pruned == ["old"]
    (row,) = [row for row in two.plan_prune(1, grace=200) if row.commit_id == "old"]
    assert (row.action, row.reason) == ("skip", "logged to 1 minute ago")
    assert two.prune_experiments(1, grace=200) == []
    assert two.prune_experiments(1, grace=99) == ["old"]


def test_grace_counts_from_the_metadata_where_nothing_was_logged(two: ExperimentStore) -> None:
    """A run that has just started is in use too."""
    two.metrics_path("old").unlink()
    assert two.plan_prune(1, grace=60).pruned == []
    os.utime(two.metadata_path("old"), (0, 0))
    assert two.plan_prune(1, grace=60).pruned == ["old"]


@pytest.mark.parametrize("grace", [-1, float("nan"), "60", True, None])
def test_senseless_grace_is_refused(grace: Any, two: ExperimentStore) -> None:
    """Before any file is read."""
    with pytest.raises(RetentionPolicyError, match="grace"):
        two.prune_experiments(0, grace=grace)
    with pytest.raises(RetentionPolicyError, match="grace"):
        two.prune(two.plan_prune(0), grace=grace)
    assert two.list_experiments() == ["new", "old"]


@pytest.mark.parametrize("protect", ["old", b"old", [b"old"], [1]])
def test_one_text_protects_nothing_and_is_refused(protect: Any, two: ExperimentStore) -> None:
    """Its characters are not commit ids, so the experiment it names would be deleted."""
    with pytest.raises(RetentionPolicyError, match="protect"):
        two.prune_experiments(0, protect=protect)
    with pytest.raises(InvalidCommitIdError):
        two.delete_experiments(protect)
    assert two.list_experiments() == ["new", "old"]


def test_what_changed_since_the_plan_stays(
    two: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recreated under the same id, or opened by a writer, after it was judged."""
    delete = store_module.delete
    writers = []

    def later(*args: Any, **kwargs: Any) -> Any:
        two.write_metadata(Metadata("old", NOW + 5))
        writers.append(two.writer("new"))
        return delete(*args, **kwargs)

    monkeypatch.setattr(store_module, "delete", later)
    assert two.plan_prune(0).pruned == ["new", "old"]
    assert two.prune_experiments(0) == []
    writers[0].close()
    assert two.list_experiments() == ["new", "old"]


def test_writer_that_starts_while_its_experiment_is_deleted_is_told(
    two: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the exclusive lock, then finds the experiment gone, not half deleted."""
    locked, tried = Counter(), Counter()

    def start() -> None:
        # The deletion happens after the writer opened the directory, before it requests the lock.
        take = system.try_lock

        def late(descriptor: int, kind: int) -> bool | None:
            tried[0] = 1
            while not locked[0]:
                time.sleep(0.001)
            return take(descriptor, kind)

        system.try_lock = late
        with pytest.raises(ExperimentGoneError, match="old: deleted"):
            two.writer("old")

    child = fork(start)
    while not tried[0]:
        time.sleep(0.001)
    rename = os.rename

    def slowly(*args: Any, **kwargs: Any) -> None:
        locked[0] = 1
        time.sleep(0.02)
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "rename", slowly)
    assert two.prune_experiments(1) == ["old"]
    join(child)
    assert os.listdir(two.root) == ["new"]


def test_planning_does_not_disturb_writers(two: ExperimentStore) -> None:
    """Planning takes the lock for a moment; a writer that starts then waits that long."""
    stop, plans = Counter(), Counter()

    def plan() -> None:
        while not stop[0]:
            assert [row.commit_id for row in two.plan_prune(0)] == ["new", "old"]
            plans[0] += 1

    child = fork(plan)
    try:
        patience = time.monotonic() + 10
        while not plans[0] and time.monotonic() < patience:
            time.sleep(0.001)
        before = plans[0]
        written = 0
        # On a busy machine, the planning process may have no turn during the first 200.
        while written < 200 or (plans[0] == before and time.monotonic() < patience):
            with two.writer("old") as writer:
                writer.log("loss", 0.5, written)
            written += 1
        during = plans[0] - before
    finally:
        stop[0] = 1
        join(child)
    assert during > 0
    assert two.get_metrics("old").steps.tolist() == [1, *range(written)]


def test_start_experiment_is_safe_from_a_prune_from_its_metadata_on(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in use before it can be judged."""
    other = ExperimentStore(store.root)
    write = ExperimentStore.write_metadata

    def then_prune(self: ExperimentStore, metadata: Metadata, *, new: bool) -> None:
        write(self, metadata, new=new)
        assert other.prune_experiments(0) == []

    monkeypatch.setattr(ExperimentStore, "write_metadata", then_prune)
    with store.start_experiment("abc") as writer:
        writer.log("loss", 0.5, 1)
    assert store.experiment_exists("abc")


def test_start_experiment_over_one_that_is_being_pruned_makes_it_anew(
    two: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one with the same id is deleted; the new one is not mistaken for it."""
    create = ExperimentStore.create_experiment
    times = []

    def then_prune(self: ExperimentStore, commit_id: str) -> Any:
        path = create(self, commit_id)
        times.append(commit_id)
        if len(times) == 1:
            monkeypatch.setattr(os, "open", opened(os.open))
        return path

    def opened(real: Any) -> Any:
        def open_and_prune(path: Any, *args: Any, **kwargs: Any) -> int:
            descriptor = int(real(path, *args, **kwargs))
            if str(path).endswith("old"):
                monkeypatch.setattr(os, "open", real)
                assert ExperimentStore(two.root).prune_experiments(1) == ["old"]
            return descriptor

        return open_and_prune

    monkeypatch.setattr(ExperimentStore, "create_experiment", then_prune)
    with two.start_experiment("old", "again") as writer:
        writer.log("loss", 0.5, 1)
    assert times == ["old", "old"]
    assert two.read_metadata("old").job_name == "again"
    assert len(two.get_metrics("old")) == 1


def test_closed_writer_leaves_no_lock_with_forked_processes(two: ExperimentStore) -> None:
    """A worker forked while it was open inherits its descriptor, but no lock."""
    stop = Counter()

    def idle() -> None:
        while not stop[0]:
            time.sleep(0.001)

    writer = two.writer("old")
    child = fork(idle)
    writer.close()
    pruned = two.prune_experiments(1)
    stop[0] = 1
    join(child)
    assert pruned == ["old"]


def test_forked_process_that_ends_leaves_the_lock_to_the_writer(two: ExperimentStore) -> None:
    """Even if it closes its copy of the writer."""
    with two.writer("old") as writer:
        join(fork(writer.close))
        assert two.prune_experiments(1) == []


def test_lock_ends_with_its_process(two: ExperimentStore) -> None:
    """However the process ends."""

    def die() -> None:
        two.writer("old").log("loss", 0.5, 2)
        os._exit(0)

    join(fork(die))
    assert two.prune_experiments(1) == ["old"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_file_system_without_locks_will_do(
    code: int, two: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything works, except that writers are not detected; `grace` is for that."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with two.writer("old") as writer:
        writer.log("loss", 0.5, 2)
        two.write_metadata(Metadata("old", NOW - 1))
        assert two.plan_prune(1, grace=1000).pruned == []
        assert two.prune_experiments(1) == ["old"]
        with pytest.raises(ExperimentGoneError):
            writer.log("loss", 0.5, 3)


def test_a_lock_that_someone_keeps_is_not_waited_for_without_end(
    two: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion holds it for microseconds; a longer holder is not a deletion, or is suspended."""
    monkeypatch.setattr(locks, "_PATIENCE", 0.05)
    directory = os.open(two.experiment_path("old"), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    with pytest.raises(UnreadableFileError, match="locked"):
        two.writer("old")
    os.close(directory)
    two.writer("old").close()


def test_a_forked_writer_has_a_lock_of_its_own(two: ExperimentStore) -> None:
    """It still counts as live after the parent's writer is closed."""
    state = Counter(2)

    def work() -> None:
        writer.log("child", 0.5, 1)
        state[0] = 1
        while not state[1]:
            time.sleep(0.001)
        writer.log("child", 0.5, 2)

    with two.writer("old") as writer:
        child = fork(work)
        while not state[0]:
            time.sleep(0.001)
    assert two.prune_experiments(1) == []
    state[1] = 1
    join(child)
    assert two.prune_experiments(1) == ["old"]
