// Reads the files named on stdin with generated JavaScript parsers, and writes what they give.
const fs = require("fs");
const KaitaiStream = require("kaitai-struct/KaitaiStream");
const { Meta } = require("./Meta");
const { Metrics } = require("./Metrics");
const { Probe } = require("./Probe");

const text = (read) => (read === undefined ? "-" : "x" + Buffer.from(read.value).toString("hex"));

function bits(value) {
  const data = Buffer.alloc(8);
  data.writeDoubleBE(value);
  return data.toString("hex");
}

function read(kind, stream) {
  const value = (...parts) => console.log(["value", ...parts].join(" "));
  if (kind === "meta") {
    const m = new Meta(stream);
    value(m.version, BigInt(m.timestamp), text(m.commitId), text(m.jobName), text(m.user));
  } else if (kind === "probe") {
    const p = new Probe(stream);
    value(p.magic, BigInt(p.serial), text(p.note), p.defaultField);
  }
  while (kind === "metrics" && !stream.isEof()) {
    const r = new Metrics.Record(stream);
    value(BigInt(r.timestamp), r.step, bits(r.value), text(r.name));
  }
}

for (const line of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [kind, path] = line.split(" ");
  const data = Uint8Array.from(fs.readFileSync(path)).buffer;
  try {
    read(kind, new KaitaiStream(data));
    console.log("end");
  } catch (error) {
    console.log("end", error.constructor.name);
  }
}
