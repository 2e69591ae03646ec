"""Finding the file system that a URL leads to, through fsspec.

Guarantees: a URL that leads to this machine's files is refused, since fsspec follows links there;
no error shows a password, a token or a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from expstore.errors import MissingExtraError, StoreNotFoundError
from expstore.extras import require
from expstore.store.files import web
from expstore.store.files.showable import Secrets


def connect(url: str, options: Mapping[str, Any] | None = None) -> tuple[Any, str, str, Secrets]:
    """Find what a URL leads to; most kinds of file system connect only when something is read.

    Args:
        url: any URL that fsspec supports.
        options: file system options, such as credentials.

    Returns:
        The file system, the path within it, the URL without a slash at its end, and what must not
        be shown.

    Raises:
        MissingExtraError: fsspec, or a library that it needs for the URL, is not installed.
        StoreNotFoundError: unknown kind of URL, or one that connects at once and failed; or it
            leads to files of this machine.
    """
    scheme, _, place = url.partition("://")
    url = f"{scheme}://{place.rstrip('/')}"
    secrets = Secrets(url, options)
    shown = secrets.mask(url)
    if scheme in ("http", "https") and {"?", "#"} & set(place):
        raise StoreNotFoundError(
            f"{shown}: a root has no query or fragment; pass credentials in storage_options"
        )
    fsspec = require("fsspec", "remote")
    try:
        # Cached listings would hide what is added while the program runs.
        settings = {"use_listings_cache": False, **web.options(scheme, options)}
        file_system, path = fsspec.core.url_to_fs(url, **settings)
    except ImportError as error:
        secrets.translate(error, MissingExtraError, shown)
    except Exception as error:  # each kind of file system has its own exceptions
        secrets.translate(error, StoreNotFoundError, shown)
    if _is_local(file_system):
        raise StoreNotFoundError(
            f"{shown}: leads to files of this machine; give the path of the store instead"
        )
    return file_system, path.rstrip("/"), url, secrets


def _is_local(file_system: Any) -> bool:
    """Whether it is the file system of this machine, perhaps wrapped by others."""
    while file_system is not None:
        protocol = file_system.protocol
        if {"file", "local"} & {*((protocol,) if isinstance(protocol, str) else protocol)}:
            return True
        file_system = getattr(file_system, "fs", None) or getattr(file_system, "sync_fs", None)
    return False
