"""The page inside a notebook: live where a server can be reached, else as a report.

Guarantees: the server listens on this machine only, needs a token, and ends with the program; one
serves all views of a store.
"""

from __future__ import annotations

import html
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from expstore.errors import MissingExtraError, ServeError
from expstore.live.server import Server, new_token
from expstore.model.texts import escape
from expstore.report.page import collect, default_title, render

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_ELSEWHERE = (
    *("SSH_CONNECTION", "JUPYTERHUB_USER", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"),
    *("BINDER_SERVICE_HOST", "CODESPACES", "DATABRICKS_RUNTIME_VERSION", "SAGEMAKER_APP_TYPE"),
)
"""Environment variables that tell that the browser is on another machine."""

_servers: dict[str, Server] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class View:
    """What a notebook shows; a value at the end of a cell is shown.

    Attributes:
        source: HTML that shows the page.
        address: of the live page, to open it elsewhere on this machine; None: it is static.
    """

    source: str
    address: str | None = None

    def _repr_html_(self) -> str:
        return self.source


def view(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    *,
    live: bool | None = None,
    height: int = 700,
) -> View:
    """Show a store, or some of its experiments, inside a notebook.

    Args:
        store: the store.
        ids: commit ids to draw; None: the newest.
        live: whether the page follows the store, which needs the extra `serve` and a browser on
            this machine; None: if that is so, as far as can be told.
        height: in pixels.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        MissingExtraError, ServeError: with `live`, no server can be run.
    """
    chosen = None if ids is None else store.select_ids(ids)
    style = f'width="100%" height="{int(height)}" style="border: 0"'
    if live or (live is None and not any(map(os.environ.get, _ELSEWHERE))):
        try:
            address = _server_of(store).address
        except (MissingExtraError, ServeError):
            if live:
                raise
        else:
            fragment = urlencode([("pick", escape(one)) for one in chosen or ()])
            if chosen is not None and len(chosen) == 1:
                fragment += f"&tab=runs&{urlencode({'run': escape(chosen[0])})}"
            address += f"#{fragment}" if fragment else ""
            return View(f'<iframe src="{html.escape(address)}" {style}></iframe>', address)
    page = render(collect(store, chosen), default_title(store))
    # Scripts run, but the page is nobody's: it can reach neither the notebook nor its cookies.
    sandbox = 'sandbox="allow-scripts allow-downloads"'
    return View(f'<iframe srcdoc="{html.escape(page)}" {sandbox} {style}></iframe>')


def _server_of(store: StoreReader) -> Server:
    key = repr((str(store.location), store.storage_options))
    with _lock:
        if key not in _servers:
            server = Server(store, token=new_token(), framed=True)
            server.start()
            _servers[key] = server
        return _servers[key]
