// Axes for parameters of any kind: numbers, on a linear or logarithmic scale, or distinct values.
import { collator, formatParam } from "./format.js";
import { labels, ticksOf } from "./ticks.js";

const MOST = 12; // labels of distinct values

// { at: position of a value from 0 to 1, rank: number to order by or null, ticks, low, high, absent }
export function axisOf(values) {
  const present = values.filter((value) => value !== undefined && value !== null && !Number.isNaN(value));
  const absent = present.length < values.length;
  const numeric = present.every((value) => typeof value === "number" && Number.isFinite(value));
  return { absent, ...(numeric && present.length ? numbers(present) : kinds(present)) };
}

const BELOW = -0.07; // where runs without the parameter are

function numbers(present) {
  const distinct = [...new Set(present)].sort((a, b) => a - b);
  const low = distinct[0], high = distinct[distinct.length - 1];
  const log = low > 0 && high / low >= 30;
  const scaled = log ? Math.log : (value) => value;
  const [from, to] = [scaled(low), scaled(high)];
  const at = (value) => (typeof value !== "number" || Number.isNaN(value) ? BELOW : to > from ? (scaled(value) - from) / (to - from) : 0.5);
  const marks = distinct.length <= 6 && apart(distinct.map(at)) ? distinct : ticksOf(low, high, 5, log);
  const texts = marks === distinct ? marks.map(formatParam) : labels(marks);
  return { at, rank: (value) => (typeof value === "number" ? value : null), low, high, ticks: marks.map((mark, index) => ({ at: at(mark), text: texts[index] })) };
}

const apart = (positions) => positions.every((at, index) => !index || at - positions[index - 1] > 0.06);

function kinds(present) {
  const names = [...new Set(present.map(formatParam))].sort(collator.compare);
  const places = new Map(names.map((name, index) => [name, names.length > 1 ? index / (names.length - 1) : 0.5]));
  const every = Math.ceil(names.length / MOST);
  return {
    at: (value) => (value === undefined || value === null ? BELOW : places.get(formatParam(value)) ?? BELOW),
    rank: (value) => (names.length === 2 && value !== undefined ? places.get(formatParam(value)) ?? null : null),
    low: NaN, high: NaN,
    ticks: names.filter((_, index) => index % every === 0).map((name) => ({ at: places.get(name), text: name })),
  };
}

// Spearman's rank correlation, from -1 to 1; null where it says nothing.
export function correlation(xs, ys) {
  const pairs = xs.map((x, index) => [x, ys[index]]).filter(([x, y]) => x !== null && Number.isFinite(y));
  if (pairs.length < 3) return null;
  const a = ranks(pairs.map(([x]) => x)), b = ranks(pairs.map(([, y]) => y));
  const mean = (pairs.length - 1) / 2;
  let both = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    both += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) ** 2;
    bb += (b[i] - mean) ** 2;
  }
  return aa && bb ? both / Math.sqrt(aa * bb) : null;
}

// Equal values share the mean of their ranks.
function ranks(values) {
  const order = Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  const found = new Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (let i = start; i < end; i++) found[order[i]] = (start + end - 1) / 2;
    start = end;
  }
  return found;
}
