"""Runs around any program: parameters, console, status, signals, and what logs inside."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, ProgramNotFoundError, RunFileError
from expstore.integrations.console import ConsoleLog
from expstore.integrations.program import ProgramEnd, run_program
from expstore.integrations.streams import Streams
from expstore.store.run import Run as StoreRun
from tests.helpers.paths import ROOT

RUN_PROGRAM = (
    "import sys\n"
    "from expstore.integrations.program import run_program\n"
    "sys.exit(run_program(sys.argv[3:], sys.argv[1], sys.argv[2]).code)\n"
)
PATIENCE = 30.0  # seconds


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentStore:
    """A store, in whose directory programs are run, and from which they find this package."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("EXPSTORE_RUN", raising=False)
    monkeypatch.chdir(tmp_path)
    return ExperimentStore(tmp_path / "experiments")


def run(store: ExperimentStore, *command: str, **options: object) -> ProgramEnd:
    """Run a program as the run `a`, or another that is given."""
    return run_program(command, store.root, **{"commit_id": "a"} | options)  # type: ignore[arg-type]


def console(store: ExperimentStore, commit_id: str = "a") -> bytes:
    """What was kept of the console."""
    return (store.files_path(commit_id) / "console.log").read_bytes()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_is_a_run(store: ExperimentStore, capfd: pytest.CaptureFixture[str]) -> None:
    """Its arguments are parameters; what it prints is shown and kept."""
    end = run(store, "sh", "-c", "echo out; echo err >&2", "--lr", "0.1", "depth=3", tags=["x"])
    assert end == ProgramEnd("a", 0, "finished", "")
    info = store.read_run("a")
    assert (info.params, info.tags) == ({"lr": 0.1, "depth": 3}, ("x",))
    assert info.origin["argv"][:2] == ["sh", "-c"]
    assert store.read_metadata("a").job_name == "sh"
    assert store.status("a") == "finished"
    assert sorted(console(store).split()) == [b"err", b"out"]
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("out\n", "err\n")


def test_what_logs_inside_joins_the_run(store: ExperimentStore) -> None:
    """There is one experiment; nobody waits for a lock; its start says how it ended."""
    script = (
        "import expstore, sys\n"
        "with expstore.start(params={'depth': 3}) as run:\n"
        "    run.log({'loss': 0.5})\n"
        "    raise ValueError('bad')\n"
    )
    end = run(store, sys.executable, "-c", script, params={"lr": 0.1})
    assert end == ProgramEnd("a", 1, "failed", "ValueError: bad")
    assert store.list_experiments() == ["a"]
    info = store.read_run("a")
    assert (info.params, len(info.starts)) == ({"lr": 0.1, "depth": 3}, 1)
    assert (info.starts[0].outcome, info.starts[0].error) == ("failed", "ValueError: bad")
    assert store.get_metrics("a").values.tolist() == [0.5]
    assert b"ValueError: bad" in console(store)
    end = run(store, sys.executable, "-c", script, resume=True, from_step=0)
    assert end.outcome == "failed"
    assert [start.from_step for start in store.read_run("a").starts] == [None, 0]
    assert len(store.get_metrics("a", superseded=False)) == 1
    assert console(store).count(b"ValueError: bad") == 2


@pytest.mark.parametrize(
    ("script", "code", "outcome", "error"),
    [
        ("exit 3", 3, "failed", "exit status 3"),
        ("kill -KILL $$", 137, "failed", "killed by SIGKILL"),
        ("kill -TERM $$", 143, "stopped", "killed by SIGTERM"),
        ("kill -INT $$", 130, "stopped", "killed by SIGINT"),
        ("exit 130", 130, "stopped", "exit status 130"),
        ("kill -40 $$", 168, "failed", "killed by signal 40"),
    ],
)
def test_the_status_is_that_of_the_program(
    script: str, code: int, outcome: str, error: str, store: ExperimentStore
) -> None:
    """Its exit code, or its signal as shells say it."""
    assert run(store, "sh", "-c", script) == ProgramEnd("a", code, outcome, error)  # type: ignore[arg-type]
    state = store.run_state("a")
    assert (state.status, state.note) == (outcome, error)


def test_nothing_is_created_for_a_program_that_does_not_exist(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Nor for parameters that cannot be kept."""
    (tmp_path / "text").write_text("no program")
    for command in ([], ["no-such-program"], ["./text"]):
        with pytest.raises(ProgramNotFoundError, match="is no program"):
            run_program(command, store.root, "a")
    with pytest.raises(RunFileError):
        run(store, "true", params=3)
    assert not store.root.exists()


def test_a_program_that_cannot_be_started_is_a_failed_run(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """Executable, but with an interpreter that does not exist."""
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(OSError, match="broken"):
        run(store, "./broken")
    assert store.status("a") == "failed"


def test_secrets_are_no_parameters(store: ExperimentStore) -> None:
    """Nor is what is masked in the command line."""
    run(store, "true", "--api-key", "hunter2", "--lr", "0.1", "password=hunter2")
    assert store.read_run("a").params == {"lr": 0.1}
    assert b"hunter2" not in (store.experiment_path("a") / "run.json").read_bytes()


def test_the_console_may_be_left_alone(store: ExperimentStore) -> None:
    """No file is made, and the program's exit is noticed all the same."""
    assert run(store, "sh", "-c", "exit 4", console=False).code == 4
    assert not (store.files_path("a") / "console.log").exists()


def test_a_daemon_that_stays_does_not_keep_the_run_open(store: ExperimentStore) -> None:
    """It ends when the program does, with all that was printed until then."""
    began = time.monotonic()
    run(store, "sh", "-c", "sleep 20 & echo done")
    assert time.monotonic() - began < 10
    assert console(store) == b"done\n"


def test_what_prints_for_ever_is_not_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    """A daemon that prints faster than is read: what the program itself can have left is kept."""
    kept = 0

    def keep(data: bytes) -> None:
        nonlocal kept
        kept += len(data)
        assert kept < 10 << 20
        os.write(streams.given[1], data)

    with Streams(keep) as streams:
        os.write(streams.given[1], bytes(50_000))
        streams.drain()
    assert kept >= 1 << 20


def test_a_console_that_is_not_kept_is_told(store: ExperimentStore) -> None:
    """As on a full disk: the program is not disturbed, and its code is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        end = run(store, "sh", "-c", "seq 20000; exit 3")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (fault,) = end.unkept
    assert "console.log: not all was kept: " in fault
    assert (end.code, end.outcome, store.status("a")) == (3, "failed", "failed")
    assert len(console(store)) == 50_000


def test_the_code_is_returned_though_the_end_cannot_be_recorded(store: ExperimentStore) -> None:
    """A job script decides by it."""
    end = run(store, "sh", "-c", "echo { > experiments/a/run.json; exit 3")
    (fault,) = end.unkept
    assert (end.code, end.outcome) == (3, "failed")
    assert fault.startswith("a: that it failed was not recorded: ")
    assert "run.json" in fault


def test_much_output_arrives_whole(
    store: ExperimentStore, capfd: pytest.CaptureFixture[str]
) -> None:
    """More than a pipe holds, up to the last byte before the end."""
    run(store, "sh", "-c", "seq 200000; printf end")
    expected = "".join(f"{number}\n" for number in range(1, 200_001)) + "end"
    assert console(store).decode() == expected
    assert capfd.readouterr().out == expected


def test_output_that_nobody_reads_ends_no_run(store: ExperimentStore) -> None:
    """As when it is piped to `head`: it is kept, and the program goes on."""
    code = RUN_PROGRAM.replace("sys.argv[3:]", "['sh', '-c', 'seq 100000']")
    line = f"{sys.executable} -c \"$1\" '{store.root}' a | head -n 1"
    done = subprocess.run(
        ["sh", "-c", line, "sh", code], capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"1\n"
    assert console(store).endswith(b"\n100000\n")
    assert store.status("a") == "finished"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on_once(number: signal.Signals, store: ExperimentStore) -> None:
    """The program may handle it, and end as it likes."""
    script = (
        "import signal, sys, time\n"
        "seen = []\n"
        f"signal.signal({int(number)}, lambda *_: seen.append(1))\n"
        "print('ready')\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "print(len(seen), 'seen')\n"
        "sys.exit(5)\n"
    )
    command = [sys.executable, "-c", RUN_PROGRAM, str(store.root), "a"]
    child = subprocess.Popen(
        [*command, sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(number)
    assert child.wait(PATIENCE) == 5
    assert child.stdout.read() == b"1 seen\n"
    child.stdout.close()
    state = store.run_state("a")
    assert (state.status, state.note) == ("stopped", "exit status 5")


def test_a_terminal_stays_one(store: ExperimentStore) -> None:
    """The program finds a terminal of that size, and Ctrl-C reaches it once."""
    script = (
        "import os, sys, time\n"
        "print(sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size())\n"
        "print('\\x1b[31mred\\x1b[0m')\n"
        "print('10%\\r20%\\r30%')\n"
        "count = 0\n"
        "while True:\n"
        "    try:\n"
        "        print('waiting' if not count else 'again')\n"
        "        time.sleep(30 if not count else 0.5)\n"
        "        break\n"
        "    except KeyboardInterrupt: count += 1\n"
        "print(count, 'interrupt')\n"
        "raise KeyboardInterrupt\n"
    )
    command = [sys.executable, "-c", RUN_PROGRAM, str(store.root), "a"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.executable, [*command, sys.executable, "-c", script])
    termios.tcsetwinsize(terminal, (33, 77))
    shown = b""
    try:
        while b"waiting\r\n" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        while True:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"True True os.terminal_size(columns=77, lines=33)\r\n" in shown
    assert b"\x1b[31mred\x1b[0m\r\n10%\r20%\r30%\r\n" in shown
    kept = console(store)
    assert b"\x1b[31mred\x1b[0m\n30%\nwaiting\n" in kept
    assert b"1 interrupt\n" in kept
    assert store.run_state("a").status == "stopped"


def test_it_works_in_a_program_with_many_open_files(
    store: ExperimentStore, capfd: pytest.CaptureFixture[str]
) -> None:
    """Descriptors above 1,023 are watched as others are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    opened = []
    try:
        while not opened or opened[-1] < 1024:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        assert run(store, "sh", "-c", "echo out; echo err >&2; exit 3").code == 3
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sorted(console(store).split()) == [b"err", b"out"]
    assert capfd.readouterr() == ("out\n", "err\n")


def test_the_use_of_the_machine_is_logged_at_the_programs_steps(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is that of the program and of what it has started, not of what runs it."""
    pytest.importorskip("psutil")
    monkeypatch.setattr(StoreRun, "measure", partialmethod(StoreRun.measure, 0.02))
    program = (
        "import expstore, time\n"
        "held = b'x' * 200_000_000\n"
        "run = expstore.start()\n"
        "run.log({'loss': 1.0}, step=7)\n"
        "deadline = time.monotonic() + 30\n"
        "names = lambda: run.store.get_metrics(run.commit_id)\n"
        "while time.monotonic() < deadline:\n"
        "    if any(one.name.startswith('system/') and one.step == 7 for one in names()):\n"
        "        break\n"
        "    time.sleep(0.02)\n"
    )
    shell = f'{sys.executable} -c "$0"; true'
    assert run(store, "sh", "-c", shell, program, system_metrics=True).outcome == "finished"
    memory = store.get_metrics("a")["system/process_memory"]
    assert memory.steps.max() == 7
    assert memory.values.max() > 200_000_000


def test_a_run_inside_a_run_is_its_own(store: ExperimentStore) -> None:
    """A sweep may be run as a whole, and each of its parts."""
    inner = ["-c", RUN_PROGRAM, str(store.root), "inner", "true"]
    assert run(store, sys.executable, *inner).outcome == "finished"
    assert [store.status(one) for one in ("a", "inner")] == ["finished", "finished"]


def test_it_runs_while_the_program_does(store: ExperimentStore) -> None:
    """And if it is killed, it looks so; the program's output goes nowhere then."""
    command = [sys.executable, "-c", RUN_PROGRAM, str(store.root), "a"]
    child = subprocess.Popen([*command, "sh", "-c", "echo up; sleep 30"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    assert store.status("a") == "running"
    child.kill()
    child.wait(PATIENCE)
    child.stdout.close()
    assert store.status("a") == "stopped"
    assert console(store) == b"up\n"


@given(st.lists(st.binary(max_size=6) | st.sampled_from([b"\r", b"\n", b"\r\n"])))
def test_lines_are_kept_as_a_terminal_would_show_them(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    """However they arrive: of a line that is overwritten, the last form."""
    directory = tmp_path_factory.mktemp("files")
    log = ConsoleLog(directory)
    for part in parts:
        log.write(part)
    log.close()
    lines = b"".join(parts).split(b"\n")
    ends = [len(line) - len(line.rstrip(b"\r")) for line in lines]
    bodies = [line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines]
    expected = b"\n".join(body + b"\r" * end for body, end in zip(bodies, ends, strict=True))
    assert (directory / "console.log").read_bytes() == expected
    assert log.error is None
