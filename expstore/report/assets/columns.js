// The columns of a table of runs: fields, parameters, and metrics with the step of their value.
import { lasted } from "./durations.js";
import { duration, format, formatParam, grouped, time } from "./format.js";
import { bestOf } from "./interest.js";
import { aspectOf, troubles } from "./model.js";
import { shown } from "./source.js";
import { state } from "./state.js";

// Which parameters differ between runs, those of most runs first; and which have one value in all.
export function paramsOf(runs) {
  const counts = new Map(), values = new Map();
  for (const run of runs) {
    for (const [name, value] of run.params) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      if (!values.has(name)) values.set(name, value);
      else if (!Object.is(values.get(name), value)) values.set(name, counts); // a value no run has
    }
  }
  const same = (name) => counts.get(name) === runs.length && values.get(name) !== counts;
  const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  return {
    differing: runs.length > 1 ? names.filter((name) => !same(name)) : names,
    same: runs.length > 1 ? names.filter(same).map((name) => [name, values.get(name)]) : [],
  };
}

const arrow = (metric) => {
  const own = state.aspect === "best" ? bestOf(metric) : state.aspect;
  return { min: "↓", max: "↑", last: "" }[own];
};

// { key, text, of: value to sort by, cell: text to show, number, title, step }
export function columnsOf(runs, metrics, params) {
  const some = (test) => runs.some(test);
  const found = [];
  const field = (key, text, of, cell = of, more = {}) => found.push({ key, text, of, cell, ...more });
  field("id", "Experiment", (run) => run.id);
  if (some((run) => run.status !== "unknown")) field("status", "Status", (run) => run.status, (run) => (run.status === "unknown" ? "" : run.status));
  for (const name of params) {
    const number = some((run) => typeof run.params.get(name) === "number");
    field(`param ${name}`, name, (run) => run.params.get(name) ?? null, (run) => formatParam(run.params.get(name)), { number });
  }
  for (const metric of metrics) {
    field(`metric ${metric}`, `${shown(metric)} ${arrow(metric)}`.trim(), (run) => aspectOf(run, metric)?.value ?? null,
      (run) => format(aspectOf(run, metric)?.value), {
        number: true, metric, title: shown(metric),
        step: (run) => aspectOf(run, metric)?.step ?? null,
      });
  }
  if (some((run) => run.job)) field("job", "Job", (run) => run.job);
  if (some((run) => run.tags.length)) field("tags", "Tags", (run) => run.tags.join(", "));
  if (some((run) => troubles(run).length)) field("state", "Problems", (run) => troubles(run).join("; "), undefined, { flag: true });
  if (some((run) => run.user)) field("user", "User", (run) => run.user);
  field("created", "Created", (run) => run.created, (run) => time(run.created));
  field("duration", "Duration", lasted, (run) => duration(lasted(run)), { number: true });
  field("points", "Points", (run) => run.points, (run) => grouped.format(run.points), { number: true });
  return found;
}

// All columns and runs as CSV: numbers in full, times in UTC.
export function csvOf(columns, runs) {
  const quoted = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : { NaN: "nan", Infinity: "inf" }[value] ?? "-inf";
    // A spreadsheet would run a text that begins like a formula.
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const heads = [], cells = [];
  for (const one of columns) {
    heads.push(one.metric === undefined ? one.key.replace(/^param /, "") : `${one.title}:${state.aspect}`);
    cells.push(one.key === "created" ? (run) => isoTime(run.created) : one.of);
    if (one.step) {
      heads.push(`${one.title}:step`);
      cells.push(one.step);
    }
  }
  const lines = runs.map((run) => cells.map((cell) => quoted(cell(run))).join(","));
  return [heads.map(quoted).join(","), ...lines, ""].join("\n");
}

function isoTime(seconds) {
  const date = new Date(seconds * 1000);
  if (seconds === null) return "";
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString().replace(".000Z", "Z");
}
