// The language of `where`: which runs to show. Kept equal to the one in Python by common test cases.
//
//   lr < 0.01 and val/loss:min < 0.3 and (job ~ 'resnet*' or tag == baseline) and not status == failed
//
// A name is a parameter, a metric (its last value, or :last, :min, :max), or a field; odd names are
// in backticks. `~` and `!~` match a pattern with * and ?.
class WhereError extends Error {
  name = "WhereError";
}

const OPERATORS = ["==", "!=", "<=", ">=", "!~", "<", ">", "~"];
const TOKEN = /\s*(?:(==|!=|<=|>=|!~|<|>|~|=)|([()])|`([^`]*)`|'([^']*)'|"([^"]*)"|([^\s()<>=!~`'"]+))/y;
const FIELDS = ["id", "commit_id", "job", "job_name", "user", "status", "tag", "tags", "notes", "created", "duration", "points"];
const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

// Text without a comparison is searched for instead.
export const isExpression = (text) => /[<>=~]/.test(text);

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new WhereError(`cannot read ${text.slice(at).trim().slice(0, 20)}; put odd names in \`backticks\``);
    const [, operator, bracket, quoted, single, double, word] = match;
    if (operator === "=") throw new WhereError("use == to compare");
    if (operator) found.push({ kind: "operator", text: operator });
    else if (bracket) found.push({ kind: bracket, text: bracket });
    else if (quoted !== undefined) found.push({ kind: "name", text: quoted });
    else if (word !== undefined) found.push({ kind: ["and", "or", "not"].includes(word) ? word : "word", text: word });
    else found.push({ kind: "text", text: single ?? double });
  }
  return found;
}

// The test of an expression, as a function of a run. Throws WhereError.
export function compile(text, model) {
  const left = tokens(text);
  const next = () => left[0]?.kind;
  const told = () => (left.length ? `before ${left[0].text}` : "at the end");

  function either() {
    let test = both();
    while (next() === "or") {
      left.shift();
      const a = test, b = both();
      test = (run) => a(run) || b(run);
    }
    return test;
  }
  function both() {
    let test = negated();
    while (next() === "and") {
      left.shift();
      const a = test, b = negated();
      test = (run) => a(run) && b(run);
    }
    return test;
  }
  function negated() {
    if (next() === "not") {
      left.shift();
      const test = negated();
      return (run) => !test(run);
    }
    if (next() !== "(") return comparison();
    left.shift();
    const test = either();
    if (next() !== ")") throw new WhereError(`a closing bracket is missing ${told()}`);
    left.shift();
    return test;
  }
  function comparison() {
    if (next() !== "word" && next() !== "name") throw new WhereError(`a name is missing ${told()}`);
    const name = left.shift().text;
    if (next() !== "operator") throw new WhereError(`one of ${OPERATORS.join(" ")} is missing ${told()}`);
    const operator = left.shift().text;
    if (next() !== "word" && next() !== "text") throw new WhereError(`a value is missing ${told()}`);
    const { kind, text: value } = left.shift();
    return tester(getter(name, model), operator, value, kind === "text");
  }

  const test = either();
  if (left.length) throw new WhereError(`and, or is missing ${told()}`);
  return test;
}

// What a name stands for, as a function of a run that gives a list of values.
function getter(name, { runs }) {
  if (runs.some((run) => run.params.has(name))) return (run) => (run.params.has(name) ? [run.params.get(name)] : []);
  const colon = name.lastIndexOf(":");
  const aspect = name.slice(colon + 1);
  for (const [metric, own] of [[name, "last"], ...(["last", "min", "max"].includes(aspect) ? [[name.slice(0, colon), aspect]] : [])]) {
    if (runs.some((run) => run.metrics.has(metric))) {
      return (run) => (run.metrics.has(metric) ? [run.metrics.get(metric)[own]] : []);
    }
  }
  if (FIELDS.includes(name)) return fields[name];
  throw new WhereError(unknown(name, runs));
}

const one = (value) => (value === null || value === undefined ? [] : [value]);
const fields = {
  id: (run) => [run.id],
  commit_id: (run) => [run.id],
  job: (run) => [run.job],
  job_name: (run) => [run.job],
  user: (run) => [run.user],
  status: (run) => [run.status],
  tag: (run) => run.tags,
  tags: (run) => run.tags,
  notes: (run) => [run.notes],
  created: (run) => one(run.created === null ? null : { since: run.created }),
  duration: (run) => one(run.first === null ? null : run.latest - run.first),
  points: (run) => [run.points],
};

function unknown(name, runs) {
  const known = new Set(FIELDS);
  for (const run of runs.slice(0, 1000)) {
    for (const own of run.params.keys()) known.add(own);
    for (const own of run.metrics.keys()) known.add(own);
  }
  const low = name.toLowerCase();
  const near = [...known].filter((own) => own.toLowerCase().includes(low) || low.includes(own.toLowerCase())).slice(0, 5);
  return `nothing is called ${name}${near.length ? `; did you mean ${near.join(", ")}?` : ""}`;
}

function tester(values, operator, text, quoted) {
  const wanted = quoted ? null : numberOf(text);
  const pattern = operator.endsWith("~") ? patternOf(text) : null;
  const compare = (value) => {
    if (pattern) return pattern.test(shownAs(value));
    if (value !== null && typeof value === "object") return order(Date.now() / 1000 - value.since, wanted ?? NaN, operator);
    if (typeof value === "number" && wanted !== null) return order(value, wanted, operator);
    return order(shownAs(value), text, operator);
  };
  if (operator === "!=" || operator === "!~") {
    const positive = tester(values, operator === "!=" ? "==" : "~", text, quoted);
    return (run) => values(run).length > 0 && !positive(run);
  }
  return (run) => values(run).some(compare);
}

const shownAs = (value) => (value === null ? "none" : String(value));

function order(a, b, operator) {
  switch (operator) {
    case "==": return a === b;
    case "<": return a < b;
    case "<=": return a <= b;
    case ">": return a > b;
    default: return a >= b;
  }
}

function numberOf(text) {
  const span = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text);
  if (span) return Number(span[1]) * UNITS[span[2]];
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : /^nan$/i.test(text) ? NaN : null;
}

function patternOf(text) {
  const escaped = text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "s");
}
