"""Starting runs: ids of their own, steps, what run.json says of where, how and until when."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import expstore
from expstore import (
    ExperimentExistsError,
    ExperimentStore,
    FieldValueError,
    LiveWriterError,
    NoSpaceError,
    RunFileError,
    RunStart,
    SelectionError,
    StoreNotFoundError,
    SyncError,
)
from expstore.store import runfile
from expstore.store.origin import git_state, masked


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit at HEAD in the working directory, which has one file that git tracks."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").write_text("experiments\n")
    (tmp_path / "train.py").write_text("lr = 0.1\n")
    git("init", "-q", "-b", "topic")
    git("add", "-A")
    git("commit", "-q", "-m", "x")
    return git("rev-parse", "HEAD")


def git(*arguments: str) -> str:
    """Run git; returns what it prints."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def python(script: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python program that imports this package."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        **options,
    )


def last(root: Path, commit_id: str = "a") -> RunStart:
    """The last start of a run."""
    return ExperimentStore(root).read_run(commit_id).starts[-1]


class TestIds:
    """The ids of runs that are given none."""

    def test_runs_of_one_commit_are_numbered(self, repository: str) -> None:
        """From 2 on, after the highest; no metadata or metrics are mixed."""
        ids = []
        for number in range(3):
            with expstore.start(job_name=f"job {number}") as run:
                run.log({"loss": float(number)})
                ids.append(run.commit_id)
        assert ids == [repository, f"{repository}-2", f"{repository}-3"]
        store = run.store
        assert [store.get_metrics(i).values.tolist() for i in ids] == [[0.0], [1.0], [2.0]]
        store.delete_experiments([ids[1]])
        store.create_experiment(f"{repository}-7")
        store.create_experiment(f"{repository}-x")
        assert expstore.start().commit_id == f"{repository}-8"

    def test_processes_that_start_together_get_one_each(self, repository: str) -> None:
        """Sixteen workers of a sweep."""
        context = multiprocessing.get_context("fork")
        barrier = context.Barrier(16)
        workers = [context.Process(target=_train, args=(barrier, n)) for n in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 16
        store = ExperimentStore("experiments")
        assert set(store.list_experiments()) == {
            repository,
            *(f"{repository}-{number}" for number in range(2, 17)),
        }
        seen = set()
        for commit_id in store.list_experiments():
            info, table = store.read_run(commit_id), store.get_metrics(commit_id)
            assert table.values.tolist() == [float(info.params["worker"])]
            assert (len(info.starts), info.starts[0].outcome) == (1, "finished")
            assert store.read_metadata(commit_id).job_name == f"worker {info.params['worker']}"
            seen.add(info.params["worker"])
        assert seen == set(range(16))
        assert sorted(os.listdir(store.root)) == sorted(store.list_experiments())

    def test_many_runs_of_one_commit_need_one_try_each(
        self, repository: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next number is read from the listing, not found by trying all before."""
        root = Path("experiments")
        for number in range(2, 1000):
            (root / f"{repository}-{number}").mkdir(parents=True)
        (root / repository).mkdir()
        made = []
        mkdir = os.mkdir
        monkeypatch.setattr(os, "mkdir", lambda *a, **k: (made.append(a), mkdir(*a, **k)))
        assert expstore.start().commit_id == f"{repository}-1000"
        assert len(made) <= 5  # the root, the commit, its number twice, and files/

    def test_an_id_that_is_given_and_exists_is_refused(self, repository: str) -> None:
        """The advice does not lead to two runs that are mixed."""
        expstore.start(commit_id="a").close()
        with pytest.raises(ExperimentExistsError, match="choose another commit_id") as error:
            expstore.start(commit_id="a")
        assert "resume" not in str(error.value)

    def test_an_id_that_another_is_given_meanwhile_is_left_to_it(
        self, repository: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the claim and the metadata; the run without an id takes the next one."""
        make, others = ExperimentStore.writer, []

        def late(store: ExperimentStore, commit_id: str, **options: Any) -> Any:
            if not others:
                others.append(None)
                others[0] = expstore.start(commit_id=repository, job_name="given")
            return make(store, commit_id, **options)

        monkeypatch.setattr(ExperimentStore, "writer", late)
        with expstore.start(job_name="made") as run:
            assert run.commit_id == f"{repository}-2"
        others[0].close()
        store = ExperimentStore("experiments")
        jobs = [store.read_metadata(i).job_name for i in store.list_experiments()]
        assert jobs == ["given", "made"]

    def test_resuming_without_an_id_is_of_the_commit(self, repository: str) -> None:
        """Not of the last of its runs."""
        for _ in range(2):
            expstore.start().close()
        assert expstore.start(resume=True).commit_id == repository


def _train(barrier: Any, worker: int) -> None:
    barrier.wait(30)
    with expstore.start(job_name=f"worker {worker}", params={"worker": worker}) as run:
        run.log({"x": worker})


class TestSteps:
    """The steps of what is logged."""

    def test_the_next_step_is_the_default(self, tmp_path: Path) -> None:
        """After the highest that was logged; the first is 0."""
        with expstore.start(tmp_path, "a") as run:
            assert run.last_step is None
            run.log({"x": 1})
            run.log({"x": 1}, step=10)
            run.log({"x": 1}, step=5)
            run.log({})
            run.log({"x": 1})
            assert run.last_step == 11
        assert run.store.get_metrics("a").steps.tolist() == [0, 10, 5, 11]

    @pytest.mark.parametrize("step", [3, 3.0, np.int64(3), np.float32(3.0), np.array(3)])
    def test_any_whole_number_is_a_step(self, tmp_path: Path, step: Any) -> None:
        """Of whatever type."""
        with expstore.start(tmp_path, "a") as run:
            run.log({"x": 1}, step=step)
            assert run.last_step == 3
            assert type(run.last_step) is int

    @pytest.mark.parametrize("step", [3.5, float("nan"), float("inf"), -1, True, "3", 2**32])
    def test_what_is_no_step_is_refused(self, tmp_path: Path, step: Any) -> None:
        """Nothing is logged, and the next step is what it was."""
        with expstore.start(tmp_path, "a") as run:
            with pytest.raises(FieldValueError):
                run.log({"x": 1}, step=step)
            run.log({"x": 1})
        assert run.store.get_metrics("a").steps.tolist() == [0]

    def test_a_value_that_is_refused_takes_no_step(self, tmp_path: Path) -> None:
        """The next call gets it."""
        with expstore.start(tmp_path, "a") as run:
            with pytest.raises(FieldValueError):
                run.log({"x": "1"})  # type: ignore[dict-item]
            run.log({"x": 1})
        assert run.store.get_metrics("a").steps.tolist() == [0]

    def test_a_resumed_run_goes_on_after_its_last_step(self, tmp_path: Path) -> None:
        """Or at the step from which it is resumed; with `last_step` for the training loop."""
        with expstore.start(tmp_path, "a") as run:
            for step in range(10):
                run.log({"x": 1}, step=step)
        with expstore.start(tmp_path, "a", resume=True) as run:
            run.log({"x": 2})
        with expstore.start(tmp_path, "a", resume=True, from_step=5) as run:
            assert run.last_step == 4
            run.log({"x": 3})
        table = run.store.get_metrics("a", superseded=False)
        assert table.steps.tolist() == [0, 1, 2, 3, 4, 5]
        assert table.values.tolist() == [1, 1, 1, 1, 1, 3]
        assert len(run.store.get_metrics("a")) == 12
        assert [s.records for s in run.info.starts] == [0, 10, 11]
        assert [s.from_step for s in run.info.starts] == [None, None, 5]

    def test_threads_get_a_step_each(self, tmp_path: Path) -> None:
        """No two calls without a step have the same one."""
        from threading import Thread

        with expstore.start(tmp_path, "a") as run:
            threads = [
                Thread(target=lambda: [run.log({"x": 1}) for _ in range(50)]) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(run.store.get_metrics("a").steps.tolist()) == list(range(200))


class TestRecord:
    """What a run says of itself."""

    def test_params_tags_and_notes_are_kept(self, tmp_path: Path) -> None:
        """Those of the start, and those added later; they are in the file at once."""
        with expstore.start(tmp_path, "a", params={"lr": 0.1}, tags=["x"], notes="n") as run:
            run.log_params({"depth": 3})
            run.add_tags("y", "x")
            assert run.info.params == {"lr": 0.1, "depth": 3}
            assert ExperimentStore(tmp_path).read_run("a").tags == ("x", "y")
            run.set_notes("other")
        run.log_params({"best": 0.5})  # a result, after the end
        assert (run.info.notes, run.info.params["best"]) == ("other", 0.5)
        with expstore.start(
            tmp_path, "a", params={"lr": 0.2}, tags="z", notes="", resume=True
        ) as run:
            assert run.info.params == {"lr": 0.2, "depth": 3, "best": 0.5}
            assert (run.info.tags, run.info.notes) == (("x", "y", "z"), "other")

    def test_a_notebook_shows_what_it_is(self, tmp_path: Path) -> None:
        """Escaped; what is empty is left out."""
        with expstore.start(tmp_path, "a", params={"m": {"x": "<b>"}, "lr": 0}) as run:
            cells = re.findall(r"<t[hd](?: [^>]*)?>([^<]*)", run._repr_html_())
            assert cells == ["run", "a", "status", "running", "m.x", "&lt;b&gt;", "lr", "0"]

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"params": 5}, RunFileError),
            ({"params": {"x": "x" * (17 << 20)}}, RunFileError),
            ({"tags": [5]}, RunFileError),
            ({"notes": 5}, RunFileError),
            ({"from_step": 5}, SelectionError),
            ({"from_step": -1, "resume": True}, SelectionError),
            ({"from_step": 1.5, "resume": True}, SelectionError),
            ({"from_step": True, "resume": True}, SelectionError),
        ],
    )
    def test_a_wrong_argument_creates_nothing(
        self, tmp_path: Path, wrong: dict[str, Any], error: type[Exception]
    ) -> None:
        """Not even the root."""
        with pytest.raises(error):
            expstore.start(tmp_path / "root", "a", **wrong)
        assert not (tmp_path / "root").exists()

    def test_a_broken_run_json_is_not_overwritten(self, tmp_path: Path) -> None:
        """A run that has one is not resumed."""
        expstore.start(tmp_path, "a").close()
        path = tmp_path / "a" / "run.json"
        path.write_text("{")
        with pytest.raises(RunFileError, match="correct the file, or move it away"):
            expstore.start(tmp_path, "a", resume=True)
        assert path.read_text() == "{"

    def test_the_origin_is_recorded(self, repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The machine, the versions, the command line without secrets, and git's state."""
        monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1", "--api-key=hunter2"])
        run = expstore.start()
        origin = dict(run.info.origin)
        assert origin == {
            "host": os.uname().nodename,
            "python": ".".join(map(str, sys.version_info[:3])),
            "expstore": expstore.__version__,
            "argv": ["train.py", "--lr", "0.1", "--api-key=***"],
            "commit": repository,
            "branch": "topic",
            "dirty": False,
        }
        Path("train.py").write_text("lr = 0.2\n")
        git("checkout", "-q", "--detach")
        origin = dict(expstore.start(commit_id="b").info.origin)
        assert (origin["dirty"], "branch" in origin) == (True, False)

    def test_a_run_without_git_has_no_commit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither outside a repository nor without the program; it is no error."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert "commit" not in expstore.start("root", "a").info.origin
        monkeypatch.setenv("PATH", "")
        assert "commit" not in expstore.start("root", "b").info.origin

    def test_a_child_that_cannot_start_git_fails_no_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As where memory or space is short, between the fork and git."""

        def run(*_: object, **__: object) -> None:
            raise subprocess.SubprocessError("Bad exception data from child")

        monkeypatch.setattr(subprocess, "run", run)
        with expstore.start(tmp_path / "store", "run") as run_:
            assert "commit" not in run_.info.origin

    def test_an_old_git_still_gives_the_commit(
        self, repository: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that does not know the options, or a repository that takes too long."""
        monkeypatch.setattr("expstore.store.origin._STATUS", ("git", "status", "--unknown"))
        assert git_state() == (repository, "", None)

    def test_a_dirty_tree_is_kept_as_a_patch(self, repository: str, tmp_path: Path) -> None:
        """Which brings the files back; one for each start. A clean tree needs none."""
        assert os.listdir(expstore.start(save_patch=True).files) == []
        (tmp_path / "train.py").write_bytes(b"lr = 0.2\n\xff\0binary\n")
        (tmp_path / "untracked.py").touch()
        run = expstore.start(save_patch=True)
        run.close()
        patch = run.files / "uncommitted.patch"
        text = patch.read_bytes()
        assert b"untracked.py" not in text
        git("stash", "-q")
        git("apply", str(patch))
        assert (tmp_path / "train.py").read_bytes() == b"lr = 0.2\n\xff\0binary\n"
        expstore.start(commit_id=run.commit_id, resume=True, save_patch=True).close()
        assert sorted(os.listdir(run.files)) == ["uncommitted-2.patch", "uncommitted.patch"]
        assert patch.read_bytes() == text


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["--password", "x", "y"], ["--password", "***", "y"]),
        (["--password", "--verbose"], ["--password", "--verbose"]),
        (["--wandb-api-key=x"], ["--wandb-api-key=***"]),
        (["logger.api_key=x", "lr=0.1"], ["logger.api_key=***", "lr=0.1"]),
        (["--max-tokens=512", "--tokenizer", "bert"], ["--max-tokens=512", "--tokenizer", "bert"]),
        (["--key=5", "--author", "x"], ["--key=5", "--author", "x"]),
        (["--config={'hf_token': 'x', 'lr': 1}"], ["--config={'hf_token': '***', 'lr': 1}"]),
        (["s3://me:pw@host/x?sig=1"], ["s3://***@host/x?***"]),
        (["-H", "Authorization: Bearer abc"], ["-H", "Authorization: ***"]),
        (["hf_" + "a" * 30, "sk-" + "b" * 30], ["***", "***"]),
        (["x" * 2000], ["x" * 1000 + "..."]),
    ],
)
def test_secrets_in_the_command_line_are_masked(argv: list[str], shown: list[str]) -> None:
    """By the name of the option or key, or by their form; other arguments are kept."""
    assert masked(argv) == shown


def test_a_long_command_line_is_cut() -> None:
    """As of a shell's `*.png`."""
    assert masked(["x"] * 1000) == ["x"] * 200 + ["..."]


class TestEnd:
    """How a run ended."""

    def test_a_with_block_ends_as_its_exception_says(self, tmp_path: Path) -> None:
        """Which propagates; its type and text are kept."""

        def end(commit_id: str, error: BaseException | None) -> tuple[str | None, str]:
            try:
                with expstore.start(tmp_path, commit_id) as run:
                    run.log({"x": 1})
                    if error is not None:
                        raise error
            except BaseException as raised:
                assert raised is error
            start = last(tmp_path, commit_id)
            assert start.ended is not None
            assert start.started <= start.ended <= time.time()
            return start.outcome, start.error

        assert end("a", None) == ("finished", "")
        assert end("b", ValueError("bad\nvalue")) == ("failed", "ValueError: bad\nvalue")
        assert end("c", KeyboardInterrupt()) == ("stopped", "KeyboardInterrupt")
        assert end("d", SystemExit(0)) == ("finished", "")
        assert end("e", SystemExit()) == ("finished", "")
        assert end("f", SystemExit("gave up")) == ("failed", "SystemExit: gave up")
        assert len(end("g", ValueError("x" * 9999))[1]) == 2003

    def test_close_ends_it_once(self, tmp_path: Path) -> None:
        """A second call, or the end of the block, changes nothing."""
        with expstore.start(tmp_path, "a") as run:
            run.close()
            ended = last(tmp_path)
            run.close()
        assert last(tmp_path) == ended
        assert ended.outcome == "finished"

    @pytest.mark.parametrize(
        ("ending", "outcome"),
        [
            ("", "finished"),
            ("del run", "finished"),
            ("sys.exit(0)", "finished"),
            ("1 / 0", "failed"),
            ("raise KeyboardInterrupt", "stopped"),
            ("os.kill(os.getpid(), 9)", None),
            ("os._exit(0)", None),
        ],
    )
    def test_a_program_that_ends_without_close(
        self, tmp_path: Path, ending: str, outcome: str | None
    ) -> None:
        """It has finished unless an exception ended it; one that is killed says nothing."""
        script = (
            "import os, sys, expstore\n"
            "run = expstore.start(sys.argv[1], 'a')\n"
            f"run.log({{'x': 1}})\n{ending}\n"
        )
        python(script, tmp_path)
        start = last(tmp_path)
        assert (start.outcome, start.ended is None) == (outcome, outcome is None)
        assert ExperimentStore(tmp_path).status("a") == (outcome or "stopped")
        assert len(ExperimentStore(tmp_path).get_metrics("a")) == 1

    def test_an_interrupt_from_the_keyboard_is_recorded(self, tmp_path: Path) -> None:
        """In a `with` block, while the program waits."""
        script = (
            "import sys, time, expstore\n"
            "with expstore.start(sys.argv[1], 'a') as run:\n"
            "    print('ready', flush=True)\n"
            "    time.sleep(60)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert ExperimentStore(tmp_path).status("a") == "running"
            process.send_signal(signal.SIGINT)
            process.wait(30)
        assert last(tmp_path).outcome == "stopped"
        assert last(tmp_path).error == "KeyboardInterrupt"

    @pytest.mark.parametrize("ending", ["run.close()", "sys.exit(0)", "1 / 0", "del run", ""])
    def test_a_forked_child_does_not_end_its_parents_run(self, tmp_path: Path, ending: str) -> None:
        """However it ends; the parent goes on."""
        script = (
            "import os, sys, expstore\n"
            "run = expstore.start(sys.argv[1], 'a')\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    sys.stderr = open(os.devnull, 'w')\n"
            "    run.log({'child': 1}, step=1)\n"
            f"    {ending or 'pass'}\n"
            "    sys.exit(0)\n"
            "os.waitpid(child, 0)\n"
            "assert run.info.starts[0].ended is None\n"
            "assert run.store.status('a') == 'running'\n"
            "run.log({'parent': 1}, step=2)\n"
            "run.close()\n"
            "assert run.info.starts[0].outcome == 'finished'\n"
        )
        done = python(script, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert set(ExperimentStore(tmp_path).get_metrics("a").names) == {"child", "parent"}

    def test_the_end_is_that_of_the_own_start(self, tmp_path: Path) -> None:
        """Other starts, and what others changed meanwhile, are kept."""
        first = expstore.start(tmp_path, "a")
        script = "import sys, expstore; expstore.start(sys.argv[1], 'a', resume=True).close()"
        assert python(script, tmp_path).returncode == 0
        first.store.update_run("a", tags=["x"])
        first.__exit__(ValueError, ValueError("x"), None)
        starts = first.info.starts
        assert [start.outcome for start in starts] == ["failed", "finished"]
        assert first.info.tags == ("x",)

    def test_an_end_that_cannot_be_recorded_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By `close`; an exception that is on its way is not replaced, but gets a note."""

        def full(*_: object) -> None:
            raise NoSpaceError("no space")

        runs = [expstore.start(tmp_path, commit_id) for commit_id in "ab"]
        with monkeypatch.context() as patch:
            patch.setattr(runfile, "update", full)
            with pytest.raises(NoSpaceError):
                runs[0].close()
            error = ValueError("x")
            runs[1].__exit__(ValueError, error, None)
        assert error.__notes__ == ["and the run could not be closed: no space"]
        assert runs[0].store.status("a") == "stopped"

    def test_a_run_whose_last_records_are_lost_has_failed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error of the last sync is recorded too."""
        run = expstore.start(tmp_path, "a", durability="interval")
        run.log({"x": 1})

        def broken(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            with pytest.raises(SyncError):
                run.close()
        assert last(tmp_path).outcome == "failed"
        assert "SyncError" in last(tmp_path).error

    def test_a_deleted_run_is_closed(self, tmp_path: Path) -> None:
        """There is nothing to record; a run of the same id is left alone."""
        run = expstore.start(tmp_path, "a")
        run.store.delete_experiments(["a"], force=True)
        other = expstore.start(tmp_path, "a")
        run.close()
        assert len(other.info.starts) == 1
        assert other.info.starts[0].ended is None

    def test_a_moved_run_ends_where_it_is(self, tmp_path: Path) -> None:
        """Its record moved with it."""
        run = expstore.start(tmp_path, "a")
        (tmp_path / "a").rename(tmp_path / "b")
        run.close()
        assert last(tmp_path, "b").outcome == "finished"


@pytest.mark.parametrize("when", [0, 1])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_start_that_cannot_write_run_json_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: bool, when: int
) -> None:
    """What it made is removed, with the metadata; what was there is kept."""
    store = ExperimentStore(tmp_path)
    if prepared:
        (store.create_experiment("a") / "files" / "kept").touch()
        store.update_run("a", params={"lr": 0.1})
    update = runfile.update

    def full(*arguments: Any) -> None:
        if when:
            update(*arguments)
        raise NoSpaceError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(runfile, "update", full)
        with pytest.raises(NoSpaceError):
            expstore.start(tmp_path, "a", tags="x")
    assert store.list_experiments() == (["a"] if prepared else [])
    with expstore.start(tmp_path, "a", user=getpass.getuser()) as run:
        assert run.info.params == ({"lr": 0.1} if prepared else {})
    assert run.store.status("a") == "finished"
    assert replace(last(tmp_path), ended=None, outcome=None).records == 0


def test_a_run_that_is_open_is_not_resumed_by_the_same_program(tmp_path: Path) -> None:
    """Both would record an end; after the first is closed, it is, and another process may."""
    script = "import sys, expstore; expstore.start(sys.argv[1], 'a', resume=True).close()"
    with expstore.start(tmp_path, "a") as run:
        with pytest.raises(LiveWriterError, match="open already; log to that one, or close it"):
            expstore.start(tmp_path, "a", resume=True)
        expstore.start(tmp_path, "b", resume=True).close()
        assert python(script, tmp_path).returncode == 0
        assert len(run.info.starts) == 2
    with expstore.start(tmp_path, "a", resume=True) as run:
        assert len(run.info.starts) == 3


def test_a_resumed_start_records_code_that_has_changed(repository: str, tmp_path: Path) -> None:
    """The first start's stays in `origin`; what is the same is not repeated."""
    with expstore.start(commit_id="a"):
        pass
    with expstore.start(commit_id="a", resume=True):
        pass
    (tmp_path / "train.py").write_text("lr = 0.2\n")
    with expstore.start(commit_id="a", resume=True):
        pass
    git("checkout", "-q", "-b", "other")
    git("commit", "-q", "-a", "-m", "y")
    with expstore.start(commit_id="a", resume=True) as run:
        info = run.info
    assert (info.origin["commit"], info.origin["branch"]) == (repository, "topic")
    found = [(start.commit, start.branch, start.dirty) for start in info.starts]
    later = git("rev-parse", "HEAD")
    assert found == [
        ("", "", None),
        ("", "", None),
        (repository, "topic", True),
        (later, "other", False),
    ]
    assert runfile.parse(runfile.build(info)) == info


def test_an_id_in_place_of_the_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would become a store of its own, in which nobody looks; any other new name may."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPSTORE_ROOT", raising=False)
    expstore.start(commit_id="abc").close()
    with pytest.raises(StoreNotFoundError, match=r"is an experiment in .*pass commit_id='abc', or"):
        expstore.start("abc", resume=True)
    assert os.listdir() == ["experiments"]
    with pytest.raises(StoreNotFoundError, match=r"or '\./abc' for a store of this name"):
        expstore.start("abc", "d")
    expstore.start("other", "abc").close()
    expstore.start("./abc", "abc").close()
    expstore.start("abc", "d").close()
    monkeypatch.setenv("EXPSTORE_ROOT", "$missing")
    expstore.start("new", "abc").close()
    assert set(os.listdir()) == {"experiments", "other", "abc", "new"}
