// Building blocks. Everything that comes from outside goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Set an element's text, only where it differs: screen readers read changes aloud. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Bars with a name before and a figure behind; `rows` of [name, size, figure]. */
export function bars(rows) {
  const largest = Math.max(...rows.map(([, size]) => size), 0);
  const list = make("dl", { class: "bars" });
  for (const [name, size, figure] of rows) {
    const bar = make("i");
    bar.style.width = largest > 0 ? `${(100 * Math.max(size, 0)) / largest}%` : "0";
    const track = make("dd", { class: "track", "aria-hidden": "true" }, bar);
    list.append(make("dt", {}, name), track, make("dd", { class: "figure" }, figure));
  }
  return list;
}
