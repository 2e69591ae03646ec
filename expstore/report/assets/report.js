"use strict";
// Draws the curves and the table from the JSON in #data. Text reaches the page only through
// textContent and attributes, so names are never parsed as markup. A chart exists only while it is
// in or near the viewport.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  root.dataset.theme = dark.matches ? "dark" : "light"; // set first: the code below reads it
  const number = (value) => (typeof value === "string" ? Number(value) : value);
  const MAX_COLUMNS = 12; // metrics in the table at a time
  const MAX_ROWS = 10; // experiments in a tooltip
  const MAX_EXPANDED = 100; // with more metrics than this, groups start collapsed

  const state = {
    hidden: new Set(), log: false, smooth: 0, query: [], zoom: null, focus: null,
    sort: { key: "created", down: true },
  };

  // Elements -------------------------------------------------------------------------------------

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "text") element.textContent = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  function svg(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  const colour = (run) => {
    const colours = data.colours[root.dataset.theme];
    return colours[run % colours.length];
  };
  const dashes = (run) => data.dashes[Math.floor(run / data.colours.light.length) % data.dashes.length];

  function swatch(run) {
    const picture = svg("svg", { class: "swatch", viewBox: "0 0 22 10", "aria-hidden": "true" });
    const line = { x1: 1, x2: 21, y1: 5, y2: 5, stroke: colour(run), "stroke-width": 2.5, "data-run": run };
    picture.append(svg("line", { ...line, "stroke-dasharray": dashes(run).map((d) => d * 1.6).join(" ") }));
    return picture;
  }

  // Numbers and times ----------------------------------------------------------------------------

  const grouped = new Intl.NumberFormat("en");
  const plural = (count, noun) => `${grouped.format(count)} ${noun}${count === 1 ? "" : "s"}`;

  function format(value) {
    if (value === null || value === undefined) return "";
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    let text;
    if (Number.isInteger(value) && size < 1e9) text = grouped.format(value);
    else if (size >= 1e6 || size < 1e-4) text = value.toExponential(3).replace("e+", "e");
    else text = String(Number(value.toPrecision(5)));
    return text.replace("-", "−");
  }

  function time(seconds) {
    const date = new Date(seconds * 1000);
    if (Number.isNaN(date.getTime())) return String(seconds);
    const two = (part) => String(part).padStart(2, "0");
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
      `${two(date.getHours())}:${two(date.getMinutes())}`;
  }

  // Curves ---------------------------------------------------------------------------------------

  const curves = data.metrics.map(() => []);
  const curveOf = new Map();
  for (const curve of data.curves) {
    curves[curve.metric].push(curve);
    curveOf.set(`${curve.run} ${curve.metric}`, curve);
  }

  function columns(curve) {
    if (curve.columns) return curve.columns;
    const binary = atob(curve.data);
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const Floats = curve.type === "f8" ? Float64Array : Float32Array;
    let at = 0;
    const take = (Kind) => {
      const column = new Kind(bytes.buffer.slice(at, (at += curve.n * Kind.BYTES_PER_ELEMENT)));
      return column;
    };
    const values = take(Floats), steps = take(Uint32Array);
    const thinned = curve.n < curve.points;
    curve.columns = {
      values, steps,
      means: thinned ? take(Floats) : values,
      counts: thinned ? take(Uint32Array) : null,
    };
    return curve.columns;
  }

  // TensorBoard's debiased moving average; a point that stands for k points counts as k.
  function smoothed(curve, weight) {
    const { values, means, counts } = columns(curve);
    const result = new Array(values.length);
    let average = 0, total = 0;
    for (let i = 0; i < values.length; i++) {
      const count = counts ? counts[i] : Number.isFinite(values[i]) ? 1 : 0;
      if (count && Number.isFinite(means[i])) {
        const kept = Math.pow(weight, count);
        average = average * kept + (1 - kept) * means[i];
        total = total * kept + (1 - kept);
      }
      result[i] = Number.isFinite(values[i]) && total ? average / total : NaN;
    }
    return result;
  }

  // Values that cannot be drawn become null, which leaves a gap.
  function drawable(values) {
    const result = new Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      result[i] = Number.isFinite(value) && (!state.log || value > 0) ? value : null;
    }
    return result;
  }

  // Indices of points with a gap or an end on both sides, which a line would not show.
  function isolated(values) {
    const found = [];
    for (let i = 0; i < values.length; i++) {
      if (values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) found.push(i);
    }
    return found;
  }

  function nearest(steps, step) {
    let low = 0, high = steps.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle + 1; else high = middle;
    }
    return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
  }

  // Cards, one per metric ------------------------------------------------------------------------

  const cards = [];
  const cardOf = new Map();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = cardOf.get(entry.target);
      card.seen = entry.isIntersecting;
      if (card.seen) draw(card); else if (!printing) clear(card);
    }
  }, { rootMargin: "300px" });
  const sizer = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const card = cardOf.get(entry.target);
      if (card.chart) card.chart.setSize(size(card));
    }
  });
  let printing = false;

  function buildCard(metric) {
    const name = data.metrics[metric] || "(no name)";
    const plot = make("div", { class: "plot", tabindex: 0, role: "img" });
    const widen = make("button", {
      type: "button", class: "quiet", text: "⤢", title: "Wide", "aria-label": `Wide chart of ${name}`,
      "aria-pressed": "false",
    });
    const caption = make("figcaption", {}, make("h3", { text: name, title: name }), widen);
    const figure = make("figure", { class: "card" }, caption, plot);
    const card = { metric, name, figure, plot, chart: null, seen: false, tip: null };
    widen.addEventListener("click", () => {
      widen.setAttribute("aria-pressed", String(figure.classList.toggle("wide")));
    });
    const wrong = curves[metric].filter((curve) => curve.wrong);
    if (wrong.length) {
      const where = wrong.slice(0, 3).map((curve) =>
        `${shortId(curve.run)}: ${grouped.format(curve.wrong)}, first at step ${grouped.format(curve.wrongStep)}`);
      const more = wrong.length > 3 ? `; and ${plural(wrong.length - 3, "more experiment")}` : "";
      figure.append(make("p", { class: "note", text: `NaN or infinite: ${where.join("; ")}${more}` }));
    }
    plot.addEventListener("keydown", (event) => steer(card, event));
    plot.addEventListener("blur", () => card.chart && card.chart.setCursor({ left: -10, top: -10 }));
    cardOf.set(figure, card);
    cardOf.set(plot, card);
    watcher.observe(figure);
    sizer.observe(plot);
    cards.push(card);
    return card;
  }

  const shortId = (run) => {
    const id = data.runs[run].id;
    return id.length > 14 ? `${id.slice(0, 12)}…` : id;
  };
  const size = (card) => ({ width: Math.max(card.plot.clientWidth, 120), height: card.plot.clientHeight });
  const visible = (metric) => curves[metric].filter((curve) => !state.hidden.has(curve.run));

  function clear(card) {
    if (card.chart) card.chart.destroy();
    card.chart = card.tip = null;
    card.plot.replaceChildren();
  }

  function faded(hex, alpha) {
    const part = (at) => parseInt(hex.slice(at, at + 2), 16);
    return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${alpha})`;
  }

  function draw(card) {
    clear(card);
    const shown = visible(card.metric);
    card.lines = [];
    for (const curve of shown) {
      const steps = columns(curve).steps;
      const raw = drawable(columns(curve).values);
      if (state.smooth > 0) {
        card.lines.push({ curve, steps, values: raw, main: false });
        card.lines.push({ curve, steps, values: drawable(smoothed(curve, state.smooth)), raw, main: true });
      } else card.lines.push({ curve, steps, values: raw, raw, main: true });
    }
    card.lines.sort((a, b) => a.main - b.main); // smoothed curves on top of the logged ones
    describe(card, shown);
    if (!card.lines.some((line) => line.values.some((value) => value !== null))) {
      const reason = !shown.length ? "No selected experiment has this metric"
        : state.log ? "No value above zero" : "No finite value";
      card.plot.append(make("div", { class: "none", text: reason }));
      return;
    }
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--muted"), grid = { stroke: style.getPropertyValue("--grid"), width: 1 };
    const axis = {
      stroke: ink, grid, ticks: { ...grid, size: 4 }, gap: 4, font: "11px system-ui, sans-serif",
      incrs: (chart, index, low, high) => [Math.max(high - low, 5)], // arbitrary: `splits` decides
      filter: (chart, ticks) => ticks,
    };
    const extent = extentOf(card);
    card.chart = new uPlot({
      mode: 2, ...size(card), legend: { show: false }, padding: [10, 12, 0, 0],
      scales: {
        x: { time: false, range: (chart, low, high) => state.zoom || extent },
        y: { distr: state.log ? 3 : 1, range: () => valueRange(card, state.zoom || extent) },
      },
      axes: [
        {
          ...axis, size: 30,
          splits: (chart, index, low, high) => ticksOf(low, high, (chart.width - 60) / 55, false, 1),
          values: (chart, ticks) => labels(ticks),
        },
        {
          ...axis, size: (chart, texts) => 14 + 6.6 * Math.max(4, ...(texts || []).map((text) => text.length)),
          splits: (chart, index, low, high) => ticksOf(low, high, (chart.height - 40) / 30, state.log),
          values: (chart, ticks) => labels(ticks),
        },
      ],
      series: [{}, ...card.lines.map(seriesOf)],
      cursor: {
        y: false, drag: { x: true, y: false, setScale: false, dist: 6 },
        dataIdx: (chart, index) => {
          const line = card.lines[index - 1];
          if (!line.main) return null;
          const at = nearest(line.steps, chart.posToVal(chart.cursor.left, "x"));
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
    }, [null, ...card.lines.map((line) => [line.steps, line.values])], card.plot);
    card.chart.over.addEventListener("dblclick", () => zoom(null));
    card.chart.root.setAttribute("aria-hidden", "true");
  }

  function seriesOf(line) {
    const run = line.curve.run;
    const stroke = () => {
      const dim = state.focus !== null && state.focus !== run;
      const alpha = (line.main ? 1 : 0.25) * (dim ? 0.12 : 1);
      return alpha === 1 ? colour(run) : faded(colour(run), alpha);
    };
    const lone = isolated(line.values);
    return {
      facets: [{ scale: "x", auto: true, sorted: 1 }, { scale: "y", auto: true }],
      stroke, width: !line.main ? 1 : state.smooth || line.values.length < 400 ? 1.75 : 1.25, dash: line.main ? dashes(run).map((d) => d * 1.75) : [],
      paths: (chart) => ({ stroke: pathOf(chart, line), fill: null, clip: null, flags: 1 }),
      points: { show: lone.length > 0, filter: () => lone, size: 5, stroke, fill: stroke },
    };
  }

  // A curve as a path, interrupted at gaps.
  function pathOf(chart, { steps, values }) {
    const path = new Path2D();
    let down = false;
    for (let i = 0; i < values.length; i++) {
      if (values[i] === null) {
        down = false;
        continue;
      }
      const x = chart.valToPos(steps[i], "x", true), y = chart.valToPos(values[i], "y", true);
      if (down) path.lineTo(x, y); else path.moveTo(x, y);
      down = true;
    }
    return path;
  }

  function describe(card, shown) {
    const lasts = shown.slice(0, 5).map((curve) => `${shortId(curve.run)} ${format(number(curve.last))}`);
    card.plot.setAttribute("aria-label",
      `${card.name}: ${plural(shown.length, "curve")}. Last values: ${lasts.join(", ") || "none"}` +
      `${shown.length > 5 ? ", and more" : ""}. Use the arrow keys to read values, plus and minus to zoom.`);
  }

  function extentOf(card) {
    let low = Infinity, high = -Infinity;
    for (const line of card.lines) {
      low = Math.min(low, line.steps[0]);
      high = Math.max(high, line.steps[line.steps.length - 1]);
    }
    return low === high ? [low - 1, high + 1] : [low, high];
  }

  // The padded range of the values between two steps; of the full curves if there are none.
  function valueRange(card, [from, to]) {
    let low = Infinity, high = -Infinity;
    const take = (value) => {
      if (value === null) return;
      if (value < low) low = value;
      if (value > high) high = value;
    };
    for (const line of card.lines) {
      for (let i = 0; i < line.values.length; i++) {
        if (line.steps[i] >= from && line.steps[i] <= to) take(line.values[i]);
      }
    }
    if (low > high) for (const line of card.lines) line.values.forEach(take);
    if (state.log) {
      const padding = Math.max(Math.pow(high / low, 0.05), 1.05);
      return [low / padding, high * padding].map((end) => Math.min(Math.max(end, 5e-324), Number.MAX_VALUE));
    }
    const padding = high > low ? high / 20 - low / 20 : Math.abs(high) / 10 || 1;
    return [low - padding, high + padding].map((end) => Math.min(Math.max(end, -Number.MAX_VALUE / 4), Number.MAX_VALUE / 4));
  }

  // About `room` round numbers between two bounds.
  function ticksOf(low, high, room, log, minStep = 0) {
    const count = Math.max(room, 2);
    const decades = Math.log10(high / low);
    if (log && decades > 1) {
      const every = Math.max(1, Math.round(decades / count));
      const parts = decades * 3 <= count * 1.5 ? [1, 2, 5] : [1];
      const ticks = [];
      for (let power = Math.floor(Math.log10(low) / every) * every; power <= Math.log10(high); power += every) {
        for (const part of parts) ticks.push(Number(`${part}e${power}`));
      }
      return ticks.filter((tick) => tick >= low && tick <= high);
    }
    const rough = (high / count - low / count) || Number.MIN_VALUE;
    const power = Math.floor(Math.log10(rough));
    const part = [1, 2, 5, 10].find((one) => Number(`${one}e${power}`) >= rough) || 10;
    const step = Math.max(Number(`${part}e${power}`), minStep);
    const ticks = [];
    for (let at = Math.ceil(low / step); at <= Math.floor(high / step); at++) {
      ticks.push(Number((at * step).toPrecision(15)));
    }
    return ticks.length || !log ? ticks : [Math.sqrt(low) * Math.sqrt(high)];
  }

  // Labels that distinguish the ticks, in the shortest common format.
  function labels(ticks) {
    const largest = Math.max(...ticks.map(Math.abs));
    const step = Math.min(...ticks.slice(1).map((tick, index) => tick - ticks[index]), largest);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    let form;
    if (!(largest > 0)) form = String;
    else if (step < largest / 1e4 || (largest < 1e6 && decimals < 5)) {
      const plain = new Intl.NumberFormat("en", { maximumFractionDigits: Math.min(decimals, 20) });
      form = (tick) => plain.format(tick);
    } else form = (tick) => (tick === 0 ? "0" : String(Number(tick.toPrecision(6)).toExponential()).replace("e+", "e"));
    return ticks.map((tick) => form(tick).replaceAll("-", "−"));
  }

  // Tooltips -------------------------------------------------------------------------------------

  function showTip(card, chart) {
    const { left, top } = chart.cursor;
    if (left === null || left < 0) {
      if (card.tip) card.tip.remove();
      card.tip = null;
      return;
    }
    const rows = [];
    card.lines.forEach((line, index) => {
      const at = chart.cursor.idxs[index + 1];
      if (!line.main || at === null || at === undefined) return;
      const step = line.steps[at];
      if (step < chart.scales.x.min || step > chart.scales.x.max) return;
      rows.push({ run: line.curve.run, step, value: line.values[at], raw: line.raw[at], distance: Math.abs(chart.valToPos(line.values[at], "y") - top) });
    });
    if (!rows.length) return;
    rows.sort((a, b) => a.distance - b.distance);
    const near = rows[0];
    const listed = rows.slice(0, MAX_ROWS).sort((a, b) => b.value - a.value);
    if (!card.tip) card.plot.append((card.tip = make("div", { class: "tip", "aria-hidden": "true" })));
    card.tip.replaceChildren(
      make("div", { class: "step", text: `step ${grouped.format(near.step)}` }),
      ...listed.map((row) => make("div", { class: row === near ? "row near" : "row" },
        swatch(row.run),
        make("span", { class: "label", text: label(row.run) }),
        make("span", { text: format(row.value) + (state.smooth > 0 ? ` (${format(row.raw)})` : "") }))),
    );
    if (rows.length > listed.length) {
      card.tip.append(make("div", { class: "step", text: `and ${rows.length - listed.length} more` }));
    }
    // Below the chart, or above it if there is no room, so that the curves stay visible.
    const box = card.plot.getBoundingClientRect(), over = chart.over.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = card.tip;
    const x = Math.min(over.left + left - width / 2, innerWidth - width - 8);
    const below = over.bottom + 6 + height <= innerHeight;
    card.tip.style.left = `${Math.max(x, 8) - box.left}px`;
    card.tip.style.top = `${(below ? over.bottom + 6 : Math.max(over.top - 6 - height, 4)) - box.top}px`;
    card.near = near;
  }

  const label = (run) => shortId(run) + (data.runs[run].job ? `  ${data.runs[run].job}` : "");

  function steer(card, event) {
    const chart = card.chart;
    if (!chart) return;
    const width = chart.over.clientWidth, now = chart.cursor.left;
    const moves = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in moves) {
      const by = moves[event.key] * (event.shiftKey ? width / 10 : Math.max(width / 100, 2));
      const left = now === null || now < 0 ? width / 2 : Math.min(Math.max(now + by, 0), width - 1);
      chart.setCursor({ left, top: chart.over.clientHeight / 2 });
      if (card.near) {
        byId("live").textContent = `step ${card.near.step}: ${card.tip ? [...card.tip.querySelectorAll(".row")].map((row) => row.textContent).join(", ") : ""}`;
      }
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const { min, max } = chart.scales.x;
      const centre = now !== null && now >= 0 ? chart.posToVal(now, "x") : (min + max) / 2;
      const factor = event.key === "-" ? 2 : 0.5;
      const [low, high] = extentOf(card);
      const ends = [centre - (centre - min) * factor, centre + (max - centre) * factor];
      if (ends[0] <= low && ends[1] >= high) zoom(null); else zoom(Math.max(ends[0], low), Math.min(ends[1], high));
    } else if (event.key === "Escape") zoom(null);
    else return;
    event.preventDefault();
  }

  function zoom(from, to) {
    if (from !== null && !(to - from >= 1)) return; // steps are whole numbers
    state.zoom = from === null ? null : [from, to];
    byId("unzoom").hidden = from === null;
    redraw();
  }

  let waiting = 0;
  function redraw() {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => cards.forEach((card) => card.seen && draw(card)));
  }

  // The list of experiments ----------------------------------------------------------------------

  const entries = data.runs.map((run, index) => {
    const box = make("input", { type: "checkbox", checked: true });
    const flag = run.problems.length || run.tail;
    const id = make("span", { class: "id", text: run.id, title: run.id });
    if (flag) id.append(make("span", { class: "flag", text: " ⚠", title: [...run.problems, run.tail].filter(Boolean).join("; ") }));
    const about = [run.job, run.user].filter(Boolean).join(" · ") || (run.points ? "" : "nothing logged");
    const text = make("span", { class: "text" }, id, make("span", { class: "job", text: about, title: about }));
    const only = make("button", { type: "button", class: "quiet only", text: "only", "aria-label": `Show only ${run.id}` });
    const item = make("li", {}, make("label", {}, box, swatch(index), text), only);
    box.addEventListener("change", () => {
      if (box.checked) state.hidden.delete(index); else state.hidden.add(index);
      choose();
    });
    only.addEventListener("click", () => {
      data.runs.forEach((_, other) => (other === index ? state.hidden.delete(other) : state.hidden.add(other)));
      choose();
    });
    const focus = (value) => () => {
      if (state.hidden.has(index)) return;
      state.focus = value;
      cards.forEach((card) => card.chart && card.chart.redraw(false));
    };
    item.addEventListener("pointerenter", focus(index));
    item.addEventListener("pointerleave", focus(null));
    return { item, box, words: `${run.id} ${run.job} ${run.user}`.toLowerCase() };
  });
  byId("runs").append(...entries.map((entry) => entry.item));

  function choose() {
    state.focus = null;
    entries.forEach(({ item, box }, index) => {
      box.checked = !state.hidden.has(index);
      item.classList.toggle("off", !box.checked);
    });
    const shown = data.runs.length - state.hidden.size;
    byId("runs-count").textContent = state.hidden.size ? `${shown} of ${data.runs.length}` : String(shown);
    fillTable();
    redraw();
  }

  const filtered = () => entries.map((entry, index) => (entry.item.hidden ? null : index)).filter((index) => index !== null);
  byId("runs-filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    entries.forEach((entry) => (entry.item.hidden = !words.every((word) => entry.words.includes(word))));
  });
  byId("runs-all").addEventListener("click", () => { filtered().forEach((index) => state.hidden.delete(index)); choose(); });
  byId("runs-none").addEventListener("click", () => { filtered().forEach((index) => state.hidden.add(index)); choose(); });

  // Groups of cards, and search ------------------------------------------------------------------

  const collator = new Intl.Collator("en", { numeric: true });
  const order = data.metrics.map((_, index) => index).sort((a, b) => collator.compare(data.metrics[a], data.metrics[b]) || a - b);
  const lower = data.metrics.map((name) => name.toLowerCase());
  const groups = new Map();
  for (const metric of order) {
    const name = data.metrics[metric];
    const key = name.includes("/") ? name.slice(0, name.indexOf("/")) : "";
    if (!groups.has(key)) {
      const count = make("span", { class: "count" });
      const grid = make("div", { class: "grid" });
      const heading = make("summary", {}, make("span", { text: key || "Metrics" }), count);
      const box = make("details", { class: "group" }, heading, grid);
      box.open = data.metrics.length <= MAX_EXPANDED || groups.size < 2;
      groups.set(key, { box, grid, count, cards: [] });
      byId("curves").append(box);
    }
    const group = groups.get(key), card = buildCard(metric);
    group.cards.push(card);
    group.grid.append(card.figure);
    group.count.textContent = String(group.cards.length);
  }

  const results = make("div", { class: "grid" });
  byId("curves").append(results);
  const fold = byId("fold");
  const matches = (metric) => state.query.every((word) => lower[metric].includes(word));

  function search() {
    state.query = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    const searching = state.query.length > 0;
    let found = 0;
    for (const { box, grid, cards: own } of groups.values()) {
      const shown = own.filter((card) => matches(card.metric));
      own.forEach((card) => (card.figure.hidden = true));
      shown.forEach((card) => (card.figure.hidden = false));
      // Matches are shown together: groups of one would waste space.
      (searching ? results : grid).append(...(searching ? shown : own).map((card) => card.figure));
      box.hidden = searching;
      found += shown.length;
    }
    fold.hidden = searching || groups.size < 2;
    byId("shown").textContent = searching
      ? `${grouped.format(found)} of ${plural(data.metrics.length, "metric")}` : plural(data.metrics.length, "metric");
    const nothing = !data.runs.length ? "This report contains no experiments."
      : !data.metrics.length ? "Nothing has been logged yet." : found ? "" : "No metric matches the search.";
    byId("empty").textContent = nothing;
    byId("empty").hidden = !nothing || !byId("table").hidden;
    fillTable();
  }

  const anyOpen = () => [...groups.values()].some(({ box }) => box.open);
  const nameFold = () => (fold.textContent = anyOpen() ? "Collapse all" : "Expand all");
  fold.addEventListener("click", () => {
    const open = !anyOpen();
    groups.forEach(({ box }) => (box.open = open));
    nameFold();
  });
  groups.forEach(({ box }) => box.addEventListener("toggle", nameFold));

  // The table ------------------------------------------------------------------------------------

  function fillTable() {
    const panel = byId("table");
    if (panel.hidden && !printing) return;
    const metrics = order.filter(matches);
    const listed = metrics.slice(0, MAX_COLUMNS);
    const last = (metric) => (run) => {
      const curve = curveOf.get(`${run} ${metric}`);
      return curve ? number(curve.last) : null;
    };
    const heads = [
      { key: "id", text: "Experiment", of: (run) => data.runs[run].id },
      { key: "job", text: "Job", of: (run) => data.runs[run].job, cell: (run) => data.runs[run].job },
      { key: "user", text: "User", of: (run) => data.runs[run].user, cell: (run) => data.runs[run].user },
      { key: "created", text: "Created", of: (run) => data.runs[run].created, cell: (run) => (data.runs[run].created === null ? "" : time(data.runs[run].created)) },
      { key: "points", text: "Points", of: (run) => data.runs[run].points, number: true, cell: (run) => grouped.format(data.runs[run].points) },
      ...listed.map((metric) => ({ key: `last ${metric}`, text: data.metrics[metric] || "(no name)", of: last(metric), number: true, cell: (run) => format(last(metric)(run)) })),
    ];
    const troubled = (run) => [...data.runs[run].problems, data.runs[run].tail].filter(Boolean).join("; ");
    if (data.runs.some((_, run) => troubled(run))) heads.splice(5, 0, { key: "state", text: "State", of: troubled, cell: troubled, flag: true });
    const head = heads.find((one) => one.key === state.sort.key) || heads[0];
    const rows = data.runs.map((_, run) => run).sort((a, b) => compareRows(head.of(a), head.of(b)) || a - b);

    const buttons = heads.map((one) => {
      const sorted = one.key === head.key;
      const arrow = sorted ? (state.sort.down ? " ↓" : " ↑") : "";
      const button = make("button", { type: "button", text: one.text + arrow, title: one.text });
      button.addEventListener("click", () => {
        state.sort = { key: one.key, down: sorted ? !state.sort.down : false };
        fillTable();
        byId("table").querySelector("[aria-sort] button").focus();
      });
      return make("th", { scope: "col", class: one.number ? "number" : "", "aria-sort": sorted ? (state.sort.down ? "descending" : "ascending") : null }, button);
    });
    const body = rows.map((run) => make("tr", { class: state.hidden.has(run) ? "off" : "" },
      make("th", { scope: "row", title: data.runs[run].id }, swatch(run), make("span", { class: "id", text: data.runs[run].id })),
      ...heads.slice(1).map((one) => {
        const text = one.cell(run);
        return make("td", { class: one.flag ? "flag" : one.number ? "number" : "", text, title: text.length > 24 ? text : null });
      })));
    const table = make("table", {},
      make("caption", { class: "sr", text: "Experiments with the last value of each metric" }),
      make("thead", {}, make("tr", {}, ...buttons)), make("tbody", {}, ...body));
    panel.replaceChildren(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of experiments" }, table));
    if (metrics.length > listed.length) {
      panel.append(make("p", { class: "table-note", text: `Last values of ${listed.length} of ${plural(metrics.length, "metric")}. Search to narrow the list.` }));
    }
  }

  // Missing values and NaN come last in either direction.
  function compareRows(a, b) {
    const missing = (value) => value === null || value === "" || Number.isNaN(value);
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const sign = state.sort.down ? -1 : 1;
    return sign * (typeof a === "string" ? collator.compare(a, b) : a < b ? -1 : a > b ? 1 : 0);
  }

  // Tabs, theme, tools, printing -----------------------------------------------------------------

  const tabs = [...document.querySelectorAll("[role=tab]")];
  function select(tab) {
    for (const one of tabs) {
      const chosen = one === tab;
      one.setAttribute("aria-selected", String(chosen));
      one.tabIndex = chosen ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !chosen;
    }
    document.querySelector(".curve-tools").hidden = tab.id !== "tab-curves";
    search();
  }
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = tabs[(index + 1) % tabs.length];
      select(other);
      other.focus();
    });
  });

  let chosenTheme = null;
  function paint(theme = chosenTheme || (dark.matches ? "dark" : "light")) {
    root.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "☀ Light" : "☾ Dark";
    byId("theme").setAttribute("aria-label", theme === "dark" ? "Use light colours" : "Use dark colours");
    for (const line of document.querySelectorAll("[data-run]")) line.setAttribute("stroke", colour(Number(line.dataset.run)));
  }
  byId("theme").addEventListener("click", () => {
    chosenTheme = root.dataset.theme === "dark" ? "light" : "dark";
    paint();
    redraw();
  });
  dark.addEventListener("change", () => { paint(); redraw(); });

  byId("query").addEventListener("input", search);
  byId("log").addEventListener("change", (event) => { state.log = event.target.checked; redraw(); });
  byId("smooth").addEventListener("input", (event) => {
    state.smooth = Number(event.target.value);
    byId("smooth-value").textContent = event.target.value;
    redraw();
  });
  byId("unzoom").addEventListener("click", () => { zoom(null); byId("log").focus(); });

  addEventListener("beforeprint", () => {
    printing = true;
    paint("light");
    fillTable();
    for (const { box, cards: own } of groups.values()) if (box.open || box.hidden) own.forEach((card) => card.figure.hidden || draw(card));
  });
  addEventListener("afterprint", () => {
    printing = false;
    paint();
    cards.forEach((card) => (card.seen ? draw(card) : clear(card)));
  });

  const points = data.runs.reduce((sum, run) => sum + run.points, 0);
  byId("summary").textContent = [
    plural(data.runs.length, "experiment"), plural(data.metrics.length, "metric"), plural(points, "point"), `written ${time(data.written)}`,
  ].join(" · ");
  const troubles = data.runs.flatMap((run) => [...run.problems, run.tail].filter(Boolean).map((text) => `${run.id}: ${text}`));
  if (troubles.length) {
    byId("problems").hidden = false;
    byId("problems").append(make("details", {},
      make("summary", { text: `${plural(troubles.length, "problem")} in ${plural(data.runs.filter((run) => run.problems.length || run.tail).length, "experiment")}; everything readable is shown` }),
      make("ul", {}, ...troubles.map((text) => make("li", { text })))));
  }
  if (matchMedia("(max-width: 820px)").matches && data.runs.length > 8) byId("runs-box").open = false;
  paint();
  choose();
  search();
  nameFold();
})();
