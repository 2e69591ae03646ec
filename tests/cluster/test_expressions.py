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
KEEP_NULLS = ("mean", "std", "var")
"""Of these, Dask's groupby keeps the group of nulls (as of 2026.8) unless it is given `dropna`."""
DROP_NULLS = ("nunique",)
"""Of these, Dask's groupby drops it (as of 2026.8), also if it is given `dropna=False`."""
SQUARED = ("std", "var")
"""For these, Dask's groupby adds up squares (as of 2026.8), which overflow for large integers."""


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


def grouped(keys: list[str], of: str, how: str, sort: bool, dropna: bool | None) -> Step:
    """A groupby; by one key, that is a name and not a list."""
    if (how in KEEP_NULLS and dropna is None) or how in DROP_NULLS:
        dropna = True
    if how in SQUARED:
        of = "value"
    options = {"sort": sort} | ({} if dropna is None else {"dropna": dropna})
    by = keys if len(keys) > 1 else keys[0]
    return lambda frame: getattr(frame.groupby(by, **options)[of], how)()


# Each makes the answer of such a frame.
answers: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        grouped,
        st.lists(st.sampled_from(TEXTS), min_size=1, max_size=2, unique=True),
        st.sampled_from(NUMBERS),
        st.sampled_from(["min", "max", "count", "sum", "mean", "std", "nunique", "size"]),
        st.booleans(),
        st.sampled_from([None, True, False]),
    ),
    st.sampled_from(TEXTS).map(lambda name: lambda frame: frame[name].value_counts()),
    st.sampled_from(TEXTS).map(lambda name: lambda frame: frame[name].nunique()),
    st.lists(st.sampled_from([*TEXTS, *NUMBERS]), min_size=1, max_size=3, unique=True).map(
        lambda names: lambda frame: frame[names].drop_duplicates()
    ),
    st.sampled_from(NUMBERS).map(lambda name: lambda frame: frame[name].max()),
    st.just(lambda frame: frame),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@pytest.mark.parametrize("how", KEEP_NULLS)
def test_nulls_are_no_group_of_a_mean_if_dask_is_told(how: str, both: list[Frames]) -> None:
    """By `dropna=True`, or by `agg`: either gives what pandas gives anyway."""
    with dask.config.set({"scheduler": "sync"}):
        for keys in ("user", ["commit_id", "user"]):
            plain = evaluated(lambda f, by=keys: f.described.groupby(by)["value"].agg(how), both[0])
            for ask in (
                lambda f, by=keys: f.described.groupby(by)["value"].agg(how),
                lambda f, by=keys: getattr(f.described.groupby(by, dropna=True)["value"], how)(),
            ):
                assert same(plain, evaluated(ask, both[1]))
                assert same(plain, evaluated(ask, both[0]))


def test_the_spread_of_times_is_right_if_they_are_small(both: list[Frames]) -> None:
    """Seconds since a time that is near, not since 1970, whose squares are beyond 64 bits."""
    with dask.config.set({"scheduler": "sync"}):
        answers = [
            evaluated(
                lambda f: (
                    f.metrics.assign(since=f.metrics["timestamp"] - f.metrics["timestamp"].min())
                    .groupby("name")["since"]
                    .std()
                ),
                frames,
            )
            for frames in both
        ]
    assert same(*answers)
