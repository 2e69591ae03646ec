"""Batches of work: sections of logs, grouped by size, each batch to be read by one task.

Guarantees: the sections of a log cover all its bytes at the time of planning, in order, and each
begins at a record; a section is read only up to its end, so data appended later is in no section.
Nothing here depends on what runs the tasks.

Batch boundaries are content-defined: a batch ends when it is full, or when it is at least half full
and a hash of the commit id is below a threshold that grows with the size of the log. An experiment
that grows, is added or is deleted therefore changes only the batches near it.
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
from expstore.model.values import RECORD_CODEC, is_whole_number
from expstore.store.files import layout
from expstore.store.files.place import open_log
from expstore.store.files.waiting import REQUESTS
from expstore.store.read.tables import CHUNK, Selection, iter_tables, read_table

if TYPE_CHECKING:
    from expstore.model.table import MetricTable
    from expstore.store.files.directory import Location
    from expstore.store.files.remote import RemotePath
    from expstore.store.reader import StoreReader

BATCH = 1 << 26
"""Bytes of log in a batch: about 3 million metrics, a tenth of a second's work."""

OPENING = 1 << 16
"""The cost of opening an experiment's files, expressed in bytes of log."""

_EAGER = 4  # ids in half a batch that may end it, on average, so that few batches fill up


class Section(NamedTuple):
    """The bytes of an experiment's log from `start` up to, but not including, `end`."""

    commit_id: str
    start: int
    end: int

    @property
    def cost(self) -> int:
        """The cost of reading it, in bytes."""
        return self.end - self.start + OPENING


def check_size(batch: int, unit: str = "bytes") -> None:
    """Raise SelectionError unless `batch` is a whole number above 0."""
    if not is_whole_number(batch) or batch < 1:
        raise SelectionError(f"a batch must be a whole number of {unit} above 0, got {batch!r}")


def plan(
    store: StoreReader, ids: Iterable[str], batch: int = BATCH, *, whole_logs: bool = False
) -> list[list[Section]]:
    """The experiments' logs as they are now, in batches of about equal cost.

    Args:
        store: the store.
        ids: the experiments; their order is kept.
        batch: bytes of log. A log at least twice as long is cut near multiples of this.
        whole_logs: cut none.

    Raises:
        SelectionError: `batch` is not a whole number above 0.
        StoreNotFoundError: the root does not exist.
    """
    check_size(batch)
    planned: list[list[Section]] = []
    whole: list[Section] = []
    for commit_id, size in store.log_sizes(ids).items():
        if size is None:  # the reader finds out why, or finds that it can be read
            planned.append([Section(commit_id, 0, sys.maxsize)])
        elif whole_logs or size < 2 * batch:
            whole.append(Section(commit_id, 0, size))
        else:
            planned += _packed(whole, batch)
            planned += [[section] for section in _cut(store, commit_id, size, batch)]
            whole = []
    return [*planned, *_packed(whole, batch)]


def batches(sizes: Mapping[str, int | None], batch: int) -> list[list[str]]:
    """Whole experiments in batches of about equal cost.

    Args:
        sizes: bytes of each experiment's log, if known.
        batch: bytes.
    """
    whole = [Section(commit_id, 0, size or 0) for commit_id, size in sizes.items()]
    return [[section.commit_id for section in packed] for packed in _packed(whole, batch)]


def tables(root: Location, section: Section, selection: Selection) -> Iterator[MetricTable]:
    """The selected metrics of a section, table by table; see `store.read.tables.iter_tables`."""
    path = root / section.commit_id / layout.METRICS
    return iter_tables(path, selection, CHUNK, section.start, section.end)


def table(root: Location, section: Section) -> MetricTable:
    """A section in one table; see `store.read.tables.read_table`."""
    path = root / section.commit_id / layout.METRICS
    return read_table(path, section.start, section.end)


def fingerprints(store: StoreReader, planned: Iterable[Sequence[Section]]) -> dict[Section, str]:
    """What distinguishes each section from an earlier one at the same place in a log of that name.

    For a whole log, that is its file and modification time. For the sections of a longer log it is
    a hash of their bytes, which do not change while the log grows, and which planning reads anyway.

    Args:
        store: the store.
        planned: see `plan`.
    """
    sections = [section for batch in planned for section in batch]
    counts = Counter(section.commit_id for section in sections)

    def fingerprint(section: Section) -> str:
        return (
            _of_file(store, section)
            if counts[section.commit_id] == 1
            else _of_bytes(store, section)
        )

    # A thread pays off only for what takes longer than a system call.
    quick = {
        section: fingerprint(section)
        for section in sections
        if counts[section.commit_id] == 1 and isinstance(store.location, Path)
    }
    slow = [section for section in sections if section not in quick]
    with ThreadPoolExecutor(REQUESTS) as pool:
        return quick | dict(zip(slow, pool.map(fingerprint, slow), strict=True))


def _of_file(store: StoreReader, section: Section) -> str:
    if isinstance(store.location, Path):
        with suppress(OSError):
            path = os.path.join(store.location, section.commit_id, layout.METRICS)
            status = os.stat(path, follow_symlinks=False)
            return f"{status.st_ino} {status.st_mtime_ns}"
        return ""
    return cast("RemotePath", store.locate(section.commit_id, layout.METRICS)).fingerprint()


def _of_bytes(store: StoreReader, section: Section) -> str:
    digest = hashlib.blake2b(digest_size=16)
    # A section that cannot be read raises its error in the task that reads it.
    with (
        suppress(ExpStoreError, OSError),
        open_log(store.locate(section.commit_id, layout.METRICS)) as log,
    ):
        log.section(section.start, section.end)
        for block in log.blocks(section.start):
            digest.update(block)
    return digest.hexdigest()


def _packed(sections: Iterable[Section], batch: int) -> Iterator[list[Section]]:
    packed: list[Section] = []
    filled = 0
    for section in sections:
        if packed and filled + section.cost > batch:
            yield packed
            packed, filled = [], 0
        packed.append(section)
        filled += section.cost
        if (
            2 * filled >= batch
            and _hash(section.commit_id) * batch < 2 * _EAGER * section.cost << 32
        ):
            yield packed
            packed, filled = [], 0
    if packed:
        yield packed


def _hash(commit_id: str) -> int:
    return zlib.crc32(commit_id.encode("utf-8", "surrogateescape"))


def _cut(store: StoreReader, commit_id: str, size: int, batch: int) -> Iterator[Section]:
    """The sections of a long log."""
    from formats.columns.splits import split_points

    ends: list[int] = []
    # A log that cannot be read is one section, and raises its error in the task that reads it.
    with suppress(ExpStoreError), open_log(store.locate(commit_id, layout.METRICS)) as log:
        log.section(0, size)
        ends += split_points(RECORD_CODEC.schema, log.blocks(), batch)
    # The last section includes a remainder of less than a batch.
    ends = [end for end in ends if end <= size - batch]
    for start, end in zip([0, *ends], [*ends, size], strict=True):
        yield Section(commit_id, start, end)
