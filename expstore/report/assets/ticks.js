// Ticks of axes, and their labels.
import { duration } from "./format.js";

// Whether adding 1 leads from one number to another: of large ones it gives the same number again.
const countable = (low, high) => Number.isSafeInteger(low) && Number.isSafeInteger(high);

// About `room` round numbers between two bounds.
export function ticksOf(low, high, room, log = false, minStep = 0) {
  const count = Math.max(room, 2);
  const decades = Math.log10(high / low);
  if (log && decades > 1) return decadesOf(low, high, decades, count);
  const rough = (high / count - low / count) || Number.MIN_VALUE;
  const power = Math.floor(Math.log10(rough));
  const part = [1, 2, 5, 10].find((one) => Number(`${one}e${power}`) >= rough) || 10;
  const step = Math.max(Number(`${part}e${power}`), minStep);
  const ticks = [];
  const first = Math.ceil(low / step), last = Math.floor(high / step);
  if (!countable(first, last)) return [low];
  for (let at = first; at <= last; at++) ticks.push(Number((at * step).toPrecision(15)));
  return ticks.length || !log ? ticks : [Math.sqrt(low) * Math.sqrt(high)];
}

function decadesOf(low, high, decades, count) {
  const every = Math.max(1, Math.round(decades / count));
  const parts = decades * 3 <= count * 1.5 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low) / every) * every; power <= Math.log10(high); power += every) {
    for (const part of parts) ticks.push(Number(`${part}e${power}`));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

// Labels that distinguish the ticks, in the shortest common format.
export function labels(ticks) {
  const largest = Math.max(...ticks.map(Math.abs));
  const step = Math.min(...ticks.slice(1).map((tick, index) => tick - ticks[index]), largest);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  let form;
  if (!(largest > 0)) form = String;
  else if (step < largest / 1e4 || (largest < 1e6 && decimals < 5)) {
    const plain = new Intl.NumberFormat("en", { maximumFractionDigits: Math.min(decimals, 20) });
    form = (tick) => plain.format(tick);
  } else form = (tick) => (tick === 0 ? "0" : String(Number(tick.toPrecision(6)).toExponential()).replace("e+", "e"));
  return ticks.map((tick) => form(tick).replaceAll("-", "−"));
}

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const CALENDAR = 8.64e12; // seconds from 1970 to the last date there is
const SPANS = [
  1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY,
];

// Ticks at round times of day here, or round durations; null if the axis is longer than 100 years,
// or far from all calendars.
export function timeTicks(low, high, room, relative) {
  const step = SPANS.find((span) => (high - low) / span <= Math.max(room, 2));
  if (!step || Math.max(-low, high) > (relative ? Number.MAX_SAFE_INTEGER : CALENDAR)) return null;
  const shift = relative ? 0 : new Date(low * 1000).getTimezoneOffset() * -60 || 0;
  const ticks = [];
  for (let at = Math.ceil((low + shift) / step) * step; at <= high + shift; at += step) ticks.push(at - shift);
  return ticks;
}

export function timeLabels(ticks, relative) {
  if (relative) return ticks.map(duration);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
  const two = (part) => String(part).padStart(2, "0");
  let day = null;
  return ticks.map((tick) => {
    const date = new Date(tick * 1000);
    const today = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    if (step >= 90 * DAY) return `${date.getFullYear()}-${two(date.getMonth() + 1)}`;
    if (step >= DAY) return today;
    const changed = day !== null && day !== today;
    day = today;
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return changed ? today : step >= MINUTE || !step ? clock : `${clock}:${two(date.getSeconds())}`;
  });
}
