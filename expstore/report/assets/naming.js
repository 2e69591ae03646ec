// What a name means of an experiment: a field, a parameter or a metric, looked for in that order;
// see naming.py, which this follows. `param.lr`, `metric.lr` and `field.job` say which is meant.
import { WhereError } from "./conditions.js";
import { ended, lasted } from "./durations.js";

const ASPECTS = ["last", "min", "max"];
const PREFIXES = ["field", "param", "metric"];
const ALIASES = { commit_id: "id", job_name: "job", timestamp: "created", tags: "tag" };
const FIELDS = {
  id: { kind: "text", value: (run) => run.id },
  job: { kind: "text", value: (run) => run.job },
  user: { kind: "text", value: (run) => run.user },
  created: { kind: "time", value: (run) => run.created },
  age: { kind: "duration", value: (run) => (run.created === null ? null : Date.now() / 1000 - run.created) },
  ended: { kind: "time", value: ended },
  duration: { kind: "duration", value: lasted },
  status: { kind: "status", value: (run) => run.status },
  tag: { kind: "texts", value: (run) => run.tags },
  notes: { kind: "text", value: (run) => run.notes || null },
};
const UNSHOWN = ["host", "commit", "branch", "dirty"]; // the origin of a run is on no page

// { kind, value: function of a run, null if it has none }. Throws WhereError.
export function resolve(name, { runs }) {
  let { text, prefix, aspect } = name, metric = text;
  const isParam = (own) => runs.some((run) => run.params.has(own));
  if (!name.quoted) {
    const dot = text.indexOf(".");
    if (PREFIXES.includes(text.slice(0, dot)) && dot + 1 < text.length && !isParam(text)) {
      prefix = text.slice(0, dot);
      text = text.slice(dot + 1);
    }
    const colon = text.lastIndexOf(":");
    const found = colon > 0 && ASPECTS.includes(text.slice(colon + 1));
    metric = found ? text.slice(0, colon) : text;
    aspect = found ? text.slice(colon + 1) : "";
  }
  const plain = !(name.quoted && aspect);
  const field = Object.hasOwn(ALIASES, text) ? ALIASES[text] : text;
  if (plain && (prefix === "" || prefix === "field")) {
    if (Object.hasOwn(FIELDS, field)) return FIELDS[field];
    if (UNSHOWN.includes(field) && !isParam(text)) throw new WhereError(`${field} is not on this page`, name.column);
  }
  if (plain && (prefix === "" || prefix === "param") && isParam(text)) {
    return { kind: "any", value: (run) => run.params.get(text) ?? null };
  }
  if (prefix === "" || prefix === "metric") {
    const whole = plain ? text : null; // a metric of the whole name comes first
    if (runs.some((run) => run.metrics.has(metric) || run.metrics.has(whole))) {
      return {
        kind: "number",
        value: (run) => run.metrics.get(whole)?.last ?? run.metrics.get(metric)?.[aspect || "last"] ?? null,
      };
    }
  }
  throw new WhereError(unknown(name.text, metric, runs), name.column);
}

function unknown(typed, word, runs) {
  const known = new Set(Object.keys(FIELDS));
  for (const run of runs.slice(0, 1000)) {
    for (const own of [...run.params.keys(), ...run.metrics.keys()]) known.add(own);
  }
  const low = word.toLowerCase();
  const likeness = (own) => (own.toLowerCase().includes(low) || low.includes(own.toLowerCase()) ? 0 : distance(own.toLowerCase(), low) / Math.max(own.length, low.length));
  const near = [...known].map((own) => [likeness(own), own]).filter(([far]) => far <= 0.4).sort((a, b) => a[0] - b[0]).slice(0, 5);
  return `no field, parameter or metric is named ${typed}${near.length ? `; did you mean ${near.map(([, own]) => own).join(", ")}?` : ""}`;
}

// How many characters must be changed to make one text of the other.
function distance(a, b) {
  if (Math.abs(a.length - b.length) > 8 || a.length > 60) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length];
}
