// Theme, and the colour and dashes by which a run is known everywhere on the page.
import { byId, root, svg } from "./dom.js";

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let palette = { colours: { light: ["#000000"], dark: ["#ffffff"] }, dashes: [[]] };
let chosen = null;

export const usePalette = ({ colours, dashes }) => colours && (palette = { colours, dashes });

export function colour(run) {
  const colours = palette.colours[root.dataset.theme];
  return colours[run.place % colours.length];
}

// Lengths of dashes and gaps: runs of one colour differ by them, so no one needs to see colours.
export const dashes = (run) => palette.dashes[Math.floor(run.place / palette.colours.light.length) % palette.dashes.length];

export function faded(hex, alpha) {
  const part = (at) => parseInt(hex.slice(at, at + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${alpha})`;
}

export function swatch(run) {
  const line = svg("line", {
    x1: 1, x2: 21, y1: 5, y2: 5, stroke: colour(run), "stroke-width": 2.5, "data-place": run.place,
    "stroke-dasharray": dashes(run).map((length) => length * 1.6).join(" "),
  });
  return svg("svg", { class: "swatch", viewBox: "0 0 22 10", "aria-hidden": "true" }, line);
}

// A sequential scale, dark blue to yellow, which all see alike (cividis); cut where it would not
// contrast with the background. 1 stands out the most: dark on light, and light on dark.
const CIVIDIS = [[0, 34, 78], [33, 62, 110], [77, 83, 108], [108, 110, 114], [140, 136, 118], [177, 166, 106], [216, 200, 82], [254, 232, 56]];
export function shade(strength) {
  const [weak, strong] = root.dataset.theme === "dark" ? [0.32, 1] : [0.78, 0];
  const at = (weak + Math.min(Math.max(strength, 0), 1) * (strong - weak)) * (CIVIDIS.length - 1);
  const before = Math.min(Math.floor(at), CIVIDIS.length - 2), rest = at - before;
  const mixed = CIVIDIS[before].map((part, index) => Math.round(part + (CIVIDIS[before + 1][index] - part) * rest));
  return `rgb(${mixed.join(", ")})`;
}

export function paint(theme = chosen ?? (prefersDark.matches ? "dark" : "light")) {
  root.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "☀ Light" : "☾ Dark";
  byId("theme").setAttribute("aria-label", theme === "dark" ? "Use light colours" : "Use dark colours");
  for (const line of document.querySelectorAll("[data-place]")) line.setAttribute("stroke", colour({ place: Number(line.dataset.place) }));
}

export function followTheme(repaint) {
  byId("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    paint();
    repaint();
  });
  prefersDark.addEventListener("change", () => {
    paint();
    repaint();
  });
  paint();
}
