// A small curve of the last hour.

import { setAttribute, svg } from "./dom.js";

const WIDTH = 96;
const HEIGHT = 22;

/** An empty curve; the numbers beside it say the same, so it is hidden from screen readers. */
export function sparkline() {
  const path = svg("path", { class: "spark-line" });
  const area = svg("path", { class: "spark-area" });
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    area,
    path,
  );
}

/** Draws values, the oldest first. The busiest bin reaches the top. */
export function drawSparkline(node, values) {
  const most = Math.max(...values);
  const [area, path] = node.children;
  if (most <= 0) {
    setAttribute(area, "d", "");
    setAttribute(path, "d", `M0 ${HEIGHT - 1}H${WIDTH}`);
    return;
  }
  const step = WIDTH / (values.length - 1);
  const points = values.map((value, at) => {
    const y = HEIGHT - 1 - (value / most) * (HEIGHT - 3);
    return `${(at * step).toFixed(1)} ${y.toFixed(1)}`;
  });
  const line = `M${points.join("L")}`;
  setAttribute(path, "d", line);
  setAttribute(area, "d", `${line}V${HEIGHT}H0Z`);
}
