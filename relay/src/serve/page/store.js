// What is known of the relay at this moment. Views read it and are told when it changes.

import { Meter, LastHour, countsOf } from "./meter.js";
import { PRESENCES, presence } from "./presence.js";

/** No traffic. */
const NOTHING = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };

/** A peer as the relay says, with what follows from watching it. */
class Watched {
  meter = new Meter();
  lastHour = new LastHour();

  constructor(name) {
    this.name = name;
  }

  take(peer, time) {
    const before = this.counts;
    this.data = peer;
    this.counts = countsOf(peer);
    this.feed(time);
    const grown = before
      ? this.counts.rxBytes - before.rxBytes + this.counts.txBytes - before.txBytes
      : 0;
    this.lastHour.add(time, grown);
  }

  /** Its counts are the same as before. */
  feed(time) {
    this.meter.feed(time, this.counts);
  }
}

class Store {
  /** The latest stats without peers; `null` before the first. */
  relay = null;
  /** Peers by name, and their names in the order of the configuration. */
  peers = new Map();
  names = [];
  /** Traffic between peers, of all of them together, and dropped packets by reason. */
  total = new Watched("");
  reasons = new Meter();
  /** Unix milliseconds of the latest reading, by the server's clock. */
  time = 0;
  /** `connecting`, `live`, `gone` (the relay cannot be read) or `lost` (no answer). */
  state = "connecting";
  /** Why it is gone or lost. */
  error = "";

  #receivedAt = 0;
  #listeners = new Set();

  /** Calls `listener` after every change, until the signal. */
  subscribe(listener, signal) {
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
  }

  /** The server's time, Unix milliseconds; while nothing is read, that of the latest reading. */
  now() {
    if (this.time === 0) return Date.now();
    if (!this.isLive) return this.time;
    return this.time + (performance.now() - this.#receivedAt);
  }

  /** Whether rates are of this moment. */
  get isLive() {
    return this.state === "live";
  }

  /** A rate, if there is one of this moment. */
  rate(meter, key) {
    return this.isLive ? meter.rate(key) : null;
  }

  /** Takes a `stats` event of /api/v1/live. */
  take({ peers, time, complete, ...relay }) {
    if (!complete && this.relay === null) return;
    const isAfterGap = this.state !== "live" || time - this.time > 10_000;
    if (isAfterGap) this.#resetRates();
    this.time = time;
    this.#receivedAt = performance.now();
    this.relay = relay;
    if (complete) this.#forgetAllBut(peers.map(({ name }) => name));
    const changed = new Set(peers.map(({ name }) => name));
    for (const peer of peers) this.#watched(peer.name).take(peer, time);
    for (const peer of this.peers.values()) {
      if (!changed.has(peer.name)) peer.feed(time);
    }
    const { relayed, dropped } = relay.totals;
    this.total.take({ relayed, host: NOTHING, dropped }, time);
    this.reasons.feed(time, dropped);
    this.#become("live", "");
  }

  /** Says that the relay cannot be read, or that the server does not answer. */
  fail(state, error) {
    this.#become(state, error);
  }

  /** How many peers there are of each presence. */
  attendance() {
    const counts = Object.fromEntries(PRESENCES.map((word) => [word, 0]));
    for (const { data } of this.peers.values()) counts[presence(data, this.now())] += 1;
    return counts;
  }

  #watched(name) {
    let peer = this.peers.get(name);
    if (!peer) {
      peer = new Watched(name);
      this.peers.set(name, peer);
      this.names.push(name);
    }
    return peer;
  }

  #forgetAllBut(names) {
    const wanted = new Set(names);
    for (const name of this.peers.keys()) {
      if (!wanted.has(name)) this.peers.delete(name);
    }
    this.names = names;
    // Those that are new come with this message.
    for (const name of names) {
      if (!this.peers.has(name)) this.peers.set(name, new Watched(name));
    }
  }

  #resetRates() {
    this.total.meter.reset();
    this.reasons.reset();
    for (const { meter, lastHour } of this.peers.values()) {
      meter.reset();
      lastHour.readAt = -Infinity;
    }
  }

  #become(state, error) {
    this.state = state;
    this.error = error;
    for (const listener of this.#listeners) listener();
  }
}

/** The one store of the page. */
export const store = new Store();
