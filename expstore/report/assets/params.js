// Parameters against a metric: parallel coordinates, a scatter for each parameter, the best runs.
import { colour, shade } from "./colours.js";
import { paramsOf } from "./columns.js";
import { byId, choice, make, renew, svg } from "./dom.js";
import { format, formatParam, plural, shortId } from "./format.js";
import { bestOf } from "./interest.js";
import { aspectOf, matchingMetrics, model } from "./model.js";
import { axisOf, correlation } from "./paramaxes.js";
import { shown } from "./source.js";
import { change, state } from "./state.js";

const MAX_RUNS = 1500, MAX_AXES = 8, BEST = 10;
const WIDE = 960, HIGH = 330, TOP = 46, BOTTOM = 30, SIDE = 64;
let openRun = () => {};

export function showParams() {
  const panel = byId("params");
  const metrics = matchingMetrics();
  const metric = metrics.includes(state.target) ? state.target : metrics[0];
  const wanted = model.matching.filter((run) => run.params.size && Number.isFinite(aspectOf(run, metric)?.value));
  const runs = wanted.slice(0, MAX_RUNS);
  const valueOf = (run) => aspectOf(run, metric).value;
  const rows = paramsOf(runs).differing.map((name) => {
    const axis = axisOf(runs.map((run) => run.params.get(name)));
    return { name, axis, related: correlation(runs.map((run) => axis.rank(run.params.get(name))), runs.map(valueOf)) };
  }).sort((a, b) => Math.abs(b.related ?? 0) - Math.abs(a.related ?? 0)).slice(0, MAX_AXES);
  const tools = toolsOf(metrics, metric);
  if (metric === undefined || runs.length < 2 || !rows.length) {
    const text = model.runs.some((run) => run.params.size)
      ? "Two experiments or more with this metric and with differing parameters are needed." : "No experiment has parameters: log them with params={…} or run.log_params({…}).";
    renew(panel, ...(metric === undefined ? [] : [tools]), make("p", { class: "empty", text }));
    return;
  }
  const target = axisOf(runs.map(valueOf));
  const down = state.aspect === "best" ? bestOf(metric) !== "max" : state.aspect !== "max";
  const order = [...runs].sort((a, b) => (down ? valueOf(a) - valueOf(b) : valueOf(b) - valueOf(a)));
  // The best on top, so that it is not hidden.
  const painted = [...order].reverse();
  const name = `${shown(metric)} (${state.aspect})`;
  const readout = make("p", { class: "count readout", text: "Point at a line or dot for its experiment." });
  const notes = wanted.length > runs.length ? [make("p", { class: "table-note", text: `Shows ${runs.length} of ${plural(wanted.length, "experiment")}. Filter to narrow the list.` })] : [];
  renew(panel, tools,
    make("figure", { class: "card wide" }, make("figcaption", {}, make("h2", { text: `Parameters and ${name}` }), legend(target, down)),
      parallel(painted, rows, target, name, valueOf, down), readout),
    make("div", { class: "grid" }, ...rows.map((row) => scatter(painted, row, target, name, valueOf)), bestList(order, rows, name, valueOf)),
    ...notes);
  point(panel, readout, runs, rows, name, valueOf);
}

function toolsOf(metrics, metric) {
  const options = metrics.slice(0, 500).map((one) => [one, shown(one)]);
  return make("div", { class: "table-tools" },
    make("label", { class: "check" }, "Metric ", choice("Metric", options, metric, (target) => change({ target }))),
    make("label", { class: "check" }, "Value ", choice("Which value of the metric", [["best", "best"], ["last", "last"], ["min", "minimum"], ["max", "maximum"]], state.aspect, (aspect) => change({ aspect }))));
}

// The better a value is, the more its line stands out.
const strength = (at, down) => (down ? 1 - at : at);

function legend(target, down) {
  const bars = Array.from({ length: 24 }, (_, index) => svg("rect", { x: index * 4, width: 4.5, height: 10, fill: shade(strength(index / 23, down)) }));
  return make("span", { class: "legend" }, make("span", { text: format(target.low) }),
    svg("svg", { viewBox: "0 0 96 10", width: 96, height: 10, "aria-hidden": "true" }, ...bars), make("span", { text: format(target.high) }));
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function axisTicks(axis, x, from, to, anchor) {
  return axis.ticks.map(({ at, text }) => svg("text", { x, y: from + (1 - at) * (to - from) + 4, class: "tick", "text-anchor": anchor, text: cut(text, 10) }));
}

function parallel(painted, rows, target, name, valueOf, down) {
  const axes = [...rows.map(({ name, axis }) => ({ name, axis, of: (run) => run.params.get(name) })), { name, axis: target, of: valueOf }];
  const x = (index) => SIDE + (index * (WIDE - 2 * SIDE)) / (axes.length - 1);
  const y = (at) => TOP + (1 - at) * (HIGH - TOP - BOTTOM);
  const lines = painted.map((run) => svg("path", {
    d: axes.map(({ axis, of }, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(axis.at(of(run))).toFixed(1)}`).join(""),
    stroke: shade(strength(target.at(valueOf(run)), down)), class: "strand", "data-run": run.place,
  }));
  const frames = axes.map((own, index) => svg("g", {},
    svg("line", { x1: x(index), x2: x(index), y1: y(0), y2: y(1), class: "axis" }),
    svg("text", { x: x(index), y: index % 2 && axes.length > 5 ? 14 : 28, class: "name", "text-anchor": "middle", text: cut(own.name, axes.length > 5 ? 28 : 22) }, svg("title", { text: own.name })),
    ...axisTicks(own.axis, x(index) + 6, y(1), y(0), "start"),
    ...(own.axis.absent ? [svg("text", { x: x(index) + 6, y: HIGH - 8, class: "tick", text: "none" })] : [])));
  return make("div", { class: "plane", role: "region", tabindex: 0, "aria-label": "Parallel coordinates, scrolls sideways on narrow screens" }, svg("svg", {
    viewBox: `0 0 ${WIDE} ${HIGH}`, class: "parallel", role: "img",
    "aria-label": `Parallel coordinates of ${plural(painted.length, "experiment")}: ${axes.map((own) => own.name).join(", ")}. The list of the best has the same values as text.`,
  }, ...lines, ...frames));
}

function scatter(painted, { name, axis, related }, target, metric, valueOf) {
  const width = 340, height = 232, left = 52, bottom = 24, top = 12, right = 14, inset = 12;
  const x = (at) => left + inset + at * (width - left - right - 2 * inset), y = (at) => top + (1 - at) * (height - top - bottom - inset);
  const dots = painted.map((run) => svg("circle", {
    cx: x(axis.at(run.params.get(name))).toFixed(1), cy: y(target.at(valueOf(run))).toFixed(1), r: 4,
    fill: colour(run), class: "dot", "data-run": run.place,
  }));
  const frame = [
    svg("line", { x1: left, x2: left, y1: top, y2: height - bottom, class: "axis" }),
    svg("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "axis" }),
    ...axisTicks(target, left - 6, y(1), y(0), "end"),
    ...axis.ticks.map(({ at, text }) => svg("text", { x: x(at), y: height - 8, class: "tick", "text-anchor": "middle", text: cut(text, 8) })),
  ];
  const told = related === null ? "" : `rank correlation ${related.toFixed(2).replace("-", "−")}`;
  return make("figure", { class: "card" },
    make("figcaption", {}, make("h2", { text: name, title: name }), make("span", { class: "count", text: told })),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${metric} against ${name}${told ? `, ${told}` : ""}` }, ...frame, ...dots));
}

const described = (run, rows, name, valueOf) =>
  `${shortId(run)}: ${rows.map((row) => `${cut(row.name, 40)} ${cut(formatParam(run.params.get(row.name)) || "none", 40)}`).join(", ")} → ${name} ${format(valueOf(run))}`;

function bestList(order, rows, name, valueOf) {
  return make("figure", { class: "card" }, make("figcaption", {}, make("h2", { text: `Best by ${name}` })),
    make("ol", { class: "best-runs" }, ...order.slice(0, BEST).map((run) => make("li", { "data-run": run.place },
      make("button", { type: "button", class: "id", text: shortId(run), title: run.id, onclick: () => openRun(run) }),
      make("b", { text: ` ${format(valueOf(run))} ` }),
      make("span", { class: "count", text: rows.map((row) => `${cut(row.name, 40)} ${cut(formatParam(run.params.get(row.name)), 24)}`).join(", ") })))));
}

// The line, dots and entry of one run stand out while the pointer or the focus is on any of them.
function point(panel, readout, runs, rows, name, valueOf) {
  const byPlace = new Map(runs.map((run) => [String(run.place), run]));
  const emphasize = (event) => {
    const run = byPlace.get(event.target.closest("[data-run]")?.dataset.run);
    panel.querySelectorAll(".lit").forEach((one) => one.classList.remove("lit"));
    panel.classList.toggle("pointing", Boolean(run));
    if (!run) return;
    panel.querySelectorAll(`[data-run="${run.place}"]`).forEach((one) => one.classList.add("lit"));
    readout.textContent = described(run, rows, name, valueOf);
  };
  panel.onpointerover = panel.onfocusin = emphasize;
  panel.onpointerleave = emphasize;
  panel.onclick = (event) => {
    const run = event.target.matches(".strand, .dot") && byPlace.get(event.target.dataset.run);
    if (run) openRun(run);
  };
}

export const setUpParams = (open) => (openRun = open);
