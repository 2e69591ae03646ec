"""An answer that is sent bit by bit.

Guarantees: what makes the bits is closed at once when the client vanishes, or reads nothing for a
minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PATIENCE = 60.0
"""Seconds in which a client must take what is sent."""


class Stream(Response):
    """An answer made of the bytes that a generator gives.

    Args:
        content: gives the bytes.
        media_type: of them.
        headers: more headers.
        status: of the answer.
    """

    def __init__(
        self,
        content: AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> None:
        super().__init__(None, status, headers, media_type)
        self.raw_headers = [one for one in self.raw_headers if one[0] != b"content-length"]
        for name, value in (headers or {}).items():
            if name.lower() == "content-length":
                self.raw_headers.append((b"content-length", value.encode()))
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        sending = asyncio.create_task(self._send(send))
        vanishing = asyncio.create_task(_vanished(receive))
        try:
            await asyncio.wait((sending, vanishing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            vanishing.cancel()
            if not sending.done():
                sending.cancel()
            await asyncio.wait((sending, vanishing))
        if sending.cancelled():
            if b"content-length" not in dict(self.raw_headers):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif (error := sending.exception()) is not None:
            if isinstance(error, TimeoutError | OSError):
                raise ClientDisconnect from error
            raise error

    async def _send(self, send: Send) -> None:
        async with aclosing(self._content) as content:
            start = {"type": "http.response.start", "status": self.status_code}
            await send({**start, "headers": self.raw_headers})
            async for data in content:
                async with asyncio.timeout(PATIENCE):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _vanished(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
