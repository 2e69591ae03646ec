// Which metrics come first, and whether less or more of one is better, going by the words of its name.
// The words, and the rules, are those of the library; see compare/interest.py.
import { collator } from "./format.js";

const WORD = /[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+/g;
const NONE = /^\b$/;
let low = NONE, high = NONE, heldOut = new Set(), aside = new Set();
const known = new Map(); // by name: what `read` found

export function useWords({ interest }) {
  if (!interest) return;
  [low, high] = [interest.low, interest.high].map((words) => new RegExp(`^(?:${words})$`));
  [heldOut, aside] = [interest.heldOut, interest.aside].map((words) => new Set(words));
  known.clear();
}

function read(name) {
  const words = (name.match(WORD) ?? []).map((word) => word.toLowerCase());
  const telling = [...words].reverse().find((word) => low.test(word) || high.test(word));
  const best = telling === undefined ? "last" : low.test(telling) ? "min" : "max";
  const rank = words.some((word) => aside.has(word)) ? 3 : best === "last" ? 2 : words.some((word) => heldOut.has(word)) ? 0 : 1;
  return { best, rank, aside: aside.has(words[0]) };
}

function found(name) {
  if (!known.has(name)) known.set(name, read(name));
  return known.get(name);
}

// "min", "max", or "last" where nothing tells.
export const bestOf = (metric) => found(metric).best;

// Whether what begins with a name is folded at first.
export const isAside = (name) => found(name).aside;

const ORDER = { min: 0, max: 1, last: 2 };
export const sortedByInterest = (metrics) =>
  metrics.sort((a, b) => found(a).rank - found(b).rank || ORDER[bestOf(a)] - ORDER[bestOf(b)] || collator.compare(a, b) || (a < b ? -1 : 1));
