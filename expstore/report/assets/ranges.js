// The range of values that a chart shows.
const LARGEST = Number.MAX_VALUE / 4;

export function extentOf(lines) {
  let low = Infinity, high = -Infinity;
  for (const { xs } of lines) {
    low = Math.min(low, xs[0]);
    high = Math.max(high, xs[xs.length - 1]);
  }
  const by = Math.max(1, Math.abs(low) / 1e12); // large numbers are further apart than 1
  return high - low < by ? [low - by, high + by] : [low, high];
}

function valuesBetween(lines, [from, to]) {
  const found = [];
  for (const { xs, values } of lines) {
    for (let i = 0; i < values.length; i++) {
      if (values[i] !== null && xs[i] >= from && xs[i] <= to) found.push(values[i]);
    }
  }
  if (found.length) return found;
  for (const { values } of lines) for (const value of values) if (value !== null) found.push(value);
  return found;
}

// Where most values are: up to 1.5 times the distance from the 5th to the 95th percentile beyond
// these. null if ignoring the rest would gain little.
function bulkOf(values, log, always) {
  const sorted = Float64Array.from(values, log ? Math.log : (value) => value).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = [at(0.05), at(0.95)], reach = 1.5 * (high - low);
  const [least, most] = [sorted[0], sorted[sorted.length - 1]];
  const bounds = [Math.max(least, low - reach), Math.min(most, high + reach)];
  if (!(bounds[1] > bounds[0]) || (bounds[0] === least && bounds[1] === most)) return null;
  if (!always && most - least < 4 * (bounds[1] - bounds[0])) return null;
  return log ? bounds.map(Math.exp) : bounds;
}

// { range, above, below }: the padded range for the values between two positions, and how many of
// the drawn points it leaves out. `outliers` is auto, ignore or show; `wish` has the ends that the
// user set, null where none.
export function valueRange(lines, between, { log, outliers, wish }) {
  const values = valuesBetween(lines, between);
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const bulk = outliers === "show" || values.length < 20 ? null : bulkOf(values, log, outliers === "ignore");
  if (bulk) [low, high] = bulk;
  let range = log ? paddedLog(low, high) : padded(low, high);
  if (wish) range = wished(range, wish, log);
  let above = 0, below = 0;
  if (bulk || wish) {
    for (const value of values) {
      if (value > range[1]) above += 1;
      else if (value < range[0]) below += 1;
    }
  }
  return { range, above, below, ignoring: bulk !== null };
}

function padded(low, high) {
  const padding = high > low ? high / 20 - low / 20 : Math.abs(high) / 10 || 1;
  return [low - padding, high + padding].map((end) => Math.min(Math.max(end, -LARGEST), LARGEST));
}

function paddedLog(low, high) {
  const padding = Math.max(Math.pow(high / low, 0.05), 1.05);
  return [low / padding, high * padding].map((end) => Math.min(Math.max(end, 5e-324), Number.MAX_VALUE));
}

function wished(range, wish, log) {
  const valid = (end) => end !== null && Number.isFinite(end) && (!log || end > 0);
  const ends = range.map((end, index) => (valid(wish[index]) ? wish[index] : end));
  if (ends[0] < ends[1]) return ends;
  // One end was set, and is beyond all values.
  return valid(wish[0]) ? [ends[0], log ? ends[0] * 10 : ends[0] + (Math.abs(ends[0]) || 1)]
    : [log ? ends[1] / 10 : ends[1] - (Math.abs(ends[1]) || 1), ends[1]];
}
