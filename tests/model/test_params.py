"""Hyperparameters: what becomes of the values of any library, and how params are merged."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import enum
import json
import math
from collections import OrderedDict, namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from expstore import RunFileError, RunInfo
from expstore.model.params import as_params, merged, plain, removed


class Colour(enum.Enum):
    """A member's value is kept."""

    RED = "red"


class Size(enum.IntEnum):
    """A member is a number."""

    BIG = 3


@dataclasses.dataclass
class Model:
    """Nests."""

    depth: int = 3
    activation: Any = None


class Quiet:
    """Has no text but its address."""


class Broken:
    """An object of which nothing can be said, and that has no data."""

    shape = (2,)

    def __repr__(self) -> str:
        raise RuntimeError("half made")

    def tolist(self) -> list[float]:  # noqa: D102
        raise NotImplementedError("no data")


class Mute:
    """An object whose text fails."""

    def __str__(self) -> str:
        raise ZeroDivisionError


Pair = namedtuple("Pair", ["x", "y"])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (0.1, 0.1),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (np.str_("adam"), "adam"),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), "NaN"),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.zeros((100, 100)), "ndarray of shape (100, 100)"),
        ((1, (2, 3)), [1, [2, 3]]),
        ({"b", "a"}, ["a", "b"]),
        (Path("/data/x"), "/data/x"),
        (Colour.RED, "red"),
        (Size.BIG, 3),
        (datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC), "2026-01-31T12:00:00+00:00"),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.timedelta(seconds=5), "0:00:05"),
        (b"x", "b'x'"),
        (1 + 2j, "(1+2j)"),
        (Model, f"{__name__}.Model"),
        (math.sqrt, "math.sqrt"),
        (Quiet(), f"{__name__}.Quiet"),
        (Mute(), f"{__name__}.Mute"),
        (Broken(), "Broken of shape (2,)"),
        (range(3), "range(0, 3)"),
        (Model(activation=Model), {"depth": 3, "activation": f"{__name__}.Model"}),
        (Pair(1, Path("y")), {"x": 1, "y": "y"}),
        (OrderedDict(a=1), {"a": 1}),
        ({1: "x", Colour.RED: "y"}, {"1": "x", "red": "y"}),
        (argparse.Namespace(lr=0.1), {"lr": 0.1}),
        ({"deep": [{"x": (np.float32(1),)}]}, {"deep": [{"x": [1.0]}]}),
    ],
)
def test_each_value_becomes_one_of_json(value: object, kept: object) -> None:
    """By the documented rules."""
    assert plain(value) == kept
    assert type(plain(value)) is type(kept)
    json.dumps(plain(value), allow_nan=False)


class Config:
    """As of a library: it says itself what it has."""

    def to_dict(self) -> dict[str, Any]:
        """Its values."""
        return {"lr": 0.1}


@pytest.mark.parametrize(
    "params",
    [
        {"lr": 0.1},
        argparse.Namespace(lr=0.1),
        dataclasses.make_dataclass("C", [("lr", float)])(0.1),
        SimpleNamespace(lr=0.1, _private=1),
        Config(),
        namedtuple("C", ["lr"])(0.1),
    ],
)
def test_parameters_are_taken_from_any_object_that_has_them(params: object) -> None:
    """argparse, dataclasses, plain objects, and those with `to_dict`."""
    assert as_params(params) == {"lr": 0.1}


@pytest.mark.parametrize("params", ["lr=0.1", 5, [("lr", 0.1)], Model, object()])
def test_what_has_no_parameters_is_refused(params: object) -> None:
    """With its type."""
    with pytest.raises(RunFileError, match="params must be a mapping or an object"):
        as_params(params)


def test_omegaconf_is_resolved() -> None:
    """Nested configurations and lists become plain ones; references are followed."""
    config = OmegaConf.create({"lr": 0.1, "m": {"lr": "${lr}", "d": [1, 2]}})
    assert as_params(config) == {"lr": 0.1, "m": {"lr": 0.1, "d": [1, 2]}}
    assert as_params({"inner": config.m}) == {"inner": {"lr": 0.1, "d": [1, 2]}}
    assert as_params({"inner": config.m.d}) == {"inner": [1, 2]}
    assert as_params(OmegaConf.create({"x": "${gone}", "y": "???"})) == {"x": "${gone}", "y": "???"}


def test_what_contains_itself_is_refused() -> None:
    """Instead of an endless recursion."""
    loop: dict[str, Any] = {}
    loop["x"] = [loop]
    with pytest.raises(RunFileError, match="contain themselves"):
        as_params(loop)


def test_names_that_are_the_same_text_are_refused() -> None:
    """One of them would be lost."""
    with pytest.raises(RunFileError, match="'1'"):
        as_params({1: "x", "1": "y"})


def flat(params: dict[str, Any]) -> dict[str, Any]:
    """By flat names."""
    return RunInfo(params).flat_params


def test_another_spelling_replaces_the_value() -> None:
    """In both directions, and what is not given stays where it was."""
    old = {"model": {"depth": 3, "width": 8}, "lr": 0.1}
    assert merged(old, {"model.depth": 4}) == {"model": {"width": 8}, "lr": 0.1, "model.depth": 4}
    assert merged({"model.depth": 3}, {"model": {"depth": 4}}) == {"model": {"depth": 4}}
    assert merged(old, {"lr": 0.2}) == {"model": {"depth": 3, "width": 8}, "lr": 0.2}
    assert list(merged(old, {"lr": 0.2})) == ["model", "lr"]


def test_parameters_are_removed_by_flat_name() -> None:
    """With objects that are empty then."""
    old = {"model": {"depth": 3}, "lr": 0.1}
    assert removed(old, ["model.depth", "missing"]) == {"lr": 0.1}
    assert removed(old, []) == old


NAMES = st.sampled_from(["a", "b", "a.b", "b.a"])
INNER = st.dictionaries(NAMES, st.integers(0, 9), min_size=1)
PARAMS = st.dictionaries(NAMES, st.integers(0, 9) | INNER)


@given(PARAMS, PARAMS)
def test_new_values_win(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Whatever the spellings; all others are kept."""
    found = flat(merged(old, new))
    assert found.items() >= flat(new).items()
    # All others are kept, unless their name is now that of an object, or the other way round.
    for name, value in flat(old).items():
        if not any(f"{name}.".startswith(f"{n}.") or n.startswith(f"{name}.") for n in flat(new)):
            assert found[name] == value
