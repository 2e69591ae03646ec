// What the user has chosen, kept in the fragment of the address: a link shows the same view, and
// reloading keeps it.
const START = {
  tab: "curves", filter: "", query: "", x: "step", log: false, smooth: 0, outliers: "auto",
  zoom: null, // [from, to] on the axis of all charts
  ranges: new Map(), // metric to [low, high] of its axis; null: as the values need
  sort: { key: "", down: false }, // "": in the order of the source
  aspect: "best", // of a metric in tables: last, min, max, or the better one of these
  picks: null, // a Set of keys of runs to draw; null: the first of those that match
  open: [], // the keys of the run in its own section, and of the one beside it
  target: null, // the metric that parameters are drawn against; null: the most interesting one
};

export const state = { ...START, ranges: new Map() };
const listeners = [];
let waiting = 0, chosen = false;

// Calls `listener` after changes, once for all changes before the next frame; with false if there
// are only new points to draw.
export const onChange = (listener) => listeners.push(listener);

export function change(changes = {}) {
  Object.assign(state, changes);
  chosen = true;
  touch();
}

// There are new points to draw.
export function touch() {
  if (!waiting) waiting = requestAnimationFrame(flush);
}

// Applies changes now, as before printing.
export function flush() {
  cancelAnimationFrame(waiting);
  waiting = 0;
  const all = chosen;
  chosen = false;
  if (all) save();
  listeners.forEach((listener) => listener(all));
}

const pair = (text) => text.split("..").map((end) => (end === "" ? null : Number(end)));
const joined = (ends) => ends.map((end) => end ?? "").join("..");
const validPair = (ends) => ends.length === 2 && !ends.some(Number.isNaN);
const MOST = 100; // picked runs in an address

function save() {
  const found = new URLSearchParams();
  for (const key of ["tab", "filter", "query", "x", "outliers", "aspect", "target"]) {
    if (state[key] !== START[key]) found.set(key, state[key]);
  }
  if (state.log) found.set("log", "1");
  if (state.smooth) found.set("smooth", state.smooth);
  if (state.zoom) found.set("zoom", joined(state.zoom));
  for (const [metric, ends] of state.ranges) found.append("y", `${joined(ends)} ${metric}`);
  if (state.sort.key) found.set("sort", (state.sort.down ? "-" : "+") + state.sort.key);
  if (state.picks && state.picks.size <= MOST) {
    for (const key of state.picks) found.append("pick", key);
    if (!state.picks.size) found.set("pick", "");
  }
  for (const key of state.open) found.append("run", key);
  const fragment = `#${found}`;
  // replaceState: choices are no pages to go back to.
  if (fragment !== (location.hash || "#")) history.replaceState(null, "", fragment);
}

export function load() {
  const found = new URLSearchParams(location.hash.slice(1));
  const one = (key, allowed) => (allowed.includes(found.get(key)) ? found.get(key) : START[key]);
  const smooth = Number(found.get("smooth"));
  const zoom = pair(found.get("zoom") ?? "");
  const picks = found.getAll("pick");
  const sort = found.get("sort") ?? "";
  Object.assign(state, {
    tab: one("tab", ["curves", "table", "params", "runs"]),
    filter: found.get("filter") ?? "",
    query: found.get("query") ?? "",
    target: found.get("target"),
    x: one("x", ["step", "time", "relative"]),
    outliers: one("outliers", ["auto", "ignore", "show"]),
    aspect: one("aspect", ["best", "last", "min", "max"]),
    log: found.get("log") === "1",
    smooth: smooth >= 0 && smooth < 1 ? smooth : 0,
    zoom: validPair(zoom) && zoom[1] > zoom[0] && zoom[0] !== null ? zoom : null,
    ranges: new Map(found.getAll("y").map((text) => {
      const space = text.indexOf(" ");
      return [text.slice(space + 1), pair(text.slice(0, space))];
    }).filter(([, ends]) => validPair(ends))),
    sort: { key: sort.slice(1), down: sort[0] === "-" },
    picks: picks.length ? new Set(picks.filter(Boolean)) : null,
    open: found.getAll("run").slice(0, 2),
  });
}
