// How an experiment's value is compared with what was typed; see conditions.py, which this follows.
// A missing value is null: it equals `none`, and nothing else.
export class WhereError extends Error {
  name = "WhereError";

  constructor(problem, column) {
    super(`${problem} (column ${column})`);
    this.column = column;
  }
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 7 * 86400 };
const DURATION = /^(\d{1,9}(?:\.\d{1,9})?)([smhdw])$/;
const NUMBER = /^(?:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|[-+]?inf(?:inity)?|nan)$/i;
const STATUSES = ["running", "finished", "failed", "stopped", "unknown"];
const ORDERS = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
};

// A function that says whether a value of a kind passes a comparison.
export function conditionOf(operator, value, kind, name) {
  if (!value.quoted && /^(none|null)$/i.test(value.text) && (operator === "==" || operator === "in")) return (actual) => actual === null;
  if (operator === "~") {
    const matches = patternOf(value.text);
    const shown = kind === "time" ? timeText : asText;
    return (actual) => actual !== null && matches(shown(actual));
  }
  if (kind === "time") return timeTest(operator, intervalOf(value));
  if (kind === "duration") return numberTest(operator, secondsOf(value));
  const number = value.quoted ? null : asNumber(value.text);
  if (operator in ORDERS) {
    const isText = ["text", "texts", "status"].includes(kind);
    if (isText || number === null) throw new WhereError(`${operator} compares numbers, and ${isText ? "text" : value.text} is none; use == or ~`, value.column);
    return numberTest(operator, number);
  }
  if (kind === "status" && !STATUSES.includes(value.text)) throw new WhereError(`${value.text} is no status; there are: ${STATUSES.join(", ")}`, value.column);
  if (kind !== "number") return equality(value, number);
  if (number === null) throw new WhereError(`${name} is a number, and ${value.text} is none`, value.column);
  return numberTest(operator, number);
}

function equality(value, number) {
  const truth = value.quoted ? undefined : { true: true, false: false }[value.text.toLowerCase()];
  return (actual) => {
    if (actual === null) return false;
    if (typeof actual === "boolean") return truth !== undefined ? actual === truth : asText(actual) === value.text;
    const held = number === null ? null : asNumber(actual);
    return held === null ? asText(actual) === value.text : same(held, number);
  };
}

const same = (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b));

function numberTest(operator, number) {
  const compare = ORDERS[operator] ?? same;
  return (actual) => {
    const held = asNumber(actual);
    return held !== null && compare(held, number);
  };
}

function timeTest(operator, [first, last]) {
  if (!(operator in ORDERS)) return (actual) => actual !== null && first <= actual && actual <= last;
  const bound = operator === "<" || operator === ">=" ? first : last;
  return (actual) => actual !== null && ORDERS[operator](actual, bound);
}

// The first and the last moment that a text means, in seconds. `30d` is that long ago; a date is a
// whole day here.
function intervalOf({ text, column }) {
  const typed = text.trim();
  const span = DURATION.exec(typed);
  if (span) {
    const moment = Date.now() / 1000 - Number(span[1]) * UNITS[span[2]];
    return [moment, moment];
  }
  const number = asNumber(typed);
  if (number !== null && Number.isFinite(number) && typed.length > 8) return [number, number];
  const date = /^(\d{4})-(\d\d)-(\d\d)$/.exec(typed);
  if (date) {
    const [year, month, day] = date.slice(1).map(Number);
    const begin = new Date(year, month - 1, day), end = new Date(year, month - 1, day + 1);
    if (begin.getMonth() === month - 1 && begin.getDate() === day) return [begin / 1000, end / 1000 - 1e-6];
  } else if (/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[-+]\d\d:\d\d)?$/.test(typed)) {
    const moment = new Date(typed.replace(" ", "T")) / 1000;
    if (!Number.isNaN(moment)) return [moment, moment];
  }
  throw new WhereError(`${text} is not a time; use 36h, 30d, 2w, 2026-01-31 or 2026-01-31T12:00`, column);
}

function secondsOf({ text, column }) {
  const span = DURATION.exec(text.trim());
  if (span) return Number(span[1]) * UNITS[span[2]];
  const number = asNumber(text);
  if (number === null) throw new WhereError(`${text} is not a duration; use 90s, 30m, 1.5h, 2d or 1w`, column);
  return number;
}

// The number that a value is, or that its text is; null if it is none.
export function asNumber(value) {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !NUMBER.test(value)) return null;
  if (/inf/i.test(value)) return value[0] === "-" ? -Infinity : Infinity;
  return Number(value); // NaN of "nan"
}

const asText = (value) => String(value);

function timeText(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  const two = (part) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// `*` is any text, `?` any character; a pattern without either is looked for anywhere.
function patternOf(text) {
  if (!/[*?]/.test(text)) return (candidate) => candidate.includes(text);
  const [first, ...rest] = text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("?", ".").split(/[*]+/);
  const last = rest.pop();
  // What is between two `*` is found at its first place, and not looked for again.
  const between = rest.map((part, n) => `(?=(?<p${n}>.*?${part}))\\k<p${n}>`).join("");
  const pattern = new RegExp(`^${first}${between}${last === undefined ? "" : `.*${last}`}$`, "su");
  return (candidate) => pattern.test(candidate);
}
