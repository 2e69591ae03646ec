"""What generated readers give for the golden vectors and a probe, summed up in a row of a table.

Guarantees: a vector counts as read only if every value of it is the expected one, bit for bit, and
the reader stops where and only where it should.
"""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import yaml
from construct import Const, Float64l, Int8ub, Int16ul, Int32ub, Int64ub, Struct

import formats
from formats import META, METRICS, LengthPrefixedText, to_ksy
from tests.helpers.paths import VECTORS
from tests.kaitai import languages
from tests.kaitai.languages import Language

# What the formats lack: an unsigned 64-bit integer, constants that the compiler takes only as
# expressions, and a name that is a keyword in many languages.
PROBE = Struct(
    "magic" / Const(0xDEADBEEF, Int32ub),
    "serial" / Int64ub,
    "scale" / Const(-2.5e-3, Float64l),
    "note" / LengthPrefixedText(Int16ul),
    "default" / Int8ub,
)
SERIAL = 2**63 + 1
STAMP = 2**63 - 1  # in the vector max-255
DECLARATIONS = {"meta": META, "metrics": METRICS, "probe": PROBE}
CUT = ("cut-in-commit", "cut-in-job", "cut-in-user", "empty-file", "too-short")
TORN = ("torn-header", "torn-name", "torn-20-bytes", "torn-then-appended", "zero-tail")


@dataclass(frozen=True)
class Row:
    """One language's row in the table of formats/README.md."""

    language: str
    vectors: str
    signed: str
    unsigned: str
    invalid_text: str
    torn: str
    wrong_constant: str

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


HEADING = Row(
    "language",
    "files read",
    "2^63 - 1, signed",
    "2^63 + 1, unsigned",
    "invalid UTF-8",
    "torn tail",
    "wrong constant",
)


@dataclass(frozen=True)
class Read:
    """What a reader gave for one file: its values, and the error's name, or an empty string."""

    values: list[list[str]]
    error: str


def schemas(*, texts_as_bytes: bool) -> dict[str, Any]:
    """The Kaitai schemas of all declarations, parsed."""
    return {
        name: yaml.safe_load(to_ksy(declared, id=name, texts_as_bytes=texts_as_bytes))
        for name, declared in DECLARATIONS.items()
    }


def measure(language: Language, folder: Path) -> Row:
    """Generate, build and run a language's readers in a folder: texts as bytes, and as strings."""
    files = _files(folder)
    as_bytes = _read(language, folder / "bytes", files, texts_as_bytes=True)
    as_text = _read(language, folder / "text", files, texts_as_bytes=False)
    expected = _expected()
    right = [name for name, wanted in expected.items() if _is_right(as_bytes[name], wanted)]
    torn = {as_bytes[f"metrics {name}"].error for name in TORN}
    return Row(
        language.name,
        f"{len(right)} of {len(expected)}",
        _integer(as_bytes["meta max-255"].values[0][1], STAMP),
        _integer(as_bytes["probe right"].values[0][1], SERIAL),
        _text(as_text["meta invalid-utf8"]),
        " or ".join(sorted(f"`{error}`" for error in torn)),
        _constant(as_bytes["meta bad-version"], as_bytes["probe wrong"]),
    )


def documented() -> dict[str, str]:
    """The rows of the table in formats/README.md, by language."""
    text = Path(formats.__file__).with_name("README.md").read_text()
    (table,) = re.findall(r"<!-- kaitai -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return {row[0]: f"| {' | '.join(row)} |" for row in cells}


def wrong_vectors(language: Language, folder: Path) -> list[str]:
    """The vectors that a language reads otherwise than expected, after `measure` in this folder."""
    read = _parse(language, folder / "bytes", _files(folder))
    return [name for name, wanted in _expected().items() if not _is_right(read[name], wanted)]


def _files(folder: Path) -> dict[str, Path]:
    """The files to read, by kind and name."""
    folder.mkdir(parents=True, exist_ok=True)
    right = PROBE.build({"serial": SERIAL, "note": "n\udcff", "default": 7})
    (folder / "right.bin").write_bytes(right)
    (folder / "wrong.bin").write_bytes(b"\xde\xad\xbe\xee" + right[4:])
    return {
        **{f"probe {name}": folder / f"{name}.bin" for name in ("right", "wrong")},
        **{
            f"{kind} {path.parent.name}": path
            for kind in ("meta", "metrics")
            for path in sorted(VECTORS.glob(f"store/*/{kind}.bin"))
        },
    }


def _read(
    language: Language, folder: Path, files: dict[str, Path], *, texts_as_bytes: bool
) -> dict[str, Read]:
    sources = languages.generate(schemas(texts_as_bytes=texts_as_bytes), [language.target])
    languages.build(language, sources[language.target], folder)
    return _parse(language, folder, files)


def _parse(language: Language, folder: Path, files: dict[str, Path]) -> dict[str, Read]:
    jobs = "".join(f"{name.split()[0]} {path}\n" for name, path in files.items())
    answers, values = [], []
    for line in languages.run(language, folder, jobs).splitlines():
        word, _, rest = line.partition(" ")
        if word == "value":
            values.append(rest.split(" "))
        else:
            answers.append(Read(values, re.sub(r"(?<![\w-])\d+", "N", rest)))
            values = []
    return dict(zip(files, answers, strict=True))


def _expected() -> dict[str, Read]:
    """What readers should give for the vectors; any name will do for an error."""
    expected = json.loads((VECTORS / "expected.json").read_text())["experiments"]
    wanted = {}
    for name in _files_of("meta"):
        meta = expected[name]["metadata"]
        if meta is None or name in CUT:
            wanted[f"meta {name}"] = Read([], "error")
        else:
            texts = [f"x{meta[f'{field}_hex']}" for field in ("commit_id", "job_name", "user")]
            wanted[f"meta {name}"] = Read([["1", str(meta["timestamp"]), *texts]], "")
    for name in _files_of("metrics"):
        rows = [[*map(str, row[:3]), f"x{row[3]}"] for row in expected[name]["metrics"] or []]
        wanted[f"metrics {name}"] = Read(rows, "error" if name in TORN else "")
    return wanted


def _files_of(kind: str) -> list[str]:
    return sorted(path.parent.name for path in VECTORS.glob(f"store/*/{kind}.bin"))


def _is_right(read: Read, wanted: Read) -> bool:
    """An absent text, `-`, is read as an empty one by who uses the format."""
    values = [["x" if part == "-" else part for part in value] for value in read.values]
    return values == wanted.values and bool(read.error) == bool(wanted.error)


def _integer(shown: str, right: int) -> str:
    if shown == str(right):
        return "exact"
    if shown == str(right - 2**64):
        return "negative"
    try:
        return "rounded" if abs(float(shown) / right - 1) < 1e-9 else f"wrong: {shown}"
    except ValueError:
        return f"wrong: {shown}"


def _text(meta: Read) -> str:
    if meta.error:
        return f"`{meta.error}`"
    shown = {bytes.fromhex(meta.values[0][3][1:]), bytes.fromhex(meta.values[0][4][1:])}
    if shown == {b"j\xff\xfe", b"u\x80"}:
        return "kept"
    if shown == {b""}:
        return "empty text"
    if all("\ufffd" in text.decode("utf-8", "surrogateescape") for text in shown):
        return "U+FFFD"
    return f"garbled: {' '.join(sorted(text.hex() for text in shown))}"


def _constant(meta: Read, probe: Read) -> str:
    if not meta.error and not probe.error:
        return "not checked"
    errors = {one.error or "not checked" for one in (meta, probe)}
    return " or ".join(f"`{error}`" for error in sorted(errors))
