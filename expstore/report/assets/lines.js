// Curves from the source, kept while they are needed; and the lines that are drawn of them.
import { append, follows } from "./codec.js";
import { state, touch } from "./state.js";

const POINTS = 2000; // that suffice for one chart
const MOST = 4000; // kept curves
const LONGEST = 4 * POINTS; // a curve to which points are appended; then it is thinned anew
let source = null;
const kept = new Map(); // "run metric part" to { curve, stale, later, zoom, curveId }
const idsOf = new Map(); // "run metric" to the ids in `kept`

export const useSource = (one) => (source = one);
export const absence = () => source.absence;

function keep(id, entry) {
  kept.set(id, entry);
  if (!idsOf.has(entry.curveId)) idsOf.set(entry.curveId, new Set());
  idsOf.get(entry.curveId).add(id);
  if (kept.size > MOST) drop(kept.keys().next().value);
}

function drop(id) {
  const ids = idsOf.get(kept.get(id)?.curveId);
  ids?.delete(id);
  if (ids && !ids.size) idsOf.delete(kept.get(id).curveId);
  kept.delete(id);
}

// The curve, if it is there: null if there is none, undefined while it is fetched.
export function curveOf(run, metric) {
  const zoomed = source.detail && state.zoom;
  const whole = at(run, metric, null);
  if (!zoomed || !whole || !whole.counts) return whole;
  // Meanwhile the coarse curve is shown.
  return at(run, metric, state.zoom) ?? whole;
}

function at(run, metric, zoom) {
  const x = state.x === "step" ? "step" : "time";
  const shift = state.x === "relative" ? run.first ?? 0 : 0;
  const part = source.detail ? [x, ...(zoom ?? []).map((end) => end + shift)] : [];
  const curveId = JSON.stringify([run.key, metric]);
  const id = JSON.stringify([curveId, part]);
  let entry = kept.get(id);
  if (entry) {
    kept.delete(id); // the ones used last are kept longest
    kept.set(id, entry);
    if (!entry.stale || entry.later) return entry.curve;
    entry.stale = false;
  } else {
    entry = { curve: undefined, stale: false, later: null, zoom: zoom && [x, ...part.slice(1)], curveId };
    keep(id, entry);
  }
  entry.later = []; // points that come while it is fetched
  const from = zoom ? zoom[0] + shift : null, to = zoom ? zoom[1] + shift : null;
  source.curve(run, metric, { x, from, to, points: POINTS }).then(
    (curve) => {
      const { later } = entry;
      entry.later = null;
      entry.curve = curve;
      later.forEach((one) => appendTo(entry, one));
      touch();
    },
    () => drop(id), // the source tells about its connection, and asks to draw again
  );
  return entry.curve;
}

// Points that were logged since; null: they must be fetched.
export function appendPoints(run, metric, later) {
  for (const id of idsOf.get(JSON.stringify([run.key, metric])) ?? []) {
    const entry = kept.get(id);
    if (entry.later) entry.later.push(later);
    else appendTo(entry, later);
  }
}

function appendTo(entry, later) {
  const { curve } = entry;
  if (!later || !curve) {
    entry.stale = !later || later.values.length > 0;
    return;
  }
  const how = follows(later, curve);
  if (how === "had") return;
  if (how === "no") entry.stale = true;
  else if (!later.values.length) curve.end = later.end;
  else if (entry.zoom) {
    const [x, , to] = entry.zoom;
    if (Math.min(...(x === "step" ? later.steps : later.times)) > to) curve.end = later.end;
    else entry.stale = true;
  } else if (curve.values.length < LONGEST) entry.curve = append(curve, later);
  else entry.stale = true;
}

// Positions on the chosen axis, with values, means and counts in that order.
function positioned(curve, run) {
  const zero = state.x === "relative" ? run.first ?? 0 : 0;
  const name = `${state.x} ${zero}`;
  if (curve.name === name) return curve.positioned;
  let { values, means, counts } = curve;
  let xs = state.x === "step" ? curve.steps : curve.times;
  if (xs.some((x, index) => index && x < xs[index - 1])) {
    const order = Array.from(xs.keys()).sort((a, b) => xs[a] - xs[b] || a - b);
    const sorted = (column) => column && Float64Array.from(order, (index) => column[index]);
    [xs, values, means, counts] = [xs, values, means, counts].map(sorted);
  }
  if (zero) xs = Float64Array.from(xs, (x) => x - zero);
  curve.name = name;
  curve.positioned = { xs, values, means, counts, steps: state.x === "step" ? xs : null };
  return curve.positioned;
}

// TensorBoard's debiased moving average; a point that stands for k points counts as k.
function smoothed({ values, means, counts }, weight) {
  const result = new Array(values.length);
  let average = 0, total = 0;
  for (let i = 0; i < values.length; i++) {
    const count = counts ? counts[i] : Number.isFinite(values[i]) ? 1 : 0;
    if (count && Number.isFinite(means[i])) {
      const weighed = Math.pow(weight, count);
      average = average * weighed + (1 - weighed) * means[i];
      total = total * weighed + (1 - weighed);
    }
    result[i] = Number.isFinite(values[i]) && total ? average / total : NaN;
  }
  return result;
}

// Values that cannot be drawn become null, which leaves a gap.
function drawable(values) {
  const result = new Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    result[i] = Number.isFinite(value) && (!state.log || value > 0) ? value : null;
  }
  return result;
}

// The lines of one run: as logged, and smoothed if that is chosen; `main` is the one to read.
export function linesOf(run, curve) {
  const placed = positioned(curve, run);
  const raw = drawable(placed.values);
  if (!state.smooth) return [{ run, xs: placed.xs, values: raw, raw, main: true }];
  return [
    { run, xs: placed.xs, values: raw, raw, main: false },
    { run, xs: placed.xs, values: drawable(smoothed(placed, state.smooth)), raw, main: true },
  ];
}

export function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1; else high = middle;
  }
  return low > 0 && x - xs[low - 1] <= xs[low] - x ? low - 1 : low;
}
