"""Serving the application: by a command until it is interrupted, or in a thread for a notebook.

Guarantees: the port is bound before an address is told. A connection on which nothing is asked is
closed after some seconds, and of too many the one that waits the longest, so idle connections
cannot keep others out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from expstore.errors import ServeError
from expstore.extras import require
from expstore.live.application import app

if TYPE_CHECKING:
    from expstore.live.guard import App, Receive, Scope, Send
    from expstore.store.reader import StoreReader

_IDLE = 10  # seconds
_CONNECTIONS = 400  # below the usual limit of 1,024 open files


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def is_local(host: str) -> bool:
    """Whether only programs on this machine can connect to an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Server:
    """A server of one store, which is bound when this is made.

    Args:
        store: what it shows.
        host: the address to bind to; other machines can connect to one that is not of this machine
            alone, so there a token is needed.
        port: the port; 0: any that is free.
        token: what clients must know; see `app`.
        framed: see `app`.

    Attributes:
        address: what to open in a browser, with the token.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
        ServeError: the address cannot be bound to, or a token is missing.
    """

    def __init__(
        self,
        store: StoreReader,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        framed: bool = False,
    ) -> None:
        if token is None and not is_local(host):
            raise ServeError(
                f"{host}: other machines can connect to this address, so it needs a token"
            )
        uvicorn = require("uvicorn", "serve")
        hosts = () if host in ("0.0.0.0", "::") else (f"[{host}]" if ":" in host else host,)
        self._socket = _bound(host, port)
        port = self._socket.getsockname()[1]
        query = "" if token is None else f"?token={token}"
        self.address = f"http://{_shown(host)}:{port}/{query}"
        self._server = _server(uvicorn, app(store, token=token, hosts=hosts, framed=framed))
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve until it is interrupted."""
        try:
            asyncio.run(self._server.serve([self._socket]))
        finally:
            self._socket.close()

    def start(self) -> None:
        """Serve in a thread, which ends with the program."""
        self._thread = threading.Thread(target=self.run, name="expstore-serve", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host.strip("[]"), port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise ServeError(
            f"cannot listen at {host}, port {port}: {reason}; choose another with --port, or 0 for "
            "any that is free"
        ) from error
    return found


def _shown(host: str) -> str:
    """The host in the address to open."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host.strip('[]')}]" if ":" in host else host


class _Ending:
    """Tells an application that its clients have gone when the server ends: streams have no end.

    Args:
        app: the application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_end() -> MutableMapping[str, Any]:
            ending = asyncio.create_task(self.ended.wait())
            receiving = asyncio.ensure_future(receive())
            try:
                await asyncio.wait((receiving, ending), return_when=asyncio.FIRST_COMPLETED)
            finally:
                ending.cancel()
            if receiving.done():
                return receiving.result()
            receiving.cancel()
            return {"type": "http.disconnect"}

        await self._app(scope, receive_or_end, send)


def _server(uvicorn: Any, application: App) -> Any:
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Closes connections on which nothing is asked."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.made = time.monotonic()
            self.timeout_keep_alive_task = self.loop.call_later(
                _IDLE, self.timeout_keep_alive_handler
            )
            if len(self.connections) > _CONNECTIONS:
                connections: list[Any] = list(self.connections)
                waiting = [one for one in connections if one.cycle is None]
                min(waiting, key=lambda one: one.made, default=self).transport.abort()

    class Quiet(uvicorn.Server):  # type: ignore[misc]
        """Ends the streams when it ends; in a thread, it leaves signals alone."""

        async def shutdown(self, sockets: Any = None) -> None:
            ending.ended.set()
            await super().shutdown(sockets)

        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            with super().capture_signals():
                yield

    ending = _Ending(application)
    config = uvicorn.Config(
        ending,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=1 << 16,
    )
    return Quiet(config)


def serve(
    store: StoreReader,
    host: str,
    port: int,
    *,
    token: str | None,
    started: Callable[[str], object],
) -> None:
    """Serve a store until it is interrupted.

    Args:
        store, host, port, token: see `Server`.
        started: called with the address once clients can connect.

    Raises:
        MissingExtraError, ServeError: see `Server`.
    """
    server = Server(store, host, port, token=token)
    started(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
