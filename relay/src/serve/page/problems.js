// What needs somebody: problems, warnings, quotas that are nearly used up.

import { ask, every } from "./api.js";
import { el, prose, replace } from "./dom.js";
import { store } from "./store.js";
import { bytes, percent } from "./units.js";

/** Share of a quota, in per cent, from which it is named. */
const NEARLY = 90;

/** Lists of them, kept up to date until the signal. */
export function openProblems(signal) {
  const node = el("div");
  let shown = "";
  every(10, signal, async () => {
    const { problems, warnings } = await ask("status", {}, signal).catch((error) => {
      if (error.name === "AbortError") throw error;
      // The bar below the header says that the relay is gone.
      return { problems: [], warnings: [] };
    });
    const quotas = nearlyUsed(store.relay?.quotas ?? []);
    const text = JSON.stringify([problems, warnings, quotas]);
    // What somebody has opened stays open.
    if (text === shown) return;
    shown = text;
    replace(
      node,
      list("problem", "Not as configured", problems),
      list("warning", "Quotas nearly used up", quotas),
      list("warning", "Warnings", warnings),
    );
  });
  return node;
}

function nearlyUsed(quotas) {
  return quotas
    .map((quota) => ({ ...quota, used: percent(quota.usedBytes, quota.limitBytes) }))
    .filter(({ used }) => used >= NEARLY)
    .map(({ peer, traffic, used, limitBytes, period }) => {
      const way = traffic === "both" ? "" : ` ${traffic} it`;
      return `${peer}: ${used} % of ${bytes(limitBytes)}${way} this ${period}`;
    });
}

function list(tone, heading, sentences) {
  if (sentences.length === 0) return null;
  const items = sentences.map((sentence) => el("li", null, prose(sentence)));
  const count = sentences.length > 1 ? ` (${sentences.length})` : "";
  return el(
    "details",
    { class: `notes ${tone}`, open: tone === "problem" },
    el("summary", null, `${heading}${count}`),
    el("ul", null, items),
  );
}
