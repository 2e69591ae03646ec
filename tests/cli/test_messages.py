"""What commands say when something is wrong: what it is, where it comes from, and what to do."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from expstore import ExperimentStore, UnknownMetricError
from expstore.cli import groups, run, streams
from expstore.errors import nearest
from expstore.extras import installation
from tests.cli.test_docs import COMMANDS, README
from tests.helpers import commands
from tests.helpers.application import log
from tests.helpers.paths import ROOT
from tests.helpers.terminal import on_terminal


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentStore:
    """Two experiments in ./experiments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPSTORE_ROOT", raising=False)
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    log(store, "demo-lr-0.003", {"train/loss": [3.0, 2.0], "val/loss": [4.0]})
    log(store, "demo-lr-0.1", {"train/loss": [3.0, 4.0]})
    return store


def message(*arguments: str, code: int = 1) -> str:
    """What a command says on stderr when it ends with this code."""
    done = commands.expstore(*arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("expstore: ").strip()


@pytest.mark.parametrize("command", ["ls", "show", "compare", "report", "check", "export --to csv"])
def test_a_missing_store_is_named_with_where_it_comes_from(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The absolute path; the default, the variable or the option that it comes from; a remedy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPSTORE_ROOT", raising=False)
    words = command.split()
    assert message(*words) == (
        f"no store at {tmp_path}/experiments; it comes from ./experiments, since neither --root "
        "nor EXPSTORE_ROOT is set; `expstore init` creates one here, --root DIR names another"
    )
    assert message(*words, "--root", "there").startswith(f"no store at {tmp_path}/there; `expstore")
    monkeypatch.setenv("EXPSTORE_ROOT", "elsewhere")
    assert "/elsewhere, which EXPSTORE_ROOT names; `expstore init` creates" in message(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_an_experiment_or_above_a_store_is_refused(
    filled: ExperimentStore,
) -> None:
    """The message gives the root that was meant; nothing is created in the wrong place."""
    one = filled.root / "demo-lr-0.1"
    for command in ("ls", "init"):
        text = message(command, "--root", str(one))
        assert text == f"{one} is an experiment, not a store; use --root {filled.root}"
    above = filled.root.parent
    text = message("show", "demo-lr-0.1", "--root", str(above))
    assert text == f"{above} is no store, but has one in it; use --root {filled.root}"


def test_an_empty_store_and_one_with_damaged_experiments_are_stores(
    filled: ExperimentStore,
) -> None:
    """What is refused is only a directory that has experiments one level below."""
    shutil.rmtree(filled.root)
    filled.initialize()
    assert "no experiments in" in message("ls", code=0)
    assert "no experiments in" in message("report")
    assert "no experiments in" in message("plot", "-o", "loss.png")
    assert not list(filled.root.parent.glob("*.*"))
    (filled.root / "3f2a" / "files" / "deep").mkdir(parents=True)
    assert commands.expstore("ls").returncode == 0
    (filled.root / "archive" / "9c1d").mkdir(parents=True)
    (filled.root / "archive" / "9c1d" / "meta.bin").touch()
    (filled.root / "3f2a" / "metrics.bin").touch()
    assert commands.expstore("ls").returncode == 0


def test_a_filter_that_matches_nothing_is_repeated(filled: ExperimentStore) -> None:
    """Never `no experiments`, which there are."""
    text = message("ls", "--user", "bob", "--since", "1h", code=0)
    assert text == "none of 2 experiments matches --user bob --since 1h"
    none = "none of 2 experiments matches --where 'user == bob'"
    assert message("ls", "--where", "user == bob", code=0) == none
    assert message("compare", "--where", "user == bob", code=0) == none
    assert message("compare", "--group-by", "user", "--where", "user == bob", code=0) == none
    assert message("plot", "--name", "train/loss", "--where", "user == bob") == none
    assert not Path("report.html").exists()
    assert message("report", "--where", "user == bob") == none
    assert not Path("report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["show", "demo-lr-003"], "did you mean demo-lr-0.003 or demo-lr-0.1?"),
        (["show", "zzz"], "`expstore ls` lists them"),
        (["compare", "--name", "val/los"], "did you mean val/loss?"),
        (["metrics", "demo-lr-0.003", "--name", "vall/loss"], "did you mean val/loss"),
        (["plot", "--name", "vall/loss"], "did you mean val/loss"),
        (["plot"], "plot needs --name; the metrics are: train/loss, val/loss"),
        (["compare", "--sort", "val/lss"], "did you mean"),
        (["shw"], "there is no command shw; did you mean show?; see `expstore --help`"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(
    arguments: list[str], hint: str, filled: ExperimentStore
) -> None:
    """Of experiments, metrics and commands."""
    code = 2 if arguments in (["shw"], ["plot"]) else 1
    assert hint in message(*arguments, code=code)


def test_the_nearest_names_of_many_are_found_in_a_moment() -> None:
    """A store may have 200,000 ids; some of them are compared."""
    ids = [f"{number:040x}" for number in range(200_000)]
    assert nearest(ids[7][:-1], ids)
    assert "did you mean 'loss'" not in str(UnknownMetricError.of("zzz", ["loss"]))


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity", "nan", "1e308", "1_000"])
def test_a_number_that_a_double_holds_is_logged(value: str, filled: ExperimentStore) -> None:
    """Also infinity, where that is what was written."""
    done = commands.expstore("log", "demo-lr-0.1", "x", value)
    assert (done.returncode, done.stderr) == (0, "")
    (metric,) = filled.get_metrics("demo-lr-0.1")["x"]
    assert repr(metric.value) == repr(float(value))


@pytest.mark.parametrize("command", ["init", "ls", "new x"])
def test_a_root_that_is_no_directory_is_said_to_be_what_it_is(
    command: str, tmp_path: Path, filled: ExperimentStore
) -> None:
    """A file, a link that leads nowhere, or something below a file; with a remedy."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "other").symlink_to("file")
    words = command.split()
    said = {root: message(*words, "--root", root) for root in ("file", "link", "other")}
    remedy = "move it away, or name another"
    assert said["file"] == f"{tmp_path}/file: is a file, not a directory; {remedy}"
    assert f"{tmp_path}/link: is a link to nowhere, which does not exist; create" in said["link"]
    assert "/other: is a link to file, which is no directory; correct it" in said["other"]
    if command != "ls":
        assert message(*words, "--root", "file/x").startswith(f"{tmp_path}/file: is a file, not")


@pytest.mark.parametrize(
    "command",
    [
        *("ls", "ls --where lr<1", "compare", "compare --sort loss", "compare --name loss"),
        *("compare --where lr<1", "compare --group-by lr", "plot --name loss", "plot", "report"),
    ],
)
def test_an_empty_store_is_said_to_be_empty(command: str, tmp_path: Path) -> None:
    """Not that nothing matches, or that a metric is missing; and how to make experiments."""
    done = commands.expstore(*command.split(), "--root", str(tmp_path))
    assert done.stderr == (
        f"expstore: no experiments in {tmp_path}; `expstore demo` creates some\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["ls", "--limit", "x"], "--limit takes a whole number of 1 or more, not 'x'"),
        (["ls", "--limit=0"], "--limit takes a whole number of 1 or more, not '0'"),
        (["plot", "--x", "foo"], "--x takes one of step, time, relative, not 'foo'"),
        (["plot", "--smooth", "much"], "--smooth takes a number, not 'much'"),
        (["compare", "-j", "x"], "--jobs takes a whole number of 0 or more, not 'x'"),
        (["serve", "--port", "99999"], "--port takes a whole number from 0 to 65535, not '99999'"),
        (["export", "--to", "x"], "--to takes one of csv, jsonl, parquet, tensorboard, not 'x'"),
        (["log", "a", "b", "c"], "VALUE: 'c' is not a number, nan, inf or -inf"),
        (["log", "a", "b", "1e400"], "VALUE: 1e400 is out of range: a value is at most 1.79769313"),
        (["log", "a", "b", "-1e400"], "VALUE: -1e400 is out of range"),
        (["prune", "--older-than", "x"], "--older-than: 'x' is not an age; use 30, 30d, 2w or 20"),
        (["prune", "--keep", "1", "--grace", "x"], "--grace: 'x' is not a duration; use 90s, 30m"),
        (["ls", "--since", "x"], "--since: 'x' is not a time; use 36h, 30d, 2w or 2026-01-31"),
        (["ls", "--lim", "3"], "there is no option --lim; did you mean --limit?"),
        (["show", "a", "b"], "show takes no more arguments; what is b?"),
        (["log", "a"], "log needs NAME"),
        (["diff", "a"], "diff needs B"),
        (["tail", "a", "--interval", "0"], "--interval: 0.0 is not between 0.01 and"),
        (["run"], "run needs PROGRAM"),
        (["export"], "export needs --to, one of csv, jsonl, parquet, tensorboard"),
        (["salvage", "a"], "salvage needs --to"),
        (["ls", "-x"], "there is no option -x"),
        (["plot", "--name", "loss", "--smooth", "2"], "--smooth: 2 is not a weight of at least 0"),
    ],
)
def test_a_wrong_value_is_reported_with_what_the_option_takes(
    arguments: list[str], text: str, filled: ExperimentStore
) -> None:
    """In words of this program, whatever the libraries call it."""
    said = message(*arguments, code=2)
    assert said.startswith(text), said
    assert said.endswith(f"see `expstore {arguments[0]} --help`")
    assert not re.search(r"Input should|Value error|valid int|Invalid value|Missing|No such", said)


def test_a_flag_with_a_value_and_an_unknown_name_are_told_in_the_same_words(
    filled: ExperimentStore,
) -> None:
    """A flag takes none; names that there are have an order that is the same each time."""
    assert message("ls", "--json=1", code=2).startswith("--json takes no value; see `expstore")
    filled.update_run("demo-lr-0.1", params=dict.fromkeys("zyxwvut", 1))
    text = message("ls", "--sort", "qqq")
    assert text.endswith("branch, dirty, t, train/loss, u, v, val/loss, w and 3 more"), text


def test_an_error_of_the_system_has_its_path_and_no_number() -> None:
    """As where the library says what cannot be read."""
    denied = PermissionError(errno.EACCES, "Permission denied", "out/a.txt")
    assert run._of_system(denied) == "out/a.txt: permission denied"
    across = OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")
    assert run._of_system(across) == "a to b: invalid cross-device link"
    assert run._of_system(OSError("no device")) == "no device"


def test_the_hint_to_install_can_be_followed_from_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is a pyproject.toml it is the checkout's path, else the name in an index."""
    assert installation("plot") == f"pip install -e '{ROOT}[plot]'"
    monkeypatch.setattr("expstore.extras.__file__", str(tmp_path / "expstore" / "extras.py"))
    assert installation("plot") == "pip install 'expstore[plot]'"


def test_each_command_is_in_one_group_of_the_help_and_of_the_readme() -> None:
    """The groups have the same commands in the same order in both."""
    shown = commands.expstore("--help").stdout
    places = [shown.index(f"─ {group} ─") for group in groups.GROUPS]
    assert places == sorted(places)
    known = [name for name in sum(groups.GROUPS.values(), ()) if name in COMMANDS]
    assert sorted(known) == sorted(COMMANDS)
    table = README.split("| group | commands |")[1].split("\n\n")[0]
    for group, names in groups.GROUPS.items():
        (row,) = re.findall(rf"^\| {group.lower()} \| (.*) \|$", table, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == [name for name in names if name in COMMANDS]


_TALKS = {"run": "its program has stdout", "watch": "it draws on a terminal"}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in _TALKS])
def test_every_command_has_json(name: str) -> None:
    """For scripts; two commands have no result of their own."""
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert "--json" in options


def test_commands_that_only_act_report_it_as_json(filled: ExperimentStore) -> None:
    """One document on stdout, with what is needed to go on."""

    def document(*arguments: str) -> object:
        done = commands.expstore(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert document("init") == {"root": str(filled.root)}
    made = {"commit_id": "3f2a", "path": str(filled.root / "3f2a")}
    assert document("new", "3f2a") == made
    point = {"commit_id": "3f2a", "name": "loss", "value": 0.5, "step": 0}
    assert document("log", "3f", "loss", "0.5") == point
    assert document("end", "3f2a") == {"commit_id": "3f2a", "status": "finished"}
    assert document("report") == {"output": "report.html", "experiments": 3, "left_out": []}
    curves = [{"commit_id": "demo-lr-0.003", "name": "val/loss"}]
    drawn = document("plot", "--name", "val/loss", "-o", "loss.png")
    assert drawn == {"output": "loss.png", "curves": curves}
    schema = commands.expstore("schema", "--format", "json").stdout
    assert json.dumps(document("schema")) == json.dumps(json.loads(schema))


def test_no_color_leaves_no_escape_sequences(filled: ExperimentStore) -> None:
    """Also on a terminal; see https://no-color.org."""
    for arguments in (["ls"], ["compare"], ["plot", "--name", "train/loss"]):
        variables = {"TERM": "xterm-256color", "NO_COLOR": "1"}
        text = on_terminal(*arguments, everything=True, **variables)
        assert re.search(r"loss|lr", text)
        assert not re.search(r"\x1b\[(\d+;)*(3|4|9|10)\d(;\d+)*m", text), text  # bold may be


def test_an_encoding_without_drawings_gets_ascii(filled: ExperimentStore) -> None:
    """Tables and curves look like what they are; no escape such as \\u2581 is in them."""
    variables = os.environ | {"PYTHONIOENCODING": "ascii"}
    for arguments in (["show", "demo-lr-0.003"], ["compare"], ["plot", "--name", "train/loss"]):
        done = commands.expstore(*arguments, environment=variables)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        assert "\\u" not in done.stdout


def test_characters_that_draw_nothing_are_escaped_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names from files stay recoverable."""
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    streams.prepare()
    print("▁█│┼⠀⡇…±·é€", flush=True)
    assert buffer.getvalue() == b"_#|+ *...+- \\xe9\\u20ac\n"
