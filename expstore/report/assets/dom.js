// Elements. Text reaches the page only through textContent and attributes, so names are never
// parsed as markup; no attribute that could hold a script or a style is ever made of data.
export const byId = (id) => document.getElementById(id);
export const root = document.documentElement;

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

// A select with options given as values, or as pairs of value and text.
export function choice(label, options, value, change) {
  const box = make("select", { "aria-label": label, onchange: () => change(box.value) });
  for (const option of options) {
    const [own, text] = Array.isArray(option) ? option : [option, option];
    box.append(make("option", { value: own, text, selected: own === value }));
  }
  return box;
}

// Replaces what is in a panel; the focus stays on what has the same name, and lists stay scrolled.
export function renew(panel, ...children) {
  const nameOf = (element) => element.title || element.getAttribute("aria-label") || element.textContent;
  const active = panel.contains(document.activeElement) ? document.activeElement : null;
  const name = active && nameOf(active), tag = active?.tagName;
  const scrolled = [...panel.querySelectorAll(".scroll, .plane")].map((one) => [one.scrollLeft, one.scrollTop]);
  panel.replaceChildren(...children);
  panel.querySelectorAll(".scroll, .plane").forEach((one, index) => {
    [one.scrollLeft, one.scrollTop] = scrolled[index] ?? [0, 0];
  });
  if (active) [...panel.querySelectorAll(tag)].find((one) => nameOf(one) === name)?.focus({ preventScroll: true });
}

// Calls `grow` when the end of a long list comes into view.
export function sentinel(grow) {
  const end = make("button", { type: "button", class: "quiet more", text: "Show more", onclick: grow });
  const watcher = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      watcher.disconnect();
      grow();
    }
  }, { rootMargin: "200px" });
  watcher.observe(end);
  return end;
}

export function scrollTo(element) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
}

export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export const announce = (text) => (byId("live").textContent = text);
