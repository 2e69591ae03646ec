"""What the application answers: runs, curves, files and reports."""

from __future__ import annotations

import base64
import contextlib
import itertools
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import expstore
from expstore import ExperimentStore, Metadata
from expstore.live.scanner import Scanner
from expstore.live.server import Server
from expstore.report.contents import collect
from tests.helpers.application import log
from tests.live.client import Watcher, curves, events
from tests.report.pages import ATTACKS, payload, png, points


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the server."""
    with httpx.Client(base_url=server.address, timeout=20) as found:
        yield found


def rows(http: httpx.Client, **wish: Any) -> dict[str, dict[str, Any]]:
    """The rows of all runs, once their best values are there."""
    found: dict[str, dict[str, Any]] = {}
    for _, kind, data in events(http, **wish):
        if kind == "runs":
            for row in data["runs"]:
                names = data["names"]
                row["metrics"] = {
                    names[i] if isinstance(names[i], str) else names[i][1]: summary
                    for i, *summary in row.get("metrics", [])
                }
                found[row.get("key", row["id"])] = row
        settled = all("points" in row or row.get("empty") for row in found.values())
        if kind in ("listed", "runs") and found and settled:
            return found
    raise AssertionError("the stream ended")


def test_the_rows_are_those_of_a_report(http: httpx.Client, store: ExperimentStore) -> None:
    """Newest first, with the same values."""
    for number in range(3):
        log(store, f"run{number}", {"loss": [3.0, float("nan"), number], "acc": [0.5]})
        store.write_metadata(Metadata(f"run{number}", 1000 + number, "job", "me"))
    found = rows(http)
    report = collect(store)
    assert list(found) == ["run2", "run1", "run0"]
    for row in report["runs"]:
        expected = {report["names"][i]: summary for i, *summary in row["metrics"]}
        assert found[row["id"]] == {**row, "metrics": expected}


def test_a_curve_is_thinned_and_keeps_its_spike(http: httpx.Client, store: ExperimentStore) -> None:
    """A part of it has all points again."""
    values = [math.sin(step / 1000) for step in range(50_000)]
    values[31_234] = 100.0
    log(store, "run", {"loss": values})
    header, data = curves(http, {"run": ["loss"]}, points=500)["run", "loss"]
    assert header["points"] == 50_000
    assert header["n"] <= 500
    assert 100.0 in points(header, data)["values"]
    part = {"from": 31_200, "to": 31_300}
    header, data = curves(http, {"run": ["loss"]}, points=500, **part)["run", "loss"]
    found = points(header, data)
    assert found["steps"] == list(range(31_199, 31_302))
    assert found["values"] == pytest.approx(values[31_199:31_302], rel=1e-6)


def test_curves_that_are_not_there_are_none(http: httpx.Client, store: ExperimentStore) -> None:
    """Unknown runs and metrics do not keep others from being sent."""
    log(store, "run", {"loss": [1.0]})
    found = curves(http, {"gone": ["loss"], "run": ["other", "loss"], "../run": ["loss"]})
    assert [header.get("none", False) for header, _ in found.values()] == [True, True, False, True]


def test_points_follow_without_gaps(
    http: httpx.Client, server: Server, store: ExperimentStore
) -> None:
    """What is logged while a client watches, and while it reconnects, is there once."""
    watcher = Watcher(server.address, ["run"], ["loss", "acc"])
    with expstore.start(store.root, "run") as run:
        run.log({"loss": 0.0, "acc": 0.0}, step=0)
        watcher.start()
        for step in range(1, 300):
            run.log({"loss": float(step)} | ({"acc": step / 300} if step % 7 == 0 else {}), step)
            if step % 100 == 0:
                watcher.broken.set()
            time.sleep(0.002)
    deadline = time.monotonic() + 20
    while len(watcher.curve("run", "loss")[0]) < 300 and time.monotonic() < deadline:
        time.sleep(0.05)
    watcher.ended.set()
    assert watcher.curve("run", "loss")[0].tolist() == list(range(300))
    assert watcher.curve("run", "acc")[0].tolist() == list(range(0, 300, 7))


def test_what_a_resumed_run_supersedes_is_taken_back(
    http: httpx.Client, store: ExperimentStore
) -> None:
    """A client is told that the curve is another."""
    with expstore.start(store.root, "run") as run:
        for step in range(10):
            run.log({"loss": float(step)}, step)
    stream = events(http, runs=["run"], metrics=["loss"])
    first = next(data for _, kind, data in stream if kind == "points" and data["to"])
    with expstore.start(store.root, "run", resume=True, from_step=5) as run:
        run.log({"loss": 50.0}, step=5)
        later = next(
            data for _, kind, data in stream if kind == "points" and data["state"] != first["state"]
        )
    assert later["from"] is None
    header, data = curves(http, {"run": ["loss"]})["run", "loss"]
    assert points(header, data)["values"] == [0.0, 1.0, 2.0, 3.0, 4.0, 50.0]
    stream.close()


def test_a_client_resumes_after_the_last_event_it_saw(
    http: httpx.Client, store: ExperimentStore
) -> None:
    """It gets what changed since, and nothing else."""
    for name in ("a", "b", "c"):
        log(store, name, {"loss": [1.0]})
    rows(http)
    stream = events(http)
    seen = next(id_ for id_, kind, _ in stream if kind == "listed")
    stream.close()
    log(store, "d", {"loss": [1.0]})
    id_, kind, data = next(events(http, since=seen))
    assert (kind, [row["id"] for row in data["runs"]]) == ("runs", ["d"])
    assert int(id_.partition("-")[2]) > int(seen.partition("-")[2])


@pytest.mark.parametrize("since", ["", "x", "other-3", "-", "other-" + "9" * 500])
def test_an_unknown_last_event_begins_anew(
    http: httpx.Client, store: ExperimentStore, since: str
) -> None:
    """As after a restart of the server."""
    log(store, "a", {"loss": [1.0]})
    kinds = [kind for _, kind, _ in itertools.islice(events(http, since=since), 2)]
    assert kinds == ["reset", "runs"]


def test_a_hostile_store_is_shown(
    http: httpx.Client, server: Server, hostile: ExperimentStore
) -> None:
    """Each bad experiment is a row with its problem, and says nothing of where the store is."""
    found: dict[str, dict[str, Any]] = {}
    for _, kind, data in events(http):
        found |= {row["id"]: row for row in data["runs"]} if kind == "runs" else {}
        if "tail" in found.get("torn", {}) and found.get("fifo", {}).get("problems"):
            break
    assert "no-metadata" in found
    assert found["no-metadata"]["problems"]
    assert str(hostile.root) not in repr(found)
    metric = ATTACKS[-1]
    key = base64.b64decode(base64.b64encode(b"\\xff\\xfe")).decode()
    assert metric != key
    header, data = curves(http, {"<img src=x onerror=alert(1)>": [key]})[
        "<img src=x onerror=alert(1)>", key
    ]
    assert points(header, data)["values"][0] == 3.0


def test_files_are_listed_and_sent_as_downloads(http: httpx.Client, store: ExperimentStore) -> None:
    """Only what is a raster image inside is shown; everything else cannot run."""
    log(store, "run", {})
    files = store.files_path("run")
    (files / "sub dir").mkdir(parents=True)
    contents = {
        "page.html": b"<script>alert(1)</script>",
        "fake.png": b"<svg onload=alert(1)>",
        "sub dir/real é #?.bin": png(),
        "image.png": png(),
        'quote"\n.svg': b"<svg/>",
    }
    for name, content in contents.items():
        (files / name).write_bytes(content)
    listed = http.get("/files/run").json()["files"]
    assert len(listed) == len(contents)
    assert [file["name"] for file in listed if "src" in file] == ["image.png"]
    for file in listed:
        answer = http.get("/" + file["href"])
        assert answer.status_code == 200
        assert answer.content in contents.values()
        is_image = answer.content == png()
        expected = "image/png" if is_image else "application/octet-stream"
        assert answer.headers["content-type"] == expected
        assert answer.headers["content-disposition"].startswith("inline" if is_image else "attach")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "run/../../secret",
        "run/%2e%2e/%2e%2e/secret",
        "run/..%2f..%2fsecret",
        "run/sub/../../meta.bin",
        "run//etc/passwd",
        "run/%2Fetc%2Fpasswd",
        "run/link",
        "run/directory/secret",
        "run/sub",
        "run/a%00b",
        "run/",
        "../secret",
        "%2e%2e/secret",
        "./run",
        ".hidden/a",
        "linked/a",
        "run/" + "a/" * 50 + "a",
        "run/\\xff",
        "run/\\x2e\\x2e/meta.bin",
        "run/\\x2e./meta.bin",
    ],
)
def test_no_path_leads_out_of_the_store(server: Server, store: ExperimentStore, path: str) -> None:
    """Neither by its text nor through links; the raw path is sent as it is."""
    import http.client

    log(store, "run", {})
    files = store.files_path("run")
    (files / "sub").mkdir(parents=True)
    (store.root / "secret").write_text("SECRET")
    (store.root.parent / "secret").write_text("SECRET")
    (files / "link").symlink_to(store.root / "secret")
    (files / "directory").symlink_to(store.root)
    (store.root / "linked").symlink_to(store.root / "run")
    connection = http.client.HTTPConnection(server.address[7:-1], timeout=20)
    connection.request("GET", f"/files/{path}")
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status in (404, 307), content
    assert b"SECRET" not in content
    assert str(store.root).encode() not in content


def test_a_large_file_is_sent_in_parts(http: httpx.Client, store: ExperimentStore) -> None:
    """With its length; and a client that goes away in between leaves no open file."""
    log(store, "run", {})
    store.files_path("run").mkdir(exist_ok=True)
    content = os.urandom(3_000_000)
    (store.files_path("run") / "model.pt").write_bytes(content)
    answer = http.get("/files/run/model.pt")
    assert answer.headers["content-length"] == "3000000"
    assert answer.content == content


RANGES = {
    "bytes=0-3": (206, slice(0, 4)),
    "bytes=99990-": (206, slice(99_990, None)),
    "bytes=-7": (206, slice(-7, None)),
    "bytes=-9999999": (206, slice(None)),
    "bytes=5-9999999999": (206, slice(5, None)),
    "bytes=100000-": (416, slice(0)),
    "bytes=100000-100001": (416, slice(0)),
    "bytes=-0": (416, slice(0)),
    "bytes=0-0,4-5": (200, slice(None)),
    "bytes=9-2": (200, slice(None)),
    "bytes=-": (200, slice(None)),
    "bytes=a-b": (200, slice(None)),
    "bytes=\u0663-": (200, slice(None)),
    "bytes=0-" + "9" * 100: (200, slice(None)),
    "records=0-3": (200, slice(None)),
}


def test_a_part_of_a_file_is_sent_if_one_is_asked_for(
    http: httpx.Client, store: ExperimentStore
) -> None:
    """As interrupted downloads do, which go on only if the file is still the same."""
    log(store, "run", {})
    store.files_path("run").mkdir(exist_ok=True)
    content = os.urandom(100_000)
    (store.files_path("run") / "model.pt").write_bytes(content)
    for asked, (status, part) in RANGES.items():
        header = {"range": asked.encode()}
        answer = http.get("/files/run/model.pt", headers=header)
        assert (answer.status_code, answer.content) == (status, content[part]), asked
        assert int(answer.headers["content-length"]) == len(content[part])
        first, last, _ = part.indices(len(content))
        shown = {206: f"bytes {first}-{last - 1}/100000", 416: "bytes */100000"}.get(status)
        assert answer.headers.get("content-range") == shown
        assert answer.headers["content-type"] == "application/octet-stream"
        tag = answer.headers["etag"]
        same = http.get("/files/run/model.pt", headers=header | {"if-range": tag.encode()})
        assert same.status_code == status
        other = http.get("/files/run/model.pt", headers=header | {"if-range": b'"other"'})
        assert (other.status_code, other.content) == (200, content)


def test_the_head_of_a_file_says_what_it_is(http: httpx.Client, store: ExperimentStore) -> None:
    """Without reading it; its tag is another one after it has changed."""
    log(store, "run", {})
    path = store.files_path("run") / "model.pt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"12345")
    answer = http.head("/files/run/model.pt", headers={"range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "5"
    path.write_bytes(b"123456")
    assert http.head("/files/run/model.pt").headers["etag"] != answer.headers["etag"]


def test_save_as_report_gives_a_report_of_those_runs(
    http: httpx.Client, store: ExperimentStore
) -> None:
    """It is what `expstore report` writes."""
    for name in ("a", "b", "c"):
        log(store, name, {"loss": [1.0]})
    answer = http.post("/api/report", json={"runs": ["b", "a"]})
    assert answer.headers["content-disposition"].startswith("attachment")
    data = payload(answer.text)
    assert [row["id"] for row in data["runs"]] == ["b", "a"]
    assert http.post("/api/report", json={"runs": ["gone"]}).status_code == 404


@pytest.mark.parametrize(
    ("address", "body", "status"),
    [
        ("/api/curves", {}, 400),
        ("/api/curves", {"x": "step", "runs": ["a"]}, 400),
        ("/api/curves", {"x": "relative", "runs": []}, 400),
        ("/api/curves", {"x": "step", "runs": [{"run": "a"}] * 301}, 400),
        ("/api/curves", {"x": "step", "runs": [], "from": "1"}, 400),
        ("/api/curves", {"x": "step", "runs": [], "from": 10**400}, 400),
        ("/api/curves", {"x": "step", "runs": [], "points": "many"}, 400),
        ("/api/curves", {"x": "step", "runs": [], "points": True}, 400),
        ("/api/curves", {"x": "step", "runs": [], "points": 1.5}, 400),
        ("/api/curves", {"x": "step", "runs": [{"run": "a", "metrics": ["m"] * 2001}]}, 400),
        ("/api/events", {"runs": "abc"}, 400),
        ("/api/events", {"since": 3}, 400),
        ("/api/events", [], 400),
        ("/api/report", {"runs": [1]}, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    http: httpx.Client, address: str, body: Any, status: int
) -> None:
    """With a text that says what was expected."""
    answer = http.post(address, json=body)
    assert (answer.status_code, bool(answer.text)) == (status, True)


def test_bodies_are_bounded_and_json(http: httpx.Client) -> None:
    """What a form of another site can send is refused."""
    plain = {"content-type": "text/plain"}
    json_ = {"content-type": "application/json"}
    assert http.post("/api/events", content=b"{}", headers=plain).status_code == 415
    assert http.post("/api/events", content=b"[" * 9999, headers=json_).status_code == 400
    assert http.post("/api/events", content=b" " * 2_000_000, headers=json_).status_code == 413
    assert http.get("/api/events").status_code == 405
    for bound in (b"NaN", b"Infinity", b"-Infinity"):  # no JSON, but Python reads it
        content = b'{"x": "step", "runs": [], "from": %s}' % bound
        assert http.post("/api/curves", content=content, headers=json_).status_code == 400


def test_a_store_that_does_not_exist_is_told(http: httpx.Client, store: ExperimentStore) -> None:
    """And once it does, its runs are shown."""
    store.root.rmdir()
    stream = events(http)
    text = next(data for _, kind, data in stream if kind == "trouble")
    assert "experiments" in text
    store.initialize()
    assert next(data for _, kind, data in stream if kind == "trouble") == ""
    stream.close()


def test_nothing_is_looked_at_while_nobody_is_there(
    http: httpx.Client, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is read from the first client on, until the last has gone."""
    looks: list[float] = []
    step = Scanner.step

    def counted(scanner: Scanner) -> None:
        looks.append(time.monotonic())
        step(scanner)

    monkeypatch.setattr(Scanner, "step", counted)
    log(store, "run", {"loss": [1.0]})
    assert http.get("/").status_code == 200
    assert not looks
    rows(http)
    deadline = time.monotonic() + 20
    while time.monotonic() < looks[-1] + 1:  # five times the pause between two looks
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_that_reads_nothing_is_dropped(
    http: httpx.Client, server: Server, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others get what they ask for meanwhile."""
    monkeypatch.setattr("expstore.live.streaming.PATIENCE", 0.5)
    log(store, "run", {"loss": [1.0]})
    store.files_path("run").mkdir(exist_ok=True)
    (store.files_path("run") / "model.pt").write_bytes(bytes(30_000_000))
    host, _, port = server.address[7:-1].partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(b"GET /files/run/model.pt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        began = time.monotonic()
        assert rows(http)
        assert time.monotonic() - began < 10
        time.sleep(1.0)
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := slow.recv(1 << 20):
                received += len(data)
    assert received < 30_000_000


def test_clients_that_vanish_leave_nothing(
    http: httpx.Client, server: Server, store: ExperimentStore
) -> None:
    """As a browser that is killed: its stream ends, and its file is closed."""
    log(store, "run", {"loss": [1.0]})
    store.files_path("run").mkdir(exist_ok=True)
    (store.files_path("run") / "model.pt").write_bytes(bytes(30_000_000))
    host, _, port = server.address[7:-1].partition(":")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        for request in (
            b"GET /files/run/model.pt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"POST /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b'Content-Length: 36\r\n\r\n{"runs": ["run"], "metrics": ["l"] }',
        ):
            with socket.create_connection((host, int(port)), timeout=20) as gone:
                gone.sendall(request)
                gone.recv(10)
    deadline = time.monotonic() + 20
    while len(os.listdir("/proc/self/fd")) > before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert rows(http)


def test_a_store_at_a_url_is_shown(tmp_path: Path) -> None:
    """By the same means; it is only read."""
    fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
    local = ExperimentStore(tmp_path / "experiments")
    log(local, "run", {"loss": [1.0, 2.0]})
    local.files_path("run").mkdir(exist_ok=True)
    (local.files_path("run") / "a.txt").write_text("text")
    memory = fsspec.filesystem("memory")
    memory.put(str(local.root), "/live-store", recursive=True)
    server = Server(ExperimentStore("memory://live-store"))
    server.start()
    try:
        with httpx.Client(base_url=server.address, timeout=20) as http:
            assert rows(http)["run"]["metrics"]["loss"][0] == 2
            header, data = curves(http, {"run": ["loss"]})["run", "loss"]
            assert points(header, data)["values"] == [1.0, 2.0]
            listed = http.get("/files/run").json()["files"]
            assert http.get("/" + listed[0]["href"]).text == "text"
    finally:
        server.stop()
        memory.rm("/live-store", recursive=True)


def test_a_root_that_vanishes_in_between_is_found_again(
    http: httpx.Client, store: ExperimentStore
) -> None:
    """Its runs stay shown meanwhile; those that are not there any more are gone then."""
    for name in ("a", "b"):
        log(store, name, {"loss": [1.0]})
    stream = events(http)
    seen: set[str] = set()
    for _, kind, data in stream:
        seen |= {row["id"] for row in data["runs"] if "points" in row} if kind == "runs" else set()
        if seen == {"a", "b"}:
            break
    store.root.rename(store.root.with_name("away"))
    assert "experiments" in next(data for _, kind, data in stream if kind == "trouble")
    shutil.rmtree(store.root.with_name("away") / "a")
    store.root.with_name("away").rename(store.root)
    kinds = dict(itertools.islice(((kind, data) for _, kind, data in stream), 2))
    assert kinds == {"gone": ["a"], "trouble": ""}
    stream.close()


def test_a_failure_of_the_server_ends_its_streams(
    http: httpx.Client, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not silent: clients connect again, and all goes on."""
    log(store, "run", {"loss": [1.0]})
    step = Scanner.step

    def failing(scanner: Scanner) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Scanner, "step", failing)
    with contextlib.suppress(httpx.RemoteProtocolError):
        assert [kind for _, kind, _ in events(http)] == ["reset"]
    monkeypatch.setattr(Scanner, "step", step)
    assert rows(http)


def test_many_clients_at_once_are_not_more_than_many(
    server: Server, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond the limit get no stream, also if all ask in the same moment."""
    from expstore.live import events as stream

    monkeypatch.setattr(stream, "MOST_CLIENTS", 3)
    host, port = server.address[7:-1].split(":")
    head = f"POST /api/events HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
    asked = f"{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(12)
        ]
        for one in clients:
            one.sendall(asked)
        received = []
        for one in clients:
            data = b""
            while b"retry: " not in data and (part := one.recv(4096)):
                data += part
            received.append(b"retry: " in data)
        assert received.count(True) == 3
