// The relations of one peer as a list, and where the graph comes from.

import { ask, every } from "./api.js";
import { el, explainPath, link, notice, peerLink, replace, table } from "./dom.js";
import { GraphModel, sentence, talks } from "./graph-model.js";
import { bytes, counted } from "./units.js";

/** Rows at most. */
const ROWS = 100;

/** Reads the graph. */
export async function readGraph(signal) {
  return new GraphModel(await ask("graph", {}, signal));
}

/** A card with what a peer may do, kept up to date until the signal. */
export function relationsCard(name, signal) {
  const place = el("div");
  every(30, signal, async () => {
    if (place.contains(document.activeElement)) return;
    try {
      const model = await readGraph(signal);
      const at = model.places.get(name);
      const said =
        at === undefined ? notice("The configuration does not name it.") : relations(model, at);
      replace(place, said);
    } catch (error) {
      if (error.name !== "AbortError") replace(place, notice(`No graph: ${error.message}.`));
    }
  });
  return el("section", { class: "card" }, el("h2", null, "Whom it may talk to"), place);
}

/** How many peers one talks to, in words. */
export function outline(model, at) {
  const related = model.related(at);
  const talking = related.filter(({ relation }) => talks(relation));
  const ruled = talking.filter(({ relation }) => relation.what === "ruled").length;
  const onesided = related.length - talking.length;
  const words = [`may talk to ${counted(talking.length, "peer")}`];
  if (ruled > 0) words.push(`to ${ruled} of them by rules`);
  if (onesided > 0) words.push(`${onesided} one-sided`);
  return words.join(", ");
}

/** The relations of a peer: those with most traffic first, one-sided ones before silent ones. */
export function relations(model, at) {
  const one = model.peers[at].name;
  const rows = model.related(at).map(({ peer, relation }) => {
    const traffic = model.bytes(at, peer);
    const weight = traffic + (talks(relation) ? 0 : 0.5);
    return { name: model.peers[peer].name, relation, traffic, weight };
  });
  rows.sort((a, b) => b.weight - a.weight);
  const summary = outline(model, at);
  const head = model.peers[at].enabled
    ? el("p", null, `It ${summary}.`)
    : notice(`It is disabled: nothing passes. Enabled, it ${summary}.`);
  if (rows.length === 0) return [head];
  const counts = model.isCounted ? [["Traffic", "number"]] : [];
  const columns = [["Peer", ""], ["Relation", ""], ...counts];
  const cells = rows
    .slice(0, ROWS)
    .map(({ name, relation, traffic }) => [
      peerLink(name),
      said(relation, one, name),
      ...(model.isCounted ? [shown(traffic)] : []),
    ]);
  const more = rows.length - cells.length;
  return [
    head,
    table(`Relations of ${one}`, columns, cells),
    more > 0 ? el("p", { class: "soft" }, `and ${counted(more, "peer")} more`) : null,
    arrows(rows.slice(0, ROWS)),
    model.isCounted ? null : notice("No traffic: pairs are not counted (pair_stats is off)."),
  ];
}

/** A relation in a few words, from the side of the peer that the list is of. */
const SHORT = {
  whole: "talk",
  part: "talk in part",
  lists: "→ one-sided",
  listed: "← one-sided",
  crossed: "different families",
  both: "⇄",
  there: "→",
  back: "←",
};

/** Those words as a link to the answer of `explain`; as a sentence for screen readers. */
function said(relation, one, name) {
  const whole = sentence(relation, one, name);
  return link(
    explainPath(one, name, ""),
    [
      el("span", { "aria-hidden": "true" }, short(relation)),
      el("span", { class: "hidden" }, whole),
    ],
    { title: whole, class: "relation" },
  );
}

function short({ what, way, label }) {
  // Where each end may begin something else, the label has arrows.
  return label.startsWith("→") ? label : `${SHORT[way ?? what]} ${label}`.trim();
}

/** What the arrows of a list mean, if it has some. */
function arrows(rows) {
  const has = (...wanted) => rows.some(({ relation: { what } }) => wanted.includes(what));
  const words = [];
  if (has("ruled"))
    words.push("By rules: → this peer may begin that, ← the other may, ⇄ either may.");
  if (has("lists", "listed")) words.push("One-sided: → this peer lists the other, ← the reverse.");
  return words.length === 0 ? null : el("p", { class: "soft" }, words.join(" "));
}

function shown(count) {
  return count === 0 ? el("span", { class: "zero" }, "0 B") : bytes(count);
}
