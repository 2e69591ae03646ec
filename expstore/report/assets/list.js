// The list of experiments: what matches the filter, with a box for each to draw it or not.
import { emphasize } from "./cards.js";
import { swatch } from "./colours.js";
import { byId, make, sentinel } from "./dom.js";
import { grouped, shortId } from "./format.js";
import { model, MOST_DRAWN, NEWEST, pick, troubles } from "./model.js";
import { change, state } from "./state.js";

const ROWS = 200; // in the document; more come as one scrolls
const items = new Map(); // by key of the run
let rows = ROWS, listed = [], wide = () => {};

export const STATUS = { running: "▶", finished: "✓", failed: "✗", stopped: "■", unknown: "" };

export function statusMark(run) {
  if (!STATUS[run.status]) return null;
  return make("span", { class: `status ${run.status}`, text: STATUS[run.status], title: run.status, role: "img", "aria-label": run.status });
}

// What an item shows: another run with the same may take its place.
const signature = (run) => JSON.stringify([run.job, run.user, run.tags, run.status, troubles(run), run.points > 0, run.unread]);

function buildItem(run) {
  const entry = { run, signature: signature(run) };
  const box = make("input", { type: "checkbox", "aria-label": `Draw ${run.id}` });
  const found = troubles(run);
  const id = make("button", { type: "button", class: "id", text: shortId(run), title: `${run.id}: show this experiment`, onclick: () => wide(entry.run) });
  const flag = found.length ? make("span", { class: "flag", role: "img", text: "⚠", title: found.join("; "), "aria-label": `problem: ${found.join("; ")}` }) : null;
  const about = [run.job, run.user, ...run.tags.map((tag) => `#${tag}`)].filter(Boolean).join(" · ") || (run.points || run.unread ? "" : "nothing logged");
  const only = make("button", { type: "button", class: "quiet only", text: "only", "aria-label": `Draw only ${run.id}` });
  const item = make("li", {},
    make("label", {}, box, swatch(run)),
    make("span", { class: "text" },
      make("span", { class: "line" }, id, statusMark(run), flag),
      make("span", { class: "job", text: about, title: about })),
    only);
  box.addEventListener("change", () => change({ picks: pick((picks) => (box.checked ? picks.add(run.key) : picks.delete(run.key))) }));
  only.addEventListener("click", () => change({ picks: new Set([run.key]) }));
  item.addEventListener("pointerenter", () => model.drawn.has(entry.run) && emphasize(entry.run));
  item.addEventListener("pointerleave", () => emphasize(null));
  return Object.assign(entry, { item, box });
}

export function showList() {
  const shown = model.matching.slice(0, rows);
  for (const run of shown) {
    const entry = items.get(run.key);
    if (entry?.signature === signature(run)) entry.run = run;
    else items.set(run.key, buildItem(run));
  }
  const found = shown.map((run) => items.get(run.key).item);
  // The document is changed only if the list is, so that the focus stays.
  if (found.length !== listed.length || found.some((item, index) => item !== listed[index])) {
    const rest = model.matching.length > rows ? [make("li", {}, sentinel(() => {
      rows += ROWS;
      listed = [];
      showList();
    }))] : [];
    byId("runs").replaceChildren(...found, ...rest);
    listed = found;
  }
  for (const run of shown) {
    const { item, box } = items.get(run.key);
    box.checked = model.drawn.has(run);
    item.classList.toggle("off", !box.checked);
  }
  const all = model.runs.length, matching = model.matching.length, drawn = model.drawn.size;
  const counts = [`${grouped.format(drawn)} drawn${drawn === MOST_DRAWN ? " (the most)" : ""}`];
  if (matching !== all) counts.push(`${grouped.format(matching)} match`);
  if (drawn !== all || matching !== all) counts.push(`${grouped.format(all)} in all`);
  byId("runs-count").textContent = drawn === all ? grouped.format(all) : counts.join(" · ");
  byId("filter-error").textContent = model.error;
  byId("filter-error").hidden = !model.error;
  byId("runs-filter").setAttribute("aria-invalid", String(Boolean(model.error)));
  byId("runs-first").hidden = all <= NEWEST && !state.picks;
  byId("runs-first").setAttribute("aria-pressed", String(!state.picks));
}

export function setUpList(open) {
  wide = open;
  byId("runs-filter").value = state.filter;
  byId("runs-filter").addEventListener("input", (event) => {
    rows = ROWS;
    change({ filter: event.target.value });
  });
  byId("runs-all").addEventListener("click", () => change({ picks: pick((picks) => model.matching.forEach((run) => picks.add(run.key))) }));
  byId("runs-none").addEventListener("click", () => change({ picks: pick((picks) => model.matching.forEach((run) => picks.delete(run.key))) }));
  byId("runs-first").addEventListener("click", () => change({ picks: null }));
}
