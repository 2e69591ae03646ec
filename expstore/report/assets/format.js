// Numbers, times and sizes as text.
export const grouped = new Intl.NumberFormat("en");
export const collator = new Intl.Collator("en", { numeric: true });
export const plural = (count, noun) => `${grouped.format(count)} ${noun}${count === 1 ? "" : "s"}`;

export function format(value) {
  if (value === null || value === undefined) return "";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text;
  if (Number.isInteger(value) && size < 1e9) text = grouped.format(value);
  else if (size >= 1e6 || size < 1e-4) text = value.toExponential(3).replace("e+", "e");
  else text = String(Number(value.toPrecision(5)));
  return text.replace("-", "−");
}

// A parameter's value: integers are not grouped, since they may be years or seeds.
export function formatParam(value) {
  if (value === undefined) return "";
  if (value === null) return "none";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value).replace("-", "−");
  return format(value);
}

const two = (part) => String(part).padStart(2, "0");

export function time(seconds, withSeconds = false) {
  const date = new Date(seconds * 1000);
  if (seconds === null) return "";
  if (Number.isNaN(date.getTime())) return String(seconds);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}${withSeconds ? `:${two(date.getSeconds())}` : ""}`;
}

// 90 as "1m 30s": the two largest units.
export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  const parts = [];
  let left = Math.round(Math.abs(seconds));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]]) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count && parts.length < 2) parts.push(`${grouped.format(count)}${unit}`);
    else if (parts.length) break;
  }
  return (seconds < 0 ? "−" : "") + (parts.join(" ") || "0s");
}

export function bytes(size) {
  if (size === null || size === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (size >= 1000 && place < units.length - 1) {
    size /= 1000;
    place += 1;
  }
  return `${place ? Number(size.toPrecision(3)) : size} ${units[place]}`;
}

// An id with its end, which tells apart the runs of one commit: 3f2a9c1d…7749d-12.
export function shortId(run) {
  const marks = [...run.id];
  return marks.length > 18 ? `${marks.slice(0, 8).join("")}…${marks.slice(-8).join("")}` : run.id;
}
export const label = (run) => shortId(run) + (run.job ? `  ${run.job}` : "");
