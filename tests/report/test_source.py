"""A source of another kind than the report's: what a live server's page relies on."""

from __future__ import annotations

from pathlib import Path

from expstore.report.page import asset, render_page
from tests.report.browser import Browser

# Two runs with curves that are thinned unless a part of them is asked for; `calls` notes what the
# page asks.
MAIN = """
import { start } from "./app.js";
import { decodeMessage } from "./codec.js";
import { runsOf } from "./source.js";
const calls = (window.calls = []);
const row = (id, points) => ({
  id, job: "", created: id === "c" ? 2000 : 1000, status: "running",
  points, first: 1000, latest: 1000 + points,
  metrics: [[0, points, 1, points - 1, 0, 0, 1, points - 1]],
});
const runs = runsOf({ runs: [row("a", 1000), row("b", 1000)], names: ["loss"] });
function message(values, first, by, points) {
  const header = { n: values.length, points, columns: [
    ["values", "f4", 0], ["steps", "line", first, by], ["times", "line", 1000 + first, by]] };
  const thinned = points > values.length;
  const each = points / values.length;
  if (thinned) header.columns.push(["means", "f4", 0], ["counts", "line", each, 0]);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const arrays = new Float32Array(thinned ? [...values, ...values] : values);
  const whole = new Uint8Array(4 + text.length + arrays.byteLength);
  new DataView(whole.buffer).setUint32(0, text.length, true);
  whole.set(text, 4);
  whole.set(new Uint8Array(arrays.buffer), 4 + text.length);
  return decodeMessage(whole.buffer).curve;
}
const source = (window.source = {
  live: true, detail: true, facts: {},
  async *listRuns() { for (const run of runs) yield [run]; },
  async curve(run, metric, asked) {
    calls.push({ run: run.key, metric, ...asked });
    await new Promise((done) => setTimeout(done, 20));
    if (asked.from === null) return message([0, 0.5, 1], 0, 500, 1000);
    return message([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 1], 500, 10, 10);
  },
  async files() {
    return { files: [{ name: "model.pt", size: 10, href: "files/a/model.pt" }] };
  },
  watch(runs, metrics) { calls.push({ watch: runs.map((run) => run.key), metrics }); },
});
window.push = {
  run: (id) => source.onRuns(runsOf({ runs: [row(id, 10)], names: ["loss"] })),
  points: () => source.onPoints(runs[0], "loss", message([5, 6], 1000, 1, 2)),
  gone: (id) => source.onGone([id]),
  state: (text) => source.onState(text),
};
start(source);
"""


def test_a_live_source_is_asked_for_what_is_seen_and_pushes_the_rest(
    browser: Browser, tmp_path: Path
) -> None:
    """Curves come later, zooming asks for a part, and runs and points appear by themselves."""

    def read(name: str) -> str:
        return MAIN if name == "main.js" else asset(name)

    (tmp_path / "live.html").write_text(render_page("Live", "main.js", read=read))
    browser.open(tmp_path / "live.html")
    browser.run("return new Promise((done) => setTimeout(done, 100))")
    assert browser.texts("#runs button.id") == ["a", "b"]
    assert browser.texts("#runs .status") == ["▶", "▶"]
    calls = browser.run("return window.calls")
    asked = [call for call in calls if "run" in call]
    assert [call["run"] for call in asked] == ["a", "b"]
    whole = {"metric": "loss", "x": "step", "from": None, "to": None, "points": 2000}
    assert asked[0] == {"run": "a", **whole}
    assert [call for call in calls if "watch" in call][-1] == {
        "watch": ["a", "b"],
        "metrics": ["loss"],
    }
    picture = "return document.querySelector('canvas').toDataURL()"
    coarse = browser.run(picture)
    browser.run("location.hash = '#zoom=500..600'")
    browser.run("return new Promise((done) => setTimeout(done, 100))")
    part = browser.run("return window.calls").pop()
    assert (part["from"], part["to"]) == (500, 600)
    assert browser.run(picture) != coarse
    browser.run("location.hash = ''")
    assert browser.run(picture) == coarse
    browser.run("window.push.points()")
    assert browser.run(picture) != coarse
    browser.run("window.push.run('c')")
    assert browser.texts("#runs button.id") == ["c", "a", "b"]
    assert browser.text("#runs-count") == "3"
    browser.run("window.push.gone('a')")
    assert browser.texts("#runs button.id") == ["c", "b"]
    browser.run("window.push.state('The server does not answer.')")
    assert browser.text("#state:not([hidden])") == "The server does not answer."
    browser.click("#tab-runs")
    link = "return document.querySelector('#details a').getAttribute('href')"
    assert browser.run(link) == "files/a/model.pt"
