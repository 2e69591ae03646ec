"""A client of the server: it keeps runs and curves as the page does, with the same rules."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np

from tests.report.pages import points


class Unserved(httpx.BaseTransport):
    """Asks an application that is not served.

    Args:
        app: an ASGI application.
    """

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The application's answer."""

        async def ask() -> httpx.Response:
            answer = await self._transport.handle_async_request(request)
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            content = [part async for part in answer.stream]
            return httpx.Response(answer.status_code, headers=answer.headers, stream=_Sent(content))

        return asyncio.run(ask())


class _Sent(httpx.SyncByteStream):
    """What was sent, as it was sent."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts


def frames(content: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The frames of an answer with curves: header and columns."""
    while content:
        size = int.from_bytes(content[:4], "little")
        message, content = content[4 : 4 + size], content[4 + size :]
        end = 4 + int.from_bytes(message[:4], "little")
        yield json.loads(message[4:end]), message[end:]


def curves(
    http: httpx.Client, runs: dict[str, list[str]], points: int = 2000, **part: Any
) -> dict[tuple[str, str], tuple[dict[str, Any], bytes]]:
    """Ask for curves; by run and metric."""
    asked = [{"run": run, "metrics": metrics} for run, metrics in runs.items()]
    body = {"x": "step", "from": None, "to": None, "points": points, "runs": asked} | part
    answer = http.post("/api/curves", json=body)
    assert answer.status_code == 200, answer.text
    return {
        (asked[header["run"]]["run"], asked[header["run"]]["metrics"][header["metric"]]): (
            header,
            data,
        )
        for header, data in frames(answer.content)
    }


def events(http: httpx.Client, **wish: Any) -> Iterator[tuple[str, str, Any]]:
    """The events of a stream: id, type and data."""
    with http.stream("POST", "/api/events", json=wish) as answer:
        assert answer.status_code == 200, answer.read()
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif line == "" and "event" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
                fields = {}
            elif line == "":
                fields = {}


class Watcher(threading.Thread):
    """Watches metrics of runs, asks for curves that it lacks points of, and reconnects.

    Attributes:
        fetched: how often it asked for a curve.
    """

    def __init__(self, address: str, runs: list[str], metrics: list[str]) -> None:
        super().__init__(daemon=True)
        self._http = httpx.Client(base_url=address, timeout=20)
        self._runs, self._metrics = runs, metrics
        self._curves: dict[tuple[str, str], dict[str, Any]] = {}
        self.fetched = 0
        self.ended = threading.Event()
        self.broken = threading.Event()

    def run(self) -> None:
        """Watch until `ended` is set; end the connection when `broken` is."""
        while not self.ended.is_set():
            stream = events(self._http, runs=self._runs, metrics=self._metrics)
            try:
                for _, kind, data in stream:
                    if kind == "points":
                        self._append(data)
                    if self.ended.is_set() or self.broken.is_set():
                        break
            except httpx.HTTPError:
                pass  # the server is away: try again
            finally:
                stream.close()
                self.broken.clear()

    def _append(self, data: dict[str, Any]) -> None:
        sent = {curve["metric"]: curve for curve in data["curves"]}
        start, end = [data["state"], data["from"]], [data["state"], data["to"]]
        for metric in self._metrics:
            key = data["run"], metric
            held = self._curves.get(key)
            if held is not None and held["end"][0] == end[0] and end[1] <= held["end"][1]:
                continue
            if held is None or held["end"] != start:
                self._fetch(key)
            else:
                held["end"] = end
                if metric in sent:
                    curve = sent[metric]
                    held["points"] += curve["points"]
                    columns = points(curve, base64.b64decode(curve["data"]))
                    held["values"] += columns["values"]
                    held["steps"] += columns["steps"]

    def _fetch(self, key: tuple[str, str]) -> None:
        self.fetched += 1
        run, metric = key
        found = curves(self._http, {run: [metric]}, points=20_000)
        header, data = found[key]
        if "none" in header:
            return
        columns = points(header, data)
        self._curves[key] = {
            "end": header["end"],
            "points": header["points"],
            "values": columns["values"],
            "steps": columns["steps"],
        }

    def logged(self, run: str, metric: str) -> int:
        """How many logged points its curve stands for."""
        found: int = self._curves.get((run, metric), {"points": 0})["points"]
        return found

    def curve(self, run: str, metric: str) -> tuple[Any, Any]:
        """The steps and values that it has."""
        held = self._curves.get((run, metric), {"steps": [], "values": []})
        return np.array(held["steps"]), np.array(held["values"])
