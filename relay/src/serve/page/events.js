// What happened: the latest events, the newest first.

import { follow } from "./live.js";

/** So many are kept. */
const KEPT = 500;

/** Types by what they are about. */
export const KINDS = new Map([
  ["peers", ["peer_online", "peer_offline", "peer_new", "peer_gone", "peer_roamed"]],
  ["policy", ["policy_changed"]],
  ["dropped packets", ["packet_dropped"]],
  ["guard", ["guard_alarm"]],
  ["relay", ["relay_up", "relay_down", "lost"]],
]);

const kept = [];
/** Their text: a stream that is opened anew may begin with events that were there before. */
const known = new Set();
const listeners = new Set();
let number = 0;

/** The latest events, the newest first; each has a `place` of its own. */
export function latest() {
  return kept;
}

/** Calls `listener` after every event, until the signal. */
export function onEvent(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/** Follows the server's stream of events. */
export function keepEvents() {
  const take = (event) => {
    const text = JSON.stringify(event);
    if (known.has(text)) return;
    known.add(text);
    number += 1;
    kept.unshift({ ...event, place: number, text });
    if (kept.length > KEPT) known.delete(kept.pop().text);
    for (const listener of listeners) listener();
  };
  const names = ["message", ...[...KINDS.values()].flat()];
  follow("events", Object.fromEntries(names.map((name) => [name, take])), () => {}, false);
}

/** An event as a sentence: parts of text, and names of peers as `{ peer }`. */
export function sentence(event) {
  const peer = { peer: event.peer ?? "" };
  switch (event.type) {
    case "peer_online":
      return [peer, " is online"];
    case "peer_offline":
      return [peer, " is offline"];
    case "peer_new":
      return [peer, " is new"];
    case "peer_gone":
      return [event.peer ?? "", " is no longer a peer"];
    case "peer_roamed":
      return [peer, ` moved from ${event.was || "nowhere"} to ${event.endpoint}`];
    case "policy_changed":
      return [`policy generation ${event.generation} (${event.hash}) is in force`];
    case "packet_dropped":
      return [...ends(event), ` dropped: ${event.reason}`];
    case "guard_alarm":
      return [`the guard counted ${event.count} ${event.outcome}`];
    case "relay_up":
      return [`the relay is up, policy generation ${event.generation}`];
    case "relay_down":
      return [`the relay is down${event.error ? `: ${event.error}` : ""}`];
    case "lost":
      return [`${event.count} events were overwritten before they were read`];
    default:
      return [String(event.type)];
  }
}

/** Sender and receiver of a dropped packet. */
function ends({ from, source, to, destination, destinationPort, protocol }) {
  const end = (name, address) => (name === null ? [address ?? "?"] : [{ peer: name }]);
  const port = destinationPort === null ? "" : ` ${destinationPort}`;
  return [...end(from, source), " → ", ...end(to, destination), ` ${protocol ?? ""}${port}`];
}
