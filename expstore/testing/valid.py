"""Checking that an experiment's files conform to the format.

Guarantees: the check is read-only.
"""

from __future__ import annotations

import os
from pathlib import Path

from expstore.errors import ExpStoreError
from expstore.model.values import METADATA_FORMAT, METRICS_FORMAT
from expstore.store.care.annotate import iter_spans
from expstore.store.files import layout
from expstore.store.repository import ExperimentStore
from formats import Span
from formats.descriptions.dump import dump

_CONTEXT = 2  # records shown before the damage
_SHOWN = 100  # maximum spans shown


def assert_valid_experiment(path: str | os.PathLike[str]) -> None:
    """Check an experiment's meta.bin, metrics.bin and run.json against the format.

    The last two may be missing. An experiment is valid if it is as a writer should leave it: every
    byte belongs to a field, meta.bin names its own directory, metrics.bin ends with a whole record
    and not in zeros, and run.json is of the declared form.

    Args:
        path: the experiment's directory.

    Raises:
        AssertionError: the files are damaged; the message names the file, the field and the byte
            offset, and shows an annotated dump of the surrounding bytes. Also if the experiment or
            its meta.bin is missing, or a file cannot be read.
    """
    __tracebackhide__ = True
    path = Path(path).absolute()
    try:
        layout.check_commit_id(path.name)
        _check_metadata(path / layout.METADATA)
        _check_metrics(path / layout.METRICS)
        ExperimentStore(path.parent).read_run(path.name)
    except ExpStoreError as error:
        raise AssertionError(str(error)) from error


def _check_metadata(path: Path) -> None:
    __tracebackhide__ = True
    spans = list(iter_spans(path, METADATA_FORMAT))
    for span in spans:
        if span.error or span.note:
            _fail(path, span, spans)
        if span.name == "commit_id" and span.value != path.parent.name:
            _fail(path, span, spans, f"the directory is named {path.parent.name!r}")


def _check_metrics(path: Path) -> None:
    __tracebackhide__ = True
    table = ExperimentStore(path.parent.parent).get_metrics(path.parent.name)
    if table.status:
        return
    damage = len(table) - table.status.records  # the first record that is torn or zeros
    shown = slice(max(damage - _CONTEXT, 0), damage + 1)
    spans = list(iter_spans(path, METRICS_FORMAT, shown))
    worst = next(span for span in spans if span.error or span.note)
    _fail(path, worst, spans, "" if worst.error else str(table.status))


def _fail(path: Path, span: Span, spans: list[Span], reason: str = "") -> None:
    __tracebackhide__ = True
    place = [f"byte {span.offset}"]
    if span.index is not None:
        place.insert(0, f"record {span.index}")
    if span.field is not None:
        place.insert(0, f"field {span.field.name}")
    raise AssertionError(
        f"{path}: {reason or (span.error.reason if span.error else str(span))} "
        f"({', '.join(place)})\n{dump(spans[:_SHOWN])}"
    )
