// An answer of `relay explain`, in its words.

import { el, peerLink, prose } from "./dom.js";
import { meaning } from "./reasons.js";

/** The whole answer: each direction, and what to do. `isAsked`: a service was named. */
export function answer(explained, isAsked) {
  const { directions, service, generation } = explained;
  const remedies = remediesOf(explained);
  const by =
    generation === null
      ? "Answered by the configuration."
      : `Answered by the program in force, generation ${generation}.`;
  return [
    directions.map((each) => direction(each, isAsked ? service : "")),
    remedies.length === 0
      ? null
      : el("div", { class: "remedies" }, el("h3", null, "To allow it"), remedyList(remedies)),
    el("p", { class: "soft" }, by),
  ];
}

/** What would let the packets pass, each sentence once. */
export function remediesOf({ directions }) {
  return [...new Set(directions.flatMap(({ remedies }) => remedies))];
}

/** Those sentences as a list. */
export function remedyList(remedies) {
  return el(
    "ul",
    null,
    remedies.map((remedy) => el("li", null, prose(remedy))),
  );
}

function direction(asked, service) {
  const sentences = [
    ...lists(asked),
    asked.reason && meaning(asked.reason),
    asked.rule && `${asked.rule.text}${place(asked.rule)}`,
    ...asked.notes,
    asked.configured &&
      `The configuration files give another answer (${asked.configured}); run \`relay up\` to ` +
        "apply them.",
  ];
  const items = sentences.filter((sentence) => sentence).map((each) => el("li", null, prose(each)));
  const asks = service === "" ? "" : `, ${service}`;
  return el(
    "div",
    { class: "direction", "data-allowed": String(asked.allowed) },
    el("h3", null, end(asked.from, asked.source), " → ", end(asked.to, asked.destination), asks),
    el("p", { class: "verdict" }, verdict(asked)),
    el("ul", null, items),
  );
}

/** The verdict as `relay explain` says it. */
function verdict({ way, reason, from, to }) {
  if (way === "host") return "allowed, to the relay itself";
  if (way === "stack") return "allowed, to the host's routing";
  if (reason !== null) return `dropped: ${reason}`;
  return from === null && to !== null ? "allowed, from the relay itself" : "allowed";
}

function lists({ from, to, source, destination, sourceEntry, destinationEntry, rule }) {
  if (rule !== null && rule.miss === null) return [];
  const said = (name, entry, other) => {
    if (name === null) return null;
    return entry === null ? `${name} does not list ${other}` : `${name} lists ${other}: ${entry}`;
  };
  return [said(from, sourceEntry, destination), said(to, destinationEntry, source)];
}

/** Where a rule is written, unless its sentence says so. */
function place({ text, place }) {
  return place === null || text.includes(place) ? "" : ` (${place})`;
}

function end(name, address) {
  return name === null ? address : [peerLink(name), ` ${address}`];
}
