"""The curves that a page asks for, sent as each is ready.

Guarantees: those of one run are made together, so its log is read once; only a few logs are read at
a time, however many clients ask. Each frame is its length as four bytes, little-endian, and a
message as `decodeMessage` in codec.js reads it; its header has the indices of the run and the
metric in the request, and for a curve the position in the log up to which it goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from expstore.errors import ExpStoreError
from expstore.live.keeper import CURVES_AT_ONCE, Keeper
from expstore.live.logs import CurvePart
from expstore.model.texts import unescape
from expstore.report.payload import to_json
from formats import FormatError


@dataclass
class CurveWish:
    """What a client asks for.

    Attributes:
        runs: the keys of runs, each with keys of metrics.
        part: what is wanted of each curve.
    """

    runs: list[tuple[str, list[str]]]
    part: CurvePart


async def frames(keeper: Keeper, wish: CurveWish) -> AsyncGenerator[bytes, None]:
    """The frames of all curves, in the order of the runs."""
    waiting: list[asyncio.Task[bytes]] = []
    runs = iter(enumerate(wish.runs))
    try:
        while True:
            while len(waiting) < CURVES_AT_ONCE and (following := next(runs, None)) is not None:
                waiting.append(asyncio.create_task(_made(keeper, wish, *following)))
            if not waiting:
                return
            yield await waiting.pop(0)
    finally:
        for task in waiting:
            task.cancel()


async def _made(keeper: Keeper, wish: CurveWish, index: int, run: tuple[str, list[str]]) -> bytes:
    async with keeper.making_curves:
        return await asyncio.to_thread(_frames_of_run, keeper, wish, index, run)


def _frames_of_run(
    keeper: Keeper, wish: CurveWish, index: int, run: tuple[str, list[str]]
) -> bytes:
    commit_id, metrics = unescape(run[0]), run[1]
    found: list[bytes] = []
    try:
        held = keeper.logs.get(commit_id)
        held.advance(keep=True)
    except (ExpStoreError, FormatError):  # the row has the problem
        held = None
    for number, metric in enumerate(metrics):
        header: dict[str, Any] = {"run": index, "metric": number}
        curve = None
        if held is not None:
            try:
                curve = keeper.logs.curve(commit_id, held, unescape(metric), wish.part)
            except (ExpStoreError, FormatError):
                held = None
        if curve is None:
            found.append(_frame(header | {"none": True}))
        else:
            found.append(_frame(header | curve[0], curve[1]))
    keeper.logs.trim()
    return b"".join(found)


def _frame(header: dict[str, Any], data: bytes = b"") -> bytes:
    text = to_json(header).encode()
    message = len(text).to_bytes(4, "little") + text + data
    return len(message).to_bytes(4, "little") + message
