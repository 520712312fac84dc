// The relay in four numbers, above the table of peers.

import { el, link, put, setText } from "./dom.js";
import { attendance } from "./presence.js";
import { mostFirst } from "./reasons.js";
import { store } from "./store.js";
import { bytes, counted, number } from "./units.js";

/** The tiles, kept up to date until the signal. */
export function openSummary(signal) {
  const tiles = {
    peers: tile("Online"),
    relayed: tile("Relayed now"),
    dropped: tile("Dropped now", link("#/dropped", "reasons")),
    policy: tile("Policy"),
  };
  const update = () => {
    if (!store.relay) return;
    const { relay } = store;
    const counts = store.attendance();
    tiles.peers.set(`${counts.online} of ${store.names.length}`, attendance(counts));
    relayed(tiles.relayed);
    dropped(tiles.dropped);
    const isAttached = relay.attached !== "none";
    const policy = isAttached ? `generation ${relay.generation}` : "not attached";
    const how = isAttached
      ? `attached by ${relay.attached}${guard(relay.guard)}`
      : "no program decides; run `relay up`";
    tiles.policy.set(policy, how, isAttached ? "" : "bad");
  };
  update();
  store.subscribe(update, signal);
  const nodes = Object.values(tiles).map(({ node }) => node);
  return el("section", { class: "tiles", "aria-label": "The relay" }, nodes);
}

function relayed(shown) {
  const { meter } = store.total;
  const { rxBytes, rxPackets } = store.relay.totals.relayed;
  const total = `${counted(rxPackets, "packet")}, ${bytes(rxBytes)} in all`;
  const rate = store.rate(meter, "rxBytes");
  if (rate === null) return shown.set("–", total);
  return shown.set(
    `${bytes(rate)}/s`,
    `${number(store.rate(meter, "rxPackets"))} packets/s; ${total}`,
  );
}

function dropped(shown) {
  const total = mostFirst(store.relay.totals.dropped).reduce((sum, [, count]) => sum + count, 0);
  const all = `${counted(total, "packet")} in all`;
  const rates = Object.keys(store.relay.totals.dropped)
    .map((label) => [label, store.rate(store.reasons, label) ?? 0])
    .filter(([, rate]) => rate > 0)
    .sort(([, a], [, b]) => b - a);
  const rate = rates.reduce((sum, [, each]) => sum + each, 0);
  if (!store.isLive) return shown.set("–", all);
  const most = rates.slice(0, 1).map(([label]) => `most ${label}; `);
  return shown.set(`${number(rate)}/s`, `${most.join("")}${all}`, rate > 0 ? "warn" : "");
}

/** The guard, if there is one. */
function guard({ interfaces }) {
  const said = interfaces.map(({ interface: name, attached }) =>
    attached === "none" ? `${name} not guarded` : `guard on ${name}`,
  );
  return said.length === 0 ? "" : `; ${said.join(", ")}`;
}

function tile(heading, more) {
  const value = el("p", { class: "value" }, "–");
  const text = el("p", { class: "text" });
  const node = el("div", { class: "tile" });
  put(node, el("h2", null, heading, more ? [" ", more] : null), value, text);
  return {
    node,
    set(shown, said, tone) {
      setText(value, shown);
      setText(text, said);
      node.dataset.tone = tone ?? "";
    },
  };
}
