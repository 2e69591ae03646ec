"""The formats: `schema` prints the declarations, `hexdump` the meaning of each byte of a file.

Guarantees: all output is derived from the declarations; damage is shown, and raises no error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expstore import UnreadableFileError
from expstore.cli.base import Json, Root, app, open_store, print_json, printable
from expstore.cli.ids import complete, resolve
from expstore.store.files import layout
from formats import FORMATS, Format

if TYPE_CHECKING:
    from rich.text import Text

    from expstore.store.files.directory import Location
    from formats.codec.spans import Span
    from formats.descriptions.dump import Row

_RUN = "run"


class Notation(StrEnum):
    """How a format is printed."""

    KSY = "ksy"
    HEXPAT = "hexpat"
    CSTRUCT = "cstruct"
    TABLE = "table"
    JSON = "json"


_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


@app.command()
def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|MODULE:NAME",
            help=f"{', '.join((*FORMATS, _RUN))}, or a declaration of your own: its module, as "
            "found from here, and its name there. Default: all formats of a store.",
            autocompletion=lambda incomplete: [
                n for n in (*FORMATS, _RUN) if n.startswith(incomplete)
            ],
        ),
    ] = None,
    notation: Annotated[
        Notation,
        typer.Option(
            "--format",
            help="Kaitai Struct (ksy), a pattern for ImHex (hexpat), a definition for "
            "dissect.cstruct (cstruct), the specification's table (Markdown), or JSON; for `run`, "
            "which is text, the table or its JSON Schema (json).",
        ),
    ] = Notation.TABLE,
    texts_as_bytes: Annotated[
        bool,
        typer.Option(
            "--texts-as-bytes",
            help="For ksy: generated parsers give texts as bytes, also if they are not UTF-8.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the declared formats, or one of your own.

    Example: expstore schema metrics --format ksy > metrics.ksy
    """
    from formats import to_cstruct, to_hexpat, to_json_schema, to_ksy
    from formats.descriptions import keys, spec

    if as_json:
        notation = Notation.JSON
    if texts_as_bytes and notation is not Notation.KSY:
        raise typer.BadParameter("is for --format ksy", param_hint="--texts-as-bytes")
    if name == _RUN:
        if notation is Notation.JSON:
            print(to_json_schema(), end="")
        elif notation is Notation.TABLE:
            _print_markdown(keys.run_table())
        else:
            raise typer.BadParameter("for `run`: table or json", param_hint="--format")
        return
    chosen = [_format(name)] if name else list(FORMATS.values())
    if notation is Notation.JSON:
        print_json([spec.describe(format) for format in chosen])
    elif notation is Notation.KSY:
        schemas = (to_ksy(f, id=f.name, texts_as_bytes=texts_as_bytes) for f in chosen)
        print("---\n".join(schemas), end="")
    elif notation is not Notation.TABLE:
        describe = to_hexpat if notation is Notation.HEXPAT else to_cstruct
        print("\n".join(describe(format) for format in chosen), end="")
    else:
        tables = [f"## {f.name}\n\n{spec.markdown(f)}" for f in chosen]
        if name is None:
            tables.append(f"## {_RUN}\n\n{keys.run_table()}")
        _print_markdown("\n\n".join(tables))


def _format(name: str) -> Format:
    """The format of this name, or the one that MODULE:NAME declares."""
    module, colon, attribute = name.partition(":")
    if name in FORMATS:
        return FORMATS[name]
    if not colon:
        known = ", ".join((*FORMATS, _RUN))
        raise typer.BadParameter(f"{name!r} is none of {known}, nor MODULE:NAME", param_hint="NAME")
    sys.path.insert(0, os.getcwd())
    try:
        declaration = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    if isinstance(declaration, Format):
        return declaration
    return Format(attribute.lower(), declaration)


def _print_markdown(text: str) -> None:
    """Render Markdown on a terminal; print it unchanged into a pipe or a file."""
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


@app.command()
def hexdump(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="ID|FILE", help="An experiment, or a file.", autocompletion=complete
        ),
    ],
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata", help="The experiment's meta.bin; a FILE is read in that format."
        ),
    ] = False,
    records: Annotated[
        str | None,
        typer.Option(
            metavar="A:B", help="Only records A to B - 1; negative numbers count from the end."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N of these records.")
    ] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Print what each byte of a file means, record by record, including damage.

    `!` marks what is torn or invalid, `?` what is doubtful.

    Example: expstore hexdump 3f2a9c1d --records -3:
    """
    from expstore.store.care.annotate import iter_spans
    from formats.descriptions.dump import rows

    path, format = _find(context, root, target, metadata)
    spans = _limited(iter_spans(path, format, _slice(records)), limit)
    if as_json:
        print_json([_describe(span) for span in spans])
    elif not _print_rows(rows(spans), format):
        print(f"{printable(str(path))}: nothing there", file=sys.stderr)


def _find(
    context: typer.Context, root: str | None, target: str, metadata: bool
) -> tuple[Location, Format]:
    """The file that `target` names, and its format; an experiment takes precedence over a file."""
    from expstore.model.values import METADATA_FORMAT
    from expstore.store.care.annotate import format_of

    store = open_store(context, root)
    file, path = Path(target), store.location
    if layout.is_commit_id(target) and (store.experiment_exists(target) or not file.exists()):
        commit_id = resolve(store, target)
        path = store.locate(commit_id, layout.METADATA if metadata else layout.METRICS)
    elif file.is_file():
        path = file.resolve()
    else:
        raise UnreadableFileError(f"{target}: is neither a regular file nor an experiment")
    return path, METADATA_FORMAT if metadata else format_of(path)


def _slice(records: str | None) -> slice:
    if records is None:
        return slice(None)
    match = re.fullmatch(r"(-?\d+)?(:)?(-?\d+)?", records.strip())
    if not match or not (match[2] or match[1]):
        raise typer.BadParameter(f"expected A:B, not {records!r}", param_hint="--records")
    start = int(match[1]) if match[1] else None
    if match[2]:
        return slice(start, int(match[3]) if match[3] else None)
    return slice(start, (start or 0) + 1 or None)


def _limited(spans: Iterator[Span], limit: int | None) -> Iterator[Span]:
    first: int | None = None
    for span in spans:
        if span.index is not None and limit is not None:
            first = span.index if first is None else first
            if span.index >= first + limit:
                return
        yield span


def _describe(span: Span) -> dict[str, Any]:
    return {
        "offset": span.offset,
        "size": len(span.data),
        "hex": span.data.hex(),
        "record": span.index,
        "field": span.name or None,
        "value": span.value,
        "error": span.error and span.error.reason,
        "note": span.note or None,
    }


def _print_rows(dump: Iterator[Row], format: Format) -> int:
    """Print the rows, and return their number."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    names = [field.name for field in format.schema]
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}
    count = 0
    for row in dump:
        count += 1
        if not console.is_terminal:
            print(f"{row.heading}\n{row}" if row.heading else row)
            continue
        if row.heading:
            console.print(row.heading, style="yellow" if row.span.note else "bold", markup=False)
        console.print(_coloured(row, colours))
    return count


def _coloured(row: Row, colours: dict[str, str]) -> Text:
    from rich.text import Text

    field = row.span.field
    colour = "yellow" if field is None else colours[field.name]
    name, equals, value = row.what.partition(" = ")
    if row.span.error is not None:
        colour, name, equals, value = "bold red", row.what, "", ""
    return Text.assemble(
        (f"{row.mark} ", colour),
        (row.place, "dim"),
        "  ",
        (row.hex, colour),
        "  ",
        (row.ascii, "dim"),
        "  ",
        (name, colour),
        equals,
        value,
    )
