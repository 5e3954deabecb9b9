// Line charts of the last minutes, drawn by hand as SVG in the size that they have on the screen.

import { draw, say } from "./dom.js";

const HEIGHT = 190;
const [LEFT, RIGHT, TOP, BOTTOM] = [58, 8, 10, 22];

/** The next of these times a power of ten, so that a quarter of an axis is a round figure. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].find((step) => step * power >= value) * power;
}

export class LineChart {
  /**
   * `lines` are names of columns with their class; `describe(row)` says a row in words;
   * `unit(value)` writes a figure at the axis.
   */
  constructor(figure, lines, describe, unit) {
    Object.assign(this, { lines, describe, unit, row: null, data: null });
    this.output = figure.querySelector("output");
    this.svg = draw("svg", { role: "img", tabindex: "0", height: HEIGHT });
    figure.append(this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.choose(null));
    this.svg.addEventListener("blur", () => this.choose(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.render()).observe(this.svg);
  }

  /** Show `columns` (with ago_seconds) of the last `seconds`, and a line at `promise` if given. */
  update(columns, seconds, label, promise = null) {
    const first = columns.ago_seconds.findIndex((ago) => ago < seconds);
    const begin = first < 0 ? columns.ago_seconds.length : first;
    const cut = ([name, values]) => [name, values.slice(begin)];
    this.data = Object.fromEntries(Object.entries(columns).map(cut));
    Object.assign(this, { seconds, promise, label });
    if (this.row !== null && this.row >= this.data.ago_seconds.length) this.row = null;
    this.render();
  }

  point(x) {
    if (!this.data) return;
    const distances = this.data.ago_seconds.map((ago) => Math.abs(this.x(ago) - x));
    this.choose(distances.length ? distances.indexOf(Math.min(...distances)) : null);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const rows = this.data?.ago_seconds.length ?? 0;
    if (!step || !rows) return;
    event.preventDefault();
    this.choose(Math.min(Math.max((this.row ?? rows - 1) + step, 0), rows - 1));
  }

  choose(row) {
    this.row = row;
    this.render();
  }

  x(ago) {
    return this.width - RIGHT - (ago / this.seconds) * (this.width - LEFT - RIGHT);
  }

  y(value) {
    return HEIGHT - BOTTOM - (value / this.top) * (HEIGHT - TOP - BOTTOM);
  }

  render() {
    if (!this.data) return;
    this.width = Math.max(this.svg.clientWidth, LEFT + RIGHT + 50);
    const shown = this.lines.flatMap((name) => this.data[name]).filter((v) => v !== null);
    this.top = roundUp(Math.max(...shown, (this.promise ?? 0) * 1.2, 0.5));
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", this.label);
    const lines = this.lines.flatMap((name) => this.line(name));
    this.svg.replaceChildren(...this.axes(), ...lines, ...this.promiseLine());
    this.showRow();
  }

  axes() {
    const parts = [];
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const y = this.y(part * this.top);
      parts.push(draw("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }));
      const text = { x: LEFT - 6, y: y + 4, "text-anchor": "end" };
      parts.push(draw("text", text, this.unit(part * this.top)));
    }
    for (const part of [1, 0.5, 0]) {
      const ago = part * this.seconds;
      const words = ago === 0 ? "now" : `−${ago < 100 ? `${ago} s` : `${ago / 60} min`}`;
      const anchor = { 1: "start", 0.5: "middle", 0: "end" }[part];
      parts.push(draw("text", { x: this.x(ago), y: HEIGHT - 5, "text-anchor": anchor }, words));
    }
    return parts;
  }

  promiseLine() {
    if (this.promise === null) return [];
    const y = this.y(this.promise);
    const place = { class: "promise", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y };
    const text = { class: "promise", x: LEFT + 4, y: y - 4 };
    return [draw("line", place), draw("text", text, `${this.promise} ms`)];
  }

  /** A path with gaps where there is no value, and a dot for a value between two gaps. */
  line(name) {
    const values = this.data[name];
    const ago = this.data.ago_seconds;
    let path = "";
    const dots = [];
    values.forEach((value, row) => {
      if (value === null) return;
      const begins = row === 0 || values[row - 1] === null;
      const ends = row === values.length - 1 || values[row + 1] === null;
      const [x, y] = [this.x(ago[row]).toFixed(1), this.y(value).toFixed(1)];
      path += `${begins ? "M" : "L"}${x} ${y}`;
      if (begins && ends) dots.push(draw("circle", { class: classOf(name), cx: x, cy: y, r: 3 }));
    });
    return path ? [draw("path", { class: classOf(name), d: path }), ...dots] : [];
  }

  /** Say the chosen row in words, the newest where none is chosen. */
  showRow() {
    const rows = this.data.ago_seconds.length;
    if (this.row !== null) {
      const x = this.x(this.data.ago_seconds[this.row]);
      this.svg.append(draw("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    const row = this.row ?? rows - 1;
    const column = ([name, values]) => [name, values[row]];
    const figures = Object.fromEntries(Object.entries(this.data).map(column));
    say(this.output, rows ? this.describe(figures) : "No sample yet.");
  }
}

const classOf = (name) => name.replace(/_(ms|per_second)$/, "");
