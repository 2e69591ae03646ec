"""The option `--cluster`: a command's work done by Dask's workers.

Guarantees: what Dask logs does not reach the terminal; where its dashboard is, if it has one, is
told on stderr.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from expstore.cli.base import tell

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"


def _check_address(address: str | None) -> str | None:
    """Every address has a port, behind a colon, and no id has one."""
    if address is None or address == LOCAL or ":" in address:
        return address
    wrong = f"{address!r} is no address such as tcp://10.0.0.1:8786"
    raise typer.BadParameter(f"{wrong}; ids stand before --cluster" if address else wrong)


Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="[ADDRESS]",
        callback=_check_address,
        help="Have Dask's workers do it: those of the scheduler at this address, such as "
        "tcp://10.0.0.1:8786; without one, new processes of this machine, one for each core.",
    ),
]


class ClusterCommand(TyperCommand):
    """A command with the option `--cluster`, whose address may be left out.

    Typer has no option with or without a value. What begins with a dash is no address.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in the word that stands for this machine's processes."""
        words = []
        for word, following in zip(args, [*args[1:], "-"], strict=False):
            words.append(word)
            if word == "--cluster" and following.startswith("-"):
                words.append(LOCAL)
        return super().parse_args(ctx, words)


@contextmanager
def open_cluster(address: str) -> Iterator[Client]:
    """A client of the workers that `--cluster` names.

    Raises:
        MissingExtraError, ClusterError: see `expstore.cluster.workers.open_client`.
    """
    from expstore.cluster.workers import dashboard, open_client

    with open_client(None if address == LOCAL else address) as client:
        link = dashboard(client)
        if link:
            tell(f"Dask's dashboard: {link}")
        yield client
