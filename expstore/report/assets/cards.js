// The curves: a card for each metric, in groups by the first part of its name.
import { clear, draw, focus, size, zoom } from "./chart.js";
import { byId, make, scrollTo } from "./dom.js";
import { grouped, plural, shortId } from "./format.js";
import { isAside } from "./interest.js";
import { matchingMetrics, model } from "./model.js";
import { shown } from "./source.js";
import { change, state } from "./state.js";
import { steer } from "./tip.js";

const MAX_EXPANDED = 100; // with more metrics than this, groups start collapsed
const cards = new Map(); // by metric
const cardOf = new Map(); // by element
const groups = new Map(); // by first part of the name
const results = make("div", { class: "grid" }); // what a search finds
let seenChanged = () => {};
export const onSeen = (listener) => (seenChanged = listener);

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cardOf.get(entry.target);
    card.seen = entry.isIntersecting;
    if (card.seen) draw(card); else if (!printing) clear(card);
  }
  seenChanged();
}, { rootMargin: "300px" });
const sizer = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const card = cardOf.get(entry.target);
    if (card.chart) card.chart.setSize(size(card));
  }
});
let printing = false;

function buildCard(metric) {
  const name = shown(metric);
  const plot = make("div", { class: "plot", tabindex: 0, role: "img" });
  const widen = make("button", {
    type: "button", class: "quiet", text: "⤢", title: "Enlarge", "aria-label": `Enlarge the chart of ${name}`, "aria-pressed": "false",
  });
  const outside = make("p", { class: "note aside", hidden: true }, make("span"),
    make("button", { type: "button", class: "quiet", text: "show", "aria-label": `Show all values of ${name}`, onclick: () => {
      card.whole = true;
      change();
    } }));
  const absent = make("p", { class: "note aside", hidden: true }), wrong = make("p", { class: "note", hidden: true });
  const figure = make("figure", { class: "card" },
    make("figcaption", {}, make("h2", { text: name, title: name }), widen), plot, outside, absent, wrong);
  const card = { metric, name, figure, plot, outside, absent, wrong, chart: null, seen: false, tip: null, whole: false, lines: [], limits: null };
  widen.addEventListener("click", () => enlarge(card, widen));
  plot.addEventListener("keydown", (event) => steer(card, event, zoom));
  plot.addEventListener("blur", () => card.chart && card.chart.setCursor({ left: -10, top: -10 }));
  cardOf.set(figure, card);
  cardOf.set(plot, card);
  watcher.observe(figure);
  sizer.observe(plot);
  cards.set(metric, card);
  return card;
}

// A wide card, which also has fields for the range of its values.
function enlarge(card, button) {
  const wide = card.figure.classList.toggle("wide");
  button.setAttribute("aria-pressed", String(wide));
  if (wide) {
    const [low, high] = state.ranges.get(card.metric) ?? [null, null];
    const field = (text, value) => make("input", { type: "number", step: "any", placeholder: "auto", "aria-label": `${text} of the axis of ${card.name}`, value });
    const fields = [field("Minimum", low), field("Maximum", high)];
    const read = () => {
      const ends = fields.map((one) => (one.value === "" ? null : Number(one.value)));
      if (ends.every((end) => end === null)) state.ranges.delete(card.metric);
      else state.ranges.set(card.metric, ends);
      change();
    };
    fields.forEach((one) => one.addEventListener("input", read));
    card.limits = make("div", { class: "limits" }, make("span", { text: "Values from" }), fields[0], make("span", { text: "to" }), fields[1]);
    card.plot.before(card.limits);
  } else card.limits.remove();
  scrollTo(card.figure);
}

function groupOf(key) {
  if (!groups.has(key)) {
    const count = make("span", { class: "count" }), grid = make("div", { class: "grid" });
    const box = make("details", { class: "group" }, make("summary", {}, make("span", { text: key || "Metrics" }), count), grid);
    box.open = !isAside(key) && (model.drawnMetrics.length <= MAX_EXPANDED || groups.size < 2);
    box.addEventListener("toggle", nameFold);
    groups.set(key, { box, grid, count });
  }
  return groups.get(key);
}

// The metrics of each group; those alone in theirs share the first, which fills its rows.
function grouping() {
  const prefix = (metric) => (metric.includes("/") ? metric.slice(0, metric.indexOf("/")) : isAside(metric) ? metric.split(/[_.-]/)[0] : "");
  const members = new Map();
  for (const metric of model.drawnMetrics) {
    if (!members.has(prefix(metric))) members.set(prefix(metric), []);
    members.get(prefix(metric)).push(metric);
  }
  const found = new Map();
  const add = (key, metric) => found.set(key, [...(found.get(key) ?? []), metric]);
  for (const [key, own] of members) {
    const alone = own.length === 1 && !(isAside(key) && key !== "lr" && key !== "time");
    for (const metric of own) add(alone ? "" : key, metric);
  }
  const first = found.get("");
  // Single charts come first only if the most interesting metric is among them.
  if (first && !first.includes(model.drawnMetrics[0])) {
    const rest = [...found].filter(([key]) => key);
    const aside = rest.findIndex(([key]) => isAside(key));
    rest.splice(aside < 0 ? rest.length : aside, 0, ["", first]);
    return new Map(rest);
  }
  return found;
}

export function countMetrics(found) {
  const all = plural(model.metrics.length, "metric");
  byId("shown").textContent = found < model.metrics.length ? `${grouped.format(found)} of ${all}` : all;
}

let laidOut = "";
function layOut(searching) {
  const query = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const id = JSON.stringify([model.drawnMetrics, query]);
  if (id === laidOut) return;
  laidOut = id;
  for (const metric of model.drawnMetrics) if (!cards.has(metric)) buildCard(metric);
  const matches = (metric) => query.every((word) => shown(metric).toLowerCase().includes(word));
  const boxes = [];
  for (const [key, own] of grouping()) {
    const { box, grid, count } = groupOf(key);
    box.hidden = searching;
    count.textContent = String(own.length);
    if (!searching) grid.replaceChildren(...own.map((metric) => cards.get(metric).figure));
    boxes.push(box);
  }
  // Matches are shown together: groups of one would waste space.
  results.replaceChildren(...(searching ? model.drawnMetrics.filter(matches).map((metric) => cards.get(metric).figure) : []));
  byId("curves").replaceChildren(...boxes, results);
  byId("fold").hidden = searching || boxes.length < 2;
  nameFold();
}

export const searched = () => {
  const query = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  return matchingMetrics().filter((metric) => query.every((word) => shown(metric).toLowerCase().includes(word)));
};

export function showCurves() {
  const searching = state.query.trim() !== "";
  layOut(searching);
  countMetrics(searching ? results.childElementCount : model.drawnMetrics.length);
  for (const card of cards.values()) {
    if (card.seen) draw(card);
    noteWrong(card);
  }
  byId("unzoom").hidden = !state.zoom;
}

function noteWrong(card) {
  const found = [...model.drawn].filter((run) => run.metrics.get(card.metric)?.wrong);
  const texts = found.slice(0, 3).map((run) => {
    const { wrong, wrongStep } = run.metrics.get(card.metric);
    return `${shortId(run)}: ${grouped.format(wrong)}, first at step ${grouped.format(wrongStep)}`;
  });
  card.wrong.hidden = !found.length;
  card.wrong.textContent = `NaN or infinite: ${texts.join("; ")}${found.length > 3 ? `; and ${plural(found.length - 3, "more experiment")}` : ""}`;
}

// The metrics whose charts are on the screen.
export const seenMetrics = () => [...cards.values()].filter((card) => card.seen && !card.figure.hidden).map((card) => card.metric);

// Lines of other runs fade while the pointer is on one.
export function emphasize(run) {
  focus.run = run;
  for (const card of cards.values()) if (card.chart) card.chart.redraw(false);
}

const open = () => [...groups.values()].some(({ box }) => box.open);
function nameFold() {
  byId("fold").textContent = open() ? "Collapse all" : "Expand all";
}
export function foldAll() {
  const to = !open();
  groups.forEach(({ box }) => (box.open = to));
  nameFold();
}

export function print(starts) {
  printing = starts;
  for (const card of cards.values()) {
    const visible = card.figure.closest("details")?.open ?? true;
    if (starts ? visible : card.seen) draw(card); else if (!starts) clear(card);
  }
}
