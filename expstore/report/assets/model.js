// The runs, and which of them match the filter and are drawn.
import { bestOf, sortedByInterest } from "./interest.js";
import { state } from "./state.js";
import { compile, isExpression } from "./where.js";

export const NEWEST = 20; // runs that are drawn unless others are picked
export const MOST_DRAWN = 300; // beyond that no one can tell curves apart, and the page gets slow

export const model = {
  runs: [], // in the order of the source, or the newest first; see `addRuns`
  byKey: new Map(),
  metrics: [], // keys, the most interesting first
  matching: [], // runs that the filter lets through
  drawn: new Set(), // those of them that are drawn
  drawnMetrics: [], // what those have, in the order of `metrics`; all if none is drawn
  error: "", // what is wrong with the filter
};

let places = 0; // of runs ever added: a run keeps its colour

// With `byAge` the newest run is first, in whatever order they come; else they are added at the end.
export function addRuns(runs, byAge = false) {
  const added = [], indices = new Map(model.runs.map((run, index) => [run.key, index]));
  for (const run of runs) {
    const old = model.byKey.get(run.key);
    run.place = old ? old.place : places++;
    if (!old) {
      indices.set(run.key, -1 - added.length);
      added.push(run);
    } else if (indices.get(run.key) < 0) added[-1 - indices.get(run.key)] = run;
    else model.runs[indices.get(run.key)] = run;
    model.byKey.set(run.key, run);
  }
  const inOrder = !byAge || [model.runs.at(-1), ...added].every((run, index, all) => index === 0 || !all[index - 1] || older(all[index - 1], run) <= 0);
  model.runs = [...model.runs, ...added];
  if (!inOrder) model.runs.sort(older);
  const metrics = new Set(model.metrics);
  for (const run of runs) for (const metric of run.metrics.keys()) metrics.add(metric);
  if (metrics.size !== model.metrics.length) model.metrics = sortedByInterest([...metrics]);
}

// Orders by age as the library does: those of which it is unknown are last, equals go by their ids.
const older = (a, b) => (b.created ?? -Infinity) - (a.created ?? -Infinity) || (a.id < b.id ? -1 : Number(a.id > b.id));

export function removeRuns(keys) {
  for (const key of keys) model.byKey.delete(key);
  model.runs = model.runs.filter((run) => model.byKey.has(run.key));
  model.metrics = metricsOf(model.runs);
}

// What some runs have, the most interesting first.
function metricsOf(runs) {
  const had = new Set();
  for (const run of runs) for (const metric of run.metrics.keys()) had.add(metric);
  return model.metrics.filter((metric) => had.has(metric));
}

export const matchingMetrics = () => (model.matching === model.runs ? model.metrics : metricsOf(model.matching));

// The chosen aspect of a metric in a run: { value, step }, or null.
export function aspectOf(run, metric, aspect = state.aspect) {
  const found = run.metrics.get(metric);
  if (!found) return null;
  const own = aspect === "best" ? bestOf(metric) : aspect;
  return { value: found[own], step: found[`${own}Step`] };
}

export const troubles = (run) => [...run.problems, run.tail].filter(Boolean);

function words(run) {
  run.words ??= [run.id, run.job, run.user, run.status, ...run.tags, run.notes].join(" ").toLowerCase();
  return run.words;
}

export function choose() {
  model.error = "";
  model.matching = model.runs;
  const text = state.filter.trim();
  if (text && isExpression(text)) {
    try {
      const matches = compile(text, model);
      model.matching = model.runs.filter(matches);
    } catch (error) {
      if (error.name !== "WhereError") throw error;
      model.error = error.message; // all runs stay visible while an expression is being typed
    }
  } else if (text) {
    const parts = text.toLowerCase().split(/\s+/);
    model.matching = model.runs.filter((run) => parts.every((part) => words(run).includes(part)));
  }
  const drawn = state.picks ? model.matching.filter((run) => state.picks.has(run.key)) : model.matching.slice(0, NEWEST);
  model.drawn = new Set(drawn.slice(0, MOST_DRAWN));
  model.drawnMetrics = model.drawn.size ? metricsOf(model.drawn) : model.metrics;
}

// Picks runs, beginning with what is drawn now.
export function pick(edit) {
  const picks = new Set(state.picks ?? [...model.drawn].map((run) => run.key));
  edit(picks);
  return picks;
}
