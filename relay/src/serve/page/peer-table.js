// The table of peers. Rows stay; what is in them changes, and only where it differs.

import { ask } from "./api.js";
import { el, peerPath, setAttribute, setText } from "./dom.js";
import { PRESENCES, handshakeAge, presence } from "./presence.js";
import { drawSparkline, sparkline } from "./sparkline.js";
import { store } from "./store.js";
import { ago, bytes, clock, number } from "./units.js";

/** Milliseconds after which a curve is drawn anew, and the history of a peer read anew. */
const DRAW = 5000;
const READ = 600_000;
/** Histories that are asked for at the same time: the other connections are for the rest. */
const AT_ONCE = 2;

/** web-2 comes before web-10. */
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Columns: key, heading, class, and what it sorts by. */
const COLUMNS = [
  { key: "name", text: "Peer", sort: ({ name }) => name },
  {
    key: "state",
    text: "State",
    sort: ({ data }) => PRESENCES.indexOf(presence(data, store.now())),
  },
  {
    key: "handshake",
    text: "Handshake",
    cls: "number wide",
    sort: ({ data }) => data.latestHandshake,
  },
  {
    key: "rx",
    text: "From it /s",
    cls: "number",
    sort: ({ meter }) => meter.rate("rxBytes") ?? -1,
  },
  { key: "tx", text: "To it /s", cls: "number", sort: ({ meter }) => meter.rate("txBytes") ?? -1 },
  { key: "hour", text: "Last hour", cls: "wide" },
  {
    key: "total",
    text: "Traffic",
    cls: "number wide",
    sort: ({ counts }) => counts.rxBytes + counts.txBytes,
  },
  { key: "dropped", text: "Dropped", cls: "number wide", sort: ({ counts }) => counts.dropped },
];

/** A table of at most a page of peers. */
export class PeerTable {
  #rows = [];
  #shown = 0;
  #heads = new Map();
  #body = el("tbody");
  #table;
  #isPointed = false;

  /** `sort` is called with the key of a column whose heading is pressed. */
  constructor(sort) {
    const heads = COLUMNS.map((column) => this.#head(column, sort));
    this.#table = el(
      "table",
      { class: "peers", id: "peers" },
      el("caption", { class: "hidden" }, "Peers with their state and traffic"),
      el("thead", null, el("tr", null, heads)),
      this.#body,
    );
    this.#body.addEventListener("pointerenter", () => (this.#isPointed = true));
    this.#body.addEventListener("pointerleave", () => (this.#isPointed = false));
  }

  /** The element. */
  get node() {
    return this.#table;
  }

  /** Whether somebody points at a row or has the focus in one. */
  isInUse() {
    return this.#isPointed || this.#body.contains(document.activeElement);
  }

  /** Peers in the order of a column; the order of the configuration decides between equals. */
  sort(peers, key, descending) {
    const column = COLUMNS.find((column) => column.key === key);
    if (!column) return peers;
    const sign = descending ? -1 : 1;
    const keyed = peers.map((peer) => [column.sort(peer), peer]);
    const compare = (a, b) => (typeof a === "string" ? COLLATOR.compare(a, b) : a - b);
    return keyed.sort(([a], [b]) => sign * compare(a, b)).map(([, peer]) => peer);
  }

  /** Marks the column that the rows are sorted by. */
  mark(key, descending) {
    for (const [column, head] of this.#heads) {
      const order = descending ? "descending" : "ascending";
      setAttribute(head, "aria-sort", column === key ? order : null);
    }
  }

  /** Says that there is nothing yet. */
  wait() {
    this.#body.append(
      el("tr", { class: "empty" }, el("td", { colspan: COLUMNS.length }, "Waiting for the relay")),
    );
  }

  /** Shows these peers, of which the first is number `first` of `count`. */
  show(peers, first, count) {
    this.#body.querySelector(".empty")?.remove();
    setAttribute(this.#table, "aria-rowcount", String(count + 1));
    while (this.#rows.length < peers.length) this.#rows.push(new Row());
    this.#rows.forEach((row, at) => {
      if (at >= peers.length) row.node.remove();
      else if (at >= this.#shown) this.#body.append(row.node);
      if (at < peers.length) row.bind(peers[at], first + at + 2);
    });
    this.#shown = peers.length;
    if (peers.length === 0) {
      const text = store.names.length === 0 ? "The relay has no peers" : "No peer matches";
      this.#body.append(el("tr", { class: "empty" }, el("td", { colspan: COLUMNS.length }, text)));
    }
    this.update();
  }

  /** Writes what changed. */
  update() {
    const now = store.now();
    for (const row of this.#rows.slice(0, this.#shown)) row.update(now);
  }

  /** Reads the last hour of the rows on the screen; `fail` is told once if there is no history. */
  async readHistory(signal, fail) {
    try {
      await ask("history", { since: "1h" }, signal);
    } catch (error) {
      if (error.status === 404) fail(`No last hour before this page was opened: ${error.message}.`);
      return;
    }
    let running = 0;
    const seen = new Set();
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) seen.add(target);
        else seen.delete(target);
      }
    });
    const next = () => {
      const due = (row) =>
        seen.has(row.node) && store.time - row.peer.lastHour.readAt > READ && !row.peer.isReading;
      while (running < AT_ONCE) {
        const row = this.#rows.slice(0, this.#shown).find(due);
        if (!row) return;
        running += 1;
        const { peer } = row;
        read(peer, signal)
          // What is not to be had now is asked for later.
          .catch(({ name }) => {
            if (name !== "AbortError") peer.lastHour.readAt = store.time;
          })
          .finally(() => {
            running -= 1;
            if (!signal.aborted) next();
          });
      }
    };
    store.subscribe(() => {
      if (!store.isLive || this.#body.querySelector(".empty")) return;
      for (const { node } of this.#rows) observer.observe(node);
      next();
    }, signal);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  #head({ key, text, cls, sort: by }, sort) {
    if (!by) return el("th", { scope: "col", class: cls }, text);
    const button = el("button", { type: "button", onclick: () => sort(key) }, text);
    const head = el("th", { scope: "col", class: cls }, button);
    this.#heads.set(key, head);
    return head;
  }
}

/** Reads the last hour of a peer. */
async function read(peer, signal) {
  peer.isReading = true;
  try {
    const history = await ask("history", { since: "1h", peer: peer.name }, signal);
    peer.lastHour.read(store.now(), history, history.series[0]);
  } finally {
    peer.isReading = false;
  }
}

class Row {
  peer = null;
  #link = el("a", { class: "name" });
  #state = el("span", { class: "state" });
  #cells = new Map();
  #curve = sparkline();
  #drawnAt = -Infinity;
  /** When the history of what was drawn was read. */
  #drawnOf = -Infinity;

  constructor() {
    const cells = COLUMNS.map(({ key, cls }) => {
      const cell = el(key === "name" ? "th" : "td", { class: cls });
      this.#cells.set(key, cell);
      return cell;
    });
    setAttribute(cells[0], "scope", "row");
    cells[0].append(this.#link);
    this.#cells.get("state").append(this.#state);
    this.#cells.get("hour").append(this.#curve);
    this.node = el("tr", null, cells);
  }

  bind(peer, place) {
    setAttribute(this.node, "aria-rowindex", String(place));
    if (this.peer === peer) return;
    this.peer = peer;
    this.#drawnAt = -Infinity;
    setText(this.#link, peer.name);
    setAttribute(this.#link, "href", peerPath(peer.name));
    setAttribute(this.#link, "title", peer.name);
  }

  update(now) {
    const { data, meter, counts, lastHour } = this.peer;
    const state = presence(data, now);
    showState(this.#state, state);
    const age = handshakeAge(data, now);
    this.#set("handshake", age === null ? "–" : clock(age), age === null ? "" : ago(age));
    this.#set("rx", rate(store.rate(meter, "rxBytes")));
    this.#set("tx", rate(store.rate(meter, "txBytes")));
    this.#set("total", bytes(counts.rxBytes + counts.txBytes));
    const drops = store.rate(meter, "dropped") ?? 0;
    const each = drops > 0 ? ` (${number(drops)}/s)` : "";
    this.#set("dropped", counts.dropped === 0 ? "0" : `${counts.dropped}${each}`);
    setAttribute(this.#cells.get("dropped"), "data-now", drops > 0 ? "yes" : null);
    if (performance.now() - this.#drawnAt > DRAW || lastHour.readAt > this.#drawnOf) {
      this.#drawnAt = performance.now();
      this.#drawnOf = lastHour.readAt;
      drawSparkline(this.#curve, lastHour.rates());
    }
  }

  #set(key, text, title) {
    const cell = this.#cells.get(key);
    setText(cell, text);
    cell.classList.toggle("zero", text === "0 B" || text === "0" || text === "–");
    if (title !== undefined) setAttribute(cell, "title", title || null);
  }
}

/** Bytes a second; a dash where there is no rate of this moment. */
function rate(value) {
  return value === null ? "–" : bytes(value);
}

/** Shows a state by sign and word. */
export function showState(node, state) {
  setText(node, state);
  setAttribute(node, "data-state", state);
}
