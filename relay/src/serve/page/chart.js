// A chart over time, with words and a table for those who do not see it.

import { el, put, replace, setText, table } from "./dom.js";
import { dateTime } from "./units.js";

/** Height of a chart, pixels, and rows of its table. */
const HEIGHT = 220;
const ROWS = 24;

/** Dashes of the second curve: colour is not all that tells curves apart. */
const DASHES = [[], [5, 3]];

/**
 * A chart. `curves` are `{ name, ink }`, an ink being the name of a class with a colour; `format`
 * writes a value, and `steps` are those that the axis may have. Shows nothing before `show`.
 */
export class Chart {
  #curves;
  #format;
  #steps;
  #labels = (_plot, values) => values.map((value) => this.#format(value));
  #name;
  #plot = null;
  #data = null;
  #times = null;
  #place = el("div", { class: "plot", role: "img" });
  #summary = el("figcaption");
  #readout = el("p", { class: "readout", "aria-hidden": "true" });
  #rows = el("details", { class: "rows" });
  #inks;

  constructor(name, curves, { format, steps }, signal) {
    this.#name = name;
    this.#steps = steps;
    this.#curves = curves;
    this.#format = format;
    this.#inks = curves.map(({ ink }) => el("span", { class: `ink ${ink}` }));
    const legend = curves.map((curve, at) =>
      el("span", { class: "key" }, this.#inks[at], curve.name),
    );
    this.node = el(
      "figure",
      { class: "chart" },
      el("div", { class: "chart-head" }, el("h3", null, name), el("p", { class: "keys" }, legend)),
      this.#place,
      this.#readout,
      this.#summary,
      this.#rows,
    );
    put(this.#rows, el("summary", null, "As a table"), el("div"));
    this.#rows.addEventListener("toggle", () => this.#fillRows());
    const resize = new ResizeObserver(() => {
      const width = this.#place.clientWidth;
      if (this.#plot && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
    });
    resize.observe(this.#place);
    addEventListener("themechange", () => this.#draw(), { signal });
    signal.addEventListener("abort", () => {
      resize.disconnect();
      this.#plot?.destroy();
    });
  }

  /** Shows values at times in Unix seconds; `null` is a gap. `summary` says it in words. */
  show(times, values, summary) {
    const isAnew = this.#plot === null;
    this.#times = times;
    this.#data = values;
    setText(this.#summary, summary);
    this.#place.setAttribute("aria-label", `${this.#name}. ${summary}`);
    if (isAnew) this.#draw();
    else this.#plot.setData([times, ...values]);
    this.#fillRows();
  }

  #draw() {
    if (this.#data === null) return;
    this.#plot?.destroy();
    const color = (node) => getComputedStyle(node).color;
    const text = color(this.#place);
    const line = getComputedStyle(this.#place).borderTopColor;
    const axis = {
      stroke: text,
      font: "12px system-ui, sans-serif",
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
    };
    const curves = this.#curves.map(({ name }, at) => ({
      label: name,
      stroke: color(this.#inks[at]),
      fill: at === 0 ? getComputedStyle(this.#inks[at]).outlineColor : undefined,
      width: 1.5,
      dash: DASHES[at],
      points: { show: false },
    }));
    const options = {
      width: this.#place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.08 : 1] } },
      axes: [
        { ...axis, size: 26, space: 70, values: timeLabels },
        { ...axis, size: 88, space: 36, incrs: this.#steps, values: this.#labels },
      ],
      series: [{}, ...curves],
      hooks: { setCursor: [({ cursor }) => this.#read(cursor.idx)] },
    };
    this.#plot = new window.uPlot(options, [this.#times, ...this.#data], this.#place);
  }

  /** Writes the values under the pointer. */
  #read(at) {
    if (at === null || at === undefined) {
      setText(this.#readout, "");
      return;
    }
    const said = this.#curves.map(({ name }, curve) => `${name} ${this.#value(curve, at)}`);
    setText(this.#readout, `${dateTime(this.#times[at] * 1000)}: ${said.join(", ")}`);
  }

  #value(curve, at) {
    const value = this.#data[curve][at];
    return value === null ? "not recorded" : this.#format(value);
  }

  /** The table, with means of a few spans. */
  #fillRows() {
    if (!this.#rows.open || this.#data === null) return;
    const each = Math.ceil(this.#times.length / ROWS);
    const rows = [];
    for (let first = 0; first < this.#times.length; first += each) {
      const means = this.#data.map((values) => mean(values.slice(first, first + each)));
      const cells = means.map((value) => (value === null ? "not recorded" : this.#format(value)));
      rows.push([dateTime(this.#times[first] * 1000), ...cells]);
    }
    const heads = this.#curves.map(({ name }) => [name, "number"]);
    const columns = [["From", ""], ...heads];
    replace(this.#rows.lastChild, table(`${this.#name}, means`, columns, rows));
  }
}

/** The mean of those that were recorded; `null` if none was. */
function mean(values) {
  const recorded = values.filter((value) => value !== null);
  if (recorded.length === 0) return null;
  return recorded.reduce((sum, value) => sum + value, 0) / recorded.length;
}

/** Labels of the axis: the time of a day, or the day. */
function timeLabels(_plot, times, _axis, _space, step) {
  const two = (value) => String(value).padStart(2, "0");
  let before = "";
  return times.map((seconds) => {
    const at = new Date(seconds * 1000);
    const day = at.toLocaleDateString([], { day: "numeric", month: "short" });
    if (step >= 86400) return day;
    const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const isNewDay = before !== "" && before !== day;
    before = day;
    return isNewDay ? day : time;
  });
}
