"""The output directory of an export: which export owns it, and whether it is complete.

Guarantees: a directory that contains anything else, or an export of something else, is refused, and
nothing in it is touched. Apart from the parts, it contains only a description of the export, and
`_SUCCESS` if it is complete: readers take every other file for a part, in folders below it, too. If
two exports write to one directory at the same time, one fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare import exported
from expstore.compare.experimentfile import beside
from expstore.compare.footers import NOTES, read_notes
from expstore.errors import ExportError, OutputExistsError
from expstore.exchange.sinks import write_empty_parquet
from expstore.model.longform import long_schema, with_date
from expstore.store.files import system
from expstore.store.files.output import UNFINISHED, check_place, whole_file
from expstore.store.files.showable import showable

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.store.reader import StoreReader

SUCCESS = "_SUCCESS"  # marks a complete directory, as for Hadoop and Spark
# Has the number of the last export and what `describe` returned, in the footer of a Parquet file
# without rows: programs that read all files of a directory, whatever their names, see no other
# kind, and an export without parts has its columns.
_MARK = exported.MARK
_OLD_MARK = "_expstore_export"  # of older versions: the same as JSON
PART = re.compile(r"part-[0-9A-Za-z_-]*-\d{15,}-[0-9a-f]{16}\.parquet")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # one slash, since Path collapses two into one
_LABELS = {  # the keys of `describe`, in the words of error messages
    "location": "store",
    "ids": "choice of experiments",
    "names": "choice of names",
    "metadata": "choice of columns",
    "params": "choice of parameters",
}
_TAKEN_OVER = "another export took the directory over; run one at a time"


def output_directory(store: StoreReader, output: str | os.PathLike[str]) -> Path:
    """The absolute path of an export's directory.

    Raises:
        ExportError: it is a URL, or is in the store, where it would look like an experiment.
    """
    if _URL.match(os.fspath(output)):
        raise ExportError(
            f"{showable(os.fspath(output))}: a cluster exports to a directory, not a URL"
        )
    directory = Path(output).absolute()
    root = store.location
    if isinstance(root, Path) and directory.resolve().is_relative_to(root.resolve()):
        raise ExportError(f"{output}: is in the store {root}; choose a directory elsewhere")
    return directory


def describe(
    store: StoreReader,
    ids: Collection[str] | None,
    names: Collection[str] | None,
    with_metadata: bool,
    params: bool = False,
) -> dict[str, Any]:
    """A description of what is exported, to be kept in the directory.

    Args:
        store: the store.
        ids: the experiments asked for; None: all that exist at the time.
        names: only metrics of these names; None: all.
        with_metadata: add the columns of metadata.
        params: add the columns of what run.json says.
    """
    listed = None if ids is None else json.dumps(sorted(set(ids))).encode()
    return {
        "location": str(store.location),
        # A hash, to keep this short: workers read it for every part.
        "ids": None if listed is None else hashlib.sha256(listed).hexdigest(),
        "names": None if names is None else sorted(set(names)),
        "metadata": with_metadata,
        "params": params,
    }


def begin(directory: Path, of: Mapping[str, Any], schema: pa.Schema | None = None) -> str:
    """Create or take over the directory for an export, and mark it as incomplete.

    Args:
        directory: the directory, which need not exist yet.
        of: what `describe` returned.
        schema: the columns of the parts; None: those of the long form.

    Returns:
        The export's number, by which workers recognize the directory.

    Raises:
        OutputExistsError: the path has something that is not an export, or an export of something
            else.
        OutputInStoreError: it would be in an experiment's directory.
        UnreadableFileError: the directory cannot be created or written.
    """
    if os.path.lexists(directory) and not directory.is_dir():
        raise OutputExistsError(f"{directory}: is not a directory; not replaced")
    check_place(directory)
    _check_beside(beside(directory))
    with system.typed_errors(directory):
        system.make_directory(directory)
        _check_ours(directory)
        _check_same_export(directory, of)
        (directory / SUCCESS).unlink(missing_ok=True)
        number = os.urandom(16).hex()
        # Atomically: without a valid mark, later exports would refuse the directory.
        with whole_file(directory / _MARK) as file:
            notes = {NOTES: json.dumps({"number": number, "of": of})}
            plain = with_date(long_schema(bool(of.get("metadata"))))
            write_empty_parquet(file, schema or plain, notes)
        (directory / _OLD_MARK).unlink(missing_ok=True)
        _remove(directory, UNFINISHED, ())
    return number


def finish(directory: Path, number: str, names: Collection[str], *, whole: bool) -> None:
    """Remove parts that do not belong to the export, and mark the directory as complete.

    Args:
        directory: the directory that was passed to `begin`.
        number: the number that `begin` returned.
        names: the file names of all parts of the export.
        whole: whether nothing is missing from them; if not, the directory stays incomplete.

    Raises:
        ExportError: another export has begun in the directory; its files are not touched.
        UnreadableFileError: the directory cannot be written.
    """
    try:
        _check_owner(directory, number, _TAKEN_OVER)
        _remove(directory, PART, names)
        _remove(directory, UNFINISHED, ())
        system.sync_directory(directory)  # no part of an earlier export comes back beside the mark
        _check_owner(directory, number, _TAKEN_OVER)
        if whole:
            (directory / SUCCESS).touch()
            system.sync_directory(directory)
    except OSError as error:
        raise system.unreadable(directory, error) from error


def _check_owner(directory: Path, number: str, otherwise: str) -> None:
    """Raise ExportError unless the directory belongs to this export."""
    if _mark(directory).get("number") != number:
        raise ExportError(f"{directory}: {otherwise}")


def check_found(directory: Path, number: str) -> None:
    """Raise ExportError unless this worker sees the directory of the export.

    Args:
        directory: the directory that was passed to `begin`.
        number: the number that `begin` returned.
    """
    _check_owner(
        directory,
        number,
        f"the worker on {socket.gethostname()} does not find this export there; the directory must "
        "be on a file system that all workers share, and for one export",
    )


def _check_same_export(directory: Path, of: Mapping[str, Any]) -> None:
    if not any(map(PART.fullmatch, os.listdir(directory))):
        return  # there are no parts to lose
    found = _mark(directory).get("of")
    # Exports of older versions do not say that they have no parameters.
    found = {"params": False, **found} if isinstance(found, dict) else {}
    differing = [_LABELS[key] for key in _LABELS if key not in found or found[key] != of.get(key)]
    if differing:
        raise OutputExistsError(
            f"{directory}: has an export of something else: another "
            f"{', another '.join(differing)}; not replaced; choose another directory, or remove "
            "this one"
        )


def _mark(directory: Path) -> dict[str, Any]:
    """The contents of the mark; empty if it is missing or invalid."""
    found = read_notes(directory / _MARK)
    if found is None:
        try:
            contents = json.loads((directory / _OLD_MARK).read_bytes())
        except (OSError, ValueError):
            return {}
        return contents if isinstance(contents, dict) else {}
    return found[1]


def _check_beside(file: Path) -> None:
    """Raise OutputExistsError if something else has the name of the file about experiments."""
    found = read_notes(file)
    if os.path.lexists(file) and (found is None or "parts" not in found[1]):
        raise OutputExistsError(f"{file}: was not made by an export; not replaced")


def _check_ours(directory: Path) -> None:
    with os.scandir(directory) as entries:
        regular = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    names = sorted(regular)
    known = {SUCCESS, _MARK, _OLD_MARK}
    for name in names:
        ours = name in known or PART.fullmatch(name) or UNFINISHED.fullmatch(name)
        if not (ours and regular[name]):
            raise OutputExistsError(f"{directory / name}: was not made by an export; not replaced")
    # Only temporary files: an export was killed before it had written its mark.
    if not {_MARK, _OLD_MARK} & set(names) and not all(map(UNFINISHED.fullmatch, names)):
        raise OutputExistsError(f"{directory}: was not made by an export; not touched")


def _remove(directory: Path, pattern: re.Pattern[str], but: Collection[str]) -> None:
    for name in os.listdir(directory):
        if pattern.fullmatch(name) and name not in but:
            (directory / name).unlink(missing_ok=True)
