"""Connecting to Dask workers, and running many tasks on them.

Guarantees: a failure of the cluster raises a `ClusterError` of one line, and a failure of a task
raises the task's own error; a task whose worker dies is retried on another, a few times; no task
keeps running after its caller has stopped.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from expstore.errors import ClusterError, ExpStoreError
from expstore.extras import require
from formats import FormatError

if TYPE_CHECKING:
    from distributed import Client

EXTRA = "cluster"
_PATIENCE = 5  # seconds to wait for a scheduler to answer, and for it to have a worker
_MATCHED = ("expstore", "dask", "distributed")  # versions must be the same on every worker
_VERSIONS = (
    "{'python': '%d.%d' % __import__('sys').version_info[:2]}"
    f" | {{name: __import__(name).__version__ for name in {_MATCHED}}}"
)

# By default, Dask's workers return freed memory to the system at once, and then fault it in again
# page by page, which takes half of the time if many columns are allocated and freed. One thread
# needs only one arena.
_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": 1 << 27,
    "MALLOC_MMAP_THRESHOLD_": 1 << 25,
    "MALLOC_ARENA_MAX": 1,
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
}


@contextmanager
def open_client(address: str | None = None, *, workers: int | None = None) -> Iterator[Client]:
    """A client of the scheduler at an address, or of new local worker processes.

    While it is open, Dask's own computations use it, and Dask's log messages are suppressed. A
    script that starts local processes must do so under `if __name__ == "__main__":`.

    Args:
        address: such as `tcp://10.0.0.1:8786`; None: start local processes, which end with the
            client.
        workers: the number of local processes; None: one for each core.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        ClusterError: no scheduler answers at the address; it has no workers; or a worker lacks
            expstore, or has a different version of Python, expstore or Dask.
    """
    require("distributed", EXTRA)
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if address is None:
            address = stack.enter_context(_processes(workers))
        client = stack.enter_context(_connected(address))
        _check_workers(client)
        yield client


@contextmanager
def chosen_client(client: Client | None) -> Iterator[Client]:
    """The given client, or the one that is open, or a temporary one of new local processes."""
    distributed = require("distributed", EXTRA)
    if client is None:
        try:
            client = distributed.default_client()
        except ValueError:
            with open_client() as client:
                yield client
            return
    yield client


def dashboard(client: Client) -> str | None:
    """The URL of the cluster's dashboard; None if it has none."""
    has_bokeh = "__import__('importlib.util').util.find_spec('bokeh') is not None"
    if not client.run_on_scheduler(eval, has_bokeh):  # type: ignore[no-untyped-call]
        return None
    link: str = client.dashboard_link
    return link


def completed(
    client: Client, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """Run many calls, and yield `(index of the call, result)` for each as it completes.

    Args:
        client: of the workers that run the calls.
        function: from a module that the workers have, too.
        calls: the arguments of each call; earlier calls start first.

    Raises:
        ClusterError: a task's workers died repeatedly, or the cluster is gone.
        Exception: whatever a call raises.
    """
    distributed = require("distributed", EXTRA)
    with translated():
        numbers = {}
        try:
            for number, call in enumerate(calls):
                # Impure, since the result depends on the store's current contents.
                numbers[client.submit(function, *call, pure=False)] = number
            for future in distributed.as_completed(list(numbers)):
                # Not `with_results`, which yields the exception as the result of a lost task.
                yield numbers[future], future.result()
                del numbers[future]
                future.release()
        finally:
            if numbers and client.status == "running":
                client.cancel(list(numbers))  # type: ignore[no-untyped-call]


@contextmanager
def translated() -> Iterator[None]:
    """Turn failures of the cluster in the block into ClusterError.

    Raises:
        ClusterError: see `completed`.
    """
    distributed = require("distributed", EXTRA)
    from concurrent.futures import CancelledError

    try:
        yield
    except (ExpStoreError, FormatError):
        raise
    except distributed.KilledWorker as error:
        tries = error.allowed_failures + 1
        raise ClusterError(
            f"{tries} workers died one after another on the same task; the usual reason is too "
            "little memory"
        ) from error
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "expstore":
            raise
        raise ClusterError("a worker has no expstore, or another version of it") from error
    except distributed.client.ClosedClientError as error:
        raise ClusterError("the client of Dask's scheduler is closed") from error
    except (CancelledError, distributed.CancelledError, distributed.comm.CommClosedError) as error:
        raise ClusterError("the connection to Dask's scheduler was lost") from error


def _connected(address: str) -> Client:
    """A client of the scheduler at an address."""
    distributed = require("distributed", EXTRA)
    _check_address(address)

    class ClosingClient(distributed.Client):  # type: ignore[misc, name-defined]
        """A client that closes itself if it cannot start.

        Otherwise its finalizer would close it, wherever garbage collection happens to run. If
        that is while the same thread starts another client, it deadlocks on a lock of that thread.
        """

        def start(self, **options: Any) -> None:
            try:
                super().start(**options)
            except BaseException:
                self.close()
                raise

    try:
        return ClosingClient(address, timeout=_PATIENCE)
    except Exception as error:  # whatever listens at the address can fail in any way
        reason = str(error).partition("\n")[0]
        raise ClusterError(f"{address}: no Dask scheduler answers there: {reason}") from error


def _check_address(address: str) -> None:
    """Raise ClusterError for a malformed address, before a client is constructed."""
    addressing = require("distributed.comm.addressing", EXTRA)
    registry = require("distributed.comm.registry", EXTRA)
    try:
        scheme, location = addressing.parse_address(address)
        registry.get_backend(scheme).get_address_host_port(location)
    except NotImplementedError:
        pass  # an address without host and port, such as inproc://
    except ValueError as error:
        raise ClusterError(
            f"{address}: not an address of a Dask scheduler, such as tcp://10.0.0.1:8786: {error}"
        ) from error


def _check_workers(client: Client) -> None:
    """Raise ClusterError if there are no workers, or if they lack what tasks need."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ClusterError(f"{client.scheduler_info()['address']}: has no workers") from error
    ours = eval(_VERSIONS)
    # With `eval`, since a worker without this package could not unpickle a function from it.
    for worker, found in client.run(eval, _VERSIONS, on_error="return").items():
        if isinstance(found, BaseException):
            raise ClusterError(f"{worker}: the worker lacks something: {found}") from found
        for name, version in ours.items():
            if found[name] != version:
                raise ClusterError(
                    f"{worker}: the worker has {name} {found[name]}, but this process has "
                    f"{version}; install the same version"
                )


@contextmanager
def _processes(workers: int | None) -> Iterator[str]:
    """Start a scheduler with workers on this machine; gives its address."""
    distributed, config = require("distributed", EXTRA), require("dask.config", EXTRA)
    with (
        config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}),
        distributed.LocalCluster(
            n_workers=workers,
            # Decoding and pandas hold the GIL, so threads would only wait for each other.
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env={"DASK_LOGGING__DISTRIBUTED": "critical"},
            preload=["expstore.cluster.workers"],
        ) as cluster,
    ):
        yield cluster.scheduler_address


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the log messages of `distributed` in this process."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def dask_setup(_: object) -> None:
    """Ignore Ctrl-C in a local worker; Dask calls this, since the worker preloads this module.

    A terminal sends Ctrl-C to all processes, but only the parent must react to it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
