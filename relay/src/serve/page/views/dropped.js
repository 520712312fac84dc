// Dropped packets by reason, with what would let them pass.

import { remediesOf, remedyList } from "../answer.js";
import { ask } from "../api.js";
import { el, explainPath, link, notice, peerLink, prose, put, replace, setText } from "../dom.js";
import { meaning, mender, mostFirst } from "../reasons.js";
import { store } from "../store.js";
import { counted, number, timeOfDay } from "../units.js";

/** Packets of a reason that are read, and kinds of packets that are explained. */
const READ = 200;
const EXPLAINED = 5;

/** Shows the view until the signal. */
export function openDropped(root, _parameters, signal) {
  const list = el("div", { class: "reasons" });
  const none = notice("No packet was dropped.");
  const aside = el("p", { class: "soft" });
  put(
    root,
    el("h1", null, "Dropped packets"),
    el(
      "p",
      { class: "soft" },
      "Counted since each peer was configured. Open a reason to see its latest packets, and what " +
        "to write so that they pass.",
    ),
    list,
    none,
    aside,
  );

  const reasons = new Map();
  const update = () => {
    if (!store.relay) return;
    const counts = mostFirst(store.relay.totals.dropped);
    for (const [label, count] of counts) {
      // New reasons come last: none moves while it is read.
      if (!reasons.has(label)) reasons.set(label, new Reason(label, list, signal));
      reasons.get(label).update(count, counts[0][1]);
    }
    none.hidden = counts.length > 0;
    setText(aside, elsewhere(store.relay));
    aside.hidden = aside.textContent === "";
  };
  update();
  store.subscribe(update, signal);
}

/** What others than the programs dropped. */
function elsewhere({ unattributed, fenceDropped }) {
  const sum = (counts) => Object.values(counts).reduce((all, count) => all + count, 0);
  const said = [];
  if (sum(unattributed) > 0) {
    said.push(`${counted(sum(unattributed), "packet")} of them came from no known peer.`);
  }
  if (sum(fenceDropped) > 0) {
    const parts = mostFirst(fenceDropped).map(([label, count]) => `${count} ${label}`);
    said.push(`Dropped by the fence besides: ${parts.join(", ")}.`);
  }
  return said.join(" ");
}

/** A reason with its count, which opens. */
class Reason {
  #label;
  #count = el("span", { class: "count" });
  #rate = el("span", { class: "rate" });
  #bar = el("span", { class: "bar" });
  #packets = el("div", { class: "packets" });

  constructor(label, list, signal) {
    this.#label = label;
    const refresh = () => this.#read(signal);
    const said = [meaning(label), mender(label)].filter((sentence) => sentence !== "").join(" ");
    const details = el(
      "details",
      { class: "card reason", ontoggle: () => details.open && refresh() },
      el(
        "summary",
        null,
        el("span", { class: "label" }, el("code", null, label)),
        this.#rate,
        this.#count,
        el("span", { class: "meaning" }, prose(said)),
        el("span", { class: "track", "aria-hidden": "true" }, this.#bar),
      ),
      this.#packets,
      el("button", { type: "button", class: "quiet", onclick: refresh }, "Read again"),
    );
    list.append(details);
  }

  update(count, most) {
    const rate = store.isLive ? (store.reasons.rate(this.#label) ?? 0) : 0;
    setText(this.#count, counted(count, "packet"));
    setText(this.#rate, rate > 0 ? `${number(rate)}/s` : "");
    this.#bar.style.inlineSize = `${Math.max(1, (count / most) * 100).toFixed(1)}%`;
  }

  async #read(signal) {
    const reason = this.#label;
    try {
      const packets = await ask("dropped", { last: READ, reason }, signal);
      if (packets.length === 0) {
        replace(
          this.#packets,
          notice("None of them is among the latest dropped packets that the relay keeps."),
        );
        return;
      }
      const kinds = grouped(packets);
      const shown = kinds.slice(0, EXPLAINED).map((kind) => explained(kind, reason, signal));
      const more = kinds.length - shown.length;
      const rest =
        more > 0 ? el("p", { class: "soft" }, `and ${more} more kinds of packets`) : null;
      replace(this.#packets, shown, rest);
    } catch (error) {
      if (error.name !== "AbortError") replace(this.#packets, notice(error.message));
    }
  }
}

/** Packets with the same ends and service together, most first. */
function grouped(packets) {
  const kinds = new Map();
  for (const packet of packets) {
    const service = serviceOf(packet);
    const key = JSON.stringify([packet.source, packet.destination, service, packet.direction]);
    const kind = kinds.get(key) ?? { packet, service, count: 0 };
    kind.count += 1;
    if (packet.number >= kind.packet.number) kind.packet = packet;
    kinds.set(key, kind);
  }
  return [...kinds.values()].sort((a, b) => b.count - a.count);
}

/** What a rule's `ports` would call it; empty where `explain` has to choose. */
function serviceOf({ protocol, destinationPort }) {
  const name = protocol === null ? "" : protocol.toLowerCase();
  if (destinationPort !== null && ["tcp", "udp", "sctp"].includes(name)) {
    return `${name}/${destinationPort}`;
  }
  return /^\d+$/.test(name) ? `proto/${name}` : "";
}

/** One kind of packets, and what `explain` says about it. */
function explained({ packet, service, count }, reason, signal) {
  const from = packet.from ?? packet.source;
  const to = packet.to ?? packet.destination;
  const fix = el("div", { class: "fix" });
  const end = (name, address) => (name === null ? (address ?? "unknown") : peerLink(name));
  const what = service || (packet.protocol ?? "");
  const last = timeOfDay(Date.parse(packet.time));
  const times = count === 1 ? `at ${last}` : `${count} times, the last at ${last}`;
  if (from !== null && to !== null) showFix(fix, { from, to, service }, reason, signal);
  return el(
    "div",
    { class: "kind" },
    el(
      "p",
      null,
      end(packet.from, packet.source),
      " → ",
      end(packet.to, packet.destination),
      ` ${what} `,
      el("span", { class: "soft" }, times),
    ),
    packet.rule ? el("p", null, packet.rule.text) : null,
    fix,
  );
}

async function showFix(fix, asked, reason, signal) {
  let said;
  try {
    const answer = await ask("explain", asked, signal);
    const [first] = answer.directions;
    const remedies = remediesOf({ directions: [first] });
    if (first.allowed) said = notice(passesNow(reason));
    else if (remedies.length === 0) said = notes(first.notes);
    else said = [el("p", { class: "to-allow" }, "To allow it:"), remedyList(remedies)];
  } catch (error) {
    if (error.name === "AbortError") return;
    said = notice(error.message);
  }
  const path = explainPath(asked.from, asked.to, asked.service);
  replace(fix, said, link(path, "The whole answer"));
}

function passesNow(reason) {
  if (reason === "rate") return "Its ends may talk; it came faster than a rate allows.";
  if (reason === "quota") return "Its ends may talk; a quota was used up.";
  return "Such a packet passes now.";
}

function notes(sentences) {
  return sentences.length === 0
    ? notice("`explain` knows nothing to write in the configuration.")
    : el(
        "ul",
        null,
        sentences.map((sentence) => el("li", null, prose(sentence))),
      );
}
