// The seam between the page and its data. Every view asks a source; the report's source is here,
// and a live server's page gives `start` in app.js another one with the same members:
//
//   live               true if runs and points may still come.
//   detail             true if `curve` gives more points when asked for a part.
//   absence            what is said of a curve that is null, as "Left out".
//   facts              { written?: seconds, leftOut?: [text], x?: axis, and what
//                      `page_facts` in payload.py gives }
//   listRuns()         async iterator over arrays of Run (see runsOf), the most important first; if
//                      live, in any order, and the page puts the newest first.
//   curve(run, metric, { x, from, to, points })   promise of a Curve, or null: there is none to show.
//                      `metric` is a key of run.metrics; x is "step" or "time" (seconds since 1970);
//                      from and to bound it, null: no bound; `points` is how many suffice.
//   files(run)         promise of { files: [{ name, size, type?, src?, href?, leftOut? }], more? },
//                      or null if unknown. `src` is the address of an image that may be shown.
//   text(file)         promise of { text, cut: whether only the end of it is given }; only if files
//                      can be fetched.
//   watch(runs, metrics)   called when the set of what is on the screen changes; only that need be
//                      followed. Runs are Run objects, metrics are keys.
//
// and calls these, which `start` sets:
//
//   onRuns(runs)       Run objects that are new, or replace those with the same key.
//   onGone(keys)       runs that were deleted.
//   onPoints(run, metric, curve)   points logged since, to be appended; null: ask again. With `start`
//                      and `end`, of which codec.js tells, they need not be in step with `curve`.
//   onState(text)      what to tell about the connection; empty: all is well.
//
// A Curve is what `decode` in codec.js gives. A Run has
//   key, id            its exact name, and the name to show
//   job, user, created, status, tail, problems, params (a Map), tags, notes, starts
//   unread             whether the rest is not known yet
//   points, first, latest   how many points, and the seconds of the first and the latest record
//   metrics            a Map from metric key to { points, last, lastStep, min, minStep, max, maxStep,
//                      wrong, wrongStep }
import { bytesOf, decode, number } from "./codec.js";

const shownNames = new Map();
export const shown = (metric) => shownNames.get(metric) ?? (metric || "(no name)");

function summaryOf(row) {
  const [, points, last, lastStep, min, minStep, max, maxStep, wrong, wrongStep] = row;
  return {
    points, last: number(last), lastStep, min: number(min), minStep, max: number(max), maxStep,
    wrong: wrong || 0, wrongStep: wrongStep ?? null,
  };
}

// The runs of one page of rows; see `page_payload` in payload.py.
export function runsOf({ runs, names }) {
  const keys = names.map((name) => {
    if (typeof name === "string") return name;
    shownNames.set(name[1], name[0]);
    return name[1];
  });
  return runs.map((row) => ({
    key: row.key ?? row.id, id: row.id, job: row.job ?? "", user: row.user ?? "",
    created: row.created ?? null, status: row.status ?? "unknown", tail: row.tail ?? "",
    problems: row.problems ?? [], tags: row.tags ?? [], notes: row.notes ?? "",
    starts: (row.starts ?? []).map((one) => ({ ...one, started: number(one.started), ended: number(one.ended) })),
    params: new Map(Object.entries(row.params ?? {}).map(([name, value]) => [name, paramOf(value)])),
    unread: row.unread ?? false, points: row.points ?? 0, first: row.first ?? null, latest: row.latest ?? null,
    metrics: new Map((row.metrics ?? []).map((one) => [keys[one[0]], summaryOf(one)])),
  }));
}

const paramOf = (value) => (value === "NaN" || value === "Infinity" || value === "-Infinity" ? number(value) : value);

// The source of a report: all data is in the page.
export function embeddedSource(data) {
  const runs = runsOf(data);
  const places = new Map(runs.map((run, index) => [run.key, index]));
  const keys = data.names.map((name) => (typeof name === "string" ? name : name[1]));
  const curves = data.curves.map((own) => new Map(own.map((curve) => [keys[curve.metric], curve])));
  return {
    live: false,
    detail: false,
    absence: "Left out of this report",
    facts: data,
    async *listRuns() {
      yield runs;
    },
    async curve(run, metric) {
      const found = curves[places.get(run.key)]?.get(metric);
      return found ? decode(found, bytesOf(found.data)) : null;
    },
    async files(run) {
      const found = data.files[places.get(run.key)];
      if (!found) return null;
      const files = found.files.map((file) => (file.data ? { ...file, src: `data:${file.type};base64,${file.data}` } : file));
      return { ...found, files };
    },
    watch() {},
  };
}
