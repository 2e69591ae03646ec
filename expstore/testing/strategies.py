"""Hypothesis strategies: values that any store can hold.

Guarantees: the values keep to the limits in the declarations. Hypothesis (extra `testing`) is
imported when a strategy is created.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from expstore.extras import installation
from expstore.model.times import unit_fault
from expstore.model.values import METADATA_FORMAT, METRICS_FORMAT, Metadata, Metric
from expstore.store.files import layout
from formats import Format
from formats.fields import ENCODING, ERRORS, fit
from formats.metrics import ROLES
from formats.schema import Field

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_CLOCK = ROLES.clock  # has the same name in the metadata


def commit_ids() -> SearchStrategy[str]:
    """Commit ids: git-like hashes, and any others a store accepts, up to the maximum length."""
    _require_hypothesis()
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
    _require_hypothesis()
    from hypothesis import strategies as st

    characters = st.text(st.characters(exclude_categories=["Cs"]))
    raw = st.binary(max_size=limit).map(lambda data: data.decode(ENCODING, ERRORS))
    # Random texts are rarely long, so generate ones at the limit explicitly.
    longest = st.characters(exclude_categories=["Cs"]).map(lambda character: character * limit)
    return st.one_of(characters, raw, longest).map(lambda text: fit(text, limit))


def metadata(
    *, commit_id: SearchStrategy[str] | None = None, timestamp: SearchStrategy[int] | None = None
) -> SearchStrategy[Metadata]:
    """Any Metadata that meta.bin can hold.

    Args:
        commit_id: default: `commit_ids()`.
        timestamp: default: any 64-bit integer, even outside the range of `datetime`, except those
            that a store takes for a smaller unit than seconds.
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
    """Any Metric that metrics.bin can hold; its values include NaN and the infinities.

    Args:
        name, value, step: default: everything the field can hold.
        timestamp: default: see `metadata`.
    """
    return _values(Metric, METRICS_FORMAT, name=name, value=value, step=step, timestamp=timestamp)


def _values(kind: Any, format: Format, **given: SearchStrategy[Any] | None) -> SearchStrategy[Any]:
    """Values of a format, as instances of `kind`, whose attributes are the fields."""
    _require_hypothesis()
    from hypothesis import strategies as st

    chosen = {name: strategy for name, strategy in given.items() if strategy is not None}
    for field in format.schema:
        if field.constant is None and field.name not in chosen:
            chosen[field.name] = _field_values(field)
    return st.builds(kind, **chosen)


def _field_values(field: Field) -> SearchStrategy[Any]:
    _require_hypothesis()
    from hypothesis import strategies as st

    if field.is_text:
        return texts(int(field.range[1]))
    if field.is_float:
        return st.floats(width=64 if field.width == 8 else 32 if field.width == 4 else 16)
    minimum, maximum = field.range
    numbers = st.integers(int(minimum), int(maximum))
    if field.name == _CLOCK:
        return numbers.filter(lambda number: not unit_fault(number))
    return numbers


def _require_hypothesis() -> None:
    if find_spec("hypothesis") is None:
        raise ModuleNotFoundError(
            f"the strategies need Hypothesis: {installation('testing')}", name="hypothesis"
        )
