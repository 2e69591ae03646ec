"""For other projects' tests: do these files keep to the format, and values that any store can hold.

    from expstore.testing import assert_valid_experiment, metrics

    def test_my_writer(tmp_path):
        my_writer(tmp_path / "3f2a9c1d")
        assert_valid_experiment(tmp_path / "3f2a9c1d")

    @given(metrics())
    def test_my_reader(metric): ...

Guarantees: the limits of the generated values are the declarations'; the check reads and changes
nothing. The strategies need Hypothesis (extra `testing`), which is imported when one is called.
With pytest, the fixture `experiment_store` is there without an import (`expstore.pytest_plugin`).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore import layout
from expstore.errors import ExpStoreError
from expstore.inspection import METADATA_FORMAT, METRICS_FORMAT, iter_spans
from expstore.model import Metadata, Metric
from expstore.store import ExperimentStore
from formats import Format, Span
from formats.fields import ENCODING, ERRORS, fit
from formats.schema import Field
from formats.spans import dump

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_CONTEXT = 2  # records shown before the damage
_SHOWN = 100  # spans shown at most


def assert_valid_experiment(path: str | os.PathLike[str]) -> None:
    """Check an experiment's meta.bin and metrics.bin, which may be missing, against the format.

    Valid is what a writer should leave: every byte belongs to a field, meta.bin names the directory
    that it stands in, and metrics.bin ends with a whole record and without zeros.

    Args:
        path: the experiment's directory.

    Raises:
        AssertionError: names the file, the field and the byte offset, and shows an annotated dump
            of the bytes around the damage; also where there is no experiment, no meta.bin, or a
            file that cannot be read.
    """
    __tracebackhide__ = True
    path = Path(path).absolute()
    try:
        layout.check_commit_id(path.name)
        _check_metadata(path / layout.METADATA)
        _check_metrics(path / layout.METRICS)
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


def commit_ids() -> SearchStrategy[str]:
    """Commit ids: mostly as git's, also any that a store accepts, up to the longest."""
    _need_hypothesis()
    from hypothesis import strategies as st

    field = METADATA_FORMAT.schema["commit_id"]
    limit = min(layout.COMMIT_ID_LIMIT, int(field.range[1]))
    hexadecimal = st.text("0123456789abcdef", min_size=7, max_size=40)
    free = texts(limit).map(_as_commit_id).filter(layout.is_commit_id)
    return st.one_of(hexadecimal, free)


def _as_commit_id(text: str) -> str:
    return text.replace("/", "_").replace("\0", "_").lstrip(".") or "0"


def texts(limit: int) -> SearchStrategy[str]:
    """Texts of at most `limit` bytes: any characters, or any bytes (as lone surrogates)."""
    _need_hypothesis()
    from hypothesis import strategies as st

    characters = st.text(st.characters(exclude_categories=["Cs"]))
    raw = st.binary(max_size=limit).map(lambda data: data.decode(ENCODING, ERRORS))
    # Few random texts are long: the limit itself deserves better odds.
    longest = st.characters(exclude_categories=["Cs"]).map(lambda character: character * limit)
    return st.one_of(characters, raw, longest).map(lambda text: fit(text, limit))


def metadata(
    *, commit_id: SearchStrategy[str] | None = None, timestamp: SearchStrategy[int] | None = None
) -> SearchStrategy[Metadata]:
    """Any Metadata that meta.bin can hold.

    Args:
        commit_id: default: `commit_ids()`.
        timestamp: default: any 64-bit integer, also those that no calendar knows.
    """
    return _values(
        Metadata,
        METADATA_FORMAT,
        commit_id=commit_ids() if commit_id is None else commit_id,
        timestamp=timestamp,
    )


def metrics(
    *,
    name: SearchStrategy[str] | None = None,
    value: SearchStrategy[float] | None = None,
    step: SearchStrategy[int] | None = None,
    timestamp: SearchStrategy[int] | None = None,
) -> SearchStrategy[Metric]:
    """Any Metric that metrics.bin can hold, NaN and the infinities among its values.

    Args:
        name, value, step, timestamp: default: all that the field can hold.
    """
    return _values(Metric, METRICS_FORMAT, name=name, value=value, step=step, timestamp=timestamp)


def _values(kind: Any, format: Format, **given: SearchStrategy[Any] | None) -> SearchStrategy[Any]:
    """Values of a format, as a class whose attributes are its fields."""
    _need_hypothesis()
    from hypothesis import strategies as st

    chosen = {name: strategy for name, strategy in given.items() if strategy is not None}
    for field in format.schema:
        if field.constant is None and field.name not in chosen:
            chosen[field.name] = _field_values(field)
    return st.builds(kind, **chosen)


def _field_values(field: Field) -> SearchStrategy[Any]:
    _need_hypothesis()
    from hypothesis import strategies as st

    if field.is_text:
        return texts(int(field.range[1]))
    if field.is_float:
        return st.floats(width=64 if field.width == 8 else 32 if field.width == 4 else 16)
    least, greatest = field.range
    return st.integers(int(least), int(greatest))


def _need_hypothesis() -> None:
    if find_spec("hypothesis") is None:
        raise ModuleNotFoundError(
            "the strategies need Hypothesis: pip install 'expstore[testing]'", name="hypothesis"
        )


__all__ = [
    "assert_valid_experiment",
    "commit_ids",
    "metadata",
    "metrics",
    "texts",
]
