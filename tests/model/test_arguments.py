"""Parameters as they are typed on a command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore.errors import RunFileError
from expstore.model.arguments import job_of, parse_arguments, parse_pair, parse_value

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@given(PLAIN)
def test_every_value_can_be_typed_as_json(value: Any) -> None:
    """What JSON writes is read as the same value."""
    assert parse_value(json.dumps(value)) == value


@given(st.text())
def test_every_text_is_a_value(text: str) -> None:
    """Nothing raises, and what is read is something that JSON holds."""
    json.dumps(parse_value(text), allow_nan=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("1.", 1.0),
        ("+1", 1),
        ("-3", -3),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("[1, 2]", [1, 2]),
        ('{"depth": 3}', {"depth": 3}),
        ('"0.1"', "0.1"),
        ("adam", "adam"),
        ("", ""),
        ("007", "007"),
        ("1_000", "1_000"),
        ("123e456", "123e456"),
        ("[1e999]", "[1e999]"),
        ("NaN", "NaN"),
        ("[NaN]", "[NaN]"),
        ("9" * 5000, "9" * 5000),
        ("[" * 100_000, "[" * 100_000),
        ("a=b", "a=b"),
    ],
)
def test_values(text: str, value: Any) -> None:
    """Numbers, JSON, and otherwise the text as it is; the type is that of the value."""
    found = parse_value(text)
    assert (found, type(found)) == (value, type(value))


def test_a_pair_needs_a_name_and_an_equals_sign() -> None:
    """Only the first `=` separates."""
    assert parse_pair("data=a=b") == ("data", "a=b")
    for wrong in ("lr", "=0.1", " =1", ""):
        with pytest.raises(RunFileError, match="NAME=VALUE"):
            parse_pair(wrong)


@pytest.mark.parametrize(
    ("line", "params"),
    [
        ("python train.py --lr 0.1 --depth=3", {"lr": 0.1, "depth": 3}),
        ("python -u train.py lr=0.1 +model.depth=3", {"lr": 0.1, "model.depth": 3}),
        ("python -m pack.train --batch-size 32", {"batch_size": 32}),
        ("train --amp --no-cache --lr 1", {"amp": True, "cache": False, "lr": 1}),
        ("train --no-cache=yes", {"no_cache": "yes"}),
        ("train --shift -0.5 --name -x", {"shift": -0.5, "name": True}),
        ("train --sizes 1 2 3 --data in out", {"sizes": [1, 2, 3], "data": "in"}),
        ("train --tag a --tag b --tag c", {"tag": ["a", "b", "c"]}),
        ("train --sizes 1 2 --sizes 3 4", {"sizes": [[1, 2], [3, 4]]}),
        ("env CUDA=1 python train.py -b 3 x", {}),
        ("torchrun --nproc 4 train.py --lr 0.1", {"lr": 0.1}),
        ("sh sweep.sh -- --lr 0.1", {"lr": 0.1}),
        ("train --verbose lr=0.1", {"verbose": True, "lr": 0.1}),
        ("train", {}),
    ],
)
def test_arguments_of_programs(line: str, params: dict[str, Any]) -> None:
    """Options and pairs after the script; what starts it is none of its parameters."""
    assert parse_arguments(line.split()) == params


@given(st.dictionaries(NAMES.filter(lambda name: not name.startswith("no")), PLAIN), st.booleans())
def test_parameters_survive_being_typed(params: dict[str, Any], attached: bool) -> None:
    """With `--name=value` or `name=value`, whatever the value is."""
    dashes = "--" if attached else ""
    typed = [f"{dashes}{name}={json.dumps(value)}" for name, value in params.items()]
    assert parse_arguments(["python", "train.py", *typed]) == params


@given(st.lists(st.text(), min_size=1))
def test_any_command_line_has_parameters(words: list[str]) -> None:
    """However odd it is, nothing raises."""
    json.dumps(parse_arguments(words), allow_nan=False)
    assert isinstance(job_of(words), str)


@pytest.mark.parametrize(
    ("line", "job"),
    [
        ("python src/train.py --lr 1", "train"),
        ("python -m pack.train", "pack.train"),
        ("/usr/bin/make all", "make"),
        ("sh sweep.sh", "sweep"),
    ],
)
def test_jobs_are_named_after_what_runs(line: str, job: str) -> None:
    """The script, the module, or the program."""
    assert job_of(line.split()) == job
