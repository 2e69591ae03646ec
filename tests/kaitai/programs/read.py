"""Reads the files named on stdin with generated Python parsers, and writes what they give."""

import io
import struct
import sys
from pathlib import Path

from kaitaistruct import KaitaiStream
from meta import Meta
from metrics import Metrics
from probe import Probe


def text(read: object) -> str:
    """A text as the hexadecimal of its UTF-8, or `-` if it is absent."""
    if read is None:
        return "-"
    value = read.value
    return "x" + (value if isinstance(value, bytes) else value.encode()).hex()


def main() -> None:
    """One `value` line per value, and one `end` line per file, with the error if there is one."""
    for line in sys.stdin:
        kind, path = line.split(maxsplit=1)
        stream = KaitaiStream(io.BytesIO(Path(path.strip()).read_bytes()))
        try:
            if kind == "meta":
                m = Meta(stream)
                texts = m.commit_id, getattr(m, "job_name", None), getattr(m, "user", None)
                print("value", m.version, m.timestamp, *map(text, texts))
            elif kind == "probe":
                p = Probe(stream)
                print("value", p.magic, p.serial, text(p.note), p.default_field)
            while kind == "metrics" and not stream.is_eof():
                r = Metrics.Record(stream)
                bits = struct.pack(">d", r.value).hex()
                print("value", r.timestamp, r.step, bits, text(r.name))
            print("end")
        except Exception as error:  # the name of any error is what is compared
            print("end", type(error).__name__)


main()
