// Parses files with generated JavaScript parsers and says what they read.
//
// Reads [[parser file, class, data in hex], ...] on stdin. A class `Outer.Inner` is read again and
// again to the end of the data. Writes for each {values: [...], error: a class's name or null}; a
// value is what the parser gives, floats as the hex of their bits, 64-bit integers as numbers.
const KaitaiStream = require("kaitai-struct/KaitaiStream");

function shown(value) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    const bits = Buffer.alloc(8);
    bits.writeDoubleBE(value);
    return { bits: bits.toString("hex") };
  }
  if (Object.is(value, -0)) return { bits: "8000000000000000" };
  return value;
}

function fields(object) {
  const read = Object.entries(object).filter(([key]) => !key.startsWith("_"));
  return Object.fromEntries(read.map(([key, value]) => [key, shown(value)]));
}

function parse([file, path, hex]) {
  const data = Buffer.from(hex, "hex");
  const stream = new KaitaiStream(
    data.buffer.slice(data.byteOffset, data.byteOffset + data.length)
  );
  const names = path.split(".");
  const Type = names.reduce((scope, name) => scope[name], require(file));
  const values = [];
  try {
    do {
      values.push(fields(new Type(stream)));
    } while (names.length > 1 && !stream.isEof());
  } catch (error) {
    return { values, error: error.constructor.name };
  }
  return { values, error: null };
}

const jobs = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(jobs.map(parse)));
