"""MetricTable: a sequence of metrics over immutable columns."""

from __future__ import annotations

import gc
import math
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, Metric, MetricTable, UnknownMetricError
from expstore.compare.textplot import sparkline

metrics = st.builds(
    Metric,
    st.sampled_from(["loss", "acc", "", "é", "val/loss"]),
    st.floats(),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
)


def table_of(rows: Sequence[Metric]) -> MetricTable:
    """Make a table of these metrics."""
    names: dict[str, int] = {}
    codes = [names.setdefault(row.name, len(names)) for row in rows]
    return MetricTable(
        list(names),
        np.array(codes, np.int32),
        np.array([row.value for row in rows], np.float64),
        np.array([row.step for row in rows], np.uint32),
        np.array([row.timestamp for row in rows], np.int64),
    )


def bits(rows: Sequence[Metric]) -> list[tuple[str, bytes, int, int]]:
    """The metrics with values as bytes, so that NaN and signed zeros compare exactly."""
    return [(r.name, struct.pack(">d", r.value), r.step, r.timestamp) for r in rows]


@given(rows=st.lists(metrics, max_size=30), part=st.slices(30))
def test_table_behaves_as_the_list_of_its_metrics(rows: list[Metric], part: slice) -> None:
    """Length, iteration, indexing and slicing match those of the list."""
    table = table_of(rows)
    assert len(table) == len(rows)
    assert bits(list(table)) == bits(rows)
    assert bits(list(table[part])) == bits(rows[part])
    assert bits([table[i] for i in range(-len(rows), len(rows))]) == bits(rows + rows)
    assert bits(list(reversed(table))) == bits(rows[::-1])
    assert table[part] == table_of(rows[part])
    assert isinstance(table, Sequence)


@given(rows=st.lists(metrics, max_size=30))
def test_names_are_those_that_occur_in_order(rows: list[Metric]) -> None:
    """A selection has only the names that occur in it, with matching codes."""
    table = table_of(rows)
    for part in (table, table[3:], table[::-2]):
        assert part.names == tuple(dict.fromkeys(metric.name for metric in part))
        assert [part.names[code] for code in part.name_codes] == [m.name for m in part]
    for name in table.names:
        assert bits(list(table[name])) == bits([row for row in rows if row.name == name])
        assert table[name].names == (name,)


@given(rows=st.lists(metrics, max_size=10), other=st.lists(metrics, max_size=10))
def test_equality_is_of_records_to_the_bit(rows: list[Metric], other: list[Metric]) -> None:
    """NaN equals itself, 0.0 and -0.0 differ, and a list never equals a table."""
    assert table_of(rows) == table_of(rows)
    assert (table_of(rows) == table_of(other)) == (bits(rows) == bits(other))
    assert table_of(rows) != rows


def test_unknown_metric_names_the_known() -> None:
    """An unknown name raises a KeyError that lists the known ones."""
    table = table_of([Metric("loss", 0.5, 1, 2), Metric("acc", 0.5, 1, 2)])
    known = r"no metric 'los'; did you mean loss\? the metrics are: loss, acc"
    with pytest.raises(UnknownMetricError, match=known):
        table["los"]
    with pytest.raises(KeyError):
        table["loss"]["acc"]
    with pytest.raises(IndexError):
        table[2]


def test_columns_cannot_be_changed() -> None:
    """A table is immutable, so its parts may be shared."""
    table = table_of([Metric("loss", 0.5, 1, 2)])
    for column in (table.values, table.steps, table.timestamps, table.name_codes):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    with pytest.raises(AttributeError):
        table.values = np.zeros(1)  # type: ignore[misc]


def test_columns_of_unequal_length_are_refused() -> None:
    """A table cannot be ragged."""
    with pytest.raises(ValueError, match="differ in length"):
        MetricTable(["a"], np.zeros(1, "i4"), np.zeros(2), np.zeros(1, "u4"), np.zeros(1, "i8"))


def test_repr_tells_size_names_and_state() -> None:
    """The repr shows the number of metrics, their names and the state of the file's end."""
    assert (
        repr(table_of([Metric("loss", math.nan, 1, 2)]))
        == "<MetricTable: 1 metrics of loss; clean>"
    )


def test_notebooks_show_the_first_metrics_and_how_many_there_are() -> None:
    """As a table, with the same note as the repr."""
    shown = table_of([Metric("loss", 0.5, step, 2) for step in range(2000)])._repr_html_()
    assert "2,000 metrics of loss; clean" in shown
    assert 0 < shown.count(">loss</td>") < 2000


def test_table_survives_pickle() -> None:
    """Tables can be sent between processes."""
    table = table_of([Metric("loss", math.nan, 1, 2), Metric("acc", 1.0, 2, 3)])
    assert pickle.loads(pickle.dumps(table)) == table


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 8, 8], 2, "▁█"),
        ([5, 5], 9, "▅▅"),
        ([-1.7e308, 1.7e308], 9, "▁█"),
        ([], 9, ""),
        ([1, math.nan, 3], 9, "▁·█"),
        ([math.inf, math.nan], 9, "··"),
    ],
)
def test_sparkline_spans_least_to_greatest(values: list[float], width: int, shown: str) -> None:
    """Values are downsampled to the width, and nothing overflows."""
    assert sparkline(np.array(values, np.float64), width) == shown


@pytest.mark.parametrize("collecting", [True, False])
def test_iterating_leaves_the_collector_as_it_was(collecting: bool) -> None:
    """The garbage collector is paused only while metrics are made."""
    was = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        rows = [Metric("loss", 0.5, step, 0) for step in range(5000)]
        table = table_of(rows)
        assert list(table) == rows
        first = next(iter(table))
        assert first == rows[0]
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if was else gc.disable)()


def test_differences_of_steps_do_not_wrap_around(tmp_path: Path) -> None:
    """Steps are signed, in NumPy, pandas, Arrow and polars; reading does not convert them."""
    store = ExperimentStore(tmp_path)
    store.create_experiment("a")
    for step in (5, 3, 2**32 - 1):
        store.log_metric("a", "loss", 0.5, step)
    table = store.get_metrics("a")
    assert table._steps.dtype == np.uint32
    assert np.diff(table.steps).tolist() == [-2, 2**32 - 4]
    assert table.to_pandas()["step"].diff().tolist()[1:] == [-2, 2**32 - 4]
    assert str(table.to_arrow().schema.field("step").type) == "int64"
    assert table.to_polars()["step"].diff().to_list()[1:] == [-2, 2**32 - 4]
    assert not table.steps.flags.writeable
