"""The option `--cluster`: a command's work done by Dask workers.

Guarantees: Dask's logging does not reach the terminal; the address of its dashboard, if there is
one, is printed on stderr.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expstore.cli.base import progress, tell
from expstore.cli.helping import Command

if TYPE_CHECKING:
    from distributed import Client

    from expstore.compare.reading import ReadLogs
    from expstore.store.reader import StoreReader

LOCAL = "local"


def _check_address(address: str | None) -> str | None:
    """Check for a colon: every address has one before its port, and an id rarely does."""
    if address is None or address == LOCAL or ":" in address:
        return address
    wrong = f"{address!r} is not an address such as tcp://10.0.0.1:8786"
    raise typer.BadParameter(f"{wrong}; put ids before --cluster" if address else wrong)


Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="[ADDRESS]",
        callback=_check_address,
        help="Use Dask workers: those of the scheduler at this address, such as "
        "tcp://10.0.0.1:8786; without an address, new local processes, one per core.",
    ),
]


class ClusterCommand(Command):
    """A command with the option `--cluster`, whose address may be omitted.

    Typer has no options with an optional value. A word that begins with a dash is not an address.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the value that means local processes where the address is omitted."""
        words = []
        for word, following in zip(args, [*args[1:], "-"], strict=False):
            words.append(word)
            if word == "--cluster" and following.startswith("-"):
                words.append(LOCAL)
        return super().parse_args(ctx, words)


@contextmanager
def open_cluster(address: str) -> Iterator[Client]:
    """A client of the workers that `--cluster` selects.

    Raises:
        MissingExtraError, ClusterError: see `expstore.cluster.workers.open_client`.
    """
    from expstore.cluster.workers import dashboard, open_client

    with open_client(None if address == LOCAL else address) as client:
        link = dashboard(client)
        if link:
            tell(f"Dask's dashboard: {link}")
        yield client


@contextmanager
def log_reading(store: StoreReader, address: str | None) -> Iterator[ReadLogs | None]:
    """What reads the logs for a comparison: the workers that `--cluster` selects, or None.

    Raises:
        MissingExtraError, ClusterError: see `expstore.cluster.workers.open_client`.
    """
    if address is None:
        yield None
        return
    from expstore.compare.experiments import Source

    if isinstance(store, Source):
        raise typer.BadParameter("an export is read without a cluster", param_hint="--cluster")
    with open_cluster(address) as client:
        from expstore.cluster.compare import log_reader

        yield log_reader(store, client, progress=progress("reading"))
