"""What commands say of words that they cannot use where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from expstore import ExperimentStore, Metadata
from expstore.cli.base import app
from expstore.cli.groups import GROUPS
from expstore.cli.mistakes import OTHER_NAMES
from tests.helpers import commands
from tests.helpers.application import log, run


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentStore:
    """The store of the working directory, with two experiments, one of which has files."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    for name in ("bert-base", "resnet-50"):
        log(store, name, {"val/loss": [0.5, 0.25]})
    (store.files_path("resnet-50") / "notes.txt").write_text("a note")
    monkeypatch.chdir(tmp_path)
    return store


def said(*arguments: str, code: int) -> str:
    """The only line that a command prints, on standard error."""
    done = commands.expstore(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done
    (line,) = done.stderr.splitlines()
    return line.removeprefix("expstore: ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["report", "r.html"], "to write to a file, use -o r.html"),
        (["report", "out/r.html"], "to write to a file, use -o out/r.html"),
        (["plot", "loss.png"], "to write to a file, use -o loss.png"),
        (["plot", "val/loss"], "to choose a metric, use --name val/loss"),
        (["compare", "accuracy"], "to choose a metric, use --name accuracy"),
        (["set", "bert-base", "lr=3"], "to set a parameter, use --param lr=3"),
        (["check", "experiments"], "did you mean --root experiments?"),
        (["export", "csv", "--to", "csv"], "did you mean --to csv?"),
        (["report", "loss.png"], "`expstore plot -o loss.png` writes such a file"),
        (["compare", "r.html"], "`expstore report -o r.html` writes such a file"),
        (["rm", "zzz"], "`expstore ls` lists them"),
        (["tail", "12"], "did you mean --lines 12?"),
        (["tail", "1234567"], "`expstore ls` lists them"),
        (["compare", "12ab34c"], "`expstore ls` lists them"),
    ],
)
def test_a_word_that_is_no_id_is_reported_with_what_it_may_be(
    arguments: list[str], hint: str, filled: ExperimentStore
) -> None:
    """An output file, a metric, a parameter, a store, or the value of an option."""
    words = [word for word in arguments[1:] if not word.startswith("-") and word != "bert-base"]
    assert said(*arguments, code=1) == f"no experiment {words[0]} in {filled.root}; {hint}"
    assert set(os.listdir()) == {"experiments"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["metrics", "bert-base", "val/loss"], "to choose a metric, use --name val/loss"),
        (["ls", "bert-base"], "`expstore show` and `expstore compare` take ids"),
        (["ls", "10"], "did you mean --limit 10?"),
        (["tail", "bert-base", "20"], "did you mean --lines 20?"),
        (["ls", "0"], "what is 0?"),
        (["serve", "8080"], "did you mean --port 8080?"),
        (["serve", "99999"], "what is 99999?"),
        (["serve", "experiments"], "did you mean --root experiments?"),
        (["init", "new"], "did you mean --root new?"),
        (["init", "my (new) store"], "did you mean --root 'my (new) store'?"),
        (["init", "my store", "x"], "did you mean --root 'my store'?"),
        (["end", "bert-base", "failed"], "did you mean --status failed?"),
        (["prune", "bert-base"], "`expstore rm` deletes chosen experiments, --protect keeps one"),
        (["cp", "resnet-50", "notes.txt", "."], "to copy one file, use --name NAME"),
        (["check", "bert-base", "resnet-50"], "what is resnet-50?"),
    ],
)
def test_a_word_too_many_is_reported_with_what_it_may_be(
    arguments: list[str], hint: str, filled: ExperimentStore
) -> None:
    """An option that was left out, or a command that takes it."""
    name = arguments[0]
    wanted = f"{name} takes no more arguments; {hint}; see `expstore {name} --help`"
    assert said(*arguments, code=2) == wanted


def test_a_path_is_taken_for_a_store_only_if_it_is_one(
    filled: ExperimentStore, tmp_path: Path
) -> None:
    """Or has one in it, or is an export that the command reads; the hint works when it is typed."""
    (tmp_path / "code" / "package").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    filled.root.rename(tmp_path / "project" / "runs")
    (tmp_path / "experiments").mkdir()
    for command in ("show", "check"):
        assert said(command, "code", code=1).endswith("; `expstore ls` lists them")
        assert said(command, "project", code=1).endswith("; did you mean --root project/runs?")
    assert commands.expstore("ls", "--root", "project/runs").returncode == 0
    pytest.importorskip("pyarrow", reason="needs the extra arrow")
    export = ["export", "--to", "parquet", "-o", "x.parquet", "--root", "project/runs"]
    assert commands.expstore(*export).returncode == 0
    assert said("compare", "x.parquet", code=1).endswith("; did you mean --root x.parquet?")
    assert "did you mean --root x.parquet?" in said("ls", "x.parquet", code=2)
    assert said("show", "x.parquet", code=1).endswith("; `expstore ls` lists them")
    assert commands.expstore("compare", "--root", "x.parquet").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["show-me"], "there is no command show-me; did you mean show?"),
        (["delete", "x"], "there is no command delete; did you mean rm?"),
        (["set", "a", "--notes", "x"], "there is no option --notes; did you mean --note?"),
        (["ls", "--tag", "x"], "there is no option --tag; did you mean --where 'tag == ...'?"),
        (["tail", "a", "-5"], "there is no option -5; did you mean --lines 5?"),
        (["ls", "-0"], "there is no option -0"),
        (["ls", "--tags", "x"], "there is no option --tags; did you mean --where 'tag == ...'?"),
        (["compare", "--order", "x"], "there is no option --order"),
        (["report", "--outptu", "x"], "there is no option --outptu; did you mean --output?"),
        (["ls", "--root"], "--root needs a value"),
        (["run", "--name", "x", "--", "echo"], "there is no option --name, nor such a program"),
        (["version"], "there is no command version; did you mean --version?"),
        (["import"], "import needs PATH: a file or a directory; - is standard input"),
        (["log", "a", "b"], "log needs VALUE: a number, nan, inf or -inf"),
        (["run"], "run needs PROGRAM: the program and its arguments"),
    ],
)
def test_what_is_missing_or_has_another_name_is_described(
    arguments: list[str], what: str, filled: ExperimentStore
) -> None:
    """An argument by its help, a command by what other programs call it."""
    assert said(*arguments, code=2).startswith(f"{what}; see `expstore")


def test_each_other_name_leads_to_a_command_and_is_none() -> None:
    """Nor is one the other name of two."""
    known = {name for names in GROUPS.values() for name in names}
    others = [other for names in OTHER_NAMES.values() for other in names]
    assert {name for name in OTHER_NAMES if not name.startswith("-")} <= known
    assert not known & set(others)
    assert len(set(others)) == len(others)
    assert len(app.registered_commands) == len(known)


@pytest.mark.parametrize("form", ["experiments/bert-base", "experiments/bert-base/", "bert-base/"])
def test_an_experiment_may_be_typed_as_its_path(form: str, filled: ExperimentStore) -> None:
    """As shells complete it."""
    done = run(filled, "metrics", form, "--last", "1")
    assert done.exit_code == 0, done.stderr
    assert "0.25" in done.stdout


def test_a_path_that_leads_out_of_the_store_is_no_id(
    filled: ExperimentStore, tmp_path: Path
) -> None:
    """An experiment of another store is named with its own; a link is not followed."""
    other = ExperimentStore(tmp_path / "other")
    other.initialize()
    log(other, "theirs", {"loss": [1.0]})
    assert said("show", "other/theirs", code=1) == (
        "other/theirs is an experiment of another store; use theirs with --root other"
    )
    (filled.root / "link").symlink_to(other.experiment_path("theirs"))
    assert "is a link" in said("show", "experiments/link", code=1)
    for path in ("experiments/..", "experiments/.", "/", "experiments/bert-base/files"):
        text = said("rm", "--yes", path, code=1)
        assert "no experiment" in text or "starts with a dot" in text, text
    assert filled.list_experiments() == ["bert-base", "resnet-50"]


def test_cp_takes_the_name_of_a_file_for_no_directory(filled: ExperimentStore) -> None:
    """It would be made as one; nothing is."""
    assert said("cp", "resnet-50", "notes.txt", code=2).startswith(
        "DIR: notes.txt is one of the files; to copy it here, use . --name notes.txt"
    )
    assert not Path("notes.txt").exists()
    assert commands.expstore("cp", "resnet-50", ".", "--name", "notes.txt").returncode == 0
    assert Path("notes.txt").read_text() == "a note"


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "-o"],
        ["plot", "--name", "val/loss", "-o"],
        ["export", "--to", "csv", "-o"],
        ["export", "--to", "parquet", "--experiments", "-o"],
    ],
)
def test_an_output_in_a_directory_that_does_not_exist_is_refused_first(
    arguments: list[str], filled: ExperimentStore
) -> None:
    """Before anything is read; a directory in place of a file is named, too."""
    filled.metrics_path("bert-base").write_bytes(b"damaged")
    suffix = ".png" if arguments[0] == "plot" else ".out"
    assert said(*arguments, f"no/x{suffix}", code=1) == (
        f"no/x{suffix}: there is no directory no; create it first"
    )
    Path(f"dir{suffix}").mkdir()
    if arguments[0] != "export":  # which replaces nothing without --force
        text = said(*arguments, f"dir{suffix}", code=1)
        assert text == f"dir{suffix}: is a directory, not a regular file; name a file"


def test_repair_says_that_it_leaves_damaged_metadata(filled: ExperimentStore) -> None:
    """Which `check` finds: the log alone is clean."""
    filled.metadata_path("bert-base").write_bytes(b"\x01")
    done = commands.expstore("repair", "bert-base")
    assert done.returncode == 0
    assert "clean, nothing to repair" in done.stdout
    assert "bert-base/meta.bin: needs" in done.stderr
    assert "`write_metadata` in Python writes this anew" in done.stderr


def test_a_minus_before_a_name_sorts_the_largest_first(filled: ExperimentStore) -> None:
    """In `ls` and `compare` as in `watch`; `-created` has the newest first, as `created` has."""
    for number, name in enumerate(("bert-base", "resnet-50")):
        filled.update_run(name, params={"lr": number})
        filled.write_metadata(Metadata(name, 1_700_000_000 + number))

    def order(*arguments: str) -> list[str]:
        rows = json.loads(run(filled, *arguments, "--json").stdout)
        return [row["commit_id"].partition("-")[0] for row in rows]

    up, down = ["bert", "resnet"], ["resnet", "bert"]
    for command in ("ls", "compare"):
        assert order(command, "--sort", "lr") == up
        assert order(command, "--sort", "-lr") == order(command, "--sort=lr", "--reverse") == down
        assert order(command, "--sort=-lr", "--reverse") == up
        assert order(command, "--sort", "-created") == down
    assert order("ls") == order("ls", "--sort", "created") == down
    assert order("ls", "--reverse") == order("ls", "--sort=-created", "--reverse") == up
