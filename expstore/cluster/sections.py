"""What one task of many reads: pieces of logs, put together by their size.

Guarantees: the pieces of a log are all its bytes at the moment of planning, in order, each but the
first beginning where a record does; a piece is read up to its end only, so that what is appended
later belongs to no piece. Nothing here knows what runs the tasks.

A batch ends where its content says so: when it is full, or when it is half full and a hash of the
commit id falls below what its size earns. One experiment that grows, comes or goes so changes the
batches near it, and soon a batch ends where one ended before.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from expstore.errors import ExpStoreError, SelectionError
from expstore.model.values import RECORD_CODEC
from expstore.store.files import layout
from expstore.store.files.place import open_log
from expstore.store.read.parser import LogParser
from expstore.store.read.tables import CHUNK, Selection, iter_tables, read_table

if TYPE_CHECKING:
    from expstore.model.table import MetricTable
    from expstore.store.files.directory import Location
    from expstore.store.files.remote import RemotePath
    from expstore.store.reader import StoreReader

BATCH = 1 << 26
"""Bytes of log in a batch: some 3 million metrics, a tenth of a second's work."""

OPENING = 1 << 16
"""What an experiment costs beside the bytes of its log, as so many bytes: opening its files."""

_THREADS = 32  # fingerprints taken at the same time, for the sake of stores at URLs
_EAGER = 4  # how many ids in half a batch may end it, on average: it rarely comes to be full


class Section(NamedTuple):
    """A part of an experiment's log, from byte `start` to byte `end`."""

    commit_id: str
    start: int
    end: int

    @property
    def cost(self) -> int:
        """What reading it costs, in bytes."""
        return self.end - self.start + OPENING


def check_size(batch: int, unit: str = "bytes") -> None:
    """Raise SelectionError where a batch can be of no such size."""
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise SelectionError(f"a batch must be a whole number of {unit} above 0, got {batch!r}")


def plan(store: StoreReader, ids: Iterable[str], batch: int = BATCH) -> list[list[Section]]:
    """The experiments' logs as they are now, in batches of about equal cost.

    Args:
        store: where they are.
        ids: the experiments; their order is kept.
        batch: bytes of log. One that is twice as long or longer is cut at multiples of this.

    Raises:
        SelectionError: `batch` is no whole number above 0.
        StoreNotFoundError: the root does not exist.
    """
    check_size(batch)
    planned: list[list[Section]] = []
    whole: list[Section] = []
    for commit_id, size in store.log_sizes(ids).items():
        if size is None:  # whoever reads it finds out why, or finds it
            planned.append([Section(commit_id, 0, sys.maxsize)])
        elif size < 2 * batch:
            whole.append(Section(commit_id, 0, size))
        else:
            planned += _packed(whole, batch)
            planned += [[piece] for piece in _cut(store, commit_id, size, batch)]
            whole = []
    return [*planned, *_packed(whole, batch)]


def batches(sizes: Mapping[str, int | None], batch: int) -> list[list[str]]:
    """Experiments in batches of about equal cost, each whole.

    Args:
        sizes: bytes of each one's log, where they are known.
        batch: bytes.
    """
    whole = [Section(commit_id, 0, size or 0) for commit_id, size in sizes.items()]
    return [[piece.commit_id for piece in pieces] for pieces in _packed(whole, batch)]


def tables(
    root: Location, piece: Section, selection: Selection, parser: LogParser | None = None
) -> Iterator[MetricTable]:
    """What is wanted of a piece, table by table; see `selection.iter_tables`."""
    path = root / piece.commit_id / layout.METRICS
    return iter_tables(path, selection, CHUNK, piece.start, piece.end, parser)


def table(root: Location, piece: Section, parser: LogParser | None = None) -> MetricTable:
    """A piece in one table; see `selection.read_table`."""
    path = root / piece.commit_id / layout.METRICS
    return read_table(path, piece.start, piece.end, parser)


def fingerprints(store: StoreReader, planned: Iterable[Sequence[Section]]) -> dict[Section, str]:
    """What tells each piece from one that once was at the same place in a log of the same name.

    Of a whole log, that is its file and when it was changed. The pieces of a longer one are told by
    their bytes, since those stay while the log grows, and planning has read them, too.

    Args:
        store: where they are.
        planned: see `plan`.
    """
    pieces = [piece for batch in planned for piece in batch]
    counts = Counter(piece.commit_id for piece in pieces)

    def told(piece: Section) -> str:
        return _of_file(store, piece) if counts[piece.commit_id] == 1 else _of_bytes(store, piece)

    # A thread is worth it only for what takes longer than a system call.
    quick = {
        piece: told(piece)
        for piece in pieces
        if counts[piece.commit_id] == 1 and isinstance(store.location, Path)
    }
    slow = [piece for piece in pieces if piece not in quick]
    with ThreadPoolExecutor(_THREADS) as pool:
        return quick | dict(zip(slow, pool.map(told, slow), strict=True))


def _of_file(store: StoreReader, piece: Section) -> str:
    path = store.locate(piece.commit_id, layout.METRICS)
    if isinstance(path, Path):
        with suppress(OSError):
            status = os.stat(path, follow_symlinks=False)
            return f"{status.st_ino} {status.st_mtime_ns}"
        return ""
    return cast("RemotePath", path).fingerprint()


def _of_bytes(store: StoreReader, piece: Section) -> str:
    digest = hashlib.blake2b(digest_size=16)
    # What cannot be read is an error where the piece is made.
    with (
        suppress(ExpStoreError, OSError),
        open_log(store.locate(piece.commit_id, layout.METRICS)) as log,
    ):
        log.section(piece.start, piece.end)
        for block in log.blocks(piece.start):
            digest.update(block)
    return digest.hexdigest()


def _packed(pieces: Iterable[Section], batch: int) -> Iterator[list[Section]]:
    packed: list[Section] = []
    filled = 0
    for piece in pieces:
        if packed and filled + piece.cost > batch:
            yield packed
            packed, filled = [], 0
        packed.append(piece)
        filled += piece.cost
        if 2 * filled >= batch and _hash(piece.commit_id) * batch < 2 * _EAGER * piece.cost << 32:
            yield packed
            packed, filled = [], 0
    if packed:
        yield packed


def _hash(commit_id: str) -> int:
    return zlib.crc32(commit_id.encode("utf-8", "surrogateescape"))


def _cut(store: StoreReader, commit_id: str, size: int, batch: int) -> Iterator[Section]:
    """The pieces of a long log."""
    from formats.columns.splits import split_points

    ends: list[int] = []
    # What cannot be read is one piece, and an error where that is read.
    with suppress(ExpStoreError), open_log(store.locate(commit_id, layout.METRICS)) as log:
        log.section(0, size)
        ends += split_points(RECORD_CODEC.schema, log.blocks(), batch)
    # The last piece takes what is less than a batch.
    ends = [end for end in ends if end <= size - batch]
    for start, end in zip([0, *ends], [*ends, size], strict=True):
        yield Section(commit_id, start, end)
