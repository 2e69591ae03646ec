"""Looking at many small experiments at a URL, per 1,000, on a server that takes its time.

    python -m tests.benchmarks.remote --work DIRECTORY [--experiments 1000] [--latency 5]

makes a store of small experiments and serves it twice on this machine: by a web server, each of
whose answers takes some milliseconds longer than it would, and as S3 by moto. It prints a Markdown
table of the seconds that each work takes per 1,000 experiments: with one request at a time, and as
it is. The answers of both are compared with those of the files; the exit code is 1 if one differs.
"""

from __future__ import annotations

import argparse
import http.server
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from expstore import ExperimentStore
from expstore.compare import compare
from expstore.store.files import waiting
from tests.cluster.operations import make_store
from tests.store.files.test_remote import RangeServer

Work = Callable[[ExperimentStore], Any]


def checked(store: ExperimentStore) -> Any:
    """All reports, without what names the place."""
    return [(one.commit_id, one.ok, one.records) for one in store.check_all()]


def compared(store: ExperimentStore) -> Any:
    """All statistics."""
    return [(one.commit_id, one.metrics) for one in compare(store)]


def read(store: ExperimentStore) -> Any:
    """The lengths of all logs, read by one partition of a frame."""
    from expstore.cluster import read_metrics

    frame = read_metrics(store, partition_size=1 << 40).compute(scheduler="sync")
    return frame["commit_id"].value_counts().sort_index().to_dict()


def reported(store: ExperimentStore) -> Any:
    """The rows and the curves of a report."""
    from expstore.report.contents import collect

    found = collect(store)
    return found["runs"], found["curves"]


def exported(store: ExperimentStore) -> Any:
    """The bytes of an export to CSV."""
    from expstore.exchange.export import export_file

    output = io.BytesIO()
    export_file(store, None, output, "csv", with_metadata=True)
    return output.getvalue()


WORKS: dict[str, Work] = {
    "check": checked,
    "compare": compared,
    "report": reported,
    "export to CSV": exported,
    "read_metrics": read,
}


@contextmanager
def served(root: Path, latency: float) -> Iterator[ExperimentStore]:
    """A store on a web server whose answers take so many seconds longer."""

    class Slow(RangeServer):
        def parse_request(self) -> bool:
            time.sleep(latency)
            return super().parse_request()

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 512  # connections that wait; of five, most are refused for a second

    server = Server(("127.0.0.1", 0), partial(Slow, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield ExperimentStore(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def in_s3(root: Path) -> Iterator[ExperimentStore]:
    """A copy of a store in a bucket of moto's, in this process."""
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it names every request
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    options = {"client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    try:
        with patch.dict(os.environ, keys | {"AWS_DEFAULT_REGION": "us-east-1"}):
            bucket = s3fs.S3FileSystem(**options)
            bucket.mkdir("bucket")
            bucket.put(f"{root}/", "bucket/store/", recursive=True)
            yield ExperimentStore("s3://bucket/store", storage_options=options)
    finally:
        server.stop()


def timed(work: Work, store: ExperimentStore) -> tuple[float, Any]:
    """Seconds and the answer."""
    began = time.perf_counter()
    answer = work(store)
    return time.perf_counter() - began, answer


def measure(root: Path, experiments: int, latency: float) -> tuple[list[str], bool]:
    """The rows of the table, and whether all answers are right."""
    local = make_store(root, experiments)
    rows, right = [], True
    places = {
        f"a web server, {latency * 1000:g} ms more": partial(served, root, latency),
        "S3, by moto": partial(in_s3, root),
    }
    for place, opened in places.items():
        with opened() as store:
            for name, work in WORKS.items():
                wanted, cells = work(local), []
                for one_at_a_time in (True, False):
                    limit = patch.object(waiting, "REQUESTS", 1) if one_at_a_time else nullcontext()
                    with limit:
                        seconds, answer = timed(work, store)
                    right &= answer == wanted
                    cells.append(f"{seconds * 1000 / experiments:.1f} s")
                rows.append(f"| {name} | {place} | {' | '.join(cells)} |")
    return rows, right


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="a directory for the store")
    parser.add_argument("--experiments", type=int, default=1_000)
    parser.add_argument("--latency", type=float, default=5.0, help="milliseconds")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    root = arguments.work / f"tiny-{arguments.experiments}"
    rows, right = measure(root, arguments.experiments, arguments.latency / 1000)
    print("| work, per 1,000 | where | one at a time | as it is |\n|---|---|---|---|")
    print(*rows, sep="\n")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
