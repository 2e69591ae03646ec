"""A store at a URL (memory, HTTP, S3) behaves like the same store on the file system."""

from __future__ import annotations

import http.server
import os
import pickle
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    ExpStoreError,
    FormatError,
    Metadata,
    MetadataNotFoundError,
    MetricTable,
    MissingExtraError,
    ReadOnlyStoreError,
    StoreNotFoundError,
    UnreadableFileError,
)
from expstore.cluster import read_metadata, read_metrics
from expstore.compare import compare
from expstore.exchange.export import export_file
from expstore.report.page import collect, write_report
from expstore.store.files.remote import RemoteDirectory, RemotePath
from tests.helpers.memory import in_memory
from tests.helpers.paths import VECTORS
from tests.helpers.tables import run

KINDS = ("memory", "http", "s3")
# Ids that a URL must quote, and one that must not be decoded twice over HTTP.
ODD_IDS = ("with space", "100%41", "grün", "a+b&c=d;e,f")


class RangeServer(http.server.SimpleHTTPRequestHandler):
    """The standard library's file server, with support for the Range header."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # send each response in one packet

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Serve a listing, a file, or the requested range of one."""
        path = Path(self.translate_path(self.path))
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted or not path.is_file():
            super().do_GET()
            return
        size = path.stat().st_size
        first, last = int(wanted[1]), min(int(wanted[2]), size - 1)
        if first >= size:
            self.send_response(416)
            part = b""
        else:
            self.send_response(206)
            part = path.read_bytes()[first : last + 1]
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """The golden vectors, odd ids, and a log that is larger than one request."""
    root = tmp_path_factory.mktemp("remote") / "experiments"
    store = ExperimentStore(shutil.copytree(VECTORS / "store", root))
    for commit_id in ODD_IDS:
        with store.start_experiment(commit_id, "job", "user") as writer:
            writer.log("loss", 0.5, 1)
    with store.start_experiment("long", "job", "user") as writer:
        import numpy as np

        count = 400_000
        writer.append(
            MetricTable(
                ("loss", "accuracy"),
                np.arange(count, dtype=np.int32) % 2,
                np.arange(count, dtype=np.float64),
                np.arange(count, dtype=np.uint32),
                np.full(count, 1_700_000_000, np.int64),
            )
        )
    return store


@pytest.fixture(scope="module")
def http_url(local: ExperimentStore) -> Iterator[str]:
    """The store's URL on a local web server."""
    handler = partial(RangeServer, directory=str(local.root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def s3_options(local: ExperimentStore) -> Iterator[dict[str, Any]]:
    """The options for a bucket with the store, on a local S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "test", "secret": "test"}
    s3 = s3fs.S3FileSystem(**options)
    s3.mkdir("bucket")
    s3.put(str(local.root), "bucket/experiments", recursive=True)
    yield options
    s3.rm("bucket", recursive=True)  # what moto holds outlives its server
    server.stop()


@pytest.fixture(scope="module", params=KINDS)
def remote(request: pytest.FixtureRequest, local: ExperimentStore) -> Iterator[ExperimentStore]:
    """The same store at a URL."""
    if request.param == "memory":
        with in_memory(local.root) as url:
            yield ExperimentStore(url)
    elif request.param == "http":
        yield ExperimentStore(request.getfixturevalue("http_url"))
    else:
        options = request.getfixturevalue("s3_options")
        yield ExperimentStore("s3://bucket/experiments/", storage_options=options)


def outcome(call: Callable[[], Any], store: ExperimentStore) -> Any:
    """The result of a call, or the error's type and message without the store's location."""
    try:
        return call()
    except (ExpStoreError, FormatError) as error:
        return type(error), str(error).replace(f"{store.location}/", "")


def test_listing_equals_the_file_systems(remote: ExperimentStore, local: ExperimentStore) -> None:
    """The ids are the same, including those that a URL must quote."""
    assert remote.list_experiments() == local.list_experiments()
    assert set(ODD_IDS) < set(remote.list_experiments())


def test_metadata_equals_the_file_systems(remote: ExperimentStore, local: ExperimentStore) -> None:
    """One at a time and all together; damaged files give the same errors, with the URL."""
    for commit_id in local.list_experiments():
        there = outcome(partial(remote.read_metadata, commit_id), remote)
        assert there == outcome(partial(local.read_metadata, commit_id), local)
    for (commit_id, found), (_, known) in zip(
        remote.iter_metadata(), local.iter_metadata(), strict=True
    ):
        if isinstance(known, Exception):
            assert type(found) is type(known), commit_id
            assert f"{remote.location}/{commit_id}" in str(found)
        else:
            assert found == known


def test_metrics_equal_the_file_systems(remote: ExperimentStore, local: ExperimentStore) -> None:
    """All golden vectors, torn tails, missing logs, and a log of many requests."""
    for commit_id in local.list_experiments():
        found, known = remote.get_metrics(commit_id), local.get_metrics(commit_id)
        assert (found, found.status) == (known, known.status), commit_id
    parts = list(remote.iter_metrics("long", ["loss"], range(100, 300_000), chunk=50_000))
    assert len(parts) > 5
    assert sum(map(len, parts)) == 149_950


def test_check_and_sizes_equal_the_file_systems(
    remote: ExperimentStore, local: ExperimentStore
) -> None:
    """The findings are the same, down to the byte offsets."""
    for found, known in zip(remote.check_all(), local.check_all(), strict=True):
        assert [(f.kind, f.detail, f.offset, f.record, f.size) for f in found.findings] == [
            (f.kind, f.detail, f.offset, f.record, f.size) for f in known.findings
        ]
        assert (found.commit_id, found.records, found.size) == (
            known.commit_id,
            known.records,
            known.size,
        )
    ids = local.list_experiments()
    assert remote.log_sizes(ids) == local.log_sizes(ids)


def test_export_equals_the_file_systems(
    remote: ExperimentStore, local: ExperimentStore, tmp_path: Path
) -> None:
    """A pickled copy of the store exports the same bytes of CSV."""
    remote = pickle.loads(pickle.dumps(remote))
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    ids = ["3f2a9c1d", *ODD_IDS]
    export_file(local, ids, here, "csv", metadata=True)
    export_file(remote, ids, there, "csv", metadata=True)
    assert there.read_bytes() == here.read_bytes()


def test_comparison_and_report_equal_the_file_systems(
    remote: ExperimentStore, local: ExperimentStore, tmp_path: Path
) -> None:
    """The comparison and the report are the same, and the report does not contain the location."""
    ids = ["3f2a9c1d", "torn-header", *ODD_IDS]
    there, here = (
        repr(compare(store, ids)).replace(str(store.location), "PLACE") for store in (remote, local)
    )
    assert there == here
    shown, known = (collect(store, ids) | {"written": 0} for store in (remote, local))
    assert shown == known
    assert write_report(remote, tmp_path / "report.html", ids) == len(ids)
    assert str(remote.location) not in (tmp_path / "report.html").read_text()


def test_frames_equal_the_file_systems(remote: ExperimentStore, local: ExperimentStore) -> None:
    """Dask frames are the same, also for a long log read in several partitions."""
    ids = ["3f2a9c1d", "long", "no-metrics", *ODD_IDS]
    frames = []
    for store in (local, remote):
        lazy = read_metrics(store, ids, ["loss"], partition_size=1 << 21)
        assert lazy.npartitions > 3
        frames.append(lazy.compute(scheduler="synchronous"))
        frames.append(read_metadata(store, ids).compute(scheduler="synchronous"))
    for here, there in zip(frames[:2], frames[2:], strict=True):
        placed = there.replace(str(remote.location), str(local.location), regex=True)
        assert here.astype(object).equals(placed.astype(object))


def test_what_is_not_there_is_told_apart(remote: ExperimentStore) -> None:
    """A missing experiment, missing metadata and a missing store raise different errors."""
    with pytest.raises(ExperimentNotFoundError, match="nowhere: no such experiment"):
        remote.get_metrics("nowhere")
    with pytest.raises(ExperimentNotFoundError, match="nowhere: no such experiment"):
        remote.read_metadata("nowhere")
    with pytest.raises(ExperimentNotFoundError, match="nowhere: no such experiment"):
        remote.follow("nowhere")
    with pytest.raises(MetadataNotFoundError, match=r"no-metadata/meta\.bin"):
        remote.read_metadata("no-metadata")
    assert not remote.experiment_exists("nowhere")
    assert remote.experiment_exists("no-metrics")
    empty = ExperimentStore(
        f"{remote.location}/files-of-nobody", storage_options=remote.storage_options
    )
    with pytest.raises(StoreNotFoundError, match="no store found"):
        empty.list_experiments()


WRITING: dict[str, Callable[[ExperimentStore], object]] = {
    "initialize": lambda s: s.initialize(),
    "create_experiment": lambda s: s.create_experiment("a"),
    "start_experiment": lambda s: s.start_experiment("a"),
    "write_metadata": lambda s: s.write_metadata(Metadata("a", 1)),
    "log_metric": lambda s: s.log_metric("3f2a9c1d", "loss", 1.0, 1),
    "log_metrics": lambda s: s.log_metrics("3f2a9c1d", {"loss": 1.0}, 1),
    "writer": lambda s: s.writer("3f2a9c1d"),
    "plan_prune": lambda s: s.plan_prune(1),
    "prune_experiments": lambda s: s.prune_experiments(1),
    "delete_experiments": lambda s: s.delete_experiments(["3f2a9c1d"]),
    "repair": lambda s: s.repair("torn-header"),
    "salvage": lambda s: s.salvage("3f2a9c1d", "b"),
    "metrics_path": lambda s: s.metrics_path("3f2a9c1d"),
    "root": lambda s: s.root,
}


@pytest.mark.parametrize("verb", WRITING)
def test_what_writes_is_refused(verb: str, remote: ExperimentStore) -> None:
    """Each raises at once, with the URL, and the error is also an OSError."""
    with pytest.raises(ReadOnlyStoreError, match=re.escape(str(remote.location))) as caught:
        WRITING[verb](remote)
    assert isinstance(caught.value, OSError)


def test_what_is_added_meanwhile_is_seen(
    local: ExperimentStore, http_url: str, s3_options: dict[str, Any]
) -> None:
    """No listing and no file is cached."""
    s3 = s3fs.S3FileSystem(**s3_options)
    remote = ExperimentStore("s3://bucket/growing", storage_options=s3_options)
    data = local.metrics_path("3f2a9c1d").read_bytes()
    s3.pipe("bucket/growing/a/metrics.bin", data)
    assert remote.list_experiments() == ["a"]
    follower = remote.follow("a")
    count = len(follower.poll())
    assert count == len(local.get_metrics("3f2a9c1d"))
    s3.pipe({"bucket/growing/a/metrics.bin": data + data, "bucket/growing/b/metrics.bin": data})
    assert remote.list_experiments() == ["a", "b"]
    assert len(follower.poll()) == count
    assert len(remote.get_metrics("a")) == 2 * count


def test_unreachable_server_is_a_typed_error() -> None:
    """The library's own exceptions never reach the caller."""
    store = ExperimentStore("http://127.0.0.1:9/experiments")
    for call in (
        store.list_experiments,
        lambda: store.get_metrics("a"),
        lambda: store.read_metadata("a"),
        lambda: store.experiment_exists("a"),
    ):
        with pytest.raises(UnreadableFileError, match=r"127\.0\.0\.1:9"):
            call()


def test_unknown_kinds_of_url_are_typed_errors() -> None:
    """Both for a scheme that fsspec does not know, and for one whose library is missing."""
    with pytest.raises(StoreNotFoundError, match="Protocol not known"):
        ExperimentStore("nonsense://bucket")
    with pytest.raises(MissingExtraError, match="gcsfs"):
        ExperimentStore("gs://bucket/experiments")


def test_file_url_is_a_path(tmp_path: Path) -> None:
    """A store on the file system is writable, even if named by a URL."""
    store = ExperimentStore(f"file://{tmp_path}/experiments")
    store.initialize()
    assert store.root == tmp_path / "experiments"
    assert store.root.is_dir()


def test_pickled_store_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root stays the same in a process with another working directory."""
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(ExperimentStore("experiments"))
    monkeypatch.chdir("/")
    assert pickle.loads(data).root == tmp_path / "experiments"


def test_commands_read_from_a_url(
    http_url: str,
    local: ExperimentStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The root comes from an option or the environment; writing is refused in one line."""
    listed = run(capsys, "ls", "--root", http_url, "--json").out.replace(http_url, "PLACE")
    known = run(capsys, "ls", "--root", local.root, "--json").out
    assert listed == known.replace(str(local.root), "PLACE")
    known = run(capsys, "metrics", "3f2a", "--json", "--root", local.root).out
    monkeypatch.setenv("EXPSTORE_ROOT", http_url)
    assert run(capsys, "metrics", "3f2a", "--json").out == known
    assert "commit_id" in run(capsys, "hexdump", "3f2a9c1d", "--metadata").out
    refused = run(capsys, "log", "3f2a9c1d", "loss", "1", "--step", "1")
    assert refused.code == 1
    assert refused.err == f"expstore: {http_url}: a store at a URL can only be read\n"


@pytest.fixture
def refusing(
    local: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ExperimentStore, Callable[[str, int], None]]]:
    """A store on a web server, and a function that makes a path answer with an HTTP error."""
    refused: dict[str, int] = {}
    handler = partial(RangeServer, directory=str(local.root))
    answer = RangeServer.send_head

    def send_head(self: RangeServer) -> Any:
        for end, code in refused.items():
            if self.path.endswith(end):
                self.send_error(code)
                return None
        return answer(self)

    def do_get(self: RangeServer) -> None:
        if any(self.path.endswith(end) for end in refused):
            http.server.SimpleHTTPRequestHandler.do_GET(self)
        else:
            get(self)

    get = RangeServer.do_GET
    monkeypatch.setattr(RangeServer, "send_head", send_head)
    monkeypatch.setattr(RangeServer, "do_GET", do_get)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ExperimentStore(f"http://127.0.0.1:{server.server_port}"), refused.__setitem__
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_a_log_that_a_server_refuses_is_not_taken_for_a_missing_one(
    refusing: tuple[ExperimentStore, Callable[[str, int], None]], code: int, tmp_path: Path
) -> None:
    """A log is missing only if it is not listed: a busy server must not make it look empty."""
    store, refuse = refusing
    refuse("/3f2a9c1d/metrics.bin", code)
    with pytest.raises(UnreadableFileError):
        store.get_metrics("3f2a9c1d")
    report = next(r for r in store.check_all() if r.commit_id == "3f2a9c1d")
    assert [finding.kind for finding in report.findings] == ["unreadable"]
    ids = ["3f2a9c1d", "long"]
    assert set(export_file(store, ids, tmp_path / "out.csv", "csv").failures) == {"3f2a9c1d"}
    assert store.log_sizes(ids)["3f2a9c1d"] is None
    with pytest.raises(UnreadableFileError):
        read_metrics(store, ids).compute(scheduler="sync")
    assert len(store.get_metrics("no-metrics")) == 0


def test_a_size_that_could_not_be_told_once_loses_nothing(
    remote: ExperimentStore, local: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan made while sizes were unavailable still reads the complete log."""
    monkeypatch.setattr(
        RemoteDirectory, "sizes", lambda self, names: (OSError("busy") for _ in names)
    )
    ids = ["3f2a9c1d", "no-metrics"]
    frame = read_metrics(remote, ids)
    monkeypatch.undo()
    assert len(frame.compute(scheduler="sync")) == len(local.get_metrics("3f2a9c1d"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x?token=abc", "https://127.0.0.1:9/x#part"])
def test_a_url_with_a_query_is_refused(url: str) -> None:
    """Names appended to a query would all lead to the same page."""
    with pytest.raises(StoreNotFoundError, match="storage_options"):
        ExperimentStore(url)


@pytest.mark.parametrize("url", ["dir://x", "reference://x", "nothing://x"])
def test_whatever_kind_of_url_cannot_be_had_is_a_typed_error(url: str) -> None:
    """Each kind of file system raises its own exceptions."""
    with pytest.raises(StoreNotFoundError, match=url):
        ExperimentStore(url)


def test_the_root_of_a_file_system_is_no_local_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slashes of the scheme are not part of the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory:" / "local").mkdir(parents=True)
    for url in ("memory://", "memory:///"):
        assert "local" not in ExperimentStore(url).list_experiments()


@pytest.mark.parametrize("remote", ["memory", "s3"], indirect=True)
def test_a_file_is_no_experiment(remote: ExperimentStore) -> None:
    """Only for file systems that list a file as itself; a web server's page may list anything."""
    file = remote.locate("3f2a9c1d") / "meta.bin"
    assert not file.is_dir()


def test_ids_that_are_no_utf_8_are_quoted_by_their_bytes() -> None:
    """The web server receives and returns the bytes of an id unchanged."""
    commit_id = os.fsdecode(b"odd\xff")
    path = RemotePath.of("http://127.0.0.1:9/x") / commit_id
    assert path.place.endswith("/x/odd%FF")
    assert path.unquoted("odd%FF") == commit_id


def test_a_log_at_a_url_is_told_from_one_that_replaces_it() -> None:
    """By a text that stays while the file does, and is empty where there is no file."""
    files = fsspec.filesystem("memory")
    files.pipe("/prints/a/metrics.bin", b"one")
    place = ExperimentStore("memory://prints").locate("a", "metrics.bin")
    first = place.fingerprint()
    assert first
    assert place.fingerprint() == first
    files.pipe("/prints/a/metrics.bin", b"another")
    assert place.fingerprint() not in ("", first)
    files.rm("/prints/a/metrics.bin")
    assert place.fingerprint() == ""
