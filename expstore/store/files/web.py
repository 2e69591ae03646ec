"""Web servers, which need not be friendly.

Guarantees: a response takes a bounded time, and no more memory than what was asked for, or than a
page that lists a million files; redirections end. What is beyond these limits is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from expstore.extras import require

PAGE_LIMIT = 64 << 20
"""Bytes of a page, and of a file that a server sends in full although a part was asked for."""

_GAP_LIMIT = 1 << 12  # characters between two tags: fsspec's pattern for links takes its square
_SECONDS = {"total": 300.0, "sock_connect": 30.0, "sock_read": 60.0}  # of one response
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def options(protocol: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of a file system, with those that bound the responses of a web server."""
    bounds = {"get_client": bounded_client} if protocol in ("http", "https") else {}
    return {**bounds, **(given or {})}


async def bounded_client(**settings: Any) -> Any:
    """The session that fsspec uses; settings that are given take precedence."""
    aiohttp = require("aiohttp", "remote")
    timeout = aiohttp.ClientTimeout(**_SECONDS)
    return aiohttp.ClientSession(
        **{"timeout": timeout, "response_class": _bounded_response(aiohttp), **settings}
    )


def _bounded_response(aiohttp: Any) -> Any:
    class BoundedResponse(aiohttp.ClientResponse):  # type: ignore[misc]
        """A response whose body is read up to a limit."""

        _body: bytes | None = None  # where the library keeps it, too

        async def read(self) -> bytes:
            if self._body is None:
                self._body = await self._bounded()
            return self._body

        async def text(self, *arguments: Any, **settings: Any) -> str:
            text: str = await super().text(*arguments, **settings)
            if max(map(len, text.split(">"))) > _GAP_LIMIT:
                raise aiohttp.ClientPayloadError("the page is not a listing of files")
            return text

        async def _bounded(self) -> bytes:
            asked = _RANGE.fullmatch(self.request_info.headers.get("Range", ""))
            limit = PAGE_LIMIT
            if asked and self.status == 206:
                limit = int(asked[2]) - int(asked[1]) + 1
            parts, size = [], 0
            async for part in self.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > limit:
                    self.close()
                    raise aiohttp.ClientPayloadError(
                        f"the server sent more than the {limit:,} bytes that it may"
                    )
            self.release()
            return b"".join(parts)

    return BoundedResponse
