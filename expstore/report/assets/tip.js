// Reading values off a chart: by pointer in a box beside it, by keyboard read out as well.
import { swatch } from "./colours.js";
import { announce, make } from "./dom.js";
import { duration, format, grouped, label, time } from "./format.js";
import { state } from "./state.js";

const MAX_ROWS = 10; // experiments in a tooltip

function positionText(x) {
  if (state.x === "time") return time(x, true);
  return state.x === "relative" ? `after ${duration(x)}` : `step ${grouped.format(x)}`;
}

function rowsAt(card, chart) {
  const rows = [];
  card.lines.forEach((line, index) => {
    const at = chart.cursor.idxs[index + 1];
    if (!line.main || at === null || at === undefined) return;
    const x = line.xs[at];
    if (x < chart.scales.x.min || x > chart.scales.x.max) return;
    const distance = Math.abs(chart.valToPos(line.values[at], "y") - chart.cursor.top);
    rows.push({ run: line.run, x, value: line.values[at], raw: line.raw[at], distance });
  });
  return rows.sort((a, b) => a.distance - b.distance);
}

export function showTip(card, chart) {
  const { left } = chart.cursor;
  const rows = left === null || left === undefined || left < 0 ? [] : rowsAt(card, chart);
  if (!rows.length) {
    if (card.tip) card.tip.remove();
    card.tip = null;
    return;
  }
  const near = rows[0];
  const listed = rows.slice(0, MAX_ROWS).sort((a, b) => b.value - a.value);
  if (!card.tip) card.plot.append((card.tip = make("div", { class: "tip", "aria-hidden": "true" })));
  card.tip.replaceChildren(
    make("div", { class: "step", text: positionText(near.x) }),
    ...listed.map((row) => make("div", { class: row === near ? "row near" : "row" },
      swatch(row.run),
      make("span", { class: "label", text: label(row.run) }),
      make("span", { text: format(row.value) + (state.smooth > 0 ? ` (${format(row.raw)})` : "") }))),
  );
  if (rows.length > listed.length) card.tip.append(make("div", { class: "step", text: `and ${rows.length - listed.length} more` }));
  place(card, chart, left);
  card.near = near;
}

// Below the chart, or above it if there is no room, so that the curves stay visible.
function place(card, chart, left) {
  const box = card.plot.getBoundingClientRect(), over = chart.over.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = card.tip;
  const x = Math.min(over.left + left - width / 2, innerWidth - width - 8);
  const below = over.bottom + 6 + height <= innerHeight;
  card.tip.style.left = `${Math.max(x, 8) - box.left}px`;
  card.tip.style.top = `${(below ? over.bottom + 6 : Math.max(over.top - 6 - height, 4)) - box.top}px`;
}

// Keys on a chart: arrows read values, plus and minus zoom, Escape shows all.
export function steer(card, event, zoom) {
  const chart = card.chart;
  if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
  const width = chart.over.clientWidth, now = chart.cursor.left;
  const moves = { ArrowLeft: -1, ArrowRight: 1 };
  if (event.key in moves) {
    const by = moves[event.key] * (event.shiftKey ? width / 10 : Math.max(width / 100, 2));
    const left = now === null || now < 0 ? width / 2 : Math.min(Math.max(now + by, 0), width - 1);
    chart.setCursor({ left, top: chart.over.clientHeight / 2 });
    if (card.tip) {
      const rows = [...card.tip.querySelectorAll(".row")].map((row) => row.textContent);
      announce(`${positionText(card.near.x)}: ${rows.join(", ")}`);
    }
  } else if (event.key === "+" || event.key === "=" || event.key === "-") {
    const { min, max } = chart.scales.x;
    const centre = now !== null && now >= 0 ? chart.posToVal(now, "x") : (min + max) / 2;
    const factor = event.key === "-" ? 2 : 0.5;
    const [low, high] = card.extent;
    const ends = [centre - (centre - min) * factor, centre + (max - centre) * factor];
    if (ends[0] <= low && ends[1] >= high) zoom(null); else zoom(Math.max(ends[0], low), Math.min(ends[1], high));
  } else if (event.key === "Escape") zoom(null);
  else return;
  event.preventDefault();
}
