"""The option `--cluster`: a command's work done by Dask's workers.

Guarantees: what Dask logs does not reach the terminal; where its dashboard is, if it has one, is
told on stderr.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from expstore.commands.base import tell

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Have Dask's workers do it: those of the scheduler at this address, such as "
        "tcp://10.0.0.1:8786; or `local`: new processes of this machine, one for each core.",
    ),
]


@contextmanager
def open_cluster(address: str) -> Iterator[Client]:
    """A client of the workers that `--cluster` names.

    Raises:
        MissingExtraError, ClusterError: see `expstore.workers.open_client`.
    """
    from expstore.workers import dashboard, open_client

    with open_client(None if address == LOCAL else address) as client:
        link = dashboard(client)
        if link:
            tell(f"Dask's dashboard: {link}")
        yield client
