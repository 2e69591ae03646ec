// The page of a server: its data is fetched, and what changes of it comes as events; see events.py.
import { start } from "./app.js";
import { bytesOf, decode, decodeMessage } from "./codec.js";
import { byId, download, make } from "./dom.js";
import { model } from "./model.js";
import { runsOf } from "./source.js";

const RETRY = [500, 5000]; // ms between two tries to connect, at first and at most
const SILENCE = 25000; // ms without a byte, not even a comment, after which a connection is dead
const HIDDEN = 10000; // ms after which a page that nobody sees stops following
const SETTLED = 150; // ms for which what is on the screen must stay before it is followed
const TEXT = 200000; // bytes of a text that are shown, from its end
const MANY = 2000, PAUSE = 400; // with so many runs, those that changed are shown that often, in ms

// A page inside a notebook has no cookie, so it sends its token with each request.
const token = new URLSearchParams(location.search).get("token");
const isFramed = window.top !== window;
if (token && !isFramed) history.replaceState(null, "", location.pathname + location.hash);
const withToken = (address) => (token && isFramed ? `${address}?token=${encodeURIComponent(token)}` : address);
const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
const post = (address, body, signal) => fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal });
const wait = (time) => new Promise((done) => setTimeout(done, time));

async function failureOf(response) {
  const text = await response.text();
  return new Error(text.startsWith("{") ? JSON.parse(text).error : text.trim() || `status ${response.status}`);
}

// The events in an answer: { type, id, data }.
async function* eventsOf(response, alive) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.has("event")) yield { type: fields.get("event"), id: fields.get("id"), data: JSON.parse(fields.get("data")) };
    }
  }
}

// The frames in an answer, as buffers; see curves.py.
async function* framesOf(response) {
  const reader = response.body.getReader();
  let held = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const both = new Uint8Array(held.length + value.length);
    both.set(held);
    both.set(value, held.length);
    held = both;
    while (held.length >= 4) {
      const size = new DataView(held.buffer, held.byteOffset).getUint32(0, true);
      if (held.length < 4 + size) break;
      yield held.slice(4, 4 + size).buffer;
      held = held.subarray(4 + size);
    }
    held = held.slice();
  }
}

// Curves that are asked for at the same time, as one request.
function curveFetcher() {
  const waiting = new Map(); // what is asked of the axis, to runs, to metrics

  async function fetchCurves(asked, runs) {
    const wished = [...runs].map(([run, metrics]) => ({ run, metrics: [...metrics.keys()] }));
    const promises = new Map();
    wished.forEach((one, index) => one.metrics.forEach((metric, place) => promises.set(`${index} ${place}`, runs.get(one.run).get(metric))));
    try {
      const response = await post("api/curves", { ...asked, runs: wished });
      if (!response.ok) throw await failureOf(response);
      for await (const buffer of framesOf(response)) {
        const { header, curve } = decodeMessage(buffer);
        const id = `${header.run} ${header.metric}`;
        promises.get(id).forEach(({ resolve }) => resolve(header.none ? null : curve));
        promises.delete(id);
      }
      throw new Error("The answer ended early.");
    } catch (error) {
      promises.forEach((ones) => ones.forEach(({ reject }) => reject(error)));
    }
  }

  return (run, metric, asked) => new Promise((resolve, reject) => {
    if (!waiting.size) setTimeout(() => {
      for (const [text, runs] of waiting) fetchCurves(JSON.parse(text), runs);
      waiting.clear();
    }, 0);
    const of = (map, key, made) => map.get(key) ?? (map.set(key, made), made);
    const metrics = of(of(waiting, JSON.stringify(asked), new Map()), run.key, new Map());
    of(metrics, metric, []).push({ resolve, reject });
  });
}

// Values that come bit by bit, for `for await`.
function queue() {
  const held = [];
  let ended = false, wake = () => {};
  return {
    push(value) {
      held.push(value);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (held.length) yield held.shift();
        if (ended) return;
        await new Promise((done) => (wake = done));
      }
    },
  };
}

function liveSource(facts) {
  let since = "", wish = { runs: [], metrics: [] }, connection = null, isListed = false, trouble = "", lost = "";
  let seen = new Set(); // runs of a list that is being sent; null: it is complete
  let isHidden = false, show = () => {};
  const byKey = new Map(), first = queue();

  const tell = () => source.onState(trouble || lost);
  const changed = collector((runs) => source.onRuns(runs), () => byKey.size > MANY);

  const handlers = {
    reset() {
      seen = new Set();
    },
    runs(page) {
      const runs = runsOf(page);
      for (const run of runs) {
        byKey.set(run.key, run);
        seen?.add(run.key);
      }
      if (isListed) changed(runs); else first.push(runs);
    },
    gone(keys) {
      keys.forEach((key) => byKey.delete(key));
      source.onGone(keys);
    },
    listed() {
      const gone = seen ? [...byKey.keys()].filter((key) => !seen.has(key)) : [];
      seen = null;
      if (gone.length) handlers.gone(gone);
      if (!isListed) first.end();
      isListed = true;
    },
    points({ run: key, state, from, to, curves }) {
      const run = byKey.get(key);
      if (!run) return;
      const sent = new Map(curves.map((curve) => [curve.metric, curve]));
      for (const metric of wish.metrics) {
        const curve = sent.get(metric);
        const later = curve ? decode(curve, bytesOf(curve.data)) : decode({ n: 0, points: 0, columns: [] });
        source.onPoints(run, metric, { ...later, start: [state, from], end: [state, to] });
      }
    },
    trouble(text) {
      trouble = text;
      tell();
    },
  };

  // Follows until the connection ends; true: it was ended here.
  async function follow() {
    const own = (connection = new AbortController());
    let timer = 0;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => own.abort(new Error(`nothing came for ${SILENCE / 1000} seconds`)), SILENCE);
    };
    try {
      alive();
      const response = await post("api/events", { since, ...wish }, own.signal);
      if (!response.ok) throw await failureOf(response);
      const wasLost = lost;
      lost = "";
      tell();
      if (wasLost) source.onRuns([]); // curves that could not be fetched are asked for again
      const events = eventsOf(response, alive);
      for (;;) {
        const { done, value } = await events.next();
        if (done) return own.ended ?? false;
        if (own.ended) return true;
        handlers[value.type]?.(value.data);
        // A list that was interrupted is sent again.
        if (isListed && !seen) since = value.id;
      }
    } catch (error) {
      if (own.ended) return true;
      lost = `The server does not answer; trying again. (${error.message})`;
      return false;
    } finally {
      clearTimeout(timer);
      own.abort();
    }
  }

  async function connect() {
    let pause = RETRY[0];
    for (;;) {
      const began = Date.now();
      if (await follow()) pause = RETRY[0];
      else {
        if (Date.now() - began > 2 * RETRY[1]) pause = RETRY[0];
        lost ||= "The server ended the connection; trying again.";
        tell();
        await wait(pause);
        pause = Math.min(2 * pause, RETRY[1]);
      }
      if (isHidden) await new Promise((done) => (show = done));
    }
  }

  const renew = () => {
    connection.ended = true;
    connection.abort();
  };
  let hiding = 0, settling = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(() => {
        isHidden = true;
        renew();
      }, HIDDEN);
    } else if (isHidden) {
      isHidden = false;
      show();
    }
  });

  const source = {
    live: true,
    detail: true,
    absence: "Could not be read",
    facts,
    async *listRuns() {
      connect();
      yield* first;
    },
    curve: curveFetcher(),
    async files(run) {
      const response = await fetch(`files/${encodeURIComponent(run.key)}`, { headers });
      if (!response.ok) throw await failureOf(response);
      const found = await response.json();
      const files = found.files.map((file) => ({ ...file, href: withToken(file.href), src: file.src && withToken(file.src) }));
      return { ...found, files };
    },
    async text(file) {
      const part = file.size ? { Range: `bytes=-${TEXT}` } : {}; // an empty file has no last bytes
      const response = await fetch(file.href, { headers: { ...headers, ...part } });
      if (!response.ok) throw await failureOf(response);
      return { text: await response.text(), cut: Number(response.headers.get("Content-Length")) < file.size };
    },
    watch(runs, metrics) {
      // Without a chart on the screen no points are needed; what is not known yet of a run is.
      const wished = metrics.length ? runs : runs.filter((run) => run.unread);
      const next = { runs: wished.map((run) => run.key), metrics };
      if (JSON.stringify(next) === JSON.stringify(wish)) return;
      wish = next;
      clearTimeout(settling);
      settling = setTimeout(renew, SETTLED);
    },
  };
  return source;
}

// Gives what comes to `take` at once; or, if there is a lot, together with what else comes soon.
function collector(take, isMuch) {
  let held = [], timer = 0;
  return (items) => {
    held.push(...items);
    if (timer) return;
    timer = setTimeout(() => {
      const all = held;
      [held, timer] = [[], 0];
      take(all);
    }, isMuch() ? PAUSE : 0);
  };
}

function addSaving() {
  const button = make("button", { id: "save", type: "button", text: "Save as report", title: "A file with the drawn experiments that needs no server" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Saving…";
    try {
      const response = await post("api/report", { runs: [...model.drawn].map((run) => run.key) });
      if (!response.ok) throw await failureOf(response);
      download("report.html", await response.text(), "text/html");
      button.textContent = "Save as report";
    } catch (error) {
      button.textContent = "Not saved";
      button.title = error.message;
    }
    button.disabled = false;
  });
  byId("theme").before(button);
}

addSaving();
start(liveSource(JSON.parse(byId("data").textContent)));
