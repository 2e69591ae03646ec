# Reads the files named on stdin with generated Nim parsers, and writes what they give.
import std/strutils
import kaitai_struct_nim_runtime
import meta, metrics, probe

proc hex(data: string): string = "x" & data.toHex.toLowerAscii

proc hex(data: seq[byte]): string =
  result = "x"
  for b in data:
    result.add b.toHex.toLowerAscii

proc text(read: Meta_Text): string =
  if read == nil: "-" else: hex(read.value)

proc read(kind: string, stream: KaitaiStream) =
  if kind == "meta":
    let m = Meta.read(stream, nil, nil)
    echo "value ", m.version, " ", m.timestamp, " ", text(m.commitId), " ", text(m.jobName), " ", text(m.user)
  elif kind == "probe":
    let p = Probe.read(stream, nil, nil)
    echo "value ", p.magic, " ", p.serial, " ", hex(p.note.value), " ", p.defaultField
  while kind == "metrics" and not stream.isEof:
    let r = Metrics_Record.read(stream, nil, nil)
    let bits = cast[uint64](r.value).toHex.toLowerAscii
    echo "value ", r.timestamp, " ", r.step, " ", bits, " ", hex(r.name.value)

for line in stdin.lines:
  let parts = line.split(' ')
  try:
    read(parts[0], newKaitaiFileStream(parts[1]))
    echo "end"
  except Exception as error:  # a torn text is a Defect
    echo "end ", error.name
