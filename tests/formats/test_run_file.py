"""run.json: the declaration, its JSON Schema, and what is parsed, refused and built."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import expstore.cli.schema  # noqa: F401  importing it adds its commands
import formats
from expstore.cli.base import app
from formats import RUN, FieldValueError, build_run, parse_run, to_json_schema
from formats.descriptions.keys import run_table

HERE = Path(formats.__file__).parent
README = (HERE / "README.md").read_text()
VALIDATOR = jsonschema.Draft202012Validator(RUN)

FULL: dict[str, Any] = {
    "params": {"lr": 0.1, "model": {"depth": 3, "name": "é"}, "none": None},
    "tags": ["a", "b"],
    "notes": "text",
    "origin": {
        "host": "h",
        "python": "3.12.1",
        "expstore": "0.1.0",
        "argv": ["train.py", "--lr=0.1"],
        "commit": "3f2a9c1d",
        "branch": "main",
        "dirty": True,
        "more": 1,
    },
    "starts": [
        {"started": 1, "later": [1]},
        {
            "started": 1.5,
            "ended": 2.5,
            "outcome": "failed",
            "error": "ValueError: x",
            "host": "h",
            "pid": 1,
            "from_step": 2**32 - 1,
            "records": 5,
        },
    ],
    "unknown": {"x": [1, 2]},
}


def test_the_schema_is_the_declaration() -> None:
    """The shipped file is what the function gives, and is a valid schema."""
    assert (HERE / "run.schema.json").read_text() == to_json_schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(to_json_schema()))


def test_the_specification_has_the_table_and_a_valid_example() -> None:
    """The table follows from the declaration; the example is parsed."""
    table, example = (
        re.search(rf"<!-- {kind} run -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
        for kind in ("table", "example")
    )
    assert table is not None
    assert example is not None
    assert table[1] == run_table()
    text = example[1].removeprefix("```json\n").removesuffix("\n```")
    values = parse_run(text.encode())
    VALIDATOR.validate(values)
    assert values["starts"][1]["from_step"] == 100


def test_all_that_is_declared_is_kept() -> None:
    """And what is not declared."""
    VALIDATOR.validate(FULL)
    assert parse_run(build_run(FULL)) == FULL
    assert parse_run(b"{}") == {}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([], None),
        ({"params": []}, "params"),
        ({"tags": "x"}, "tags"),
        ({"tags": ["x", 1]}, "tags[1]"),
        ({"notes": None}, "notes"),
        ({"origin": {"dirty": 1}}, "origin.dirty"),
        ({"origin": {"argv": [None]}}, "origin.argv[0]"),
        ({"starts": {}}, "starts"),
        ({"starts": [{}]}, "starts[0].started"),
        ({"starts": [{"started": True}]}, "starts[0].started"),
        ({"starts": [{"started": 1}, {"started": "1"}]}, "starts[1].started"),
        ({"starts": [{"started": 1, "outcome": "won"}]}, "starts[0].outcome"),
        ({"starts": [{"started": 1, "pid": 1.5}]}, "starts[0].pid"),
        ({"starts": [{"started": 1, "from_step": -1}]}, "starts[0].from_step"),
        ({"starts": [{"started": 1, "from_step": 2**32}]}, "starts[0].from_step"),
    ],
)
def test_another_type_is_refused_with_its_key(values: Any, key: str | None) -> None:
    """Reading and writing, as the JSON Schema has it."""
    assert not VALIDATOR.is_valid(values)
    with pytest.raises(FieldValueError) as error:
        parse_run(json.dumps(values).encode())
    assert error.value.field == key
    if isinstance(values, dict):
        with pytest.raises(FieldValueError):
            build_run(values)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'{"notes": "\xff"}',
        b'{"params": {"x": NaN}}',
        b'{"params": {"x": 1e999}}',
        b'{"params": {"x": -Infinity}}',
        b"[" * 100_000,
        b'{"params": {"x": ' + b"9" * 5000 + b"}}",
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    """With one kind of error, whatever it is."""
    with pytest.raises(FieldValueError, match="not JSON in UTF-8"):
        parse_run(data)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x"])
def test_what_json_cannot_hold_is_not_built(value: object) -> None:
    """Instead of writing what other readers refuse."""
    with pytest.raises(FieldValueError, match="not possible in JSON"):
        build_run({"params": {"x": value}})


def test_a_lone_surrogate_is_kept() -> None:
    """As of a file name that is not UTF-8; the file itself is UTF-8."""
    data = build_run({"notes": "a\udc80é"})
    assert "\\udc80" in data.decode()
    assert parse_run(data) == {"notes": "a\udc80é"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
STARTS = st.fixed_dictionaries(
    {},
    optional={
        key: VALUES | st.integers(-1, 5) | st.sampled_from(["failed", "x"]) | st.floats(0, 9)
        for key in ("started", "ended", "outcome", "pid", "from_step", "records")
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "params": VALUES | st.dictionaries(st.text(), VALUES),
            "tags": VALUES | st.lists(st.text()),
            "notes": VALUES,
            "origin": VALUES | st.fixed_dictionaries({}, optional={"dirty": VALUES}),
            "starts": VALUES | st.lists(STARTS, max_size=3),
            "more": VALUES,
        },
    )
)
def test_the_check_is_that_of_the_json_schema(values: Any) -> None:
    """What `jsonschema` accepts is parsed, and nothing else."""
    data = json.dumps(values).encode()
    if not _is_json(values) or not VALIDATOR.is_valid(values):
        with pytest.raises(FieldValueError):
            parse_run(data)
    else:
        assert parse_run(data) == values
        assert parse_run(build_run(values)) == values


def test_what_writers_write_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower check, which finds out what is wrong, is not asked about it."""
    monkeypatch.delattr("formats.run._check")
    assert parse_run(build_run(FULL)) == FULL
    with pytest.raises(NameError):
        parse_run(b'{"notes": 1}')


def _is_json(values: Any) -> bool:
    """Whether there is no number that JSON does not have; a name may well be `Infinity`."""
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        return False
    return True


def test_the_command_prints_table_and_schema() -> None:
    """For `run`, which is text, no other notation makes sense."""
    runner = CliRunner()
    assert runner.invoke(app, ["schema", "run"]).output == run_table() + "\n"
    assert runner.invoke(app, ["schema", "run", "--format", "json"]).output == to_json_schema()
    assert run_table() in runner.invoke(app, ["schema"]).output
    refused = runner.invoke(app, ["schema", "run", "--format", "ksy"])
    assert refused.exit_code == 2
    assert "table or json" in refused.output
