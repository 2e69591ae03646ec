"""The files of an experiment, listed for a page and sent to it.

Guarantees: a file is below the experiment's `files/`, and regular; no link is followed. It is sent
as a download of no particular type; only what begins like a raster image is one. Of one range that
a request asks for, only these bytes are read, so that an interrupted download can go on.
"""

from __future__ import annotations

import asyncio
import hashlib
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
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


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
        status: of the answer: 200, or 206 with a part of it, or 416 if the file has no such part.
    """

    type: str
    headers: dict[str, str]
    _file: OpenLog
    _opened: ExitStack
    status: int = 200

    def __post_init__(self) -> None:
        self._part = range(self._file.size)
        self._send_part(self._part)
        identity, version = self._file.identity, self._file.version
        if version[1] is not None:
            digest = hashlib.sha256(repr((identity, version)).encode()).hexdigest()
            self.headers["etag"] = f'"{digest[:20]}"'

    def _send_part(self, part: range) -> None:
        self._part = part
        self.headers |= {"accept-ranges": "bytes", "content-length": str(len(part))}

    def restrict(self, asked: str, condition: str) -> None:
        """Send only a part.

        Args:
            asked: the header Range; empty, or not understood: all is sent.
            condition: the header If-Range: unless the file is still that, all is sent.
        """
        size = self._file.size
        part = requested_range(asked, size)
        if part is None or condition not in ("", self.headers.get("etag")):
            return
        self._send_part(part)
        self.status = 206 if part else 416
        shown = f"{part[0]}-{part[-1]}" if part else "*"
        self.headers["content-range"] = f"bytes {shown}/{size}"

    def close(self) -> None:
        """Close the file; `blocks` does so as well."""
        self._opened.close()

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Its bytes, up to the size that it had when it was opened."""
        try:
            offset = self._part.start
            while offset < self._part.stop:
                size = min(_BLOCK, self._part.stop - offset)
                data = await asyncio.to_thread(self._file.read, offset, size)
                if not data:
                    return  # cut meanwhile
                offset += len(data)
                yield data
        finally:
            self.close()


def requested_range(asked: str, size: int) -> range | None:
    """The bytes that a Range header asks for; empty: the file has none of them; None: all.

    None also if the header is not understood, or asks for several parts: a server may ignore it.
    """
    found = _RANGE.fullmatch(asked)
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        return range(max(size - int(found[2]), 0), size)
    first, last = int(found[1]), int(found[2] or size)
    return None if found[2] and last < first else range(first, max(min(last + 1, size), first))


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
        headers = {"content-disposition": _disposition(name, inline=type_ != _ANY)}
        return Download(type_, headers, file, stack.pop_all())
    return None


def _disposition(name: str, *, inline: bool) -> str:
    plain = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII)
    shown = quote(printable(name), safe="")
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{shown}"
