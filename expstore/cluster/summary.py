"""The file about an export's experiments, beside its directory; see `compare.experimentfile`.

Guarantees: every experiment of the export has a row, with or without metrics, readable or not. No
log is read twice: the statistics come from the parts as they are written, of parts that were there
from the earlier file, and otherwise from the parts themselves. Only what a resumed run superseded
is found by reading its log as a whole. A file that would be written again as it is stays, which is
told by a digest in its footer, without reading its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from expstore.cluster import workers
from expstore.cluster.compare import log_reader
from expstore.cluster.dataset import Part
from expstore.compare.experimentfile import beside, read_experiments, write_experiments
from expstore.compare.experiments import Experiment
from expstore.compare.exported import joined_log, summarized
from expstore.compare.footers import read_notes
from expstore.compare.logs import Log
from expstore.errors import ExpStoreError
from expstore.store.files.output import whole_file
from expstore.store.read.rewind import Rewind
from formats import CLEAN, FormatError, TailStatus

if TYPE_CHECKING:
    from distributed import Client

    from expstore.store.reader import StoreReader


_COLUMNS = b"1"  # to be changed with those of the file, so that older ones are written again


class Known(NamedTuple):
    """What need not be computed again.

    Attributes:
        logs: by commit id, from the earlier file.
        parts: the names of kept parts whose statistics are needed nevertheless.
        resumed: the experiments whose logs must be read, since something in them is superseded.
    """

    logs: dict[str, Log]
    parts: list[str]
    resumed: list[Experiment]

    @property
    def is_all(self) -> bool:
        """Whether no worker is needed."""
        return not self.parts and not self.resumed


def known(
    path: Path, found: Sequence[Experiment], planned: Iterable[Part], missing: Collection[str]
) -> Known:
    """What the earlier file says, as far as it still holds.

    Args:
        path: the directory of the export.
        found: its experiments.
        planned: all its parts.
        missing: the names of those that are written now.
    """
    parts_of: dict[str, list[str]] = {}
    for part in planned:
        for section in part.sections:
            parts_of.setdefault(section.commit_id, []).append(part.name)
    noted = read_notes(beside(path))
    before = set() if noted is None else set(noted[1].get("parts", ())) - set(missing)
    old = {one.commit_id: one for one in read_experiments(beside(path))} if before else {}
    logs: dict[str, Log] = {}
    parts: dict[str, None] = {}
    resumed: list[Experiment] = []
    for one in found:
        rules, earlier = Rewind(one.run.starts).rules, old.get(one.commit_id)
        own = parts_of[one.commit_id]
        if (
            earlier is not None
            and before.issuperset(own)
            and Rewind(earlier.run.starts).rules == rules
        ):
            logs[one.commit_id] = earlier.read()
        elif rules:
            resumed.append(one)
        else:
            parts |= dict.fromkeys(name for name in own if name not in missing)
    return Known(logs, list(parts), resumed)


def is_current(
    path: Path,
    found: Sequence[Experiment],
    planned: Iterable[Part],
    tails: Mapping[str, TailStatus],
    failures: Mapping[str, ExpStoreError | FormatError],
) -> bool:
    """Whether the file is what `write` would write, given the same arguments."""
    noted = read_notes(beside(path))
    digest = _digest(found, planned, tails, failures)
    return noted is not None and digest is not None and noted[1].get("digest") == digest


def _digest(
    found: Sequence[Experiment],
    planned: Iterable[Part],
    tails: Mapping[str, TailStatus],
    failures: Mapping[str, ExpStoreError | FormatError],
) -> str | None:
    """What tells the contents of the file from others; None if they change with time.

    The names of parts stand for the logs, which they have a fingerprint of.
    """
    if any(one.status == "running" for one in found):  # and its duration grows
        return None
    digest = hashlib.sha256(_COLUMNS)
    for part in planned:
        digest.update(f"{part.name}\n".encode())
    for one in found:
        about = one.commit_id, one.metadata, one.run, one.status, one.problems
        digest.update(repr(about).encode("utf-8", "backslashreplace"))
    errors = {commit_id: str(error) for commit_id, error in failures.items()}
    digest.update(repr((sorted(tails.items()), sorted(errors.items()))).encode(errors="replace"))
    return digest.hexdigest()


def complete(
    store: StoreReader,
    path: Path,
    of: Known,
    names: Collection[str] | None,
    client: Client,
) -> dict[str, dict[str, Log]]:
    """Have workers compute what is not known.

    Args:
        store: the store.
        path: the directory of the export.
        of: what is known; it gets the logs of the experiments that were resumed.
        names: only the metrics of these names; None: all.
        client: of the workers.

    Returns:
        By the name of a part, what it says of each experiment's log.
    """
    calls = [(path / name,) for name in of.parts]
    done = {of.parts[number]: logs for number, logs in workers.completed(client, _of_part, calls)}
    for one in log_reader(store, client)(of.resumed):
        log = one.read()
        kept = {name: each for name, each in log.metrics.items() if names is None or name in names}
        of.logs[one.commit_id] = log._replace(metrics=kept)
    return done


def _of_part(file: Path) -> dict[str, Log]:
    return {one.commit_id: one.read() for one in summarized([file])}


def write(
    path: Path,
    found: Sequence[Experiment],
    planned: Sequence[Part],
    of: Known,
    by_part: Mapping[str, Mapping[str, Log]],
    tails: Mapping[str, TailStatus],
    failures: Mapping[str, ExpStoreError | FormatError],
) -> None:
    """Write the file.

    Args:
        path: the directory of the export.
        found: its experiments.
        planned: its parts, in order.
        of: what is known without the parts.
        by_part: by the name of a part, what it says of each log; of kept parts, where needed.
        tails: the state of the logs that do not end cleanly.
        failures: what could not be read, by commit id.

    Raises:
        NoSpaceError, UnreadableFileError: it cannot be written.
    """
    notes = {
        "parts": sorted({part.name for part in planned}),
        "lacks": sorted(failures),
        "digest": _digest(found, planned, tails, failures),
    }
    logs: dict[str, Log] = {}
    for part in planned:
        for commit_id, log in by_part.get(part.name, {}).items():
            logs[commit_id] = joined_log(logs[commit_id], log) if commit_id in logs else log
    logs |= of.logs
    for one in found:
        log = logs.get(one.commit_id, Log({}, CLEAN, None))
        problems = [str(failures[one.commit_id])] if one.commit_id in failures else []
        one.take(log._replace(tail=tails.get(one.commit_id, CLEAN)), problems)
    with whole_file(beside(path)) as file:
        write_experiments(found, file, notes)
