// The language in which experiments are selected, as in Python: its syntax. Both pass the cases in
// tests/compare/where_cases.json.
//
//   lr < 0.01 and val/loss:min < 0.3 and (job ~ 'resnet*' or tag == baseline) and created > 30d
//
// Comparisons are joined by `and`, `or`, `not` and parentheses; the operators are == != < <= > >= ~
// !~ and `in` and `not in` with values in parentheses. `not` binds the tightest, then `and`. Odd
// names are in backticks, odd values in quotes.
import { conditionOf, WhereError } from "./conditions.js";
import { resolve } from "./naming.js";

const WORD = "[^\\s()'\"`,<>=!~&|]+";
const TOKEN = new RegExp(
  `\\s*(?:((?:(?:param|metric|field)\\.)?\`(?:[^\`]|\`\`)+\`(?::(?:last|min|max)(?!${WORD}))?)|('(?:[^']|'')*'|"(?:[^"]|"")*")` +
  `|(==|!=|<=|>=|<|>|!~|~|=)|([(),])|(${WORD}))`, "y");
const INSTEAD = {
  "&": "write and", "|": "write or", "!": "write not",
  "'": "this quote is not closed", '"': "this quote is not closed", "`": "this backtick is not closed",
};
const DEEPEST = 50; // levels of parentheses and `not`

// Text without a comparison is searched for instead.
export const isExpression = (text) => /[<>=~]|\bin\s*\(/i.test(text);

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const rest = text.slice(TOKEN.lastIndex);
    const column = TOKEN.lastIndex + rest.length - rest.trimStart().length + 1;
    const match = TOKEN.exec(text);
    if (!match) {
      const character = rest.trimStart()[0];
      throw new WhereError(`${character}: ${INSTEAD[character] ?? "is not expected here"}`, column);
    }
    const [, name, quoted, operator, mark, word] = match;
    const kind = name ? "name" : quoted ? "quoted" : operator ? "operator" : mark ?? "word";
    const token = { kind, text: name ?? quoted ?? operator ?? mark ?? word, column };
    if (word && /^(and|or|not|in)$/i.test(word)) token.kind = word.toLowerCase();
    found.push(token);
  }
  return [...found, { kind: "end", text: "the end", column: end + 1 }];
}

// Reads an expression from its tokens, as functions of a run.
class Parser {
  constructor(text, model) {
    this.tokens = tokens(text);
    this.model = model;
    this.depth = 0;
    this.meant = [];
  }

  get next() {
    return this.tokens[0];
  }

  take(kind, expected) {
    if (this.next.kind !== kind) this.fail(expected);
    return this.tokens.shift();
  }

  fail(expected) {
    const found = this.next.kind === "end" ? "the end" : this.next.text;
    throw new WhereError(`expected ${expected}, found ${found}`, this.next.column);
  }

  whole() {
    const test = this.any();
    if (this.next.kind === "operator") this.fail("and, or or the end (a range is two comparisons: lr > 0.001 and lr < 0.01)");
    if (this.next.kind !== "end") this.fail("and, or or the end");
    this.meant.forEach((mean) => mean());
    return test;
  }

  any() {
    const parts = [this.all()];
    while (this.next.kind === "or") {
      this.tokens.shift();
      parts.push(this.all());
    }
    return parts.length === 1 ? parts[0] : (run) => parts.some((part) => part(run));
  }

  all() {
    const parts = [this.one()];
    while (this.next.kind === "and") {
      this.tokens.shift();
      parts.push(this.one());
    }
    return parts.length === 1 ? parts[0] : (run) => parts.every((part) => part(run));
  }

  one() {
    if (this.next.kind === "not" || this.next.kind === "(") {
      const { kind } = this.tokens.shift();
      if (++this.depth > DEEPEST) throw new WhereError(`more than ${DEEPEST} levels of parentheses and not`, 1);
      const inner = kind === "not" ? this.one() : this.any();
      this.depth -= 1;
      if (kind === "not") return (run) => !inner(run);
      this.take(")", "and, or or )");
      return inner;
    }
    return this.comparison();
  }

  comparison() {
    if (this.next.kind !== "word" && this.next.kind !== "name") {
      this.fail(this.next.kind === "quoted" ? "a name, not or ( (a name with odd characters is in backticks)" : "a name, not or (");
    }
    const name = nameOf(this.tokens.shift());
    const { operator, negated } = this.operator();
    const values = operator === "in" ? this.values() : [this.value()];
    let passes = null; // names mean something once the whole is known to be an expression
    this.meant.push(() => (passes = this.test(name, operator, values)));
    return (run) => passes(run) !== negated;
  }

  test(name, operator, values) {
    const { kind, value } = resolve(name, this.model);
    const tests = values.map((one) => conditionOf(operator, one, kind, name.text));
    const fits = (actual) => tests.some((test) => test(actual));
    if (kind !== "texts") return (run) => fits(value(run) ?? null);
    return (run) => (value(run).length ? value(run).some(fits) : fits(null));
  }

  operator() {
    const { kind } = this.next;
    if (kind === "not" && this.tokens[1].kind === "in") {
      this.tokens.splice(0, 2);
      return { operator: "in", negated: true };
    }
    if (kind !== "operator" && kind !== "in") this.fail("an operator (== != < <= > >= ~ !~ in)");
    const { text } = this.tokens.shift();
    if (kind === "in") return { operator: "in", negated: false };
    return { operator: { "!=": "==", "=": "==", "!~": "~" }[text] ?? text, negated: text[0] === "!" };
  }

  values() {
    this.take("(", "(");
    const found = [this.value()];
    while (this.next.kind === ",") {
      this.tokens.shift();
      if (this.next.kind !== ")") found.push(this.value());
    }
    this.take(")", ") or a comma");
    return found;
  }

  value() {
    const { kind, text, column } = this.next;
    if (kind !== "word" && kind !== "quoted") {
      this.fail(`a value: a word, a number, or text in quotes${kind === "name" ? " (backticks are for names)" : ""}`);
    }
    this.tokens.shift();
    return kind === "word" ? { text, quoted: false, column }
      : { text: text.slice(1, -1).replaceAll(text[0] + text[0], text[0]), quoted: true, column };
  }
}

function nameOf({ kind, text, column }) {
  if (kind === "word") return { text, quoted: false, prefix: "", aspect: "", column };
  const [, prefix, inner, aspect] = /^(?:(\w+)\.)?`([^]*)`(?::(\w+))?$/.exec(text);
  return { text: inner.replaceAll("``", "`"), quoted: true, prefix: prefix ?? "", aspect: aspect ?? "", column };
}

// The test of an expression, as a function of a run. Throws WhereError.
export function compile(text, model) {
  if (!text.trim()) throw new WhereError("expected a comparison, such as lr < 0.01, not nothing", 1);
  return new Parser(text, model).whole();
}
