// The table of the runs that match: sorted by any column, the best value of each metric marked.
import { countMetrics, searched } from "./cards.js";
import { swatch } from "./colours.js";
import { columnsOf, csvOf, paramsOf } from "./columns.js";
import { byId, choice, download, make, renew, sentinel } from "./dom.js";
import { collator, formatParam, grouped, plural, shortId } from "./format.js";
import { bestOf } from "./interest.js";
import { statusMark } from "./list.js";
import { model } from "./model.js";
import { change, state } from "./state.js";

const MAX_METRICS = 12, MAX_PARAMS = 12; // in the table at a time; a search narrows metrics
const ROWS = 200;
let rows = ROWS, openRun = () => {};

// Missing values and NaN come last in either direction.
function compareRows(a, b, down) {
  const missing = (value) => value === null || value === undefined || value === "" || Number.isNaN(value);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const sign = down ? -1 : 1;
  if (typeof a !== typeof b) return sign * (typeof a === "number" ? -1 : 1);
  return sign * (typeof a === "string" ? collator.compare(a, b) : a < b ? -1 : a > b ? 1 : 0);
}

// The runs that match, in the order of the table.
export function sorted(columns) {
  const head = columns.find((one) => one.key === state.sort.key);
  if (!head) return model.matching;
  const values = new Map(model.matching.map((run) => [run, head.of(run)]));
  return [...model.matching].sort((a, b) => compareRows(values.get(a), values.get(b), state.sort.down));
}

function headOf(one) {
  const own = one.key === state.sort.key;
  const button = make("button", { type: "button", text: one.text + (own ? (state.sort.down ? " ▼" : " ▲") : ""), title: one.title ?? one.text });
  button.addEventListener("click", () => change({ sort: { key: one.key, down: own ? !state.sort.down : one.metric !== undefined && bestOf(one.metric) === "max" } }));
  const order = own ? (state.sort.down ? "descending" : "ascending") : null;
  return make("th", { scope: "col", class: one.number ? "number" : "", "aria-sort": order }, button);
}

function cellOf(one, run, best) {
  const text = one.cell(run) ?? "";
  const cell = make("td", { class: one.flag ? "flag" : one.number ? "number" : "", text, title: text.length > 24 ? text : null });
  if (one.key === "status") cell.prepend(...[statusMark(run), text ? " " : null].filter(Boolean));
  if (!one.step || one.step(run) === null) return cell;
  if (one.of(run) === best.get(one)) {
    cell.classList.add("best");
    cell.append(make("span", { class: "sr", text: " (best)" }));
  }
  cell.append(make("span", { class: "at", text: ` @ ${grouped.format(one.step(run))}` }));
  return cell;
}

function bestValues(columns) {
  const found = new Map();
  for (const one of columns) {
    if (one.metric === undefined || bestOf(one.metric) === "last" || model.matching.length < 2) continue;
    const values = model.matching.map(one.of).filter((value) => value !== null && !Number.isNaN(value));
    if (values.length > 1) found.set(one, values.reduce((a, b) => (bestOf(one.metric) === "max" ? b > a : b < a) ? b : a));
  }
  return found;
}

export function showTable() {
  const panel = byId("table");
  const metrics = searched();
  countMetrics(metrics.length);
  const params = paramsOf(model.matching);
  const columns = columnsOf(model.matching, metrics.slice(0, MAX_METRICS), params.differing.slice(0, MAX_PARAMS));
  const best = bestValues(columns), order = sorted(columns);
  const body = order.slice(0, rows).map((run) => make("tr", { class: model.drawn.has(run) ? "" : "off" },
    make("th", { scope: "row" }, swatch(run),
      make("button", { type: "button", class: "id", text: shortId(run), title: run.id, onclick: () => openRun(run) })),
    ...columns.slice(1).map((one) => cellOf(one, run, best))));
  const table = make("table", {},
    make("caption", { class: "sr", text: `Experiments with the ${state.aspect} value of each metric and its step` }),
    make("thead", {}, make("tr", {}, ...columns.map(headOf))), make("tbody", {}, ...body));
  const scroll = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of experiments" }, table);
  if (order.length > rows) scroll.append(sentinel(() => {
    rows += ROWS;
    showTable();
  }));
  renew(panel, toolsOf(order, params), scroll, ...notesOf(metrics, params));
}

function toolsOf(order, params) {
  const save = () => download("experiments.csv", csvOf(columnsOf(model.matching, searched(), [...params.differing, ...params.same.map(([name]) => name)]), order), "text/csv");
  return make("div", { class: "table-tools" },
    make("label", { class: "check" }, "Values ", choice("Which value of a metric", [["best", "best"], ["last", "last"], ["min", "minimum"], ["max", "maximum"]], state.aspect, (aspect) => change({ aspect }))),
    make("span", { class: "count", text: plural(order.length, "experiment") }),
    make("button", { type: "button", text: "Save as CSV", onclick: save }));
}

function notesOf(metrics, params) {
  const notes = [];
  const note = (text) => notes.push(make("p", { class: "table-note", text }));
  if (metrics.length > MAX_METRICS) note(`Shows ${MAX_METRICS} of ${plural(metrics.length, "metric")}. Search to narrow the list; the CSV has all.`);
  if (params.differing.length > MAX_PARAMS) note(`Shows ${MAX_PARAMS} of ${plural(params.differing.length, "differing parameter")}; the CSV has all.`);
  if (params.same.length) note(`The same in all: ${params.same.map(([name, value]) => `${name} = ${formatParam(value)}`).join(", ")}`);
  return notes;
}

export const setUpTable = (open) => (openRun = open);
