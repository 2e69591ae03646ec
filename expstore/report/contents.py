"""What goes into a report: as much of a store as fits into a file that can be sent and opened.

Guarantees: the page stays below `LIMIT` bytes. Experiments come in the order given, else the newest
first; what does not fit is left out from the end of that order, and `leftOut` says what. Last,
minimum and maximum values are taken over all points; curves are thinned and keep their spikes (see
`thinning.thin`). Smoothing weights each drawn point by the number of points it stands for.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare.axes import split_timed
from expstore.errors import ExpStoreError
from expstore.model.texts import escape, printable
from expstore.model.values import Metadata
from expstore.report.artifacts import (
    START,
    image_type,
    list_artifacts,
    read_artifact,
)
from expstore.report.curvedata import curve_payload
from expstore.report.payload import page_facts, page_payload, runs_payload, to_json
from expstore.store import metafile
from expstore.store.artifacts import Artifact
from expstore.store.files import waiting
from expstore.store.jobs import check_jobs, of_store

if TYPE_CHECKING:
    from expstore.model.table import MetricTable
    from expstore.store.reader import StoreReader

LIMIT = 15_000_000
"""The maximum size of a report in bytes."""

_PAGE = 300_000  # scripts and styles, and what surrounds the data
_ROWS = 11_000_000  # experiments without their curves and files
_FILES = 2_500_000  # lists of files, and images
_IMAGE = 400_000  # one image, before base64
_POINTS = 400_000  # of all curves
_MIN_POINTS, _MAX_POINTS = 120, 4000  # per curve
_LISTED = 200  # files of one experiment
_LOOKED_AT = 2000  # experiments whose files are listed
_REMOTE = 100  # the same at a URL, where each needs several requests


def collect(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
    *,
    jobs: int = 1,
) -> dict[str, Any]:
    """The content of a report, as JSON-compatible values.

    Args:
        store: the store to read from.
        ids: commit ids, the most important first; None: all, the newest first.
        progress: wraps the list of ids while they are read.
        jobs: the number of processes that read; see `compare`.

    Raises:
        SelectionError, JobError: see `compare`.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    jobs = check_jobs(jobs)
    chosen = newest_first(store) if ids is None else store.select_ids(ids)
    contents = _Contents(store, chosen)
    read = _Read(store, _POINTS // max(len(chosen), 1))
    with ExitStack() as stack:
        rows: Iterator[tuple[dict[str, Any], Curves]]
        if jobs > 1:
            found = stack.enter_context(of_store(read, store, chosen, jobs))
            rows = (one for one, _ in zip(found, progress(chosen), strict=True))
        else:
            rows = read.one_by_one(chosen, progress)
        for commit_id, (row, curves) in zip(chosen, rows, strict=True):
            if not contents.add(commit_id, row, curves):
                break
            read.draws = contents.has_room
    return contents.finish(by_age=ids is None)


Curves = list[dict[str, Any]] | Callable[[], list[dict[str, Any]]]
"""The curves of an experiment, or what makes them."""


@dataclass
class _Read:
    """Reads experiments and draws their curves, in this process or in others.

    Attributes:
        store: the store.
        share: points that an experiment's curves may have.
        draws: whether another process draws curves, which is for nothing once the page is full.
    """

    store: StoreReader
    share: int
    draws: bool = True

    def one_by_one(
        self, ids: list[str], progress: Callable[[list[str]], Iterable[str]]
    ) -> Iterator[tuple[dict[str, Any], Curves]]:
        """The row of each experiment, and what draws its curves."""
        for row, table in runs_payload(self.store, ids, progress):
            yield row, partial(_drawn, table, self.share)

    def __call__(self, ids: list[str]) -> Iterator[tuple[dict[str, Any], Curves]]:
        for row, table in runs_payload(self.store, ids):
            yield row, _drawn(table, self.share) if self.draws else []


def _drawn(table: MetricTable | None, share: int) -> list[dict[str, Any]]:
    """The curves of an experiment, thinned so that all have their share."""
    curves = {} if table is None else split_timed(table)
    limit = min(max(share // max(len(curves), 1), _MIN_POINTS), _MAX_POINTS)
    found = []
    for name, curve in curves.items():
        header, data = curve_payload(curve, limit)
        encoded = base64.b64encode(data).decode("ascii")
        found.append({"metric": escape(name), **header, "data": encoded})
    return found


def newest_first(store: StoreReader) -> list[str]:
    """All commit ids by time of creation, latest first; those without readable metadata last."""

    def key(found: tuple[str, metafile.Outcome]) -> tuple[float, str]:
        commit_id, metadata = found
        created = metadata.timestamp if isinstance(metadata, Metadata) else float("-inf")
        return -created, commit_id

    return [commit_id for commit_id, _ in sorted(store.iter_metadata(), key=key)]


class _Contents:
    """The parts of a report, and their sizes as JSON."""

    def __init__(self, store: StoreReader, chosen: list[str]) -> None:
        self._store = store
        self._chosen = chosen
        self._rows: list[dict[str, Any]] = []
        self._curves: list[tuple[int, list[dict[str, Any]]]] = []  # sizes, and each run's curves
        self._files: list[dict[str, Any]] = []
        self._rows_size = self._curves_size = self._files_size = 0
        self._images_left_out = 0
        listing = chosen[: _LOOKED_AT if isinstance(store.location, Path) else _REMOTE]
        self._listed = waiting.each(store.location, listing, self._list)

    def add(self, commit_id: str, row: dict[str, Any], curves: Curves) -> bool:
        """Add an experiment with as much of it as fits; False: it does not fit at all."""
        size = len(to_json(row)) + 1
        if self._rows and self._rows_size + size > _ROWS:
            return False
        self._rows.append(row)
        self._rows_size += size
        if len(self._files) == len(self._rows) - 1 and (found := next(self._listed, None)):
            self._add_files(commit_id, *found)
        # Rows that follow may take the place of curves: those are dropped again in the end.
        if self.has_room and len(self._curves) == len(self._rows) - 1:
            self._add_curves(curves() if callable(curves) else curves)
        return True

    @property
    def has_room(self) -> bool:
        """Whether more curves are wanted; once it is not so, it never is again."""
        return len(self._curves) >= len(self._rows) - 1 and self._size < LIMIT

    @property
    def _size(self) -> int:
        return _PAGE + self._rows_size + self._curves_size + self._files_size

    def _add_curves(self, found: list[dict[str, Any]]) -> None:
        size = len(to_json(found)) + 16
        self._curves.append((size, found))
        self._curves_size += size

    def _list(self, commit_id: str) -> tuple[list[Artifact], bool]:
        try:
            return list_artifacts(self._store, commit_id, _LISTED)
        except ExpStoreError:  # its row has the problem
            return [], False

    def _add_files(self, commit_id: str, listed: list[Artifact], more: bool) -> None:
        try:
            files = [self._file(commit_id, artifact) for artifact in listed]
        except ExpStoreError:  # deleted meanwhile
            files, more = [], False
        found: dict[str, Any] = {"files": files, "more": True} if more else {"files": files}
        size = len(to_json(found)) + 1
        if self._files_size + size <= _FILES:
            self._files.append(found)
            self._files_size += size

    def _file(self, commit_id: str, artifact: Artifact) -> dict[str, Any]:
        found: dict[str, Any] = {"name": printable("/".join(artifact.parts)), "size": artifact.size}
        if not artifact.named_like_image or artifact.size is None:
            return found
        type_ = image_type(read_artifact(self._store, commit_id, artifact, START))
        if type_ is None:
            return found
        left = (_FILES - self._files_size) * 3 // 4 - 10_000
        if artifact.size > min(_IMAGE, left):
            self._images_left_out += 1
            return found | {"type": type_, "leftOut": True}
        data = read_artifact(self._store, commit_id, artifact, _IMAGE)
        return found | {"type": type_, "data": base64.b64encode(data).decode("ascii")}

    def finish(self, *, by_age: bool) -> dict[str, Any]:
        """The report's data; curves that no longer fit are dropped, from the last on."""
        while self._size > LIMIT and self._curves:
            self._curves_size -= self._curves.pop()[0]
        page = page_payload(self._rows)
        keys = {one if isinstance(one, str) else one[1]: i for i, one in enumerate(page["names"])}
        for _, curves in self._curves:
            for curve in curves:
                curve["metric"] = keys[curve["metric"]]
        return {
            "written": int(time.time()),
            **page,
            "curves": [curves for _, curves in self._curves],
            "files": self._files,
            "leftOut": self._left_out("newest" if by_age else "first"),
            **page_facts(),
        }

    def _left_out(self, which: str) -> list[str]:
        all_, rows = len(self._chosen), len(self._rows)
        found = []
        if rows < all_:
            found.append(f"{all_ - rows:,} of {all_:,} experiments: it has the {which} {rows:,}")
        if len(self._curves) < rows:
            found.append(f"curves of all but the {which} {len(self._curves):,} experiments")
        if len(self._files) < rows:
            found.append(f"files of all but the {which} {len(self._files):,} experiments")
        if self._images_left_out:
            count = self._images_left_out
            found.append(
                "1 image, which is large or one of many"
                if count == 1
                else f"{count:,} images, which are large or many"
            )
        return found
