"""The long form of many experiments, gathered or one by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, Metadata, Metric
from expstore.model.longform import LongRows, long_columns, long_schema
from expstore.store.stream import TableStream, long_batches
from tests.helpers.tables import metrics, table_of

EXPERIMENTS = st.lists(
    st.tuples(
        st.text("abc", min_size=1),
        st.lists(metrics, max_size=5),
        st.none() | st.builds(Metadata, st.just("x"), st.integers(-5, 5), st.text("ä\udcff")),
    ),
    max_size=6,
)


@given(EXPERIMENTS, st.booleans())
def test_gathered_rows_are_the_rows_of_the_tables(
    experiments: list[tuple[str, list[Metric], Metadata | None]], metadata: bool
) -> None:
    """In order, with what is repeated for each row, and null where there is no metadata."""
    gathered, single = LongRows(long_columns(metadata)), []
    for commit_id, rows, described in experiments:
        one = LongRows(long_columns(metadata))
        for rows_of in (gathered, one):
            rows_of.add(commit_id, table_of(rows), described)
        single.append(pa.table(one.finish(), schema=long_schema(metadata)))
    assert gathered.rows == sum(len(rows) for _, rows, _ in experiments)
    table = pa.table(gathered.finish(), schema=long_schema(metadata))
    expected = pa.concat_tables([long_schema(metadata).empty_table(), *single])
    for name in table.column_names:
        found, wanted = (
            t[name].cast(pa.string() if pa.types.is_dictionary(t[name].type) else t[name].type)
            for t in (table, expected)
        )
        assert list(map(repr, found.to_pylist())) == list(map(repr, wanted.to_pylist()))


@pytest.mark.parametrize("gather", [1, 5, 1000])
def test_batches_are_of_about_the_size_asked_for(store: ExperimentStore, gather: int) -> None:
    """Small experiments share one; without a size, each has its own."""
    for number in range(12):
        store.create_experiment(f"{number:02}")
        store.log_metrics(f"{number:02}", {"a": 1.0, "b": 2.0}, number)
    batches = list(long_batches(TableStream(store.location, store.list_experiments()), gather))
    assert [batch.num_rows for batch in batches] == {1: [2] * 12, 5: [6] * 4, 1000: [24]}[gather]
    whole = pa.Table.from_batches(batches)
    assert whole["step"].to_pylist() == [number for number in range(12) for _ in "ab"]
    assert whole["name"].to_pylist() == ["a", "b"] * 12
