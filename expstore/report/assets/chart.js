// One chart of one metric: the lines of all drawn runs, with uPlot. A chart exists only while its
// card is in or near the viewport; new points are put into it, so that the pointer may stay on it.
import { colour, dashes, faded } from "./colours.js";
import { make, root } from "./dom.js";
import { format, plural, shortId } from "./format.js";
import { absence, curveOf, linesOf, nearest } from "./lines.js";
import { aspectOf, model } from "./model.js";
import { extentOf, valueRange } from "./ranges.js";
import { change, state } from "./state.js";
import { labels, ticksOf, timeLabels, timeTicks } from "./ticks.js";
import { showTip } from "./tip.js";

const DENSE = 1000; // points

export const focus = { run: null }; // the run that the pointer is on in the list

export function clear(card) {
  if (card.chart) card.chart.destroy();
  card.chart = card.tip = null;
  card.plot.replaceChildren();
}

export const size = (card) => ({ width: Math.max(card.plot.clientWidth, 120), height: card.plot.clientHeight });

export function draw(card) {
  const having = [...model.drawn].filter((run) => run.metrics.has(card.metric));
  let waiting = 0, absent = 0, empty = 0, points = 0;
  const lines = [];
  for (const run of having) {
    const curve = curveOf(run, card.metric);
    if (curve === undefined) waiting += 1;
    else if (!curve) absent += 1;
    else if (!curve.values.length) empty += 1;
    else {
      points += curve.points;
      lines.push(...linesOf(run, curve));
    }
  }
  if (waiting && card.chart && !lines.length) return; // what is there stays until something new is
  card.lines = lines.sort((a, b) => a.main - b.main); // smoothed curves on top of the logged ones
  describe(card, having, points);
  card.outside.hidden = true;
  card.absent.hidden = !absent;
  card.absent.textContent = `${absence()}: ${plural(absent, "curve")}`;
  if (!lines.some((line) => line.values.some((value) => value !== null))) {
    const reason = waiting ? "Loading…" : !having.length ? "No drawn experiment has this metric"
      : absent ? absence() : empty === having.length ? "No points in this range" : state.log ? "No value above zero" : "No finite value";
    card.absent.hidden = true;
    clear(card);
    card.plot.append(make("div", { class: "none", text: reason }));
    return;
  }
  card.extent = extentOf(lines);
  card.ranged = null;
  const data = [null, ...lines.map((line) => [line.xs, line.values])], look = lookOf(lines);
  if (card.chart && card.look === look) {
    card.chart.setData(data);
    return;
  }
  const { left, top } = card.chart?.cursor ?? { left: -1, top: -1 };
  clear(card);
  card.look = look;
  card.chart = new uPlot(options(card), data, card.plot);
  card.chart.over.addEventListener("dblclick", () => zoom(null));
  card.chart.root.setAttribute("aria-hidden", "true");
  if (left >= 0 && (card.plot === document.activeElement || card.plot.matches(":hover"))) card.chart.setCursor({ left, top });
}

// Differs if a chart must be made anew, and not only with other points.
function lookOf(lines) {
  return JSON.stringify([root.dataset.theme, state.x, state.log, ...lines.map((line) => [line.run.key, line.main, widthOf(line), isDashed(line)])]);
}

const widthOf = (line) => (!line.main ? 1 : state.smooth || line.values.length < 400 ? 1.75 : 1.25);
// Dashes of a dense, noisy line cannot be seen, and take longer to draw.
const isDashed = (line) => line.main && (state.smooth > 0 || line.values.length <= DENSE);

// Asked for several times while a chart is drawn.
function rangeOf(card) {
  const between = state.zoom ?? card.extent;
  if (card.ranged?.between !== between) card.ranged = { between, range: newRange(card, between) };
  return card.ranged.range;
}

function newRange(card, between) {
  const found = valueRange(card.lines, between, {
    log: state.log, wish: state.ranges.get(card.metric) ?? null, outliers: card.whole ? "show" : state.outliers,
  });
  const sides = [found.above && `${plural(found.above, "point")} above`, found.below && `${plural(found.below, "point")} below`];
  const text = sides.filter(Boolean).join(", ");
  if (card.outsideText !== text) card.outside.firstChild.textContent = card.outsideText = text;
  card.outside.hidden = !text;
  card.outside.lastChild.hidden = !found.ignoring;
  return found.range;
}

function options(card) {
  const style = getComputedStyle(root);
  const grid = { stroke: style.getPropertyValue("--grid"), width: 1 };
  const axis = {
    stroke: style.getPropertyValue("--muted"), grid, ticks: { ...grid, size: 4 }, gap: 4, font: "11px system-ui, sans-serif",
    incrs: (chart, index, low, high) => [Math.max(high - low, 5)], // arbitrary: `splits` decides
    filter: (chart, ticks) => ticks,
  };
  const relative = state.x === "relative";
  const timed = (low, high, width) => state.x !== "step" && timeTicks(low, high, (width - 60) / 70, relative);
  return {
    mode: 2, ...size(card), legend: { show: false }, padding: [10, 16, 0, 0],
    scales: {
      x: { time: false, range: () => state.zoom ?? card.extent },
      y: { distr: state.log ? 3 : 1, range: () => rangeOf(card) },
    },
    axes: [
      {
        ...axis, size: 30,
        splits: (chart, index, low, high) => timed(low, high, chart.width) || ticksOf(low, high, (chart.width - 60) / 55, false, 1),
        values: (chart, ticks) => (timed(chart.scales.x.min, chart.scales.x.max, chart.width) ? timeLabels(ticks, relative) : labels(ticks)),
      },
      {
        ...axis, size: (chart, texts) => 14 + 6.6 * Math.max(4, ...(texts || []).map((text) => text.length)),
        splits: (chart, index, low, high) => ticksOf(low, high, (chart.height - 40) / 30, state.log),
        values: (chart, ticks) => labels(ticks),
      },
    ],
    series: [{}, ...card.lines.map((line, index) => seriesOf(card, index))],
    cursor: {
      y: false, drag: { x: true, y: false, setScale: false, dist: 6 },
      dataIdx: (chart, index) => {
        const line = card.lines[index - 1];
        if (!line.main) return null;
        const at = nearest(line.xs, chart.posToVal(chart.cursor.left, "x"));
        return line.values[at] === null ? null : at;
      },
      points: { size: 6 },
    },
    hooks: {
      setCursor: [(chart) => showTip(card, chart)],
      setSelect: [(chart) => {
        if (chart.select.width < 6) return;
        const left = chart.posToVal(chart.select.left, "x");
        const right = chart.posToVal(chart.select.left + chart.select.width, "x");
        chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        zoom(left, right);
      }],
    },
  };
}

function seriesOf(card, index) {
  const line = card.lines[index], now = () => card.lines[index];
  const lone = () => (now().lone ??= isolated(now().values));
  const stroke = () => {
    const { run, main } = now();
    const dim = focus.run !== run && model.drawn.has(focus.run);
    const alpha = (main ? 1 : 0.25) * (dim ? 0.12 : 1);
    return alpha === 1 ? colour(run) : faded(colour(run), alpha);
  };
  return {
    facets: [{ scale: "x", auto: true, sorted: 1 }, { scale: "y", auto: true }],
    stroke, width: widthOf(line), dash: isDashed(line) ? dashes(line.run).map((length) => length * 1.75) : [],
    paths: (chart) => ({ stroke: pathOf(chart, now()), fill: null, clip: null, flags: 1 }),
    points: { show: () => lone().length > 0, filter: lone, size: 5, stroke, fill: stroke },
  };
}

// A curve as a path, interrupted at gaps. Of many points in one column of pixels it has the lowest
// and the highest, which look the same and are drawn several times as fast. Values far outside are
// cut off: canvases cannot draw them.
function pathOf(chart, { xs, values }) {
  const path = new Path2D();
  const { x: xScale, y: yScale } = chart.scales;
  const x = positions(chart, "x", xScale, (value) => value);
  const y = positions(chart, "y", yScale, yScale.distr === 3 ? Math.log10 : (value) => value);
  const dense = values.length > 3 * chart.bbox.width;
  let down = false, column = null;
  const to = (left, top) => {
    if (down) path.lineTo(left, top); else path.moveTo(left, top);
    down = true;
  };
  const finish = () => {
    if (!column) return;
    const { low, high } = column, first = low.at <= high.at ? low : high, second = first === low ? high : low;
    to(first.left, first.top);
    to(second.left, second.top);
    column = null;
  };
  for (let i = 0; i < values.length; i++) {
    if (values[i] === null) {
      finish();
      down = false;
      continue;
    }
    const left = x(xs[i]), top = y(values[i]);
    if (!dense) to(left, top);
    else if (column?.left !== Math.round(left)) {
      finish();
      const end = { at: i, left, top };
      column = { left: Math.round(left), low: end, high: end };
    } else if (top < column.low.top) column.low = { at: i, left, top };
    else if (top > column.high.top) column.high = { at: i, left, top };
  }
  finish();
  return path;
}

// A function from a value to its position in pixels, as `valToPos` but for many values.
function positions(chart, key, { min, max }, scaled) {
  const from = chart.valToPos(min, key, true), to = chart.valToPos(max, key, true), low = scaled(min), high = scaled(max);
  // Halved, since the difference of large values may overflow.
  const factor = (to - from) / (high / 2 - low / 2);
  return (value) => Math.min(Math.max(from + (scaled(value) / 2 - low / 2) * factor, -1e5), 1e5);
}

// Indices of points with a gap or an end on both sides, which a line would not show.
function isolated(values) {
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) found.push(i);
  }
  return found;
}

function describe(card, having, points) {
  const lasts = having.slice(0, 5).map((run) => `${shortId(run)} ${format(aspectOf(run, card.metric, "last").value)}`);
  card.plot.setAttribute("aria-label",
    `${card.name}: ${plural(having.length, "curve")} of ${plural(points, "point")}. Last values: ${lasts.join(", ") || "none"}` +
    `${having.length > 5 ? ", and more" : ""}. Use the arrow keys to read values, plus and minus to zoom.`);
}

export function zoom(from, to) {
  if (from !== null && !(to - from >= 1)) return; // steps and seconds are whole numbers
  change({ zoom: from === null ? null : [from, to] });
}
