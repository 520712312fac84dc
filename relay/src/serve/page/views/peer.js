// One peer: what is known of it, its traffic, its flows.

import { ask, every } from "../api.js";
import {
  el,
  explainPath,
  link,
  notice,
  peerLink,
  put,
  replace,
  replaceIdle,
  setText,
  table,
} from "../dom.js";
import { latest, onEvent } from "../events.js";
import { historyPanel } from "../history-panel.js";
import { showState } from "../peer-table.js";
import { handshakeAge, presence } from "../presence.js";
import { mostFirstText } from "../reasons.js";
import { relationsCard } from "../relations.js";
import { store } from "../store.js";
import { ago, bytes, clock, counted, percent, span } from "../units.js";
import { item } from "./events.js";

/** Flows and events that are shown. */
const FLOWS = 100;
const EVENTS = 20;

/** Shows the view until the signal. */
export function openPeer(root, parameters, signal) {
  const name = parameters.get("name");
  const state = el("span", { class: "state" });
  const missing = notice("The relay has no such peer.");
  const facts = new Facts();
  const quotas = el("div", { class: "quotas" });
  const update = () => {
    if (!store.relay) return;
    const peer = store.peers.get(name);
    missing.hidden = peer !== undefined;
    state.hidden = peer === undefined;
    if (!peer) return;
    showState(state, presence(peer.data, store.now()));
    facts.show(peer);
    showQuotas(
      quotas,
      store.relay.quotas.filter((quota) => quota.peer === name),
    );
  };
  missing.hidden = true;
  put(
    root,
    el("p", { class: "crumb" }, link("#/", "All peers")),
    el("div", { class: "title" }, el("h1", null, name), state),
    missing,
    el(
      "div",
      { class: "columns" },
      el("section", { class: "card", "aria-label": "What is known of it" }, facts.node, quotas),
      relationsCard(name, signal),
    ),
    el(
      "section",
      { class: "card" },
      el("h2", null, "History"),
      historyPanel({ subject: { peer: name }, names: ["from it", "to it"] }, signal),
    ),
    flows(name, signal),
    events(name, signal),
    el("p", null, link(explainPath(name, "", ""), "Can it reach another peer?")),
  );
  update();
  store.subscribe(update, signal);
}

/** The lines of `relay stats` about a peer. */
class Facts {
  node = el("dl", { class: "facts" });
  #values = new Map();

  show({ data, meter }) {
    const now = store.now();
    const age = handshakeAge(data, now);
    this.#set("latest handshake", handshake(data, age, now));
    this.#set("now", rates(meter));
    this.#set("relayed", traffic(data.relayed));
    const { host } = data;
    if (host.rxPackets + host.txPackets > 0) this.#set("relay itself", traffic(host));
    this.#set("dropped", mostFirstText(data.dropped));
    const { transferRx, transferTx } = data;
    if (transferRx + transferTx > 0) {
      this.#set("transfer", `${bytes(transferRx)} received, ${bytes(transferTx)} sent`);
    }
    this.#set("endpoint", data.endpoint || "none");
    this.#set("allowed ips", data.allowedIps.join(", ") || "(none)");
    this.#set("public key", data.publicKey);
    if (data.persistentKeepalive > 0) {
      this.#set("persistent keepalive", `every ${counted(data.persistentKeepalive, "second")}`);
    }
  }

  #set(key, text) {
    let value = this.#values.get(key);
    if (!value) {
      value = el("dd");
      this.#values.set(key, value);
      put(this.node, el("dt", null, key), value);
    }
    setText(value, text);
  }
}

/** The line of `relay stats`. */
function handshake(peer, age, now) {
  if (!peer.enabled) return "none while it is disabled";
  if (age !== null) return `${ago(age)} (${presence(peer, now)})`;
  if (peer.latestHandshake === 0) return "never";
  const ahead = span(Math.floor(peer.latestHandshake - now / 1000));
  return `${ahead} in the future: this host's clock was set back (unknown)`;
}

function rates(meter) {
  const rx = store.rate(meter, "rxBytes");
  if (rx === null) return "–";
  return `${bytes(rx)}/s from it; ${bytes(store.rate(meter, "txBytes"))}/s to it`;
}

function traffic({ rxPackets, rxBytes, txPackets, txBytes }) {
  const from = `${counted(rxPackets, "packet")}, ${bytes(rxBytes)} from it`;
  return `${from}; ${counted(txPackets, "packet")}, ${bytes(txBytes)} to it`;
}

const QUOTA_NOUNS = { both: "quota", from: "quota from it", to: "quota to it" };

function showQuotas(node, quotas) {
  quotas.forEach((quota, at) => {
    let shown = node.children[at];
    if (!shown) {
      const noun = QUOTA_NOUNS[quota.traffic];
      const meter = el("meter", { min: 0, max: 100, high: 90, optimum: 0, "aria-label": noun });
      shown = el("div", { class: "quota" }, el("span", null, noun), meter, el("p"));
      node.append(shown);
    }
    const { usedBytes, limitBytes, period, resetsAt } = quota;
    const used = percent(usedBytes, limitBytes);
    const [, meter, text] = shown.children;
    meter.value = used;
    const of = `${bytes(usedBytes)} of ${bytes(limitBytes)} (${used} %) this ${period}`;
    setText(text, `${of}; resets at ${resetsAt}`);
  });
  while (node.childElementCount > quotas.length) node.lastChild.remove();
}

function flows(name, signal) {
  const place = el("div");
  every(5, signal, async () => {
    let all;
    try {
      ({ flows: all } = await ask("flows", { peer: name }, signal));
    } catch (error) {
      if (error.name !== "AbortError") replace(place, notice(`No flows: ${error.message}.`));
      return;
    }
    const own = all.filter(({ from, to }) => from.peer === name || to.peer === name);
    replaceIdle(place, flowTable(own));
  });
  return el("section", { class: "card" }, el("h2", null, "Live flows"), place);
}

function flowTable(own) {
  if (own.length === 0) return notice("It has no live flow. Only pairs with rules have flows.");
  const end = ({ peer, address, port }) => {
    const at = address.includes(":") && port !== null ? `[${address}]` : address;
    const where = port === null ? at : `${at}:${port}`;
    return peer === null ? where : [peerLink(peer), " ", el("span", { class: "soft" }, where)];
  };
  const columns = [
    ["From", ""],
    ["To", ""],
    ["Service", ""],
    ["Rule", ""],
    ["State", ""],
    ["Age", "number"],
    ["Expires", "number"],
    ["Bytes", "number"],
  ];
  const rows = own
    .slice(0, FLOWS)
    .map((flow) => [
      end(flow.from),
      end(flow.to),
      flow.service,
      flow.rule,
      flow.state,
      clock(flow.ageSeconds),
      clock(flow.expiresInSeconds),
      bytes(flow.bytes),
    ]);
  const more = own.length - rows.length;
  const rest = more > 0 ? el("p", { class: "soft" }, `and ${counted(more, "flow")} more`) : null;
  return [table("Live flows", columns, rows), rest];
}

function events(name, signal) {
  const place = el("div");
  const show = () => {
    const own = latest().filter(({ peer, from, to }) => [peer, from, to].includes(name));
    const items = own.slice(0, EVENTS).map(item);
    replaceIdle(
      place,
      items.length > 0 ? el("ol", { class: "events" }, items) : notice("Nothing of late."),
    );
  };
  show();
  onEvent(show, signal);
  return el("section", { class: "card" }, el("h2", null, "Events"), place);
}
