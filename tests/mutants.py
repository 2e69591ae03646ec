"""Mutation testing of the core: do the tests notice when the code is wrong?

    python -m tests.mutants --count 400 --results mutants.jsonl

Each mutant is one small change at random: a comparison turned round, a constant off by one, a
condition negated, `and` for `or`, a statement or a `raise` dropped. It is made in a copy of the
tree, and the tests that mirror its folder run there, those first that are most likely to notice;
with `--wide`, if those pass, also all others of the core. A mutant that no test notices survives:
either a test is missing, or the change does not matter. Someone has to judge which; to record that,
change the verdict `survived` in the results file to `equivalent`.

A run is resumed from its results: what is in them is not run again, unless its module has changed.
The same seed gives the same mutants in the same order, so a larger `--count` adds to them.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.helpers.paths import ROOT

CORE = "expstore/model", "expstore/store", "formats"
# The tests of the core: those that mirror a mutant's folder run first, then all others.
TESTS = (
    *("tests/formats", "tests/model", "tests/store/append", "tests/store/care"),
    *("tests/store/files", "tests/store/read"),
    *(f"tests/store/{file.name}" for file in sorted((ROOT / "tests/store").glob("test_*.py"))),
    *("tests/testing", "tests/test_fuzz.py", "tests/test_faults.py"),
)
ELSEWHERE = {
    "formats/damage": ["tests/store/care"],
    "store/files/systems": ["tests/test_elsewhere.py"],
}
_FLAGS = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
_MEMORY = 4 << 30  # bytes of a test process: some mutants allocate without end
_PATIENCE, _LEAST = 5, 60.0  # times the unchanged tree's duration, and seconds, that tests may take

# Each operator, and what may take its place.
_OPERATORS = """
    Eq NotEq | NotEq Eq | Lt LtE GtE | LtE Lt Gt | Gt GtE LtE | GtE Gt Lt | Is IsNot | IsNot Is
    In NotIn | NotIn In | And Or | Or And | Add Sub | Sub Add | Mult FloorDiv | FloorDiv Mult
    LShift RShift | RShift LShift | BitAnd BitOr | BitOr BitAnd
"""
_ROWS = [row.split() for row in _OPERATORS.replace("\n", "|").split("|") if row.strip()]
_OTHERS = {name: [getattr(ast, other)() for other in others] for name, *others in _ROWS}
_DROPPED = ast.Raise, ast.Expr, ast.Assign, ast.AugAssign, ast.Delete


@dataclass(frozen=True)
class Mutant:
    """One change to one module."""

    path: str
    line: int
    start: int  # the byte from which `before` is replaced
    before: str
    after: str
    source: str  # tells the module's text from a later one

    def apply(self, text: bytes) -> bytes:
        """The module's text with the change."""
        end = self.start + len(self.before.encode())
        return text[: self.start] + self.after.encode() + text[end:]

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:70] for text in (self.before, self.after))
        return f"{self.path}:{self.line}: {before}  ->  {after}"


def mutants_of(path: str, text: bytes) -> Iterator[Mutant]:
    """All mutants of a module."""
    source = hashlib.sha256(text).hexdigest()[:12]
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _code(ast.parse(text)):
        for place, after in _changes(node):
            start = starts[place.lineno - 1] + place.col_offset
            end = starts[(place.end_lineno or 0) - 1] + (place.end_col_offset or 0)
            yield Mutant(path, place.lineno, start, text[start:end].decode(), after, source)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that do something: no annotations, docstrings, imports or texts."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            # The positions inside an f-string are wrong before Python 3.12.
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield child
                yield from _code(child)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What may replace a node, or a part of it: the place, and the new text."""
    match node:
        case ast.Compare(ops=[operator]) | ast.BoolOp(op=operator) | ast.BinOp(op=operator):
            for other in _OTHERS.get(type(operator).__name__, []):
                changed = copy.copy(node)
                if isinstance(changed, ast.Compare):
                    changed.ops = [other]
                else:
                    changed.op = other
                yield node, f"({ast.unparse(changed)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value)):
            yield from ((node, f"({value + 1})"), (node, f"({value - 1})"))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            is_turned_already = isinstance(test, ast.Compare | ast.UnaryOp)
            if not is_turned_already and ast.unparse(test) != "TYPE_CHECKING":
                yield test, f"(not ({ast.unparse(test)}))"
        case ast.stmt():
            yield from ((node, after) for after in _statement_changes(node))


def _statement_changes(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Break() | ast.Continue():
            yield "continue" if isinstance(node, ast.Break) else "break"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"
        case ast.Expr(value=ast.Constant()):
            pass  # a docstring
        case _ if isinstance(node, _DROPPED):
            yield "pass"


def all_mutants(seed: int, under: Iterable[str] = CORE) -> list[Mutant]:
    """The mutants of some folders or modules, in the order that the seed gives."""
    found: list[Mutant] = []
    for name in under:
        for path in sorted((ROOT / name).rglob("*.py")) or [ROOT / name]:
            found += mutants_of(str(path.relative_to(ROOT)), path.read_bytes())
    random.Random(seed).shuffle(found)
    return found


def stages(path: str, *, wide: bool) -> list[tuple[str, ...]]:
    """The tests to run for a module, one group after the other."""
    folder = path.removeprefix("expstore/").rpartition("/")[0]
    first = [tests for tests in TESTS if f"{tests}/".startswith(f"tests/{folder}/")]
    first = first or [tests for tests in TESTS if f"tests/{folder}".startswith(tests)]
    first = [*first, *ELSEWHERE.get(folder, [])]
    rest = [tests for tests in TESTS if tests not in first]
    return [tuple(first), tuple(rest)] if wide and rest else [tuple(first)]


class Worker:
    """A copy of the tree, in which one mutant after the other is tried."""

    def __init__(self, directory: Path, *, wide: bool = False) -> None:
        self._wide = wide
        self._root = directory / "tree"
        self._scratch = directory / "tmp"
        self._output = directory / "output"
        # The vectors have a hidden file of their own, which keeps an empty directory.
        left = ".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "*.egg-info", "*.jsonl"
        leave_out = shutil.ignore_patterns(*left, "build", "node_modules")
        shutil.copytree(ROOT, self._root, ignore=leave_out)
        self._durations: dict[tuple[str, ...], float] = {}
        self._kills: Counter[tuple[str, str]] = Counter()  # by folder and file of tests

    def verdict(self, mutant: Mutant) -> str:
        """`killed`, `endless` or `survived`."""
        path = self._root / mutant.path
        original = path.read_bytes()
        for tests in stages(mutant.path, wide=self._wide):
            limit = max(_LEAST, _PATIENCE * self._duration(tests))
            path.write_bytes(mutant.apply(original))
            try:
                passed = self._run(self._likely_first(tests, mutant.path), limit)
            finally:
                path.write_bytes(original)
            if not passed:
                found = re.search(
                    r"^(?:FAILED|ERROR) (.+?\.py)", self._output.read_text(errors="replace"), re.M
                )
                if found:
                    self._kills[mutant.path.rpartition("/")[0], found[1]] += 1
                return "endless" if passed is None else "killed"
        return "survived"

    def _likely_first(self, tests: tuple[str, ...], path: str) -> list[str]:
        """The files of some tests: those named like the module, then those that killed most."""
        folder, _, module = path.removesuffix(".py").rpartition("/")

        def rank(file: str) -> tuple[bool, int]:
            return module not in file.rpartition("/")[2], -self._kills[folder, file]

        files = [
            str(file.relative_to(self._root))
            for name in tests
            for file in sorted((self._root / name).rglob("test_*.py")) or [self._root / name]
        ]
        return sorted(files, key=rank)

    def _duration(self, tests: tuple[str, ...]) -> float:
        """How long the tests take without a change, in seconds; they must pass."""
        if tests not in self._durations:
            start = time.monotonic()
            if not self._run(tests, None):
                output = self._output.read_text(errors="replace")
                raise RuntimeError(f"the tests fail without any mutant:\n{output}")
            self._durations[tests] = time.monotonic() - start
        return self._durations[tests]

    def _run(self, tests: Iterable[str], limit: float | None) -> bool | None:
        """Whether the tests pass; None if they take longer than the limit."""
        for left in (self._scratch, self._root / ".hypothesis"):
            shutil.rmtree(left, ignore_errors=True)
        self._scratch.mkdir()
        # No bytecode: two mutants of the same second and size would be taken for the same.
        environment = {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(self._scratch)}
        with self._output.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *_FLAGS, *tests],
                cwd=self._root,
                env=os.environ | environment | {"PYTHONPATH": str(self._root)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):  # also what the tests have started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(mutants: list[Mutant], results: Path, jobs: int, *, wide: bool = False) -> None:
    """Try mutants in that many copies of the tree, and add each verdict to the results."""
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as directory,
        ThreadPoolExecutor(jobs) as pool,
        results.open("a") as file,
    ):
        copies = range(min(jobs, len(mutants)))
        idle = [Worker(Path(directory, str(number)), wide=wide) for number in copies]

        def attempt(mutant: Mutant) -> str:
            worker = idle.pop()  # as many as the pool has threads
            try:
                return worker.verdict(mutant)
            finally:
                idle.append(worker)

        for mutant, verdict in zip(mutants, pool.map(attempt, mutants), strict=True):
            print(json.dumps({"verdict": verdict, **asdict(mutant)}), file=file, flush=True)
            print(f"{verdict:9} {mutant}", flush=True)


def known(results: Path) -> dict[Mutant, str]:
    """The verdicts of earlier runs; the last one counts."""
    rows = map(json.loads, results.read_text().splitlines() if results.exists() else [])
    return {Mutant(**row): verdict for row in rows for verdict in [row.pop("verdict")]}


def report(verdicts: dict[Mutant, str]) -> str:
    """The score of each module and of all, and the survivors."""
    modules: dict[str, Counter[str]] = {}
    for mutant, verdict in verdicts.items():
        for name in (mutant.path, "all"):
            modules.setdefault(name, Counter())[verdict] += 1
    lines = []
    for name, counts in sorted(modules.items(), key=lambda row: (row[0] == "all", row[0])):
        caught = counts["killed"] + counts["endless"]
        matter = counts.total() - counts["equivalent"]
        rate = f"{caught / matter:6.1%}" if matter else "     -"
        lines.append(f"{rate}  {caught:4} of {matter:4} that matter ({counts.total()})  {name}")
    return "\n".join(lines + [f"survived  {m}" for m, v in verdicts.items() if v == "survived"])


def main(arguments: list[str] | None = None) -> int:
    """Run what is not known yet, and print the scores."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("under", nargs="*", default=CORE, help="folders or modules; all the core")
    parser.add_argument("--count", type=int, default=400, help="how many mutants (400)")
    parser.add_argument("--seed", type=int, default=1, help="of their choice (1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    parser.add_argument("--wide", action="store_true", help="survivors: all tests of the core")
    parser.add_argument("--again", action="store_true", help="run the known survivors again")
    parser.add_argument("--results", type=Path, default=Path("mutants.jsonl"), help="added to")
    chosen = parser.parse_args(arguments)
    wanted = all_mutants(chosen.seed, chosen.under)[: chosen.count]
    verdicts, again = known(chosen.results), chosen.again
    due = [m for m in wanted if m not in verdicts or (again and verdicts[m] == "survived")]
    run(due, chosen.results, chosen.jobs, wide=chosen.wide)
    verdicts = known(chosen.results)
    print(report({mutant: verdicts[mutant] for mutant in wanted}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
