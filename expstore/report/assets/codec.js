// Curves as they come from Python; see `curve_payload` in curvedata.py.

// A number, of which JSON has no form if it is not finite; null stays null.
export const number = (value) => (typeof value === "string" ? Number(value) : value ?? null);

export function bytesOf(base64) {
  const binary = atob(base64), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

const KINDS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };

// { points, values, steps, times, means, counts }: arrays of equal length. `points` is how many
// were logged; `counts` is null if all of them are there, and `means` then are the values. A live
// source also says in `end` which points they are; see `follows`.
export function decode({ n, points, columns, end = null }, buffer) {
  const found = { points, values: [], steps: [], times: [], means: null, counts: null, end };
  let at = 0;
  for (const [name, type, first, by] of columns) {
    if (type === "line") {
      found[name] = Float64Array.from({ length: n }, (_, index) => first + by * index);
      continue;
    }
    const Kind = KINDS[type];
    const column = new Kind(buffer.slice(at, (at += n * Kind.BYTES_PER_ELEMENT)));
    found[name] = first ? Float64Array.from(column, (value) => first + value) : column;
  }
  found.means ??= found.values;
  return found;
}

// A message with a curve: the length of its header as four bytes, the header, the columns. Gives the
// header and the curve.
export function decodeMessage(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  return { header, curve: header.columns ? decode(header, buffer.slice(4 + size)) : null };
}

// Whether points come right after those of a curve: "yes", "no", or "had" if the curve has them.
// `start` and `end` are [state, offset] of a log, and offset null is an unknown one; a source that
// gives neither is trusted.
export function follows(later, curve) {
  if (!later.end || !curve.end) return "yes";
  const [state, offset] = curve.end;
  if (state !== later.end[0]) return "no";
  if (later.end[1] <= offset) return "had";
  return later.start[1] === offset ? "yes" : "no";
}

// The curve with later points behind; each of those stands for itself.
export function append(curve, later) {
  const join = (a, b) => {
    const both = new Float64Array(a.length + b.length);
    both.set(a);
    both.set(b, a.length);
    return both;
  };
  const finite = (values) => Uint8Array.from(values, (value) => (Number.isFinite(value) ? 1 : 0));
  const thinned = curve.counts || later.counts;
  const values = join(curve.values, later.values);
  return {
    points: curve.points + later.points,
    end: later.end,
    values,
    steps: join(curve.steps, later.steps),
    times: join(curve.times, later.times),
    means: thinned ? join(curve.means, later.means) : values,
    counts: thinned ? join(curve.counts ?? finite(curve.values), later.counts ?? finite(later.values)) : null,
  };
}
