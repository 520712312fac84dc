// What was recorded of a peer, a pair, a rule, or the whole relay.

import { ask, every } from "./api.js";
import { Chart } from "./chart.js";
import { el, notice, put, replace } from "./dom.js";
import { bytes, counted, dateTime, number } from "./units.js";

/** Spans: what the server is asked for, and seconds after which it is asked again. */
const SPANS = [
  { key: "hour", since: "1h", again: 10 },
  { key: "day", since: "24h", again: 120 },
  { key: "week", since: "7d", again: 120 },
  { key: "year", since: "365d", again: 600 },
];

/** Bytes a second: the axis has powers of two. */
const BYTES = {
  format: (value) => `${bytes(value)}/s`,
  steps: Array.from({ length: 50 }, (_step, power) => 2 ** power),
};
/** Packets a second, of which there may be few. */
const PACKETS = {
  format: (value) => `${value > 0 && value < 0.1 ? value.toPrecision(1) : number(value)}/s`,
  steps: Array.from(
    { length: 30 },
    (_step, at) => [1, 2, 5][at % 3] * 10 ** (Math.floor(at / 3) - 4),
  ),
};

/**
 * Buttons for the span, and charts below. `subject` is the query of /api/v1/history without the
 * time; `names` are what the two curves are called; `chosen` is told of another span.
 */
export function historyPanel({ subject, names, span, chosen }, signal) {
  const node = el("div", { class: "history" });
  const place = el("div");
  let running = null;

  const show = (key) => {
    running?.abort();
    running = new AbortController();
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.key === key));
    }
    replace(place, el("p", { class: "soft" }, "Reading the history"));
    follow(place, { subject, names, ...SPANS.find((each) => each.key === key) }, running.signal);
    chosen?.(key);
  };
  signal.addEventListener("abort", () => running?.abort());
  const buttons = SPANS.map(({ key }) =>
    el("button", { type: "button", dataset: { key }, onclick: () => show(key) }, key),
  );
  const choices = el("div", { class: "choices", role: "group", "aria-label": "Span" }, buttons);
  put(node, el("div", { class: "tools" }, choices), place);
  show(SPANS.some(({ key }) => key === span) ? span : "hour");
  return node;
}

/** Reads and draws until the signal. */
function follow(place, { subject, names, since, again }, signal) {
  const [there, back] = names;
  const curves = [{ name: there, ink: "first" }];
  if (back !== null) curves.push({ name: back, ink: "second" });
  const traffic = new Chart("Traffic", curves, BYTES, signal);
  const dropped = new Chart(
    "Dropped",
    [{ name: "dropped packets", ink: "bad-ink" }],
    PACKETS,
    signal,
  );
  let isShown = false;
  every(again, signal, async () => {
    let history;
    try {
      history = await ask("history", { since, ...subject }, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      replace(place, notice(`No history: ${error.message}.`));
      isShown = false;
      return;
    }
    const [series] = history.series;
    const hasDrops = series?.dropped?.some((count) => count !== null) ?? false;
    if (!series || series.rxBytes.length === 0) {
      replace(place, notice("Nothing was recorded in this time."));
      isShown = false;
      return;
    }
    if (!isShown) replace(place, traffic.node, hasDrops ? dropped.node : null);
    isShown = true;
    draw(history, series, { traffic, dropped: hasDrops ? dropped : null, there, back });
  });
}

function draw({ from, stepSeconds }, series, { traffic, dropped, there, back }) {
  const times = series.rxBytes.map((_bytes, at) => from + at * stepSeconds);
  const each = (values) => values.map((value) => (value === null ? null : value / stepSeconds));
  const rx = each(series.rxBytes);
  const tx = back === null ? null : each(series.txBytes);
  const totals = [`${bytes(sum(series.rxBytes))} ${there}`];
  if (tx !== null) totals.push(`${bytes(sum(series.txBytes))} ${back}`);
  const words = [`${totals.join(", ")}; ${peak(times, rx, there)}.`];
  const gaps = series.rxBytes.filter((value) => value === null).length;
  if (gaps > 0) words.push(`${counted(gaps, "step")} of ${times.length} not recorded.`);
  traffic.show(times, tx === null ? [rx] : [rx, tx], words.join(" "));
  const drops = sum(series.dropped ?? []);
  dropped?.show(times, [each(series.dropped)], `${counted(drops, "dropped packet")}.`);
}

function sum(values) {
  return values.reduce((all, value) => all + (value ?? 0), 0);
}

/** When a curve was highest. */
function peak(times, values, name) {
  let at = 0;
  values.forEach((value, index) => {
    if ((value ?? 0) > (values[at] ?? 0)) at = index;
  });
  return `most ${name} at ${dateTime(times[at] * 1000)}: ${bytes(values[at] ?? 0)}/s`;
}
