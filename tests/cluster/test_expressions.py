"""Random expressions over a frame: Dask's answer is that of pandas, whatever is combined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expstore import ExperimentStore
from tests.cluster.operations import NAMES, Frames, evaluated, in_dask, in_pandas, make_store, same

TEXTS = ("commit_id", "name", "job_name", "user")
NUMBERS = ("value", "step", "timestamp")
Step = Callable[[Any], Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Frames]:
    """The frames of pandas and of Dask, the latter in six partitions."""
    work: Path = tmp_path_factory.mktemp("expressions")
    store: ExperimentStore = make_store(work / "store", 12)
    store.metadata_path(store.list_experiments()[0]).unlink()
    return [in_pandas(store, work), in_dask(store, work, partition_size=1 << 17)]


# Each makes a frame with the same columns of a frame.
filters: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from(NAMES).map(lambda name: lambda frame: frame[frame["name"] == name]),
    st.integers(0, 5).map(lambda step: lambda frame: frame[frame["step"] < step]),
    st.floats(0, 1).map(lambda least: lambda frame: frame[frame["value"] >= least]),
    st.lists(st.sampled_from([f"user{n}" for n in range(10)]), max_size=4).map(
        lambda users: lambda frame: frame[frame["user"].isin(users)]
    ),
    st.sampled_from(TEXTS).map(lambda name: lambda frame: frame.dropna(subset=[name])),
    st.just(lambda frame: frame.assign(value=frame["value"] * 2)),
    st.just(lambda frame: frame.assign(name=frame["name"].str.upper())),
    st.sampled_from(TEXTS).map(
        lambda name: lambda frame: frame.assign(user=frame[name].fillna("none"))
    ),
)
# Each makes the answer of such a frame.
answers: st.SearchStrategy[Step] = st.one_of(
    st.tuples(
        st.lists(st.sampled_from(TEXTS), min_size=1, max_size=2, unique=True),
        st.sampled_from(NUMBERS),
        st.sampled_from(["min", "max", "count", "sum", "mean", "nunique", "size"]),
        st.booleans(),
    ).map(
        lambda asked: (
            lambda frame: getattr(
                frame.groupby(asked[0] if len(asked[0]) > 1 else asked[0][0], sort=asked[3])[
                    asked[1]
                ],
                asked[2],
            )()
        )
    ),
    st.sampled_from(TEXTS).map(lambda name: lambda frame: frame[name].value_counts()),
    st.sampled_from(TEXTS).map(lambda name: lambda frame: frame[name].nunique()),
    st.lists(st.sampled_from([*TEXTS, *NUMBERS]), min_size=1, max_size=3, unique=True).map(
        lambda names: lambda frame: frame[names].drop_duplicates()
    ),
    st.sampled_from(NUMBERS).map(lambda name: lambda frame: frame[name].max()),
    st.just(lambda frame: frame),
)


@settings(
    max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(steps=st.lists(filters, max_size=3), answer=answers)
def test_any_expression_gives_what_pandas_gives(
    steps: list[Step], answer: Step, both: list[Frames]
) -> None:
    """Filters, new columns, groups and distinct values, over texts with nulls among them."""

    def operation(frames: Frames) -> Any:
        frame = frames.described
        for step in steps:
            frame = step(frame)
        return answer(frame)

    with dask.config.set({"scheduler": "sync", "dataframe.shuffle.method": "tasks"}):
        expected, found = (evaluated(operation, frames) for frames in both)
    assert same(expected, found)
