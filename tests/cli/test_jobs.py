"""`-j`: several processes print what one prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.helpers.application import log, run


@pytest.mark.parametrize("command", ["compare", "check"])
def test_output_is_that_of_one_process(command: str, store: ExperimentStore) -> None:
    """As a table and as JSON, with its exit code."""
    for number in range(3):
        with store.start_experiment(f"run-{number}", job_name="train", user="alice") as writer:
            writer.log_many({"loss": number / 7, "accuracy": 0.5}, 1)
    with store.metrics_path("run-1").open("ab") as file:
        file.write(b"torn")
    for form in ([], ["--json"]):
        one, several = (run(store, command, *form, *more) for more in ([], ["-j", "2"]))
        assert (several.stdout, several.exit_code) == (one.stdout, one.exit_code)
        assert one.exit_code == (3 if command == "check" else 0)


def test_what_cannot_be_read_is_told_once_even_if_it_is_not_shown(store: ExperimentStore) -> None:
    """It may be what was looked for, so the exit code of a comparison is 1."""
    for commit_id in ("a", "b", "odd"):
        log(store, commit_id, {"loss": [3.0, 1.0]})
    store.metrics_path("odd").unlink()
    store.metrics_path("odd").mkdir()
    for options in (["--where", "loss < 9"], ["--sort", "loss", "--limit", "1"]):
        for more in ([], ["-j", "2"], ["--json"], ["--group-by", "job"]):
            done = run(store, "compare", *options, *more)
            assert (done.exit_code, done.stderr.count("metrics.bin: not a reg")) == (1, 1), more
    for command in (["ls"], ["rm", "--dry-run"]):
        done = run(store, *command, "--where", "not loss < 0")
        assert "odd: left out" in done.stderr
        assert "odd" not in done.stdout


def test_jobs_that_make_no_sense_are_refused(store: ExperimentStore) -> None:
    """A negative number, and a single experiment or a cluster to be checked by several."""
    store.create_experiment("abc")
    for arguments in (["compare", "-j", "-1"], ["check", "abc", "-j", "2"]):
        assert run(store, *arguments).exit_code == 2
    assert "--jobs" in run(store, "check", "-j", "2", "--cluster", "tcp://nowhere:1").stderr
    assert "--jobs" in run(store, "export", "--to", "parquet", "-o", "x", "-j", "2").stderr


@pytest.mark.parametrize("command", ["export --to csv -o", "report -o"])
def test_files_are_written_by_several_processes(
    command: str, store: ExperimentStore, tmp_path: Path
) -> None:
    """With the same last line as by one."""
    for commit_id in ("a", "b"):
        log(store, commit_id, {"loss": [3.0, 1.0]})
    output = tmp_path / "output"
    done = run(store, *command.split(), str(output), "-j", "2")
    assert done.exit_code == 0
    assert f"2 experiments in {output}" in done.stderr
    assert output.stat().st_size > 100
