"""The parts of an export: Parquet files, each with the metrics of one batch of sections.

Guarantees: a part's file name has a hash of everything that determines its rows (which bytes of
which logs, their metadata, the selected names and columns), so an existing part need not be written
again, and changed experiments give a new name; a part appears only when complete; what could not be
read is recorded in the part itself.

Rows of a part are in the order of the logs. The parts of one long log sort by file name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from expstore.cluster import sections
from expstore.cluster.directory import check_found
from expstore.cluster.sections import Section
from expstore.compare.footers import NOTES, read_notes
from expstore.compare.logs import Log
from expstore.compare.series import summarize
from expstore.errors import ExpStoreError
from expstore.exchange.sinks import ROW_GROUP, parquet_sink
from expstore.model.longform import dated, long_schema, with_date
from expstore.store import metafile, stream
from expstore.store.files.output import whole_file
from expstore.store.files.showable import public_options
from expstore.store.read.tables import select
from expstore.store.stream import TableStream
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.exchange.runcolumns import RunColumns
    from expstore.model.table import MetricTable
    from expstore.store.files.directory import Location
    from expstore.store.reader import StoreReader

_FORMAT = 3  # version of the parts' contents; part of the hash, so a change renames all of them
_SHOWN = 24  # characters of a commit id in a part's name


@dataclass(frozen=True)
class Part:
    """One file of an export, and what goes into it.

    Attributes:
        name: of the file.
        sections: of the logs.
        names: only metrics of these names; None: all.
        metadata: add the columns of metadata; True: metadata that cannot be read is a failure;
            None: it is null.
        further: the columns of what run.json says; None: without them.
    """

    name: str
    sections: tuple[Section, ...]
    names: tuple[str, ...] | None
    metadata: bool | None
    further: RunColumns | None = None


@dataclass(frozen=True)
class PartReport:
    """What a part contains; see `exchange.export.ExportReport`.

    Attributes:
        logs: by commit id, what it says of each log; only if it was written now.
    """

    rows: int
    failures: dict[str, ExpStoreError | FormatError]
    tails: dict[str, TailStatus]
    logs: dict[str, Log] = field(default_factory=dict)


def columns_of(with_metadata: bool | None, further: RunColumns | None) -> pa.Schema:
    """The columns of all parts."""
    schema = with_date(long_schema(with_metadata is not False))
    return schema if further is None else further.extended(schema)


def part_of(
    store: StoreReader,
    batch: Sequence[Section],
    marks: Mapping[Section, str],
    outcomes: Mapping[str, metafile.Outcome],
    names: Collection[str] | None,
    with_metadata: bool | None,
    further: RunColumns | None = None,
) -> Part:
    """The part for a batch of sections.

    Args:
        store: the store.
        batch: the sections.
        marks: the fingerprint of each section. An experiment that was deleted and created again may
            have a log of the same length.
        outcomes: the result of reading the metadata, by commit id.
        names: only metrics of these names; None: all.
        with_metadata: see `Part.metadata`.
        further: see `Part.further`; those of all experiments.
    """
    wanted = None if names is None else tuple(sorted(set(names)))
    if further is not None:
        further = further.of(section.commit_id for section in batch)
    inputs = [
        _FORMAT,
        str(store.location),
        # Without secrets: nobody can guess them by the names, and new ones change no name.
        json.dumps(public_options(store.storage_options or {}), sort_keys=True),
        [(*section, marks[section], _described(outcomes[section.commit_id])) for section in batch],
        wanted,
        str(long_schema(with_metadata is not False)),
        bool(with_metadata),
        None if further is None else str(further),
    ]
    digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
    first = re.sub(r"[^0-9A-Za-z_-]", "_", batch[0].commit_id[:_SHOWN])
    name = f"part-{first}-{batch[0].start:015d}-{digest}.parquet"
    return Part(name, tuple(batch), wanted, with_metadata, further)


def _described(outcome: metafile.Outcome) -> str:
    if isinstance(outcome, Exception):
        return f"{type(outcome).__name__}: {outcome}"
    return repr(outcome)


def read_part(directory: Path, part: Part) -> PartReport | None:
    """The report of an existing part; None if the part must be written.

    A part in which something could not be read is written again, since it may be readable now.
    """
    found = read_notes(directory / part.name)
    if found is None:
        return None  # missing, or damaged, for example by a crash of the machine
    footer, notes = found
    try:
        if notes.get("failures", True):
            return None
        tails = {commit_id: TailStatus(*tail) for commit_id, tail in notes["tails"].items()}
        return PartReport(footer.num_rows, {}, tails)
    except (LookupError, TypeError, AttributeError):
        return None


def write_part(store: StoreReader, directory: Path, number: str, part: Part) -> PartReport:
    """Write one part; this runs on a worker.

    Args:
        store: the store.
        directory: the directory that was passed to `directory.begin`.
        number: the number that `directory.begin` returned.
        part: the part to write.

    Raises:
        ExportError: the worker does not see the directory of this export.
        UnreadableFileError: the part cannot be written.
    """
    check_found(directory, number)
    of = {section.commit_id: section for section in part.sections}
    logs: dict[str, Log] = {}

    def read(root: Location, commit_id: str, _: object) -> MetricTable:
        table = sections.table(root, of[commit_id])
        ended = float(table.timestamps[-1]) if len(table) else None
        logs[commit_id] = Log(summarize(select(table, part.names, None)), table.status, ended)
        return table

    source = TableStream(
        store.location,
        of,
        part.names,
        metadata=part.metadata is not False,
        metadata_required=bool(part.metadata),
        strict=False,
        read=read,
    )

    def notes() -> dict[str, str]:
        failures = {commit_id: str(error) for commit_id, error in source.failures.items()}
        tails = {
            commit_id: (tail.kind, tail.offset, tail.size, tail.records)
            for commit_id, tail in source.tails.items()
        }
        return {NOTES: json.dumps({"failures": failures, "tails": tails})}

    schema = columns_of(part.metadata, part.further)
    try:
        with whole_file(directory / part.name, sweep=False) as file:
            with parquet_sink(file, schema, notes) as write:
                gather = ROW_GROUP if part.further is None else 1
                for batch in map(dated, stream.long_batches(source, gather)):
                    write(batch if part.further is None else part.further.extend(batch, schema))
            # Again: a late part must not end up in another export's directory.
            check_found(directory, number)
    except OSError:
        # Another export may have deleted the unfinished file; if so, report that instead.
        check_found(directory, number)
        raise
    return PartReport(source.rows, source.failures, source.tails, logs)
