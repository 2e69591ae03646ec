"""The ASGI application: a web page that shows a store and follows it.

Guarantees: it reads only, any store that can be read. All addresses are relative, so it can be
mounted below a path of another application. What a request may ask for is bounded.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from expstore.extras import require
from expstore.live.guard import App, Guard

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader


def app(
    store: StoreReader,
    *,
    token: str | None = None,
    hosts: Collection[str] = (),
    framed: bool = False,
) -> App:
    """The application that shows a store.

    Args:
        store: what is shown; it may be at a URL.
        token: what a client must know: in the address as `?token=`, which sets a cookie, or in the
            header `Authorization: Bearer`. None: it need not know anything, and only requests to
            this machine's own names are answered.
        hosts: further host names, without a port, by which the application is reached.
        framed: whether other pages may show the page inside them.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """
    require("starlette.applications", "serve")
    from expstore.live.endpoints import routes

    return Guard(routes(store, framed=framed), token, hosts, framed=framed)
