"""The command line: each command, its JSON, its errors, and its use with and without a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore, Metadata
from tests.helpers import commands
from tests.helpers.paths import ROOT

HOSTILE = "<b>[red]\x1b[31m\x07\u202e\udcff" + "n" * 200

Run = Callable[..., subprocess.CompletedProcess[str]]


def strict_json(text: str) -> Any:
    """Parse standard JSON, without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `expstore` in a process of its own, in an empty directory, without a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPSTORE_ROOT", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TZ", "UTC")

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = commands.expstore(*arguments)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        if code in (1, 2):
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert done.stderr.startswith("expstore: ")
        return done

    return run


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> ExperimentStore:
    """Three experiments of different ages in ./experiments, and a damaged fourth."""
    store = ExperimentStore(tmp_path / "experiments")
    now = int(time.time())
    for commit_id, age, job, user in (
        ("aaa111", 90, "train", "alice"),
        ("aab222", 5 * 86_400, "eval", "bob"),
        ("ccc333", 50 * 86_400, "train-long", "alice"),
    ):
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, now - age, job, user))
        store.log_metrics(commit_id, {"loss": 0.5, "accuracy": 0.25}, 1)
        store.log_metrics(commit_id, {"loss": 0.25, "accuracy": 0.75}, 2)
        os.utime(store.metrics_path(commit_id), (now - 7200, now - 7200))
    store.create_experiment("ddd444")
    store.metadata_path("ddd444").write_bytes(b"\x02")
    return store


def test_init_makes_the_store(run: Run, tmp_path: Path) -> None:
    """The default is ./experiments; running it twice is not an error."""
    assert "experiments" in run("init").stdout
    run("init")
    assert (tmp_path / "experiments").is_dir()
    assert strict_json(run("ls", "--json").stdout) == []
    assert "expstore demo" in run("ls").stderr


@pytest.mark.parametrize("place", ["before", "after", "environment"])
def test_root_is_taken_from_option_or_environment(
    place: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--root before or after the command, and EXPSTORE_ROOT, which the option overrides."""
    monkeypatch.setenv("EXPSTORE_ROOT", "here" if place == "environment" else "elsewhere")
    options = ["--root", "here"]
    run(*{"before": [*options, "init"], "after": ["init", *options]}.get(place, ["init"]))
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_typed_root_is_expanded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell does not expand `--root=~/here`, or what is quoted; no variable: an error."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run("init", "--root=~/a")
    run("--root", "$HOME/b", "init")
    monkeypatch.setenv("EXPSTORE_ROOT", "${HOME}/c")
    run("init")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["a", "b", "c"]
    assert "no variable $NO_SUCH" in run("init", "--root", "$NO_SUCH/d", code=1).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    "command",
    [
        ["ls"],
        ["ls", "--json"],
        ["compare"],
        ["compare", "--json"],
        ["export", "--to", "csv"],
        ["export", "--to", "tensorboard", "-o", "out"],
        ["plot", "--name", "loss"],
        ["report"],
        ["prune", "--keep", "1", "--dry-run"],
    ],
    ids=" ".join,
)
def test_a_linked_experiment_is_said_to_be_left_out(
    command: list[str], run: Run, filled: ExperimentStore, tmp_path: Path
) -> None:
    """Once, on stderr, in every command that lists all; not for links to anything else."""
    (tmp_path / "archive").mkdir()
    filled.experiment_path("aab222").rename(tmp_path / "archive" / "aab222")
    filled.delete_experiments(["ddd444"])
    (filled.root / "aab222").symlink_to("../archive/aab222")
    (filled.root / "nowhere").symlink_to("nowhere")
    (filled.root / "file").symlink_to("../archive/aab222/meta.bin")
    (filled.root / ".hidden").symlink_to("../archive/aab222")
    done = run(*command)
    assert "aab222" not in done.stdout
    told = [line for line in done.stderr.splitlines() if "links are not followed" in line]
    assert told == [
        "expstore: left out, since links are not followed: aab222; move or copy them here"
    ]
    assert "nowhere" not in done.stderr
    assert filled.linked_experiments() == ["aab222"]
    assert "is a link" in run("show", "aab222", code=1).stderr
    assert "aab222: foreign: a symbolic link, which is not followed" in run("check").stdout


def test_ls_lists_newest_first_and_the_unreadable_last(run: Run, filled: ExperimentStore) -> None:
    """The table has a row for each; JSON has the reference's keys, or the error."""
    lines = run("ls").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["aaa111", "aab222", "ccc333", "ddd444"]
    assert "1 minute ago" in lines[2]
    assert "unsupported version" in lines[5]
    rows = strict_json(run("ls", "--json").stdout)
    assert list(rows[0]) == ["commit_id", "timestamp", "job_name", "user"]
    assert rows[0]["commit_id"] == "aaa111"
    assert list(rows[3]) == ["commit_id", "error"]


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        (["--sort", "id", "--reverse"], ["ddd444", "ccc333", "aab222", "aaa111"]),
        (["--sort", "job"], ["aab222", "aaa111", "ccc333", "ddd444"]),
        (["--sort", "user"], ["aaa111", "ccc333", "aab222", "ddd444"]),
        (["--user", "alice"], ["aaa111", "ccc333"]),
        (["--job", "train"], ["aaa111", "ccc333"]),
        (["--since", "30d"], ["aaa111", "aab222"]),
        (["--since", "1h"], ["aaa111"]),
        (["--since", "2001-02-03"], ["aaa111", "aab222", "ccc333"]),
        (["--limit", "1"], ["aaa111"]),
    ],
)
def test_ls_selects_and_sorts(
    options: list[str], listed: list[str], run: Run, filled: ExperimentStore
) -> None:
    """Each option on its own."""
    rows = strict_json(run("ls", "--json", *options).stdout)
    assert [row["commit_id"] for row in rows] == listed


def test_show_prints_metadata_and_metrics(run: Run, filled: ExperimentStore) -> None:
    """The last, minimum and maximum value, the sparkline, and the state of the file."""
    shown = run("show", "aaa111").stdout
    for part in ("aaa111", "train", "alice", "4 points", "clean", "loss", "0.25", "0.5", "█▁"):
        assert part in shown
    described = strict_json(run("show", "aaa111", "--json").stdout)
    assert described["job_name"] == "train"
    assert described["tail"] == {"kind": "clean", "offset": None, "size": 0}
    assert described["metrics"][1] == {
        "name": "accuracy",
        "last": 0.75,
        "min": 0.25,
        "max": 0.75,
        "last_step": 2,
        "min_step": 1,
        "max_step": 2,
        "points": 2,
    }
    assert "unsupported version" in run("show", "ddd444").stdout


def test_log_appends_one_metric(run: Run, filled: ExperimentStore) -> None:
    """Negative values, NaN and infinities are accepted; the step is the next one."""
    for value in ("-0.5", "nan", "inf", "-inf", "1e-3"):
        run("log", "aaa111", "x", value, "--step", "7")
    values = [
        row["value"]
        for row in strict_json(run("metrics", "aaa111", "--name", "x", "--json").stdout)
    ]
    assert values == [-0.5, "NaN", "Infinity", "-Infinity", 0.001]
    run("log", "aaa111", "x", "1")
    assert filled.get_metrics("aaa111")["x"].steps[-1] == 8
    assert "VALUE" in run("log", "aaa111", "x", "one", "--step", "1", code=2).stderr
    assert "field step" in run("log", "aaa111", "x", "1", "--step", "-1", code=1).stderr
    assert "no experiment zzz" in run("log", "zzz", "x", "1", "--step", "1", code=1).stderr


def test_metrics_prints_points_in_order(run: Run, filled: ExperimentStore) -> None:
    """All, some names, the last few; as a table and as JSON with the reference's keys."""
    rows = strict_json(run("metrics", "aaa111", "--json").stdout)
    assert [list(row) for row in rows] == [["name", "value", "step", "timestamp"]] * 4
    assert [row["name"] for row in rows] == ["loss", "accuracy"] * 2
    lines = run("metrics", "aaa111", "--name", "loss", "--last", "1").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["step", "metric", "value"],
        ["2", "loss", "0.25"],
    ]
    assert "the metrics are: loss" in run("metrics", "aaa111", "--name", "los", code=1).stderr


def test_torn_tail_is_reported_with_the_result(run: Run, filled: ExperimentStore) -> None:
    """stdout is still JSON; stderr reports the offset."""
    with filled.metrics_path("aaa111").open("ab") as file:
        file.write(bytes(9) + b"torn")
    done = run("metrics", "aaa111", "--json")
    assert len(strict_json(done.stdout)) == 4
    assert "torn tail of 13 bytes at byte" in done.stderr
    assert "torn tail" in run("show", "aaa111").stdout


def test_id_may_be_a_unique_prefix(run: Run, filled: ExperimentStore) -> None:
    """As in git: an ambiguous prefix is an error that lists the candidates, an exact id wins."""
    assert strict_json(run("show", "aaa", "--json").stdout)["commit_id"] == "aaa111"
    assert "is a prefix of 2 experiments: aaa111, aab222" in run("show", "aa", code=1).stderr
    filled.create_experiment("aa")
    assert strict_json(run("show", "aa", "--json").stdout)["commit_id"] == "aa"
    assert "no experiment ../aaa111" in run("show", "../aaa111", code=1).stderr


def test_prune_spares_what_was_logged_to_lately(
    run: Run, tmp_path: Path, filled: ExperimentStore
) -> None:
    """However long ago it was created; --grace says how lately, and 0 switches it off."""
    old, now = "ccc333", time.time()
    os.utime(filled.metrics_path(old))
    (row,) = (row for row in plan_of(run, "--older-than", "30") if row["commit_id"] == old)
    assert row["action"] == "skip"
    assert "logged to" in row["reason"]
    assert abs(row["last_logged"] - now) < 60
    lines = run("prune", "--older-than", "30", "--dry-run").stdout.splitlines()
    assert "last logged" in lines[0]
    (line,) = (line for line in lines if old in line)
    assert re.search(r"month.* (now|seconds? ago) ", line)
    os.utime(filled.metrics_path(old), (now - 7200, now - 7200))
    for grace, action in ((), "prune"), (("2h",), "prune"), (("3h",), "skip"), (("1d",), "skip"):
        arguments = ("--grace", *grace) if grace else ()
        (row,) = (
            r for r in plan_of(run, "--older-than", "30", *arguments) if r["commit_id"] == old
        )
        assert row["action"] == action
    os.utime(filled.metrics_path(old))
    assert old in filled.plan_prune(None, 30).pruned  # the library judges as the reference does
    assert "0 pruned" in run("prune", "--older-than", "30", "--yes").stdout
    assert "1 pruned" in run("prune", "--older-than", "30", "--yes", "--grace", "0").stdout
    for wrong in ("-1", "soon", "nan", ""):
        assert "duration" in run("prune", "--keep", "1", f"--grace={wrong}", code=2).stderr


def plan_of(run: Run, *arguments: str) -> list[dict[str, Any]]:
    """The rows of a prune's plan."""
    plan = strict_json(run("prune", *arguments, "--dry-run", "--json").stdout)["plan"]
    assert isinstance(plan, list)
    return plan


def test_prune_shows_its_plan_and_deletes_only_with_yes(run: Run, filled: ExperimentStore) -> None:
    """Without a terminal, nothing is deleted if --yes is missing."""
    before = filled.list_experiments()
    dry = run("prune", "--keep", "1", "--older-than", "30", "--dry-run").stdout
    assert "beyond the newest 1, older than 30 days" in dry
    assert "metadata unreadable" in dry
    refused = run("prune", "--keep", "1", code=1)
    assert "--yes" in refused.stderr
    assert filled.list_experiments() == before
    done = strict_json(run("prune", "--older-than", "30d", "--yes", "--json").stdout)
    assert done["pruned"] == ["ccc333"]
    assert done["failures"] == {}
    assert [row["action"] for row in done["plan"]] == ["keep", "keep", "prune", "skip"]
    assert "2 pruned" in run("prune", "--keep", "0", "--yes").stdout
    assert filled.list_experiments() == ["ddd444"]
    run("prune", "--keep", "0")  # nothing to delete needs no yes


@pytest.mark.parametrize(("limit", "pruned"), [("1w", 1), ("3", 2), ("2001-02-03", 0)])
def test_prune_accepts_ages_in_several_forms(
    limit: str, pruned: int, run: Run, filled: ExperimentStore
) -> None:
    """Days, weeks and dates."""
    plan = strict_json(run("prune", "--older-than", limit, "--dry-run", "--json").stdout)["plan"]
    assert sum(row["action"] == "prune" for row in plan) == pruned


def test_prune_reports_what_is_gone_if_some_fail(run: Run, filled: ExperimentStore) -> None:
    """The JSON comes before the error."""
    code = "def fail(*_, **__): raise expstore.DeletionError(['aab222'], {'ccc333': 'busy'})\n"
    code += "expstore.ExperimentStore.prune = fail"
    done = commands.expstore("prune", "--keep", "1", "--yes", "--json", patch=code)
    result = strict_json(done.stdout)
    assert (result["pruned"], result["failures"]) == (["aab222"], {"ccc333": "busy"})
    assert len(result["plan"]) == 4
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "ccc333: busy" in done.stderr
    again = commands.expstore("prune", "--keep", "1", "--yes", patch=code)
    assert again.stderr == done.stderr


def test_an_id_after_cluster_is_a_clear_error(run: Run) -> None:
    """It would be taken for the scheduler's address, so the message says where to put it."""
    message = run("export", "--to", "csv", "--cluster", "aaa", code=2).stderr
    assert "put ids before --cluster" in message


def test_prune_protects(run: Run, filled: ExperimentStore) -> None:
    """A protected experiment is kept, also if it is given by a prefix."""
    done = run("prune", "--keep", "0", "--protect", "ccc", "--yes", "--json")
    assert strict_json(done.stdout)["pruned"] == ["aaa111", "aab222"]
    assert filled.experiment_exists("ccc333")


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune"],
        ["prune", "--keep", "-1"],
        ["prune", "--older-than", "soon"],
        ["prune", "--older-than", "9999-01-01"],
        ["ls", "--since", "soon"],
        ["nonsense"],
        ["ls", "--nonsense"],
        ["check", "--cluster="],
        ["check", "--cluster", ""],
        ["check", "--cluster", "aaa111"],
        ["tail", "aaa111", "--interval", "inf"],
        ["tail", "aaa111", "--interval", "1e300"],
        ["tail", "aaa111", "--interval", "9.3e9"],
        ["tail", "aaa111", "--interval", "nan"],
        ["tail", "aaa111", "--interval", "-1"],
        ["export", "--to", "csv", "--json"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], run: Run) -> None:
    """The line names the command whose help explains it."""
    assert "--help" in run(*arguments, code=2).stderr


@pytest.mark.parametrize("answer", ["y", "n"])
def test_prune_asks_on_a_terminal(answer: str, run: Run, filled: ExperimentStore) -> None:
    """It shows the plan, then asks; only yes deletes."""
    leader, follower = pty.openpty()
    os.write(leader, f"{answer}\n".encode())
    done = commands.expstore("prune", "--keep", "1", stdin=follower)
    os.close(leader)
    os.close(follower)
    assert "Delete 2?" in done.stderr
    assert done.stdout.index("beyond the newest 1") >= 0
    assert done.returncode == (0 if answer == "y" else 1)
    assert len(filled.list_experiments()) == (2 if answer == "y" else 4)


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["show", "evil"], ["metrics", "evil"], ["prune", "--keep", "0", "--dry-run"]],
)
def test_text_from_files_cannot_act_on_a_terminal(
    arguments: list[str], run: Run, tmp_path: Path
) -> None:
    """Control characters, bidi overrides and invalid UTF-8 are escaped, markup is plain text."""
    store = ExperimentStore(tmp_path / "experiments")
    job = HOSTILE[:200]
    store.create_experiment("evil")
    store.write_metadata(Metadata("evil", 2**63 - 1, job, job))
    store.log_metric("evil", HOSTILE, float("nan"), 2**32 - 1)
    shown = run(*arguments).stdout
    assert not set(shown) & set("\x1b\x07\u202e\udcff")
    assert "<b>[red]\\x1b[31m\\x07\\u202e\\udcff" in shown
    if arguments[0] != "prune":
        strict_json(run(*arguments, "--json").stdout)


def test_output_to_a_closed_pipe_ends_quietly(run: Run, filled: ExperimentStore) -> None:
    """`| head` is not an error and prints nothing."""
    with filled.writer("aaa111") as writer:
        count = 50_000
        writer.append({"name": "x", "value": [0.5] * count, "step": list(range(count))})
    done = run_shell("$E metrics aaa111 | head -2", python=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


def test_version(run: Run) -> None:
    """It is the version of the package."""
    from expstore import __version__

    assert run("--version").stdout == f"expstore {__version__}\n"


@pytest.mark.parametrize("module", ["expstore", "expstore.cli"])
def test_python_runs_it_as_a_module(module: str) -> None:
    """Where the script is not on the path."""
    from expstore import __version__

    command = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"expstore {__version__}\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_one_line_says_how_to_get_it(missing: str) -> None:
    """The hint needs only the library."""
    code = f"import sys; sys.modules[{missing!r}] = None; import expstore.cli; expstore.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"expstore: the command line needs the extra `cli`: pip install -e '{ROOT}[cli]'\n"
    )


def test_ids_complete_in_the_shell(run: Run, filled: ExperimentStore) -> None:
    """The shell's completion offers the ids that begin with what was typed."""
    words = {
        "_EXPSTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": "expstore show a",
        "COMP_CWORD": "2",
    }
    done = commands.expstore(environment=os.environ | words)
    assert done.stdout.split() == ["aaa111", "aab222"]


def run_shell(command: str, python: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a shell command, in which `$E` is `expstore`: forked, or in a new `python`."""
    words = f"{sys.executable} -m expstore.cli"
    words = words if python else str(commands.program(Path("program").absolute()))
    script = f'set -o pipefail; E="{words}"; {command}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
}


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("ascii", "ls"),
        ("latin-1", "ls"),
        ("C", "ls"),
        ("ascii", "show uuu"),
        ("C", "plot uuu --name loss"),
        ("ascii", "metrics uuu"),
        ("ascii", "tail uuu"),
        ("ascii", "compare uuu"),
        ("ascii", "prune --keep 0 --dry-run"),
        ("ascii", "hexdump uuu"),
    ],
)
def test_what_an_encoding_lacks_is_escaped(
    encoding: str, arguments: str, run: Run, tmp_path: Path
) -> None:
    """A character that the terminal's encoding lacks is not an error."""
    store = ExperimentStore(tmp_path / "experiments")
    store.create_experiment("uuu")
    store.write_metadata(Metadata("uuu", 1, "\u0141\u2581", "\u0141"))
    for step in range(3):
        store.log_metrics("uuu", {"loss": step, "\u0141oss": step}, step)
    environment = {**os.environ, "PYTHONUTF8": "1", **ENCODINGS[encoding]}
    if encoding == "C":  # which Python must know from its start on
        done = subprocess.run(
            [sys.executable, "-m", "expstore.cli", *arguments.split()],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        done = commands.expstore(*arguments.split(), environment=environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "\\u" in done.stdout or arguments.startswith(("hexdump", "plot"))


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed: str, run: Run, filled: ExperimentStore) -> None:
    """The command does its work and exits with 0."""
    done = run_shell(
        f"$E ls {closed} && $E show aaa111 {closed} && $E log aaa111 new 1 --step 3 {closed} "
        f"&& $E metrics aaa111 --json {closed}"
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = run_shell(f"$E show aaa111 {closed}", python=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert filled.get_metrics("aaa111").names[-1] == "new"
    done = run_shell(f"$E ls --nonsense {closed}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("reader", ["head -2", "true"])
@pytest.mark.parametrize(
    "arguments", ["metrics aaa111", "metrics ccc333", "metrics aaa111 --json", "--help", "ls 2>&1"]
)
def test_a_reader_that_leaves_does_not_change_the_exit_code(
    arguments: str, reader: str, run: Run, filled: ExperimentStore
) -> None:
    """The exit code is 0 for little output and for much."""
    with filled.writer("aaa111") as writer:
        count = 20_000
        writer.append({"name": "x", "value": [0.5] * count, "step": list(range(count))})
    done = run_shell(f"$E {arguments} | {reader}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["ls", "metrics aaa111 --json"])
def test_a_full_disk_is_one_line(command: str, run: Run, filled: ExperimentStore) -> None:
    """Whether writing fails at once or at the end."""
    done = run_shell(f"$E {command} > /dev/full")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr == "expstore: No space left on device\n"


@pytest.mark.parametrize("module", ["rich", "expstore.cli.base", "expstore.cli.compare"])
def test_ctrl_c_while_modules_are_loaded(module: str) -> None:
    """It ends with one line, as it does in a command."""
    finder = f"""
class Interrupting:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())"""
    code = f"import sys, expstore.cli{finder}\nexpstore.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "ls"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "expstore: interrupted\n")


def test_ctrl_c_in_a_command(run: Run, filled: ExperimentStore) -> None:
    """One line says so; Typer alone says nothing."""
    code = "import os, signal\nexpstore.ExperimentStore.get_metrics = "
    code += "lambda *_: os.kill(os.getpid(), signal.SIGINT)"
    done = commands.expstore("metrics", "aaa111", patch=code)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "expstore: interrupted"


def test_export_of_an_unknown_name_is_reported(run: Run, filled: ExperimentStore) -> None:
    """An empty table is correct, but hardly what the user meant: the exit code is 1."""
    message = run("export", "aaa111", "--to", "csv", "--name", "los", "--name", "x", code=1).stderr
    assert "no metric is named 'los' or 'x'; `compare` lists the names" in message


@pytest.mark.parametrize("text", ["", "Unable to allocate 5 TiB"])
@pytest.mark.parametrize("command", ["show", "metrics", "compare", "plot", "report", "export"])
def test_too_little_memory_is_one_line(
    command: str, text: str, run: Run, filled: ExperimentStore
) -> None:
    """It names the method that reads in parts."""
    code = f"def fail(*_, **__): raise MemoryError({text!r})\n"
    code += "import numpy, expstore.cli.compare; numpy.empty = fail"
    rest = {"plot": ["--name", "loss"], "export": ["--to", "csv"]}.get(command, [])
    done = commands.expstore(command, "aaa111", *rest, patch=code)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "not enough memory" in done.stderr
    assert text in done.stderr
    assert "iter_metrics" in done.stderr


def test_a_truncated_name_is_reported_in_one_line(run: Run, filled: ExperimentStore) -> None:
    """The line of code that Python prints with a warning is left out."""
    message = run("log", "aaa111", "n" * 300, "1", "--step", "3").stderr
    assert len(message.splitlines()) == 1
    assert message.startswith("expstore: metric name")
    code = "import warnings\nexpstore.ExperimentStore.list_experiments = "
    code += "lambda _: warnings.warn('other') or []"
    other = commands.expstore("ls", patch=code).stderr
    assert "UserWarning: other" in other
