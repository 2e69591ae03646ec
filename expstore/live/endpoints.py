"""What each address of the application answers.

Guarantees: a name in a request is a name in the store, or the answer is 404: no path is made of it
that leads out of the store, and no link is followed. A file of an experiment is sent as a download
of no particular type, or as the raster image that its first bytes say it is; so it cannot run.
"""

from __future__ import annotations

import asyncio
import json
import math
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from expstore.errors import ExpStoreError
from expstore.live.curves import CurveWish, frames
from expstore.live.download import files_payload, open_download
from expstore.live.events import Wish, events
from expstore.live.keeper import MOST_CLIENTS, Keeper
from expstore.live.logs import CurvePart
from expstore.live.streaming import Stream
from expstore.model.texts import printable, unescape
from expstore.report.page import asset, default_title, render, render_page
from expstore.report.payload import page_facts, to_json
from formats import FormatError

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_BODY = 1 << 20  # bytes of a request
_RUNS, _METRICS = 300, 2000  # in one request: as many runs as the page draws
_POINTS = 8, 20_000  # of one curve
_REPORTS = 1  # that are written at a time
_POLICY = "base-uri 'none'; form-action 'none'; object-src 'none'"  # besides that of the page


class _AnyPath(PathConvertor):
    """A path in which also line breaks are characters."""

    regex = "(?s:.*)"


register_url_convertor("anypath", _AnyPath())


def routes(store: StoreReader, *, framed: bool) -> Starlette:
    """The application without its guard; see `application.app`."""
    answers = _Answers(store, framed)
    return Starlette(
        routes=[
            Route("/", answers.page),
            Route("/api/events", answers.events, methods=["POST"]),
            Route("/api/curves", answers.curves, methods=["POST"]),
            Route("/api/report", answers.report, methods=["POST"]),
            Route("/files/{run}", answers.files),
            Route("/files/{run}/{name:anypath}", answers.file),
        ],
        exception_handlers={ExpStoreError: answers.explain, FormatError: answers.explain},
    )


class _Answers:
    def __init__(self, store: StoreReader, framed: bool) -> None:
        self._store = store
        self._policy = _POLICY if framed else f"{_POLICY}; frame-ancestors 'none'"
        self._keeper = Keeper(store)
        self._reports = asyncio.Semaphore(_REPORTS)

    async def page(self, request: Request) -> Response:
        del request
        page = _page(default_title(self._store), to_json(page_facts()))
        return HTMLResponse(page, headers={"content-security-policy": self._policy})

    async def events(self, request: Request) -> Response:
        body = await _body(request)
        wish = Wish(
            _text(body, "since"), _texts(body, "runs", _RUNS), _texts(body, "metrics", _METRICS)
        )
        if self._keeper.clients >= MOST_CLIENTS:
            raise HTTPException(503, f"{MOST_CLIENTS} pages are open already; close some")
        return Stream(events(self._keeper, wish), "text/event-stream")

    async def curves(self, request: Request) -> Response:
        body = await _body(request)
        runs = body.get("runs")
        if not isinstance(runs, list) or len(runs) > _RUNS:
            raise HTTPException(400, f"runs must be a list of at most {_RUNS}")
        wished = [(_text(run, "run"), _texts(run, "metrics", _METRICS)) for run in runs]
        x = body.get("x")
        if x not in ("step", "time"):
            raise HTTPException(400, "x must be step or time")
        points = body.get("points", _POINTS[1])
        if not isinstance(points, int) or isinstance(points, bool):
            raise HTTPException(400, "points must be a whole number")
        part = CurvePart(
            min(max(points, _POINTS[0]), _POINTS[1]),
            "time" if x == "time" else "step",
            _bound(body, "from"),
            _bound(body, "to"),
        )
        wish = CurveWish(wished, part)
        return Stream(frames(self._keeper, wish), "application/octet-stream")

    async def report(self, request: Request) -> Response:
        body = await _body(request)
        ids = [unescape(key) for key in _texts(body, "runs", _RUNS)]
        async with self._reports:
            page = await asyncio.to_thread(self._report, ids)
        headers = {"content-disposition": 'attachment; filename="report.html"'}
        return Response(page, media_type="application/octet-stream", headers=headers)

    def _report(self, ids: list[str]) -> str:
        from expstore.report.contents import collect

        return render(collect(self._store, ids), default_title(self._store))

    async def files(self, request: Request) -> Response:
        commit_id = unescape(request.path_params["run"])
        return JSONResponse(await asyncio.to_thread(files_payload, self._store, commit_id))

    async def file(self, request: Request) -> Response:
        commit_id = unescape(request.path_params["run"])
        parts = [unescape(part) for part in request.path_params["name"].split("/")]
        found = await asyncio.to_thread(open_download, self._store, commit_id, parts)
        if found is None:
            raise HTTPException(404, "There is no such file.")
        if request.method == "HEAD":
            found.close()
            return Response(media_type=found.type, headers=found.headers)
        asked = request.headers
        found.restrict(asked.get("range", ""), asked.get("if-range", ""))
        return Stream(found.blocks(), found.type, found.headers, found.status)

    async def explain(self, request: Request, error: Exception) -> Response:
        del request
        text = str(error).replace(f"{self._store.location}/", "")
        return JSONResponse({"error": printable(text)}, 404)


@cache
def _page(title: str, data: str) -> str:
    return render_page(title, "live.js", data, read=_module, connect="connect-src 'self'; ")


def _module(name: str) -> str:
    if name != "live.js":
        return asset(name)
    return (resources.files(__name__.rpartition(".")[0]) / "assets" / name).read_text("utf-8")


async def _body(request: Request) -> dict[str, Any]:
    """The object in the body of a request.

    Only JSON: a page of another site cannot send that without asking first.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "The body must be application/json.")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _BODY:
            raise HTTPException(413, f"The body is longer than {_BODY:,} bytes.")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return found


def _text(body: Any, name: str) -> str:
    value = body.get(name, "") if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise HTTPException(400, f"{name} must be a text")
    return value


def _texts(body: Any, name: str, most: int) -> list[str]:
    values = body.get(name, []) if isinstance(body, dict) else None
    if (
        not isinstance(values, list)
        or len(values) > most
        or not all(isinstance(one, str) for one in values)
    ):
        raise HTTPException(400, f"{name} must be a list of at most {most} texts")
    return list(dict.fromkeys(values))


def _bound(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise HTTPException(400, f"{name} must be a number or null")
    try:
        found = None if value is None else float(value)
    except OverflowError as error:
        raise HTTPException(400, f"{name} is too large") from error
    if found is not None and not math.isfinite(found):
        raise HTTPException(400, f"{name} must be a number or null")
    return found
