"""A directory of Parquet files that hold a store's metrics, part by part.

Guarantees: a part's file name tells all that its rows are made of (which bytes of which logs, with
what metadata, which names and columns), so that a part that is there needs not be made again, and
one whose experiments have changed has another name; a part comes to be only when it is whole. No
state is kept beside the files but what the export is of: what could not be read is noted in the
part itself. A directory with anything else in it, or with an export of something else, is refused,
and nothing in it is touched. Of two exports to one directory at a time, one fails.

Within a part rows are in the order of the logs. The parts of one long log sort by their names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.cluster import sections
from expstore.cluster.sections import Section
from expstore.errors import ExportError, ExpStoreError, OutputExistsError
from expstore.exchange.sinks import parquet_sink
from expstore.extras import require
from expstore.store import metafile, stream
from expstore.store.files import system
from expstore.store.files.output import UNFINISHED, whole_file
from expstore.store.files.place import absolute
from expstore.store.stream import TableStream
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

SUCCESS = "_SUCCESS"  # as Spark, Hadoop and their kin say that a directory is whole
_MARK = "_expstore_export"  # the directory is one of ours; holds its last export's number, and
# what it is of
_PART = re.compile(r"part-[0-9A-Za-z_-]*-\d{15,}-[0-9a-f]{16}\.parquet")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # of two slashes, a Path leaves one
_NOTES = "expstore"  # the key of a part's notes in its Parquet metadata
_FORMAT = 1  # of parts: another one gives all of them other names
_SAID = {  # what `describe` gives, in words
    "location": "store",
    "ids": "choice of experiments",
    "names": "choice of names",
    "metadata": "choice of columns",
}
_TAKEN = "another export took the directory meanwhile; run one at a time"
_SHOWN = 24  # characters of a commit id in a part's name


@dataclass(frozen=True)
class Part:
    """One file to make, and what of.

    Attributes:
        name: of the file.
        pieces: of the logs.
        names: metrics of these names only; None: all.
        metadata: add the columns of metadata.
    """

    name: str
    pieces: tuple[Section, ...]
    names: tuple[str, ...] | None
    metadata: bool


@dataclass(frozen=True)
class PartReport:
    """What a part holds; see `export.ExportReport`."""

    rows: int
    failures: dict[str, ExpStoreError | FormatError]
    tails: dict[str, TailStatus]


def part_of(
    store: StoreReader,
    batch: Sequence[Section],
    marks: Mapping[Section, str],
    outcomes: Mapping[str, metafile.Outcome],
    names: Collection[str] | None,
    with_metadata: bool,
) -> Part:
    """The part that a batch of pieces makes.

    Args:
        store: where they are.
        batch: the pieces.
        marks: by piece, its fingerprint: an experiment that was deleted and made anew may have a
            log as long as before.
        outcomes: by commit id, what reading its metadata gave.
        names: metrics of these names only; None: all.
        with_metadata: add the columns of metadata.
    """
    wanted = None if names is None else tuple(sorted(set(names)))
    made_of = [
        _FORMAT,
        str(absolute(store.location)),
        # As text: what a file system takes need not be what JSON holds.
        json.dumps(dict(store._storage_options or {}), sort_keys=True, default=repr),
        [(*piece, marks[piece], _told(outcomes[piece.commit_id])) for piece in batch],
        wanted,
        str(stream.long_schema(with_metadata)),
    ]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    first = re.sub(r"[^0-9A-Za-z_-]", "_", batch[0].commit_id[:_SHOWN])
    name = f"part-{first}-{batch[0].start:015d}-{digest}.parquet"
    return Part(name, tuple(batch), wanted, with_metadata)


def _told(outcome: metafile.Outcome) -> str:
    if isinstance(outcome, Exception):
        return f"{type(outcome).__name__}: {outcome}"
    return repr(outcome)


def output_directory(store: StoreReader, output: str | os.PathLike[str]) -> Path:
    """The absolute path of an export's directory.

    Raises:
        ExportError: it is a URL, or lies in the store, where it would be taken for an experiment.
    """
    if _URL.match(os.fspath(output)):
        raise ExportError(f"{output}: an export by a cluster takes a directory, not a URL")
    directory = Path(output).absolute()
    root = store.location
    if isinstance(root, Path) and directory.resolve().is_relative_to(root.resolve()):
        raise ExportError(f"{output}: lies in the store {root}; choose a directory elsewhere")
    return directory


def describe(
    store: StoreReader,
    ids: Collection[str] | None,
    names: Collection[str] | None,
    with_metadata: bool,
) -> dict[str, Any]:
    """What an export is of, as its directory holds it.

    Args:
        store: where the experiments are.
        ids: those asked for; None: all there are at the time.
        names: metrics of these names only; None: all.
        with_metadata: add the columns of metadata.
    """
    listed = None if ids is None else json.dumps(sorted(set(ids))).encode()
    return {
        "location": str(absolute(store.location)),
        # Every worker reads this for every part, so it must be short.
        "ids": None if listed is None else hashlib.sha256(listed).hexdigest(),
        "names": None if names is None else sorted(set(names)),
        "metadata": with_metadata,
    }


def begin(directory: Path, of: Mapping[str, Any]) -> str:
    """Have a directory that an export may write to, and which is not whole for the time being.

    Args:
        directory: which need not exist yet.
        of: what `describe` gave.

    Returns:
        The export's number, by which workers know the directory.

    Raises:
        OutputExistsError: there is something that is no such export's, or an export of something
            else.
        UnreadableFileError: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _check_ours(directory)
        _check_same_export(directory, of)
        (directory / SUCCESS).unlink(missing_ok=True)
        number = os.urandom(16).hex()
        # Whole or not at all: without it, nobody would know the directory for an export's.
        with whole_file(directory / _MARK) as file:
            file.write(json.dumps({"number": number, "of": of}).encode())
        _remove(directory, UNFINISHED, ())
    except FileExistsError as error:
        if isinstance(error, OutputExistsError):
            raise
        raise OutputExistsError(f"{directory}: is no directory, and is not replaced") from None
    except OSError as error:
        raise system.unreadable(directory, error) from error
    return number


def finish(directory: Path, number: str, parts: Iterable[Part], *, whole: bool) -> None:
    """Remove what no part of the export is, and say that the directory is whole.

    Args:
        directory: what `begin` was given.
        number: what `begin` gave.
        parts: all of the export.
        whole: nothing is missing in them; else the directory is not said to be whole.

    Raises:
        ExportError: another export began in the directory; nothing of its is touched.
        UnreadableFileError: it cannot be written.
    """
    try:
        _check_same(directory, number, _TAKEN)
        _remove(directory, _PART, {part.name for part in parts})
        _remove(directory, UNFINISHED, ())
        _check_same(directory, number, _TAKEN)
        if whole:
            (directory / SUCCESS).touch()
    except OSError as error:
        raise system.unreadable(directory, error) from error


def read_part(directory: Path, part: Part) -> PartReport | None:
    """What a part holds that is there already; None where it must be made.

    One that misses what could not be read is to be made again: perhaps it can be read now.
    """
    parquet, arrow = require("pyarrow.parquet", "arrow"), require("pyarrow", "arrow")
    try:
        # Opened here, since Arrow takes no path that is not Unicode.
        with open(directory / part.name, "rb") as file:
            about = parquet.read_metadata(file)
        notes = json.loads((about.metadata or {}).get(_NOTES.encode(), b"{}"))
        if notes.get("failures", True):
            return None
        tails = {commit_id: TailStatus(*tail) for commit_id, tail in notes["tails"].items()}
        return PartReport(about.num_rows, {}, tails)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, arrow.ArrowException):
        return None  # not there; or damaged, such as by a crash of the machine


def write_part(store: StoreReader, directory: Path, number: str, part: Part) -> PartReport:
    """Write one part; this runs where the workers are.

    Args:
        store: where the experiments are.
        directory: what `begin` was given.
        number: what `begin` gave.
        part: what to make.

    Raises:
        ExportError: the directory is not the one that `begin` saw.
        UnreadableFileError: it cannot be written.
    """
    _check_found(directory, number)
    by_id = {piece.commit_id: piece for piece in part.pieces}
    source = TableStream(
        store.location,
        by_id,
        part.names,
        metadata=part.metadata,
        strict=False,
        read=lambda root, commit_id, parser: sections.table(root, by_id[commit_id], parser),
    )

    def notes() -> dict[str, str]:
        failures = {commit_id: str(error) for commit_id, error in source.failures.items()}
        tails = {
            commit_id: (tail.kind, tail.offset, tail.size, tail.records)
            for commit_id, tail in source.tails.items()
        }
        return {_NOTES: json.dumps({"failures": failures, "tails": tails})}

    schema = stream.long_schema(part.metadata)
    try:
        with whole_file(directory / part.name) as file:
            with parquet_sink(file, schema, notes) as write:
                for batch in stream.long_batches(source):
                    write(batch)
            # Once more: a part that comes late would be one too many in another export.
            _check_found(directory, number)
    except OSError:
        _check_found(directory, number)  # else another export took the file for a leftover
        raise
    return PartReport(source.rows, source.failures, source.tails)


def _check_same(directory: Path, number: str, otherwise: str) -> None:
    """Raise ExportError where the directory is not, or no longer, this export's."""
    if _mark(directory).get("number") != number:
        raise ExportError(f"{directory}: {otherwise}")


def _check_found(directory: Path, number: str) -> None:
    """As a worker sees it."""
    _check_same(
        directory,
        number,
        f"the worker on {socket.gethostname()} does not find this export there; the directory must "
        "be on a file system that all workers share, and for one export",
    )


def _check_same_export(directory: Path, of: Mapping[str, Any]) -> None:
    if not any(map(_PART.fullmatch, os.listdir(directory))):
        return  # nothing to lose
    found = _mark(directory).get("of")
    found = found if isinstance(found, dict) else {}
    differs = [_SAID[key] for key in _SAID if key not in found or found[key] != of.get(key)]
    if differs:
        raise OutputExistsError(
            f"{directory}: holds an export of something else: another {', another '.join(differs)};"
            " it is not replaced; choose another directory, or remove this one"
        )


def _mark(directory: Path) -> dict[str, Any]:
    """What the mark holds; nothing where it is another version's, or not there."""
    try:
        held = json.loads((directory / _MARK).read_bytes())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _check_ours(directory: Path) -> None:
    with os.scandir(directory) as entries:
        regular = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    names = sorted(regular)
    known = {SUCCESS, _MARK}
    for name in names:
        ours = name in known or _PART.fullmatch(name) or UNFINISHED.fullmatch(name)
        if not (ours and regular[name]):
            raise OutputExistsError(f"{directory / name}: was not made by an export; not replaced")
    # A temporary file alone is of an export that was killed before it had its mark.
    if _MARK not in names and not all(map(UNFINISHED.fullmatch, names)):
        raise OutputExistsError(f"{directory}: was not made by an export; it is not touched")


def _remove(directory: Path, pattern: re.Pattern[str], but: Collection[str]) -> None:
    for name in os.listdir(directory):
        if pattern.fullmatch(name) and name not in but:
            (directory / name).unlink(missing_ok=True)
