"""Who is answered: attacks by pages of other sites, and by clients without the token."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import expstore.live
from expstore import ExperimentStore, ServeError
from expstore.live.server import Server, new_token
from tests.live.client import Unserved

LOCAL = "http://127.0.0.1:8267"
TOKEN = "T" * 32
PATHS = ("/", "/files/run", "/files/run/a", "/nothing")


def client(store: ExperimentStore, base: str = LOCAL, **options: object) -> httpx.Client:
    """A client of an application that is not served."""
    app = expstore.live.app(store, **options)  # type: ignore[arg-type]
    return httpx.Client(transport=Unserved(app), base_url=base)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8267", "localhost", "LOCALHOST:1", "[::1]:8267", "127.0.0.1"]
)
def test_this_machine_s_names_are_answered(store: ExperimentStore, host: str) -> None:
    """With any port."""
    assert client(store).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8267", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("127.0.0.1@evil.example", "evil.example#127.0.0.1", "0.0.0.0:8267", "127.0.0.1:8267:1"),
        *("", " ", "127.0.0.1 ", "[::1", "192.168.0.1", "localhost,evil.example", "127.1"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_was_rebound_is_refused(store: ExperimentStore, host: str, path: str) -> None:
    """Whatever is asked for: so a page whose name now points here learns nothing."""
    answer = client(store).get(path, headers={"host": host})
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8267.evil.example"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_pages_of_other_sites_are_refused(
    store: ExperimentStore, headers: dict[str, str], token: str | None
) -> None:
    """Also with a token, and by whatever method."""
    asked = client(store, token=token)
    query = {"token": token} if token else {}
    assert asked.get("/", params=query, headers=headers).status_code == 403
    assert asked.post("/api/report", params=query, json={}, headers=headers).status_code == 403
    assert asked.get("/files/run", params=query, headers=headers).status_code == 403


def test_other_sites_may_link_to_the_page_only(store: ExperimentStore) -> None:
    """A link opens the page; nothing else."""
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client(store).get("/", headers=headers).status_code == 200
    assert client(store).get("/files/run/a", headers=headers).status_code == 403


def test_the_own_origin_is_answered(store: ExperimentStore) -> None:
    """As the page's requests have it."""
    headers = {"origin": LOCAL, "sec-fetch-site": "same-origin"}
    assert client(store).post("/api/report", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "T", TOKEN.lower(), "é", "\x00"])
@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_answered(
    store: ExperimentStore, given: str, path: str
) -> None:
    """A wrong one is none."""
    asked = client(store, token=TOKEN)
    assert asked.get(path).status_code == 401
    assert asked.get(path, params={"token": given}).status_code == 401
    bearer = {b"authorization": b"Bearer " + given.encode()}
    assert asked.get(path, headers=bearer).status_code == 401


def test_the_token_opens_the_page_and_sets_a_strict_cookie(store: ExperimentStore) -> None:
    """With which all else is asked; the header does as well."""
    asked = client(store, token=TOKEN)
    answer = asked.get("/", params={"token": TOKEN})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert TOKEN not in answer.text
    assert asked.post("/api/report", json={}).status_code == 200
    other = client(store, token=TOKEN)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert other.post("/api/report", json={}, headers=bearer).status_code == 200


def test_with_a_token_any_name_is_answered(store: ExperimentStore) -> None:
    """A page whose name was rebound has no token; a user's machine may have any name."""
    asked = client(store, "http://gpu-box:8267", token=TOKEN)
    assert asked.get("/", params={"token": TOKEN}).status_code == 200
    assert asked.get("/").status_code == 200  # by the cookie
    asked.cookies.clear()
    assert asked.get("/").status_code == 401


def test_hosts_are_further_names(store: ExperimentStore) -> None:
    """Such as that of a proxy."""
    assert client(store, "http://gpu-box:8267", hosts=["GPU-box"]).get("/").status_code == 200


def test_every_answer_has_a_strict_policy(store: ExperimentStore) -> None:
    """Also errors; nothing is framed, cached or guessed."""
    for path in PATHS:
        headers = client(store).get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    page = client(store).get("/").text
    policy = page.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy


def test_websockets_are_refused(store: ExperimentStore) -> None:
    """There are none, so no page can open one."""
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "query_string": b"", "headers": [(b"host", b"::1")]}
    asyncio.run(expstore.live.app(store)(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "gpu-box", ""])
def test_an_address_that_others_can_reach_needs_a_token(store: ExperimentStore, host: str) -> None:
    """Nothing is bound without."""
    with pytest.raises(ServeError, match="token"):
        Server(store, host)


def test_a_port_that_is_in_use_is_told(store: ExperimentStore, server: Server) -> None:
    """With what to do."""
    port = int(server.address.rpartition(":")[2].strip("/"))
    with pytest.raises(ServeError, match="--port"):
        Server(store, port=port)


def test_tokens_differ() -> None:
    """And are long."""
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) >= 32


@pytest.fixture
def idle(server: Server) -> Iterator[list[socket.socket]]:
    """A thousand connections on which nothing is asked."""
    host, _, port = server.address[7:-1].partition(":")
    found = []
    for _ in range(1000):
        try:
            found.append(socket.create_connection((host, int(port)), timeout=2))
        except OSError:  # this process has no more descriptors
            break
    yield found
    for one in found:
        one.close()


def test_idle_connections_keep_nobody_out(server: Server, idle: list[socket.socket]) -> None:
    """The page comes at once, although hundreds of others wait."""
    assert len(idle) > 400
    idle.pop().close()
    idle.pop().close()
    began = time.monotonic()
    with httpx.Client(base_url=server.address, timeout=10) as http:
        assert http.get("/").status_code == 200
    assert time.monotonic() - began < 5
