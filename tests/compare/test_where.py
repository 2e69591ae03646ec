"""Expressions that select experiments: syntax, names, values, and what is read for them."""

from __future__ import annotations

import json
import math
import operator
import pickle
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from expstore import ExperimentStore, UnknownMetricError, WhereError
from expstore.compare import reading, select
from expstore.compare.conditions import pattern
from expstore.compare.conditions import test as condition
from expstore.compare.expression import Comparison, Expression, Junction, Name, Not, Value
from expstore.compare.naming import FIELDS
from expstore.compare.selection import matching
from expstore.compare.where import parse
from tests.helpers.paths import ROOT
from tests.helpers.runs import add, write_run

NOW = 1_700_000_000
CASES = json.loads((ROOT / "tests" / "compare" / "where_cases.json").read_text())


@pytest.fixture
def runs(store: ExperimentStore) -> ExperimentStore:
    """Four experiments; `d` has no run.json, and no loss."""
    add(store, "a", {"lr": 0.1, "opt": "adam", "n": {"depth": 2}}, {"loss": [3.0, 1.0, 2.0]})
    add(store, "b", {"lr": 0.01, "opt": "sgd", "amp": True}, {"loss": [0.5]}, tags=["x", "best"])
    add(store, "c", {"lr": "1e-3", "layers": [64, 8]}, {"loss": [math.nan]}, job="resnet50")
    add(store, "d", None, {"lr": [0.5, 0.25], "x:min": [7.0]}, user="bob")
    return store


@pytest.mark.parametrize(("where", "chosen"), [case.values() for case in CASES["matches"]])
def test_an_expression_selects(where: str, chosen: list[str], runs: ExperimentStore) -> None:
    """By parameters, fields and metrics; a missing value is equal to nothing but `none`.

    The report's page passes the same cases.
    """
    assert select(runs, where) == chosen


@pytest.mark.parametrize(("where", "column"), [case.values() for case in CASES["errors"]])
def test_a_mistake_has_a_column(where: str, column: int, runs: ExperimentStore) -> None:
    """Where it begins, counted from 1; the report's page gives the same."""
    with pytest.raises(WhereError) as caught:
        select(runs, where)
    assert caught.value.column == column


def test_names_are_the_same_only_in_the_same_case(runs: ExperimentStore) -> None:
    """Keywords are the same in either."""
    assert select(runs, "opt == adam OR user == bob") == ["a", "d"]
    with pytest.raises(UnknownMetricError):
        select(runs, "OPT == adam or user == bob")


def test_experiments_keep_the_order_that_was_asked_for(runs: ExperimentStore) -> None:
    """Only those that were asked for are looked at."""
    assert select(runs, "user ~ '*'", ["d", "a"]) == ["d", "a"]
    assert select(ExperimentStore(runs.root), "lr < 0", []) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("los", "did you mean loss"),
        ("param.loss", "loss"),
        ("jobs", "job"),
        ("zzz", "there are: id"),
    ],
)
def test_an_unknown_name_lists_those_near(name: str, near: str, runs: ExperimentStore) -> None:
    """Also if no experiment had to be asked for it."""
    for where in (f"{name} == 1", f"user == alice or {name} == 1", f"lr < 0 and {name} == 1"):
        with pytest.raises(UnknownMetricError, match=near):
            select(runs, where)


def test_a_field_comes_before_a_parameter_and_that_before_a_metric(store: ExperimentStore) -> None:
    """A prefix, or an aspect, says which is meant."""
    add(store, "a", {"user": 1, "loss": 2}, {"user": [3.0], "loss": [4.0]})
    for where in (
        "user == alice",
        "param.user == 1",
        "metric.user == 3",
        "loss == 2",
        "loss:min == 4",
    ):
        assert select(store, where) == ["a"], where
    assert select(store, "param.`user` == 1 and field.`user` == alice") == ["a"]


@pytest.mark.parametrize("created", [NOW, NOW - 40 * 86_400])
def test_times_are_dates_or_durations_before_now(created: int, store: ExperimentStore) -> None:
    """A date is a whole day, in local time; an age is a duration."""
    day = datetime.fromtimestamp(created).date()

    def passes(where: str) -> bool:
        (part,) = [parse(where)]
        assert isinstance(part, Comparison)
        return condition(part, FIELDS[part.name.text].kind, where, NOW)(created)

    assert passes("created > 30d") == (created == NOW)
    assert passes("created < 4w") == (created != NOW)
    assert passes(f"created == {day}")
    assert passes(f"created <= {day}")
    assert passes(f"created >= {day}")
    assert not passes(f"created > {day}")
    assert not passes(f"created < {day}")
    assert passes(f"created < {day + timedelta(days=1)}")
    assert passes(f"created ~ '{day.isoformat()[:8]}*'")
    assert passes(f"created == {datetime.fromtimestamp(created).isoformat()}")
    assert passes(f"created == {created}")


def test_a_duration_is_compared_with_units(store: ExperimentStore) -> None:
    """The starts of a run are added; without any, the time from creation to the last record."""
    add(store, "a", starts=[{"started": 0, "ended": 3600}, {"started": 9000, "ended": 9060}])
    add(store, "b", None, {"loss": [1.0]})
    assert select(store, "duration >= 61m and duration < 1.1h") == ["a"]
    assert select(store, "duration < 1") == ["b"]


@pytest.mark.parametrize(
    ("where", "column", "message"),
    [
        ("", 1, "expected a comparison"),
        ("lr", 3, "expected an operator"),
        ("lr <", 5, "expected a value"),
        ("lr < and x == 3", 6, "expected a value.*found 'and'"),
        ("lr < 1 x < 2", 8, "expected `and`, `or` or the end"),
        ("lr < 1 && x < 2", 8, "write `and`"),
        ("lr < 1 | x < 2", 8, "write `or`"),
        ("!lr < 1", 1, "write `not`"),
        ("(lr < 1", 8, r"expected `\)`, found the end"),
        ("lr < 1)", 7, "expected `and`, `or` or the end"),
        ("0.1 < lr < 1", 10, "a range is two comparisons"),
        ("x ~ 'abc", 5, "this quote is not closed"),
        ("`x < 3", 1, "this backtick is not closed"),
        ("'x' < 3", 1, "backticks"),
        ("x == `y`", 6, "backticks are for names"),
        ("lr in 1", 7, r"expected `\(`"),
        ("lr in (1 2)", 10, r"expected `\)` or a comma"),
        ("lr < abc", 6, "compares numbers"),
        ("job < 3", 7, "compares numbers"),
        ("loss == low", 9, "is a number"),
        ("created > soon", 11, "is not a time"),
        ("created > 2026-13-01", 11, "is not a time"),
        ("duration > long", 12, "is not a duration"),
        ("status != finishd", 11, "'finishd' is no status; there are: running, finished"),
        ("(" * 60 + "lr < 1" + ")" * 60, 1, "levels of parentheses"),
        ("lr in (" + "1," * 60_000 + ")", 100_001, "longer than"),
    ],
)
def test_a_mistake_is_pointed_at(
    where: str, column: int, message: str, runs: ExperimentStore
) -> None:
    """With the column, and what is expected there; the error crosses processes."""
    with pytest.raises(WhereError, match=message) as caught:
        select(runs, where)
    # Some programs pickle the context along, and a parser's error does not pickle.
    assert not type(caught.value.__context__).__module__.startswith("lark")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (caught.value.column, copy.column, copy.text) == (column, column, where)
    assert str(copy) == str(caught.value)
    assert "\n" not in str(copy)


def test_a_log_is_read_only_if_it_decides(
    runs: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters and fields are asked first, and each log is read once."""
    read: list[str] = []
    original = reading.read_together

    def noted(root: Path, ids: Iterable[str], *options: Any) -> Any:
        read.extend(ids)
        return original(root, ids, *options)

    monkeypatch.setattr(reading, "read_together", noted)
    assert select(runs, "lr < 0.05 or user == bob") == ["b", "c", "d"]
    assert read == []
    assert select(runs, "loss < 1 and loss:max > 0 and lr < 0.05") == ["b"]
    assert read == ["b", "c"]


def test_a_broken_run_file_breaks_nothing(runs: ExperimentStore) -> None:
    """The experiment has no parameters then."""
    (runs.experiment_path("a") / "run.json").write_text("{")
    assert select(runs, "opt == none") == ["a", "c", "d"]
    write_run(runs, "a", params={"opt": "x" * 100_000})
    assert select(runs, "opt ~ xxx") == ["a"]


names = st.sampled_from(
    [Name("p"), Name("q"), Name("p", True), Name("odd `name`", True), Name("p", True, "param")]
)
texts = st.text(max_size=5) | st.sampled_from(["*", "?a*", "none", "1", "1.0", "nan", "true"])
words = st.from_regex(r"[a-z0-9*?.\[\]-]{1,5}", fullmatch=True).filter(
    lambda word: word not in ("and", "or", "not", "in")
)
values = st.builds(Value, words) | st.builds(Value, texts, st.just(True))
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -1e30, math.inf])
comparisons = st.one_of(
    st.builds(
        Comparison, names, st.sampled_from(["==", "~"]), st.tuples(values), negated=st.booleans()
    ),
    st.builds(
        Comparison,
        names,
        st.just("in"),
        st.lists(values, min_size=1, max_size=3).map(tuple),
        negated=st.booleans(),
    ),
    st.builds(
        Comparison,
        names,
        st.sampled_from(["<", "<=", ">", ">="]),
        st.tuples(numbers.map(lambda number: Value(str(number)))),
    ),
)


def joined(parts: st.SearchStrategy[Expression], word: Any) -> st.SearchStrategy[Expression]:
    """Parts joined by a word; none of them is joined by the same one."""
    others = parts.filter(lambda one: not (isinstance(one, Junction) and one.word == word))
    return st.builds(Junction, st.just(word), st.lists(others, min_size=2, max_size=3).map(tuple))


def nested(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Parts negated, or joined by `and` or `or`."""
    return st.builds(Not, parts) | joined(parts, "and") | joined(parts, "or")


expressions = st.recursive(comparisons, nested, max_leaves=8)
SCALARS = st.none() | st.booleans() | numbers | st.just(math.nan) | texts | st.lists(numbers)


def holds(expression: Expression, params: dict[str, Any]) -> bool:
    """What an expression means, as plainly as possible."""
    if isinstance(expression, Not):
        return not holds(expression.part, params)
    if isinstance(expression, Junction):
        results = [holds(part, params) for part in expression.parts]
        return all(results) if expression.word == "and" else any(results)
    actual = params.get(expression.name.text)
    result = any(compares(actual, expression.operator, value) for value in expression.values)
    return result != expression.negated


def number_of(value: Any) -> float | None:
    """The number that a value or its text is."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if str(value) == str(value).strip().replace("_", "x") else None
    except ValueError:
        return None


def text_of(value: Any) -> str:
    """The value as JSON, and a text as it is."""
    if isinstance(value, str):
        return value
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else as_json(value)


def as_json(value: Any) -> str:
    """Numbers and lists of numbers as JSON."""
    if isinstance(value, list):
        return "[" + ", ".join(map(as_json, value)) + "]"
    spelled = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return spelled.get(str(value), str(value))


def compares(actual: Any, sign: str, value: Value) -> bool:
    """One comparison of a parameter."""
    typed = value.text
    if sign in ("==", "in") and not value.quoted and typed.lower() in ("none", "null"):
        return actual is None
    if actual is None:
        return False
    if sign == "~":
        text = text_of(actual)
        if "*" in typed or "?" in typed:
            return fnmatchcase(text, typed.replace("[", "[[]"))
        return typed in text
    wanted, held = (None if value.quoted else number_of(typed)), number_of(actual)
    if sign in ("==", "in"):
        if isinstance(actual, bool) and not value.quoted and typed.lower() in ("true", "false"):
            return str(actual).lower() == typed.lower()
        if wanted is not None and held is not None:
            return held == wanted or (math.isnan(held) and math.isnan(wanted))
        return text_of(actual) == typed
    orders = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
    return wanted is not None and held is not None and orders[sign](held, wanted)


@given(expressions)
@example(Comparison(Name("p"), "==", (Value("it's `\n", True),)))
def test_an_expression_is_parsed_from_its_text(expression: Expression) -> None:
    """Also with odd names and values, and any nesting."""
    assert parse(str(expression)) == expression


@given(expressions, st.dictionaries(st.sampled_from(["p", "q", "odd `name`"]), SCALARS))
@example(Comparison(Name("p"), "==", (Value("1.0"),)), {"p": 1})
@example(Comparison(Name("p"), "==", (Value("nan"),)), {"p": math.nan})
@example(Comparison(Name("p"), "==", (Value("nan"),)), {"p": "nan"})
@example(Comparison(Name("p"), "<", (Value("1"),)), {"p": "0.5"})
def test_an_expression_means_what_a_plain_evaluator_says(
    expression: Expression, params: dict[str, Any]
) -> None:
    """Over all operators, values of all kinds, and missing ones."""

    class One:
        commit_id = "a"
        is_read = True
        metrics: dict[str, Any] = {}  # noqa: RUF012

    one: Any = One()
    one.params = {"p": None, "q": None, "odd `name`": None} | params
    found = experiments_matching([one], expression)
    assert found == ([one] if holds(expression, params) else [])


@given(st.text("ab*?\n", max_size=8), st.text("ab\n", max_size=12))
def test_a_pattern_matches_what_fnmatch_does(text: str, candidate: str) -> None:
    """Also over several lines; without a wildcard, it is looked for anywhere."""
    wanted = fnmatchcase(candidate, text) if "*" in text or "?" in text else text in candidate
    assert pattern(text)(candidate) == wanted


def test_a_pattern_of_many_parts_takes_no_longer_on_a_long_text() -> None:
    """A parameter may be a whole file; trying every place for every part would take for ever."""
    began = time.process_time()
    assert not pattern("*y*y*y*y*y*y*y*z")("y" * 200_000)
    assert pattern("*y*y*y*y*y*y*y*z")("y" * 200_000 + "z")
    assert time.process_time() - began < 5


def experiments_matching(found: list[Any], expression: Expression) -> list[Any]:
    """What the library selects."""
    return list(matching(found, parse(str(expression)), str(expression), list))
