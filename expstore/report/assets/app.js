// Puts the page together: the source's runs, the views, and the controls.
import { emphasize, foldAll, onSeen, print, seenMetrics, showCurves } from "./cards.js";
import { followTheme, paint, usePalette } from "./colours.js";
import { openRun, setUpDetail, showDetail } from "./detail.js";
import { byId, make } from "./dom.js";
import { plural, time } from "./format.js";
import { useWords } from "./interest.js";
import { appendPoints, useSource } from "./lines.js";
import { setUpList, showList } from "./list.js";
import { addRuns, choose, model, removeRuns, troubles } from "./model.js";
import { setUpParams, showParams } from "./params.js";
import { change, flush, load, onChange, state, touch } from "./state.js";
import { setUpTable, showTable } from "./table.js";
import { zoom } from "./chart.js";

const VIEWS = { curves: showCurves, table: showTable, params: showParams, runs: showDetail };
const PANELS = { curves: "curves", table: "table", params: "params", runs: "details" };
let source = null, loaded = false, printing = false;

function show(all) {
  if (!all) {
    if (state.tab === "curves") showCurves();
    return;
  }
  choose();
  showList();
  for (const [tab, panel] of Object.entries(PANELS)) {
    const own = tab === state.tab;
    byId(panel).hidden = !own;
    byId(`tab-${tab}`).setAttribute("aria-selected", String(own));
    byId(`tab-${tab}`).tabIndex = own ? 0 : -1;
  }
  for (const tool of document.querySelectorAll("[data-tabs]")) tool.hidden = !tool.dataset.tabs.split(" ").includes(state.tab);
  VIEWS[state.tab]();
  if (printing) showTable();
  const text = !loaded ? "Loading…" : !model.runs.length ? (source.live ? "There are no experiments yet." : "This report contains no experiments.")
    : !model.metrics.length ? (model.runs.some((run) => run.unread) ? "Loading…" : "Nothing has been logged yet.") : !model.matching.length ? "No experiment matches the filter."
      : state.tab === "curves" && byId("shown").textContent.startsWith("0 of") ? nothing() : "";
  byId("empty").textContent = text;
  byId("empty").hidden = !text || (state.tab !== "curves" && model.runs.length > 0);
  tell();
  watch();
}

// Why no chart is shown.
function nothing() {
  if (model.drawnMetrics.length) return "No metric matches the search.";
  return [...model.drawn].some((run) => run.unread) ? "Loading…" : "The drawn experiments have logged nothing.";
}

let watched = "";
function watch() {
  const runs = [...model.drawn], metrics = state.tab === "curves" ? seenMetrics() : [];
  const now = JSON.stringify([runs.map((run) => run.key), metrics]);
  if (now !== watched) source.watch(runs, metrics);
  watched = now;
}

let told = -1;
function tell() {
  const found = model.runs.flatMap((run) => troubles(run).map((text) => `${run.id}: ${text}`));
  const points = model.runs.reduce((sum, run) => sum + run.points, 0);
  byId("summary").textContent = [
    plural(model.runs.length, "experiment"), plural(model.metrics.length, "metric"), plural(points, "point"),
    source.facts.written ? `written ${time(source.facts.written)}` : "",
  ].filter(Boolean).join(" · ");
  if (found.length === told) return;
  told = found.length;
  const count = model.runs.filter((run) => troubles(run).length).length;
  byId("problems").hidden = !found.length;
  byId("problems").replaceChildren(make("details", {},
    make("summary", { text: `${plural(found.length, "problem")} in ${plural(count, "experiment")}; everything readable is shown` }),
    make("ul", {}, ...found.slice(0, 500).map((text) => make("li", { text })))));
}

function setUpTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const names = Object.keys(PANELS);
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => change({ tab: names[index] }));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      const other = (index + by + tabs.length) % tabs.length;
      change({ tab: names[other] });
      tabs[other].focus();
    });
  });
}

function showControls() {
  for (const [id, value] of [["query", state.query], ["x", state.x], ["outliers", state.outliers], ["smooth", state.smooth], ["runs-filter", state.filter]]) {
    if (byId(id).value !== String(value)) byId(id).value = value;
  }
  byId("smooth-value").textContent = state.smooth;
  byId("log").checked = state.log;
}

function setUpControls() {
  byId("query").addEventListener("input", (event) => change({ query: event.target.value }));
  byId("log").addEventListener("change", (event) => change({ log: event.target.checked }));
  byId("x").addEventListener("change", (event) => change({ x: event.target.value, zoom: null }));
  byId("outliers").addEventListener("change", (event) => change({ outliers: event.target.value }));
  byId("smooth").addEventListener("input", (event) => {
    byId("smooth-value").textContent = event.target.value;
    change({ smooth: Number(event.target.value) });
  });
  byId("fold").addEventListener("click", foldAll);
  byId("unzoom").addEventListener("click", () => {
    zoom(null);
    byId("log").focus();
  });
  addEventListener("hashchange", () => {
    load();
    showControls();
    change();
  });
  addEventListener("beforeprint", () => {
    printing = true;
    paint("light");
    change();
    flush();
    print(true);
  });
  addEventListener("afterprint", () => {
    printing = false;
    paint();
    print(false);
  });
}

// Shows what a source has; see source.js.
export async function start(from) {
  source = from;
  useSource(source);
  usePalette(source.facts);
  useWords(source.facts);
  load();
  if (!location.hash && source.facts.x) state.x = source.facts.x;
  followTheme(() => change());
  setUpTabs();
  setUpControls();
  showControls();
  setUpList(openRun);
  setUpTable(openRun);
  setUpParams(openRun);
  setUpDetail(source);
  onChange(show);
  onSeen(watch);
  source.onRuns = (runs) => {
    addRuns(runs, true);
    change();
  };
  source.onGone = (keys) => {
    removeRuns(keys);
    emphasize(null);
    change();
  };
  source.onPoints = (run, metric, curve) => {
    appendPoints(run, metric, curve);
    touch();
  };
  source.onState = (text) => {
    byId("state").textContent = text;
    byId("state").hidden = !text;
  };
  if (source.facts.leftOut?.length) {
    byId("left-out").hidden = false;
    byId("left-out").textContent = `To keep this report small, some things were left out: ${source.facts.leftOut.join("; ")}.`;
  }
  for await (const runs of source.listRuns()) {
    addRuns(runs, source.live);
    change();
  }
  loaded = true;
  if (matchMedia("(max-width: 820px)").matches && model.runs.length > 8) byId("runs-box").open = false;
  change();
}
