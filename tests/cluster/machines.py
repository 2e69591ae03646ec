"""Several machines, as network namespaces: a scheduler, two workers, an S3 server and a client.

    python -m tests.cluster.machines [--experiments 300] [--keep-logs DIRECTORY]

As root: each host is a network namespace with an address of its own, all on one bridge in a further
namespace, so that nothing of the machine's own network is used or changed. The store is on S3. The
client runs every command that takes `--cluster` and the README's two questions, and compares the
results with those of one process on a local copy; then one worker is cut off in the middle of a
computation, whose answer must be the same; then a worker with another version of the package joins,
which must be refused by name. Everything that was started or made ends with the command, which
takes at most five minutes; the exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from expstore import ClusterError, ExperimentStore
from tests.cluster.operations import make_store
from tests.cluster.readers import equal, of_dask, of_store

HOSTS = {"s3": 2, "scheduler": 3, "worker1": 4, "worker2": 5, "client": 6, "other": 7}
_NETWORK = "10.213.77"  # only inside the namespaces
_S3 = f"http://{_NETWORK}.{HOSTS['s3']}:5000"
SCHEDULER = f"tcp://{_NETWORK}.{HOSTS['scheduler']}:8786"
ROOT = "s3://bucket/store"
_LIMIT = 300  # seconds for everything
_CUT = "cut worker2 off now"
_JOIN = "let another version join now"
_ENVIRONMENT = {
    "AWS_ENDPOINT_URL": _S3,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    # A host that is cut off sends nothing, not even that a connection ends.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "12s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "12s",
}
_OTHER_VERSION = (
    "import sys, expstore; expstore.__version__ = '0.0.1'; from distributed.cli.dask_worker "
    "import main; sys.argv[0] = 'dask-worker'; main()"
)


class Network:
    """The namespaces; `prefix` begins the names of all."""

    def __init__(self) -> None:
        self.prefix = f"expstore-{os.getpid()}"
        self.made: list[str] = []

    def __enter__(self) -> Network:
        try:
            self._make("hub")
            self._ip("-n", self._name("hub"), "link", "add", "bridge", "type", "bridge")
            self._ip("-n", self._name("hub"), "link", "set", "bridge", "up")
            for host, number in HOSTS.items():
                self._make(host)
                ends = ("add", host, "type", "veth", "peer", "name", "eth0", "netns")
                self._ip("-n", self._name("hub"), "link", *ends, self._name(host))
                self._ip("-n", self._name("hub"), "link", "set", host, "master", "bridge", "up")
                address = f"{_NETWORK}.{number}/24"
                self._ip("-n", self._name(host), "addr", "add", address, "dev", "eth0")
                self._ip("-n", self._name(host), "link", "set", "eth0", "up")
                self._ip("-n", self._name(host), "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(self.made):
            self._ip("netns", "del", name)

    def cut(self, host: str) -> None:
        """Pull the plug of a host; its processes keep running, and hear nothing."""
        self._ip("-n", self._name("hub"), "link", "set", host, "down")

    @contextmanager
    def running(self, host: str, *command: object, log: Path) -> Iterator[subprocess.Popen[str]]:
        """A process on a host, which ends with the block."""
        with log.open("w") as errors:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self._name(host), *map(str, command)],
                env=os.environ | _ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):  # it may have ended by itself
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)

    def _name(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def _make(self, host: str) -> None:
        self._ip("netns", "add", self._name(host))
        self.made.append(self._name(host))

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=10)


# --- on the host of the client ---


def client(local: ExperimentStore, work: Path) -> Iterator[str]:
    """Do everything, and yield a line for each thing that holds, or a request.

    Raises:
        AssertionError: a result is not that of one process.
    """
    import fsspec
    from distributed import Client, wait

    from expstore.cluster import compare_store, open_client, read_metrics
    from expstore.compare import compare

    began = time.perf_counter()
    files = fsspec.filesystem("s3")
    files.mkdir("bucket")
    files.put(f"{local.root}/", "bucket/store/", recursive=True)
    count = len(local.list_experiments())
    yield f"uploaded {count} experiments: {time.perf_counter() - began:.1f} s"
    store = ExperimentStore(ROOT)
    with Client(SCHEDULER, timeout=30) as waiting:
        waiting.wait_for_workers(2, timeout=60)
    with open_client(SCHEDULER) as workers:
        began = time.perf_counter()
        expected = of_store(local, work)
        assert equal(expected, of_dask(store, work))
        took = time.perf_counter() - began
        yield f"the README's questions: equal, {took / count * 1000:.1f} s for 1,000 experiments"
        options: dict[str, Any] = {"where": "loss:min < 0.1", "sort": "loss:min"}
        assert repr([one.metrics for one in compare_store(store, **options)]) == repr(
            [one.metrics for one in compare(local, **options)]
        )
        yield "compare: equal"
        yield from _commands(local, work)
        frame = read_metrics(store, partition_size=1 << 20)
        total = frame["value"].map_partitions(_slowly, meta=("value", "float64")).sum().persist()
        yield _CUT
        wait(total, timeout=120)
        assert abs(float(total.compute()) - float(_sum(local))) < 1e-6
        left = [one["host"] for one in workers.scheduler_info(n_workers=-1)["workers"].values()]
        assert left == [f"{_NETWORK}.{HOSTS['worker1']}"], left
        yield "a worker cut off in the middle: the same sum, by the other"
    yield _JOIN
    with Client(SCHEDULER, timeout=30) as waiting:
        waiting.wait_for_workers(2, timeout=60)
    try:
        with open_client(SCHEDULER):
            raise AssertionError("a worker with another version was accepted")
    except ClusterError as error:
        assert "0.0.1" in str(error), error
        assert f"{_NETWORK}.{HOSTS['other']}" in str(error), error
        yield f"refused: {error}"


def _commands(local: ExperimentStore, work: Path) -> Iterator[str]:
    """Each command with `--cluster` on the store at its URL."""
    where = ("--where", "loss:min < 0.1")
    for command in (("check", "--json"), ("compare", "--json", *where), ("ls", "--json", *where)):
        here = _printed("--root", local.root, *command)
        there = _printed("--root", ROOT, *command, "--cluster", SCHEDULER)
        assert here.replace(str(local.root), ROOT) == there, command
        yield f"expstore {command[0]} --cluster: the same output"
    output = work / "parts"
    _printed("--root", ROOT, "export", "--to", "parquet", "-o", output, "--cluster", SCHEDULER)
    import pyarrow.dataset as ds

    rows = ds.dataset(output, format="parquet").count_rows()
    assert rows == sum(len(local.get_metrics(one)) for one in local.list_experiments())
    assert (output / "_SUCCESS").exists()
    yield f"expstore export --cluster: {rows:,} rows"
    _printed("--root", ROOT, "report", *where, "-o", work / "r.html", "--cluster", SCHEDULER)
    yield "expstore report --cluster: written"


def _printed(*arguments: object) -> str:
    command = [sys.executable, "-m", "expstore", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (arguments, done.stderr[-2000:])
    return done.stdout


def _slowly(values: Any) -> Any:
    time.sleep(0.5)
    return values


def _sum(local: ExperimentStore) -> float:
    return sum(float(local.get_metrics(one).values.sum()) for one in local.list_experiments())


# --- on the host of everything ---


def conduct(network: Network, local: Path, work: Path, logs: Path) -> int:
    """Start all hosts, do what the client asks for, and print what it says."""
    python, worker = sys.executable, ("--nworkers", 1, "--nthreads", 1, "--no-dashboard")
    deadline = time.monotonic() + _LIMIT
    with ExitStack() as stack:

        def start(host: str, *command: object) -> subprocess.Popen[str]:
            return stack.enter_context(network.running(host, *command, log=logs / f"{host}.log"))

        def address(host: str) -> str:
            return f"{_NETWORK}.{HOSTS[host]}"

        start("s3", python, "-m", "moto.server", "-H", address("s3"), "-p", 5000)
        dask = ("-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host")
        start("scheduler", python, *dask, address("scheduler"), "--port", 8786)
        for host in ("worker1", "worker2"):
            program = ("-m", "distributed.cli.dask_worker", SCHEDULER, "--host", address(host))
            start(host, python, *program, *worker)
        asked = start("client", python, "-m", __spec__.name, "--client", local, "--work", work)
        assert asked.stdout is not None
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(asked.pid, signal.SIGKILL))
        signal.alarm(int(deadline - time.monotonic()))
        for line in map(str.strip, asked.stdout):
            print(line, flush=True)
            if line == _CUT:
                time.sleep(2)
                network.cut("worker2")
            elif line == _JOIN:
                other = (SCHEDULER, "--host", address("other"), "--no-nanny", "--no-dashboard")
                start("other", python, "-c", _OTHER_VERSION, *other)
        code = asked.wait(30)
        signal.alarm(0)
        if code:
            print((logs / "client.log").read_text()[-3000:], file=sys.stderr)
    return int(code != 0)


def main() -> int:
    """Run it, as the conductor or, on its host, as the client."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--keep-logs", type=Path, help="what the processes said")
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        for line in client(ExperimentStore(arguments.client), arguments.work):
            print(line, flush=True)
        return 0
    if os.geteuid() != 0 or not shutil.which("ip"):
        parser.error("needs root and iproute2 (`ip`), for network namespaces")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        logs = arguments.keep_logs or work / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        store = make_store(work / "store", arguments.experiments)
        with Network() as network:
            return conduct(network, store.root, work, logs)


if __name__ == "__main__":
    sys.exit(main())
