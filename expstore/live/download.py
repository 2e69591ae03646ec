"""The files of an experiment, listed for a page and sent to it.

Guarantees: a file is below the experiment's `files/`, and regular; no link is followed. It is sent
as a download of no particular type; only what begins like a raster image is one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from expstore.model.texts import escape, printable
from expstore.report.artifacts import START, image_type, list_artifacts, read_artifact
from expstore.store.files import layout
from expstore.store.files.place import open_directory

if TYPE_CHECKING:
    from expstore.store.files.directory import OpenLog
    from expstore.store.reader import StoreReader

_LISTED = 1000  # files of one experiment
_SHOWN = 200  # images of one experiment
_BLOCK = 1 << 18  # bytes
_ANY = "application/octet-stream"
_DEEPEST = 20  # directories


def files_payload(store: StoreReader, commit_id: str) -> dict[str, Any]:
    """The list of an experiment's files, as source.js describes it.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, UnreadableFileError
    """
    listed, more = list_artifacts(store, commit_id, _LISTED)
    images = 0
    files = []
    for artifact in listed:
        href = "/".join(map(_quoted, ("files", commit_id, *artifact.parts)))
        found: dict[str, Any] = {
            "name": printable("/".join(artifact.parts)),
            "size": artifact.size,
            "href": href,
        }
        if artifact.named_like_image and images < _SHOWN:
            type_ = image_type(read_artifact(store, commit_id, artifact, START))
            if type_ is not None:
                images += 1
                found |= {"type": type_, "src": href}
        files.append(found)
    return {"files": files, "more": True} if more else {"files": files}


def _quoted(name: str) -> str:
    return quote(escape(name), safe="")


@dataclass
class Download:
    """A file to be sent.

    Attributes:
        type: its media type.
        headers: of the answer.
    """

    type: str
    headers: dict[str, str]
    _file: OpenLog
    _opened: ExitStack

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Its bytes, up to the size that it had when it was opened."""
        try:
            offset = 0
            while offset < self._file.size:
                data = await asyncio.to_thread(self._file.read, offset, _BLOCK)
                if not data:
                    return  # cut meanwhile
                offset += len(data)
                yield data
        finally:
            self._opened.close()


def open_download(store: StoreReader, commit_id: str, parts: list[str]) -> Download | None:
    """Open a file of an experiment; None: there is no such file.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError
        UnreadableFileError: no permission, or not a regular file.
    """
    if len(parts) > _DEEPEST or any(
        part in ("", ".", "..") or "/" in part or "\0" in part for part in parts
    ):
        return None
    *directories, name = parts
    with ExitStack() as stack:
        directory = stack.enter_context(open_directory(store.locate(commit_id)))
        try:
            here = stack.enter_context(directory.subdirectory(layout.FILES, *directories))
            file = stack.enter_context(here.open_log(name))
        except (OSError, ValueError):
            return None
        if not file.exists:
            return None
        type_ = image_type(file.read(0, START)) or _ANY
        headers = {
            "content-disposition": _disposition(name, inline=type_ != _ANY),
            "content-length": str(file.size),
        }
        return Download(type_, headers, file, stack.pop_all())
    return None


def _disposition(name: str, *, inline: bool) -> str:
    plain = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII)
    shown = quote(printable(name), safe="")
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{shown}"
