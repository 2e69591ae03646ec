// One experiment with all that is known of it, or two side by side.
import { swatch } from "./colours.js";
import { byId, choice, make, renew } from "./dom.js";
import { lasted } from "./durations.js";
import { bytes, duration, format, formatParam, grouped, plural, time } from "./format.js";
import { bestOf, sortedByInterest } from "./interest.js";
import { statusMark } from "./list.js";
import { aspectOf, model, troubles } from "./model.js";
import { shown } from "./source.js";
import { change, state } from "./state.js";

const MAX_OPTIONS = 500; // in a select
const TEXT = /\.(txt|log|out|err|md|rst|jsonl?|csv|tsv|ya?ml|toml|ini|cfg|py|sh|diff|patch)$/i;
let source = null;
let drawn = ""; // what is shown: files are fetched only when it changes

export const setUpDetail = (one) => (source = one);

// Opens the section of a run; beside another if one is being compared.
export function openRun(run) {
  change({ tab: "runs", open: [run.key, ...state.open.slice(1).filter((key) => key !== run.key)] });
}

export function showDetail() {
  const panel = byId("details");
  const runs = (state.open.length ? state.open : [model.matching[0]?.key]).map((key) => model.byKey.get(key)).filter(Boolean);
  if (!runs.length) {
    renew(panel, make("p", { class: "empty", text: state.open.length ? "This experiment is not here." : "No experiment matches." }));
    drawn = "";
    return;
  }
  const now = JSON.stringify([runs.map((run) => run.key), state.aspect]);
  const files = now === drawn ? panel.querySelector(".files") : filesOf(runs);
  drawn = now;
  renew(panel, toolsOf(runs), facts(runs), files);
}

function toolsOf(runs) {
  const options = (own) => {
    const listed = model.matching.slice(0, MAX_OPTIONS);
    return (own && !listed.includes(own) ? [own, ...listed] : listed).map((run) => [run.key, run.job ? `${run.id}  ${run.job}` : run.id]);
  };
  const first = choice("Experiment", options(runs[0]), runs[0].key, (key) => change({ open: [key, ...state.open.slice(1)] }));
  const second = choice("Beside it", [["", "nothing"], ...options(runs[1])], runs[1]?.key ?? "", (key) => change({ open: key ? [runs[0].key, key] : [runs[0].key] }));
  const draw = make("button", { type: "button", text: runs.length > 1 ? "Draw only these" : "Draw only this", onclick: () => change({ tab: "curves", picks: new Set(runs.map((run) => run.key)) }) });
  return make("div", { class: "table-tools" }, make("label", { class: "check" }, "Experiment ", first), make("label", { class: "check" }, "beside ", second),
    make("label", { class: "check" }, "Values ", choice("Which value of a metric", [["best", "best"], ["last", "last"], ["min", "minimum"], ["max", "maximum"]], state.aspect, (aspect) => change({ aspect }))), draw);
}

// A table with a column for each run; rows in which two differ are marked.
function facts(runs) {
  const parts = [];
  const section = (title, rows) => {
    const cells = rows.filter((row) => row.texts.some(Boolean));
    if (!cells.length) return;
    parts.push(make("tbody", {},
      make("tr", { class: "section" }, make("th", { colspan: runs.length + 1, scope: "rowgroup", text: title })),
      ...cells.map(({ name, texts, prose, best }) => {
        const differs = runs.length > 1 && texts[0] !== texts[1] && best === undefined;
        const head = make("th", { scope: "row", text: name, title: name });
        if (differs && !prose) head.append(make("span", { class: "differs", text: " ≠", title: "differs", role: "img", "aria-label": ", differs" }));
        return make("tr", { class: differs && !prose ? "differing" : "" }, head, ...texts.map((text, index) => make("td", { class: prose ? "prose" : index === best ? "best" : "", text })));
      })));
  };
  const row = (name, of, prose = false) => ({ name, texts: runs.map((run) => of(run) ?? ""), prose });
  section("About", [
    row("Status", (run) => statusText(run)), row("Job", (run) => run.job), row("User", (run) => run.user),
    row("Tags", (run) => run.tags.join(", ")), row("Created", (run) => time(run.created)), row("Duration", (run) => duration(lasted(run))),
    row("Points", (run) => grouped.format(run.points)), row("Last logged", (run) => time(run.latest, true), true),
    row("Notes", (run) => run.notes, true), row("Problems", (run) => troubles(run).join("\n"), true),
  ]);
  section("Parameters", union(runs, (run) => run.params).map((name) => row(name, (run) => formatParam(run.params.get(name)))));
  section(`Metrics: ${{ best: "best", last: "last", min: "minimum", max: "maximum" }[state.aspect]} value, at step`,
    sortedByInterest(union(runs, (run) => run.metrics)).map((metric) => ({
      ...row(shown(metric), (run) => {
        const found = aspectOf(run, metric);
        return found ? `${format(found.value)} @ ${grouped.format(found.step)}` : "";
      }),
      best: betterOf(runs.map((run) => aspectOf(run, metric)?.value ?? NaN), bestOf(metric)),
    })));
  section("Starts", Array.from({ length: Math.max(...runs.map((run) => run.starts.length)) }, (_, index) => row(`Start ${index + 1}`, (run) => startText(run.starts[index]), true)));
  const heads = runs.map((run) => make("th", { scope: "col" }, swatch(run), make("span", { class: "id", text: run.id, title: run.id }), statusMark(run) ?? ""));
  return make("div", { class: "scroll whole", tabindex: 0, role: "region", "aria-label": "Facts about the experiment" },
    make("table", { class: runs.length > 1 ? "facts two" : "facts" }, make("thead", {}, make("tr", {}, make("td", {}), ...heads)), ...parts));
}

// The place of the better of two values; -1 if neither is.
function betterOf([a, b], wanted) {
  if (wanted === "last" || b === undefined || !(a !== b) || Number.isNaN(a) || Number.isNaN(b)) return -1;
  return (wanted === "max" ? a > b : a < b) ? 0 : 1;
}

const union = (runs, of) => [...new Set(runs.flatMap((run) => [...of(run).keys()]))];

function statusText(run) {
  const error = run.starts.at(-1)?.error;
  return run.status === "failed" && error ? `failed: ${error}` : run.status;
}

function startText(start) {
  if (!start) return "";
  const parts = [time(start.started, true)];
  if (start.ended !== null) parts.push(`for ${duration(start.ended - start.started)}`);
  if (start.outcome) parts.push(start.outcome + (start.error ? `: ${start.error}` : ""));
  if (start.from !== null && start.from !== undefined) parts.push(`went on from step ${grouped.format(start.from)}`);
  return parts.join(", ");
}

function filesOf(runs) {
  const box = make("div", { class: runs.length > 1 ? "files two" : "files" });
  for (const run of runs) {
    const part = make("section", { "aria-label": `Files of ${run.id}` }, make("h2", { text: runs.length > 1 ? `Files of ${run.id}` : "Files" }));
    box.append(part);
    source.files(run).then((found) => part.append(...fileList(found)),
      () => part.append(make("p", { class: "table-note", text: "The files cannot be read." })));
  }
  return box;
}

// Shows the end of a text below its name: as text, whatever is in it.
function textButton(file) {
  const button = make("button", { type: "button", class: "quiet", text: "show", "aria-label": `Show ${file.name}`, "aria-expanded": "false" });
  let shown = null;
  button.addEventListener("click", async () => {
    if (shown) {
      shown.remove();
      shown = null;
    } else {
      const own = (shown = make("div", {}, make("p", { class: "table-note", text: "Loading…" })));
      button.after(own);
      const parts = await source.text(file).then(
        ({ text, cut }) => [
          ...(cut ? [make("p", { class: "table-note", text: "Only the end is shown; the name is a link to all of it." })] : []),
          make("pre", { tabindex: 0, role: "region", "aria-label": file.name, text: text || "(empty)" }),
        ],
        (error) => [make("p", { class: "table-note", text: `It cannot be read: ${error.message}` })],
      );
      own.replaceChildren(...parts);
      const end = own.querySelector("pre");
      if (end) end.scrollTop = end.scrollHeight;
    }
    button.textContent = shown ? "hide" : "show";
    button.setAttribute("aria-expanded", String(Boolean(shown)));
  });
  return button;
}

function fileList(found) {
  if (!found) return [make("p", { class: "table-note", text: "This report does not list them." })];
  if (!found.files.length) return [make("p", { class: "table-note", text: "None." })];
  const pictures = found.files.filter((file) => file.src).map((file) => make("figure", {},
    make("img", { src: file.src, alt: file.name, loading: "lazy", decoding: "async" }), make("figcaption", { text: file.name })));
  const rows = found.files.map((file) => make("li", {},
    file.href ? make("a", { href: file.href, text: file.name, download: "" }) : make("span", { text: file.name }),
    make("span", { class: "count", text: ` ${bytes(file.size)}${file.leftOut ? ", an image left out of this report" : ""} ` }),
    ...(source.text && TEXT.test(file.name) ? [textButton(file)] : [])));
  return [
    ...(pictures.length ? [make("div", { class: "pictures" }, ...pictures)] : []),
    make("ul", {}, ...rows), ...(found.more ? [make("p", { class: "table-note", text: `Only the first ${plural(found.files.length, "file")} are listed.` })] : []),
  ];
}
