"""A web server that does not stop, or that sends what nobody asked for, is a typed error."""

from __future__ import annotations

import http.server
import os
import resource
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from fsspec.implementations.http import HTTPFileSystem

from expstore import ExperimentStore, FormatError, LogTooLargeError, UnreadableFileError
from expstore.store.files import web

LIMIT = 20.0  # seconds, for each call


class Server(http.server.BaseHTTPRequestHandler):
    """A server that answers every request in one way."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Server], None]
    size = 1 << 24

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        """Promise a long file."""
        self.send_response(200)
        self.send_header("Content-Length", str(self.size))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_GET(self) -> None:
        """Answer, until the client leaves."""
        try:
            type(self).answer(self)
        except OSError:
            self.close_connection = True

    def head(self, status: int, **headers: str) -> None:
        """Send a status and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


def endless_page(server: Server) -> None:
    """A listing without an end."""
    server.head(200, Content_Type="text/html", Connection="close")
    while True:
        server.wfile.write(b'<a href="a/">a</a>\n' * 5000)


def endless_file(server: Server) -> None:
    """More than the part of a file that was asked for."""
    if not server.headers.get("Range"):
        endless_page(server)
    server.head(206, Connection="close")
    while True:
        server.wfile.write(bytes(1 << 16))


def deep_page(server: Server) -> None:
    """A page on which a search for links would take quadratic time."""
    page = b"<a " * 1_000_000
    server.head(200, Content_Type="text/html", Content_Length=str(len(page)))
    server.wfile.write(page)


def redirection(server: Server) -> None:
    """A redirection to another page of the same kind, and so on."""
    server.head(302, Location=f"{server.path}/again", Content_Length="0")


def trickle(server: Server) -> None:
    """A byte now and then, for ever."""
    server.head(200, Content_Type="text/html", Connection="close")
    while True:
        server.wfile.write(b" ")
        time.sleep(0.05)


def silence(server: Server) -> None:
    """No answer at all."""
    time.sleep(3)


@pytest.fixture
def serving() -> Iterator[Callable[..., str]]:
    """Starts a server that answers in a given way; gives its URL."""
    servers = []

    def serve(answer: Callable[[Server], None], size: int = Server.size) -> str:
        handler = type("Answering", (Server,), {"answer": staticmethod(answer), "size": size})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/experiments"

    HTTPFileSystem.clear_instance_cache()  # else an earlier one's limits are kept
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


CALLS: dict[str, Callable[[ExperimentStore], object]] = {
    "list": lambda s: s.list_experiments(),
    "metadata": lambda s: s.read_metadata("a"),
    "metrics": lambda s: s.get_metrics("a"),
    "exists": lambda s: s.experiment_exists("a"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer", [endless_page, endless_file, deep_page, redirection, trickle, silence]
)
def test_a_server_is_bounded_in_bytes_and_time(
    answer: Callable[[Server], None],
    call: str,
    serving: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call ends soon, with an error that names the URL, and takes little memory."""
    monkeypatch.setattr(web, "PAGE_LIMIT", 4 << 20)
    endless = answer in (trickle, silence)  # the others reach another limit first
    monkeypatch.setitem(web._SECONDS, "total", 0.5 if endless else 2.0)
    url = serving(answer)
    begin = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises((UnreadableFileError, FormatError), match=url):
            CALLS[call](ExperimentStore(url, storage_options={"block_size": 1 << 20}))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begin < LIMIT


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1])
@pytest.mark.parametrize("call", ["metrics", "parts", "check", "follow"])
def test_size_that_a_server_invents_is_not_believed(
    size: int, call: str, serving: Callable[..., str]
) -> None:
    """Neither is memory used for it, nor is the rest asked for in ever so many requests."""
    requests = []

    def few_bytes(server: Server) -> None:
        requests.append(server.path)
        if not server.path.endswith(".bin"):
            page = b'<a href="metrics.bin">metrics.bin</a>'
            server.head(200, Content_Type="text/html", Content_Length=str(len(page)))
            server.wfile.write(page)
            return
        server.head(206, Content_Length="100")
        server.wfile.write(bytes(100))

    store = ExperimentStore(serving(few_bytes, size))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if call == "check":
        assert "unreadable" in [finding.kind for finding in store.check("a").findings]
    else:
        with pytest.raises((LogTooLargeError, UnreadableFileError), match="bytes"):
            {
                "metrics": lambda: store.get_metrics("a"),
                "parts": lambda: list(store.iter_metrics("a")),
                "follow": lambda: store.follow("a").poll(),
            }[call]()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10  # KiB
    assert len(requests) < 20


def test_log_of_a_file_with_holes_is_too_large_for_memory(store: ExperimentStore) -> None:
    """The same on a disk, where it needs no server."""
    path = store.create_experiment("a") / "metrics.bin"
    path.touch()
    os.truncate(path, 1 << 43)
    with pytest.raises(LogTooLargeError, match=r"metrics\.bin: 8,796,093,022,208 bytes"):
        store.get_metrics("a")


def test_limits_of_the_user_take_precedence(
    serving: Callable[..., str],
) -> None:
    """The options of the file system still reach the client."""
    import aiohttp

    kwargs = {"timeout": aiohttp.ClientTimeout(total=0.5)}
    begin = time.monotonic()
    with pytest.raises(UnreadableFileError):
        ExperimentStore(
            serving(trickle), storage_options={"client_kwargs": kwargs}
        ).list_experiments()
    assert time.monotonic() - begin < 5
