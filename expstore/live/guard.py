"""Who may ask the server for anything: the outermost layer of the application.

Guarantees: a page of another site gets nothing, whatever name it gave this address (DNS
rebinding), since the names in Host and Origin are checked, or a token is needed that the other page
does not know; no answer can be shown inside another page, be guessed to be of another type, or be
kept by a cache.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine that no other site can have."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?", re.ASCII)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "x-frame-options": "DENY",
}


class Guard:
    """Passes requests on to an application if they may be answered.

    Args:
        app: the application.
        token: what a client must know; None: it need not know anything.
        hosts: names in addresses that are allowed besides those of this machine. With a token any
            name is, since a page of another name has no token.
        framed: whether other pages may show the page inside them, as a notebook does.
    """

    def __init__(
        self, app: App, token: str | None, hosts: Collection[str] = (), *, framed: bool = False
    ) -> None:
        self._app, self._token, self._framed = app, token, framed
        self._hosts = {host.lower() for host in (*LOCAL, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        fault = self._fault(scope, headers)
        cookie = None
        if not fault and self._token is not None and scope["path"] == "/":
            # What opens the page also opens what it asks for.
            cookie = f"{_cookie_name(headers)}={self._token}; HttpOnly; SameSite=Strict; Path=/"

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._with_headers(message.get("headers", ()), cookie)
            await send(message)

        if fault:
            await _refuse(guarded, *fault)
        else:
            await self._app(scope, receive, guarded)

    def _fault(self, scope: Scope, headers: list[tuple[str, str]]) -> tuple[int, str] | None:
        """Why a request is refused: a status and a text."""
        hosts = [value for name, value in headers if name == "host"]
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            return 400, "The request does not say which host it is for."
        if self._token is None and found[1].lower() not in self._hosts:
            return 403, (
                "This address is not one of this server's. Use http://127.0.0.1 or "
                "http://localhost, or start the server with --host."
            )
        origins = [value.lower() for name, value in headers if name == "origin"]
        own = {f"{scheme}://{hosts[0].lower()}" for scheme in ("http", "https")}
        if any(origin not in own for origin in origins):
            return 403, "Pages of other sites get no answer."
        fetched = dict(headers)
        if fetched.get("sec-fetch-site") in ("cross-site", "same-site") and (
            fetched.get("sec-fetch-mode") != "navigate" or scope["path"] != "/"
        ):
            return 403, "Pages of other sites get no answer."
        if self._token is not None and not self._knows_token(scope, headers):
            return 401, (
                "This address needs a token: open the whole address that `expstore serve` printed, "
                "with ?token=..."
            )
        return None

    def _knows_token(self, scope: Scope, headers: list[tuple[str, str]]) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=50).get(
            "token", []
        )
        for name, value in headers:
            if name == "authorization":
                given.append(value.removeprefix("Bearer "))
            elif name == "cookie":
                try:
                    morsel = SimpleCookie(value).get(_cookie_name(headers))
                except CookieError:
                    morsel = None
                given += [morsel.value] if morsel is not None else []
        expected = str(self._token).encode()
        # Not `any` of a generator: the time must not tell which was right.
        right = [secrets.compare_digest(one.encode("utf-8", "replace"), expected) for one in given]
        return any(right)

    def _with_headers(self, found: Any, cookie: str | None) -> list[tuple[bytes, bytes]]:
        own = {name.lower(): value for name, value in found}
        added = dict(_HEADERS)
        if self._framed:
            del added["x-frame-options"]
        for name, value in added.items():
            own.setdefault(name.encode(), value.encode())
        if cookie is not None:
            own[b"set-cookie"] = cookie.encode()
        return list(own.items())


def _cookie_name(headers: list[tuple[str, str]]) -> str:
    """Each port's own: browsers send the cookies of all ports of a host."""
    host = dict(headers).get("host", "")
    return f"expstore-{hashlib.sha256(host.encode()).hexdigest()[:8]}"


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
