"""The option `--where`, and completion of the names of parameters, metrics and fields."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expstore import ExpStoreError, FormatError, WhereError
from expstore.cli.base import fail, open_readable, printable, progress, tell
from expstore.cli.ids import resolve_all
from expstore.store.files import layout
from expstore.store.reader import StoreReader
from formats.errors import counted

_LOOKED_AT = 20  # experiments that names are completed from: the last ones
if TYPE_CHECKING:
    from expstore.compare.reading import ReadLogs

_TAME = re.compile(r"[\w][\w./:-]*", re.ASCII)


def complete_metric(context: typer.Context, incomplete: str) -> list[str]:
    """The metrics that begin with what was typed, of the experiments that were, or of some."""
    return _offered(incomplete, _names(context, fields=False, metrics=True))


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """The fields, parameters and metrics that begin with what was typed."""
    return _offered(incomplete, _names(context, params=True, metrics=True))


def complete_where(context: typer.Context, incomplete: str) -> list[str]:
    """What was typed, with its last word completed to a field, parameter or metric."""
    match = re.search(r"[^\s()]*\Z", incomplete)
    word = match[0] if match else ""
    names = _offered(word, _names(context, params=True, metrics=True))
    return [incomplete[: len(incomplete) - len(word)] + name for name in names]


def complete_param(context: typer.Context, incomplete: str) -> list[str]:
    """The parameters that begin with what was typed."""
    return _offered(incomplete, _names(context, fields=False, params=True))


def complete_param_value(context: typer.Context, incomplete: str) -> list[str]:
    """The parameters that begin with what was typed, to be followed by a value."""
    return [f"{name}=" for name in complete_param(context, incomplete)]


def complete_tag(context: typer.Context, incomplete: str) -> list[str]:
    """The tags that begin with what was typed."""
    return _offered(incomplete, _names(context, fields=False, tags=True))


Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="EXPRESSION",
        help="Only those for which this is true: 'lr < 0.01 and val/loss:min < 0.3 and tag == x'.",
        autocompletion=complete_where,
    ),
]


def metrics_option(
    metavar: str = "NAME",
    help: str = "Only this metric, or pattern such as 'val/*'; may be repeated.",
) -> Any:
    """The option by which metrics are chosen."""
    return typer.Option(
        "--name", "--metric", metavar=metavar, help=help, autocompletion=complete_metric
    )


Metrics = Annotated[list[str] | None, metrics_option()]


def direction(sort: str, reverse: bool) -> tuple[str, bool]:
    """What to sort by, and whether the largest comes first: `-NAME` asks for that.

    Args:
        sort: as it was typed.
        reverse: the other way round.
    """
    name = sort.removeprefix("-").strip()
    return (name, not reverse) if name != sort and name else (sort, reverse)


def selected(
    store: StoreReader,
    typed: list[str] | None,
    where: str | None,
    read: ReadLogs | None = None,
) -> list[str] | None:
    """The ids that were typed, or all, for which an expression is true; see `resolve_all`.

    None means all experiments. That none matches is an error, and ends the program. Without `read`,
    this process reads the logs.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, UnknownMetricError
    """
    ids = resolve_all(store, typed)
    if where is None:
        return ids
    chosen = matching(store, where, ids, read)
    if not chosen:
        tell_none(store, {"--where": where})
        sys.exit(1)
    return chosen


def tell_none(store: StoreReader, filters: Mapping[str, str | None]) -> None:
    """Say on stderr that nothing is left: by these filters, or since the store is empty."""
    given = [f"{name} {shlex.quote(text)}" for name, text in filters.items() if text is not None]
    if given and (count := len(store.list_experiments())):
        tell(f"none of {counted(count, 'experiment', ',')} matches {' '.join(given)}")
    else:
        tell(f"no experiments in {store.location}; `expstore demo` creates some")


def require_some(store: StoreReader, chosen: list[str] | None) -> None:
    """End the program if all experiments are chosen, and there are none."""
    if chosen is None and not store.list_experiments():
        tell_none(store, {})
        sys.exit(1)


def matching(
    store: StoreReader,
    where: str,
    ids: Iterable[str] | None = None,
    read: ReadLogs | None = None,
) -> list[str]:
    """The ids for which an expression is true; a mistake in it is pointed at, and ends the program.

    Args:
        store: the store.
        where: the expression.
        ids: only these; None: all.
        read: reads the logs; None: this process.
    """
    from expstore.compare.experiments import Experiment
    from expstore.compare.reading import read_logs
    from expstore.compare.selection import select
    from expstore.compare.wanted import wants_of
    from expstore.compare.where import parse

    asked: list[Experiment] = []

    def noting(found: list[Experiment]) -> list[Experiment]:
        asked.extend(found)
        if read:
            return read(found)
        return read_logs(store, found, progress("reading"), wants=wants_of(parse(where)))

    with pointing_at_mistakes():
        chosen = select(store, where, ids, read=noting)
    for one in asked:
        if one.is_unreadable:
            tell(f"{one.commit_id}: left out: {one.problems[-1]}")
    return chosen


def expanded_names(
    store: StoreReader, names: list[str] | None, ids: Iterable[str] | None
) -> list[str] | None:
    """The names that were typed, with those that patterns match; one that matches none stays.

    Logs are read for it only if there is a pattern.
    """
    from expstore.compare.conditions import is_pattern
    from expstore.compare.experiments import experiments
    from expstore.compare.patterns import expand
    from expstore.compare.reading import read_logs
    from expstore.compare.wanted import wants_of

    if not names or not any(map(is_pattern, names)):
        return names or None
    found = list(experiments(store, store.select_ids(ids)))
    read_logs(store, found, progress("reading"), wants=wants_of())
    known = dict.fromkeys(name for one in found for name in one.names)
    return list(
        dict.fromkeys(
            meant for name in names for meant in (expand([name], known, strict=False) or [name])
        )
    )


@contextmanager
def pointing_at_mistakes() -> Iterator[None]:
    """Show where an expression is wrong, and end the program as for wrong usage."""
    try:
        yield
    except WhereError as error:
        shown = printable(error.text)
        if len(shown) == len(error.text) < 500:
            print(f"  {shown}\n  {' ' * (error.column - 1)}^", file=sys.stderr)
        fail(str(error), 2)


def _offered(incomplete: str, names: Iterable[str]) -> list[str]:
    """Shells insert names unquoted, and some evaluate them at once, so only tame ones are."""
    return [name for name in names if name.startswith(incomplete) and _TAME.fullmatch(name)]


def _names(
    context: typer.Context,
    *,
    fields: bool = True,
    params: bool = False,
    metrics: bool = False,
    tags: bool = False,
) -> list[str]:
    from expstore.compare.experiments import experiments
    from expstore.compare.naming import FIELDS

    parent = context.find_root()
    names: dict[str, None] = dict.fromkeys(FIELDS) if fields else {}
    try:
        store = open_readable(context, context.params.get("root") or parent.params.get("root"))
        # What was typed before an option without a value is not parsed yet: it is in `args`.
        typed = context.params.get("commit_ids") or [
            context.params.get("commit_id"),
            *context.args,
        ]
        ids = [
            one
            for one in typed
            if one and layout.is_commit_id(one) and store.experiment_exists(one)
        ]
        for one in experiments(store, (ids or store.list_experiments())[-_LOOKED_AT:]):
            names |= dict.fromkeys(one.params if params else ())
            names |= dict.fromkeys(one.metrics if metrics else ())
            names |= dict.fromkeys(one.run.tags if tags else ())
    except (ExpStoreError, FormatError):
        return []  # shell completion cannot show errors
    return list(names)
