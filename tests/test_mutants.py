"""The mutation tool itself: what it changes, and that it tells killed from surviving mutants."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import mutants
from tests.helpers.paths import ROOT
from tests.mutants import Mutant, Worker

MODULE = b'''"""A docstring, which is left alone: 1 < 2."""
import os

def works(a: int = 3) -> "int":
    if not a and os.sep:  # \xc3\xbc, which takes two bytes
        raise ValueError(f"{a + 1}")
    while a:
        a -= 1
        break
    return a < 10
'''


def changes() -> set[tuple[int, str, str]]:
    """Each change to the module: line, before, after."""
    return {(m.line, m.before, m.after) for m in mutants.mutants_of("x.py", MODULE)}


def test_each_kind_of_change_is_made() -> None:
    """In the code, and not in docstrings, annotations, imports or messages."""
    assert changes() == {
        (4, "3", "(4)"),
        (4, "3", "(2)"),
        (5, "not a and os.sep", "(not a or os.sep)"),
        (5, "not a and os.sep", "(not (not a and os.sep))"),
        (5, "not a", "(a)"),
        (6, 'raise ValueError(f"{a + 1}")', "pass"),
        (7, "a", "(not (a))"),
        (8, "a -= 1", "pass"),
        (8, "1", "(2)"),
        (8, "1", "(0)"),
        (9, "break", "continue"),
        (10, "return a < 10", "return None"),
        (10, "a < 10", "(a <= 10)"),
        (10, "a < 10", "(a >= 10)"),
        (10, "10", "(11)"),
        (10, "10", "(9)"),
    }


def test_mutants_of_the_core_are_valid_and_the_same_for_a_seed() -> None:
    """A mutant that is no Python would be caught by anything."""
    found = mutants.all_mutants(7)
    assert found == mutants.all_mutants(7) != mutants.all_mutants(8)
    assert len({*found}) == len(found) > 3000
    for mutant in found[:500]:
        ast.parse(mutant.apply((ROOT / mutant.path).read_bytes()))
        assert all((ROOT / tests).exists() for tests in mutants.stages(mutant.path, wide=True)[0])


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Mutant]:
    """A tree of one module and one test, and a function that makes a mutant of the module."""
    root = tmp_path / "root"
    (root / "formats").mkdir(parents=True)
    (root / "tests" / "formats").mkdir(parents=True)
    text = "def count():\n    n = 0\n    while n < 3:\n        n += 1\n    return n\n"
    (root / "formats" / "__init__.py").write_text(text)
    test = "from formats import count\n\n\ndef test_it():\n    assert count() > 2\n"
    (root / "tests" / "formats" / "test_it.py").write_text(test)
    monkeypatch.setattr(mutants, "ROOT", root)
    # The tests of this tree need no other plugins, which take half a second to load.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "_hypothesis_pytestplugin")
    monkeypatch.setattr(mutants, "_LEAST", 20.0)  # seconds; also on a busy machine
    monkeypatch.setattr(mutants, "_PATIENCE", 3)

    def mutant(before: str, after: str) -> Mutant:
        found = mutants.all_mutants(1, ["formats"])
        return next(m for m in found if (m.before, m.after) == (before, after))

    return mutant


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("n < 3", "(n >= 3)", "killed"),
        ("n < 3", "(n <= 3)", "survived"),
        ("n += 1", "pass", "endless"),
    ],
)
def test_verdicts(
    tree: Callable[[str, str], Mutant],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    after: str,
    verdict: str,
) -> None:
    """A test fails, none does, or they do not end; the copy is as before, and so is the tree."""
    if verdict == "endless":
        monkeypatch.setattr(mutants, "_LEAST", 2.0)
    mutant = tree(before, after)
    worker = Worker(tmp_path / "worker")
    assert worker.verdict(mutant) == verdict
    copies = [path / "formats" / "__init__.py" for path in (mutants.ROOT, tmp_path / "worker/tree")]
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_a_run_is_resumed(
    tree: Callable[[str, str], Mutant], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Known mutants are not tried again; survivors are, if asked for, or can be judged."""
    results = tmp_path / "results.jsonl"
    arguments = ["formats", "--count", "3", "--jobs", "2", "--results", str(results)]
    assert mutants.main(arguments) == 0
    assert len(results.read_text().splitlines()) == 3
    first = capsys.readouterr().out
    assert "of    3 that matter (3)  all" in first
    mutants.main(arguments)
    assert capsys.readouterr().out in first
    verdicts = mutants.known(results)
    results.write_text(results.read_text().replace("killed", "survived"))
    mutants.main([*arguments, "--again"])
    assert mutants.known(results) == verdicts
    results.write_text(results.read_text().replace("survived", "equivalent"))
    capsys.readouterr()
    mutants.main(arguments)
    assert "100.0%" in capsys.readouterr().out


def test_tests_that_fail_anyway_are_an_error(
    tree: Callable[[str, str], Mutant], tmp_path: Path
) -> None:
    """Else every mutant would count as caught."""
    (mutants.ROOT / "tests" / "formats" / "test_it.py").write_text("def test_it():\n    assert 0\n")
    with pytest.raises(RuntimeError, match=r"fail without any mutant:\s.*\s.*\s.*test_it"):
        Worker(tmp_path / "worker").verdict(tree("0", "(1)"))
