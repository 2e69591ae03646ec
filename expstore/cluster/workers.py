"""Dask's workers: reaching them, and having them do many tasks.

Guarantees: what goes wrong with the cluster is a `ClusterError` of one line, and what goes wrong in
a task is the task's own error; a task whose worker dies is done by another, a few times; nothing is
left running where a caller breaks off.

Only this module and `cluster` know Dask.
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
_SAME = ("expstore", "dask", "distributed")  # whose versions must not differ
_VERSIONS = (
    "{'python': '%d.%d' % __import__('sys').version_info[:2]}"
    f" | {{name: __import__(name).__version__ for name in {_SAME}}}"
)

# Dask has its workers give memory back to the system at once, and so ask for it, page by page,
# again and again: a half of the time where columns come and go. One thread needs one arena.
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
    """A client of the scheduler at an address, or of new processes on this machine.

    While it is open, Dask's own computations use it, and its log messages are kept back. A script
    that has processes made must do so below `if __name__ == "__main__":`.

    Args:
        address: such as `tcp://10.0.0.1:8786`; None: processes of this machine, which end with it.
        workers: how many processes; None: one for each core.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        ClusterError: no scheduler answers there, it has no workers, or they have no expstore, or
            another version of what must be the same.
    """
    distributed = require("distributed", EXTRA)
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if address is None:
            address = stack.enter_context(_processes(workers))
        try:
            client = distributed.Client(address, timeout=_PATIENCE)
        except Exception as error:  # whatever else than a scheduler may answer there
            reason = str(error).partition("\n")[0]
            raise ClusterError(
                f"{address}: no Dask scheduler is reached there: {reason}"
            ) from error
        stack.enter_context(client)
        _check_workers(client)
        yield client


@contextmanager
def chosen_client(client: Client | None) -> Iterator[Client]:
    """The client given; else the one that is open; else one of new processes, until the end."""
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
    """Where the cluster shows itself in a browser; None where it does not."""
    has_bokeh = "__import__('importlib.util').util.find_spec('bokeh') is not None"
    if not client.run_on_scheduler(eval, has_bokeh):  # type: ignore[no-untyped-call]
        return None
    link: str = client.dashboard_link
    return link


def completed(
    client: Client, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """The results of many calls, each with its call's number, as they are ready.

    Args:
        client: of the workers that do them.
        function: of a module that the workers have, too.
        calls: the arguments; earlier ones are begun earlier.

    Raises:
        ClusterError: a task's workers died again and again, or the cluster is gone.
        Exception: what a call raises.
    """
    distributed = require("distributed", EXTRA)
    with translated():
        numbers = {}
        try:
            for number, call in enumerate(calls):
                # Impure, since a result is of the store as it is now.
                numbers[client.submit(function, *call, pure=False)] = number
            for future in distributed.as_completed(list(numbers)):
                # Not `with_results`, which gives an exception as the result where one was lost.
                yield numbers[future], future.result()
                del numbers[future]
                future.release()
        finally:
            if numbers and client.status == "running":
                client.cancel(list(numbers))  # type: ignore[no-untyped-call]


@contextmanager
def translated() -> Iterator[None]:
    """What goes wrong with the cluster meanwhile becomes a ClusterError.

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
            f"{tries} workers died one after another over the same task; "
            "too little memory is the usual reason"
        ) from error
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "expstore":
            raise
        raise ClusterError("a worker has no expstore, or another version of it") from error
    except distributed.client.ClosedClientError as error:
        raise ClusterError("the client of Dask's scheduler is closed") from error
    except (CancelledError, distributed.CancelledError, distributed.comm.CommClosedError) as error:
        raise ClusterError("the connection to Dask's scheduler was lost") from error


def _check_workers(client: Client) -> None:
    """Raise ClusterError where tasks would wait for ever, or fail for what workers lack."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ClusterError(f"{client.scheduler_info()['address']}: has no workers") from error
    ours = eval(_VERSIONS)
    # By `eval`, because a function of this package could not even be sent where it is missing.
    for worker, found in client.run(eval, _VERSIONS, on_error="return").items():
        if isinstance(found, BaseException):
            raise ClusterError(f"{worker}: the worker lacks something: {found}") from found
        for name, version in ours.items():
            if found[name] != version:
                raise ClusterError(
                    f"{worker}: the worker has {name} {found[name]}, and here is {version}"
                )


@contextmanager
def _processes(workers: int | None) -> Iterator[str]:
    """The address of a scheduler with workers on this machine."""
    distributed, config = require("distributed", EXTRA), require("dask.config", EXTRA)
    with (
        config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}),
        distributed.LocalCluster(
            n_workers=workers,
            # Decoding and pandas hold the interpreter's lock, so that threads would wait for it.
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
    """Without the log messages of `distributed` in this process."""
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
    """Dask calls this in each new worker of this machine, since it is told to preload this module.

    Ctrl-C, which a terminal sends to all processes, is for the one that has the workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
