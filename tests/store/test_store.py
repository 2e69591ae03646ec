"""ExperimentStore: each operation, its files, and what it refuses before writing anything."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import (
    DeletionError,
    ExperimentNotFoundError,
    ExperimentStore,
    FieldValueError,
    GitHeadError,
    InvalidCommitIdError,
    Metadata,
    MetadataNotFoundError,
    Metric,
    NameTruncatedWarning,
    StoreNotFoundError,
    TruncatedError,
    UnreadableFileError,
)
from expstore.model.times import unit_fault
from expstore.store.files import layout

NOW = 1_700_000_000
META = Metadata("3f2a9c1d", NOW, "train", "alice")
BAD_IDS = [
    "",
    ".",
    "..",
    ".hidden",
    "../x",
    "/x",
    "a/b",
    "a\0b",
    "x" * 256,
    "é" * 128,
    "\ud800",
    None,
    3,
    b"abc",
    Path("abc"),
]


def tree(root: Path) -> set[str]:
    """Every path under root, to check that nothing was written."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_store_opens_nothing(tmp_path: Path) -> None:
    """Constructing a store neither accesses nor creates its root."""
    store = ExperimentStore(tmp_path / "no" / "such")
    assert not store.root.exists()
    with pytest.raises(StoreNotFoundError, match="expstore init"):
        store.list_experiments()
    store.initialize()
    store.initialize()
    assert store.list_experiments() == []


def test_paths_are_the_references(store: ExperimentStore) -> None:
    """The four paths, for an experiment that need not exist."""
    assert store.experiment_path("abc") == store.root / "abc"
    assert store.files_path("abc") == store.root / "abc" / "files"
    assert store.metadata_path("abc") == store.root / "abc" / "meta.bin"
    assert store.metrics_path("abc") == store.root / "abc" / "metrics.bin"


def test_create_makes_the_directory_and_its_files(store: ExperimentStore) -> None:
    """Creating twice raises no error and loses nothing."""
    assert not store.experiment_exists("abc")
    assert store.create_experiment("abc") == store.root / "abc"
    (store.files_path("abc") / "model.pt").write_bytes(b"weights")
    store.create_experiment("abc")
    assert store.experiment_exists("abc")
    assert (store.files_path("abc") / "model.pt").read_bytes() == b"weights"


@pytest.mark.parametrize("commit_id", BAD_IDS, ids=ascii)
def test_bad_commit_id_is_refused_before_any_file_call(
    commit_id: Any, store: ExperimentStore
) -> None:
    """Anything but a single plain path component never becomes a path."""
    calls: list[Any] = [
        store.experiment_path,
        store.files_path,
        store.metadata_path,
        store.metrics_path,
        store.experiment_exists,
        store.create_experiment,
        store.read_metadata,
        store.get_metrics,
        store.writer,
        lambda i: store.log_metric(i, "loss", 0.5, 1),
        lambda i: store.log_metrics(i, {"loss": 0.5}, 1),
        lambda i: store.write_metadata(Metadata(i, NOW)),
        lambda i: store.delete_experiments([i]),
    ]
    if commit_id is not None:  # None: git's HEAD
        calls.append(store.start_experiment)
    for call in calls:
        with pytest.raises(InvalidCommitIdError):
            call(commit_id)
    assert tree(store.root.parent) == {"experiments"}


@pytest.mark.parametrize(
    "commit_id", ["a", "A-b_c.d", "with space", "é" * 127, "\udcff", "x" * 255]
)
def test_any_plain_component_is_a_commit_id(commit_id: str, store: ExperimentStore) -> None:
    """Ids need not be hashes, or UTF-8 on disk."""
    store.start_experiment(commit_id, "job", "me").close()
    store.log_metric(commit_id, "loss", 0.5, 1)
    assert store.list_experiments() == [commit_id]
    assert store.read_metadata(commit_id).commit_id == commit_id
    assert store.prune_experiments(0) == [commit_id]


@given(
    timestamp=st.integers(-(2**63), 2**63 - 1).filter(lambda timestamp: not unit_fault(timestamp)),
    job_name=st.binary(max_size=255),
    user=st.binary(max_size=255),
)
def test_metadata_round_trips(
    timestamp: int, job_name: bytes, user: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any timestamp that may be in seconds, and any bytes as text, are kept."""
    store = ExperimentStore(tmp_path_factory.getbasetemp() / "round-trips")
    store.create_experiment("abc")
    texts = (b.decode("utf-8", "surrogateescape") for b in (job_name, user))
    metadata = Metadata("abc", timestamp, *texts)
    store.write_metadata(metadata)
    assert store.read_metadata("abc") == metadata


def test_created_is_aware_utc() -> None:
    """The timestamp as a datetime, even before 1970."""
    assert Metadata("a", NOW).created.isoformat() == "2023-11-14T22:13:20+00:00"
    assert Metadata("a", -86400).created.isoformat() == "1969-12-31T00:00:00+00:00"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        (Metadata("abc", NOW, "j" * 256), "job_name"),
        (Metadata("abc", NOW, "", "u" * 256), "user"),
        (Metadata("abc", 2**63), "timestamp"),
        (Metadata("abc", True), "timestamp"),
        (Metadata("abc", 1.5), "timestamp"),  # type: ignore[arg-type]
        (Metadata("abc", NOW, b"job"), "job_name"),  # type: ignore[arg-type]
    ],
)
def test_metadata_that_does_not_fit_leaves_the_old(
    metadata: Metadata, field: str, store: ExperimentStore
) -> None:
    """The error names the bad field, and the file is unchanged."""
    store.start_experiment("abc", "old", "me").close()
    before = tree(store.root)
    with pytest.raises(FieldValueError) as caught:
        store.write_metadata(metadata)
    assert caught.value.field == field
    assert store.read_metadata("abc").job_name == "old"
    assert tree(store.root) == before


def test_metadata_of_no_experiment(store: ExperimentStore) -> None:
    """The errors of reading and writing say what is missing, and how to create it."""
    with pytest.raises(ExperimentNotFoundError, match="abc: no such experiment"):
        store.read_metadata("abc")
    with pytest.raises(ExperimentNotFoundError):
        store.write_metadata(Metadata("abc", NOW))
    store.create_experiment("abc")
    with pytest.raises(MetadataNotFoundError, match=r"meta\.bin: no metadata"):
        store.read_metadata("abc")


def test_start_experiment_takes_id_from_git_and_user_from_login(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a repository no argument is needed; outside one the error says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("LOGNAME", "carol")
    with pytest.raises(GitHeadError, match="give a commit_id"):
        store.start_experiment()
    identity = ["-c", "user.name=Carol", "-c", "user.email=carol@example.org"]
    subprocess.run(["git", "init", "-q", "."], check=True)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    with store.start_experiment(job_name="train") as run:
        assert run.commit_id == head
        run.log("loss", 0.5, 1)
    assert store.read_metadata(head) == Metadata(head, NOW, "train", "carol")


def test_listing_agrees_with_what_an_id_may_be(store: ExperimentStore) -> None:
    """The listing's fast check agrees with the rules for ids."""
    names = ["a", "-", "a b", "ü" * 127, "ü" * 128, "x" * 255, ".hidden", "\udcff", "~", "a\n"]
    assert layout.commit_ids(names) == sorted(filter(layout.is_commit_id, names))


def test_listing_reads_many_experiments_in_parts(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each experiment comes once, in order, in any chunking; a bad one breaks no chunk."""
    monkeypatch.setattr("expstore.store.metafile._FIRST", 1)
    monkeypatch.setattr("expstore.store.metafile._MOST", 4)
    ids = [f"id{number:02}" for number in range(20)]
    for commit_id in ids:
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, NOW))
    store.metadata_path("id07").write_bytes(b"\x01")
    listed = list(store.iter_metadata())
    assert [commit_id for commit_id, _ in listed] == ids
    bad = {commit_id for commit_id, found in listed if not isinstance(found, Metadata)}
    assert bad == {"id07"}


def test_listing_leaves_out_what_is_no_experiment(store: ExperimentStore) -> None:
    """Files, links and hidden directories are not listed; the rest is sorted."""
    for name in ("b", "a", "c"):
        store.create_experiment(name)
    (store.root / "file").touch()
    (store.root / ".hidden").mkdir()
    (store.root / "link").symlink_to(store.root / "a")
    assert store.list_experiments() == ["a", "b", "c"]
    assert not store.experiment_exists("link")
    with pytest.raises(ExperimentNotFoundError):
        store.read_metadata("link")


def test_one_bad_experiment_never_breaks_the_rest(
    vectors: ExperimentStore, expected: dict[str, Any]
) -> None:
    """Each is listed with its metadata or its error."""
    rows = dict(vectors.iter_metadata())
    assert list(rows) == expected["list"]
    assert isinstance(rows["cut-in-job"], TruncatedError)
    assert isinstance(rows["no-metadata"], MetadataNotFoundError)
    assert rows["no-metrics"] == Metadata("no-metrics", 1700000002, "j", "u")


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "device"])
@pytest.mark.parametrize("name", ["meta.bin", "metrics.bin"])
def test_what_is_no_regular_file_is_refused_without_waiting(
    kind: str, name: str, store: ExperimentStore
) -> None:
    """Links, FIFOs, directories and devices raise typed errors with the path everywhere."""
    path = store.create_experiment("abc") / name
    if kind == "link":
        (store.root / "target").write_bytes(bytes(100))
        path.symlink_to(store.root / "target")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o20666, os.makedev(1, 5))  # a second /dev/zero
        except OSError as error:
            pytest.skip(f"device nodes cannot be made here: {os.strerror(error.errno or 0)}")
    if name == "metrics.bin":
        for call in (
            lambda: store.get_metrics("abc"),
            lambda: store.log_metric("abc", "loss", 0.5, 1),
            lambda: store.writer("abc"),
        ):
            with pytest.raises(UnreadableFileError, match=r"abc/metrics\.bin"):
                call()
    elif kind != "device":
        with pytest.raises(UnreadableFileError, match=r"abc/meta\.bin"):
            store.read_metadata("abc")
        assert isinstance(dict(store.iter_metadata())["abc"], UnreadableFileError)
    assert kind != "link" or (store.root / "target").read_bytes() == bytes(100)


def test_only_777_bytes_of_metadata_are_read(store: ExperimentStore) -> None:
    """A huge meta.bin costs nothing: bytes beyond the format's maximum are never read."""
    store.start_experiment("abc", "job", "me").close()
    with store.metadata_path("abc").open("r+b") as file:
        file.truncate(1 << 40)
    assert store.read_metadata("abc") == Metadata("abc", NOW, "job", "me")


def test_metrics_come_back_as_logged(store: ExperimentStore) -> None:
    """By both methods, in order, with timestamps in whole seconds."""
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    store.log_metrics("abc", {"loss": 0.25, "accuracy": np.float32(0.5)}, step=np.int64(2))
    store.log_metrics("abc", {}, 3)
    table = store.get_metrics("abc")
    assert list(table) == [
        Metric("loss", 0.5, 1, NOW),
        Metric("loss", 0.25, 2, NOW),
        Metric("accuracy", 0.5, 2, NOW),
    ]
    assert table.status.kind == "clean"


def test_metrics_of_an_experiment_without_a_file_are_empty(store: ExperimentStore) -> None:
    """A missing file is not an error; a missing experiment is."""
    store.create_experiment("abc")
    assert len(store.get_metrics("abc")) == 0
    with pytest.raises(ExperimentNotFoundError):
        store.get_metrics("missing")
    with pytest.raises(ExperimentNotFoundError):
        store.log_metric("missing", "loss", 0.5, 1)
    assert store.list_experiments() == ["abc"]


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ({"good": 1.0, "bad": "x"}, 1),
        ({"good": 1.0, "bad": True}, 1),
        ({"good": 1.0, 3: 1.0}, 1),
        ({"good": 1.0}, -1),
        ({"good": 1.0}, 2**32),
        ({"good": 1.0}, 1.5),
        ({"good": 1.0}, True),
    ],
)
def test_bad_value_in_a_step_writes_nothing_of_it(
    values: Any, step: Any, store: ExperimentStore
) -> None:
    """A step is logged completely or not at all."""
    store.create_experiment("abc")
    with pytest.raises(FieldValueError):
        store.log_metrics("abc", values, step)
    assert len(store.get_metrics("abc")) == 0


@pytest.mark.parametrize(
    ("name", "kept"),
    [("é" * 128, "é" * 127), ("x" * 254 + "🧪", "x" * 254), ("n" * 300, "n" * 255)],
)
def test_long_metric_name_is_cut_at_a_character_with_a_warning(
    name: str, kept: str, store: ExperimentStore
) -> None:
    """Every way to write cuts between characters, and never silently."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        for write in (
            lambda: store.log_metric("abc", name, 0.5, 1),
            lambda: store.log_metrics("abc", {name: 0.5}, 1),
            lambda: writer.log(name, 0.5, 1),
            lambda: writer.log_many({name: 0.5}, 1),
            lambda: writer.append({"name": [name], "value": [0.5], "step": [1]}),
        ):
            with pytest.warns(NameTruncatedWarning, match="255 bytes") as warned:
                write()
            assert warned[0].filename == __file__  # where to look for the long name
    assert [metric.name for metric in store.get_metrics("abc")] == [kept] * 5


@pytest.mark.parametrize("name", ["é" * 127, "x" * 255, ""])
def test_name_that_fits_is_not_warned_about(name: str, store: ExperimentStore) -> None:
    """Names of 0 to 255 bytes are kept as they are."""
    store.create_experiment("abc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.log_metric("abc", name, 0.5, 1)
    assert store.get_metrics("abc")[0].name == name


@pytest.mark.parametrize("commit_id", ["torn-header", "torn-20-bytes", "torn-name"])
def test_append_behind_a_torn_tail_sets_it_aside_first(
    commit_id: str, vectors_copy: ExperimentStore
) -> None:
    """Later records are readable, and the cut bytes are kept next to the log."""
    store = vectors_copy
    before = store.metrics_path(commit_id).read_bytes()
    store.log_metric(commit_id, "after", 0.5, 9)
    table = store.get_metrics(commit_id)
    assert len(table) == 6
    assert table[-1].name == "after"
    assert table.status.kind == "clean"
    kept = store.experiment_path(commit_id) / "metrics.bin.torn-125"
    assert kept.read_bytes() == before[125:]


def test_columns_are_appended_with_their_timestamps(store: ExperimentStore) -> None:
    """Arrays are read back as they were written; omitted columns get a default."""
    store.create_experiment("abc")
    with store.writer("abc") as writer:
        writer.append({"name": "loss", "value": [1, 2], "step": np.arange(2)})
        columns = {"name": ["a", "b"], "value": [3.0, 4.0], "step": [7, 8], "timestamp": [5, 6]}
        writer.append(columns)
    expected = [("loss", 1.0, 0, NOW), ("loss", 2.0, 1, NOW), ("a", 3.0, 7, 5), ("b", 4.0, 8, 6)]
    assert list(store.get_metrics("abc")) == [Metric(*row) for row in expected]


@pytest.mark.parametrize(
    "columns",
    [
        {"name": ["a", "b"], "value": [1.0], "step": [1]},
        {"name": ["a"], "value": [1.0]},
        {"name": ["a"], "value": [1.0], "step": [1], "epoch": [1]},
        {"name": ["a"], "value": [1.0], "step": [-1]},
        {"name": ["a"], "value": [1.0], "step": [2**32]},
        {"name": ["a"], "value": [1.0], "step": [0.5]},
        {"name": ["a"], "value": ["x"], "step": [1]},
        {"name": ["a"], "value": [True], "step": [1]},
        {"name": [b"a"], "value": [1.0], "step": [1]},
        {"name": ["a"], "value": [1.0], "step": [1], "timestamp": [2**63]},
    ],
)
def test_bad_columns_write_nothing(columns: Any, store: ExperimentStore) -> None:
    """Columns are validated like single values."""
    store.create_experiment("abc")
    with store.writer("abc") as writer, pytest.raises(FieldValueError):
        writer.append(columns)
    assert store.metrics_path("abc").read_bytes() == b""


def test_prune_deletes_whole_experiments_newest_first(store: ExperimentStore) -> None:
    """The planned experiments are deleted with everything in them; nothing else changes."""
    for age, name in enumerate(["newest", "middle", "old", "oldest"]):
        store.create_experiment(name)
        store.write_metadata(Metadata(name, NOW - age))
        (store.files_path(name) / "deep").mkdir()
        (store.files_path(name) / "deep" / "file").touch()
    store.create_experiment("no-metadata")
    outside = store.root.parent / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (store.files_path("old") / "link").symlink_to(outside)
    assert store.plan_prune(2).pruned == ["old", "oldest"]
    assert store.prune_experiments(2) == ["old", "oldest"]
    assert store.list_experiments() == ["middle", "newest", "no-metadata"]
    assert (outside / "precious").exists()
    assert sorted(os.listdir(store.root)) == ["middle", "newest", "no-metadata"]
    assert store.prune_experiments(2) == []


def test_interrupted_prune_is_swept_by_the_next(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment is whole or gone; the next prune deletes its remains."""
    store.start_experiment("abc").close()
    with monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("expstore.store.care.delete.empty_directory", killed)
        with pytest.raises(KeyboardInterrupt):
            store.prune_experiments(0)
    assert store.list_experiments() == []
    assert os.listdir(store.root) != []
    store.prune_experiments(0)
    assert os.listdir(store.root) == []


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the experiment; the others are deleted anyway."""
    for name in ("a", "b", "c"):
        store.start_experiment(name).close()
    rename = os.rename

    def refuse(source: str, *args: Any, **kwargs: Any) -> None:
        if source == "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        rename(source, *args, **kwargs)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(DeletionError, match="b: Permission denied") as caught:
        store.prune_experiments(0)
    assert caught.value.deleted == ["a", "c"]
    assert list(caught.value.failures) == ["b"]
    assert store.list_experiments() == ["b"]


def test_import_is_light() -> None:
    """Importing the package and logging to a new experiment loads neither NumPy nor Typer."""
    code = (
        "import sys, tempfile, expstore\n"
        "assert not {'importlib.metadata', 'multiprocessing', 'asyncio'} & set(sys.modules)\n"
        "store = expstore.ExperimentStore(tempfile.mkdtemp())\n"
        "store.start_experiment('abc', user='me').close()\n"
        "store.log_metric('abc', 'loss', 0.5, 1)\n"
        "store.log_metric('abc', 'loss', 0.5, 2)\n"
        "assert store.list_experiments() == ['abc'] and store.read_metadata('abc')\n"
        "heavy = {'numpy', 'typer', 'rich', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
