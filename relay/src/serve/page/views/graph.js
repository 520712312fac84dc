// Who may talk to whom, drawn, with traffic.

import { every } from "../api.js";
import { el, explainPath, link, notice, offerPeers, peerLink, put, replace } from "../dom.js";
import { Drawing } from "../drawing.js";
import { pairKey, sentence, talks } from "../graph-model.js";
import { outline, readGraph, relations } from "../relations.js";
import { store } from "../store.js";
import { counted } from "../units.js";

/** Peers up to which each is drawn; above, peers that are alike are one. */
const PEERS_MAX = 60;
/** Groups that are drawn, and lines of lists. */
const GROUPS_MAX = 60;
const LISTED = 50;

const LEGEND = [
  ["whole", "talk, with all their addresses"],
  ["part", "talk, with some of their addresses only"],
  ["ruled", "talk by rules; the arrow's tail may begin"],
  ["onesided", "one-sided: the tail lists the head, nothing passes"],
];

/** Shows the view until the signal. */
export function openGraph(root, _parameters, signal) {
  const list = offerPeers(store.names);
  const search = el("input", {
    id: "one",
    list,
    placeholder: "all peers",
    autocomplete: "off",
    spellcheck: "false",
  });
  const picture = el("div", { class: "picture" });
  const panel = el("section", { class: "card panel", "aria-label": "Selection" });
  const below = el("div");
  put(
    root,
    el("h1", null, "Who may talk to whom"),
    el(
      "form",
      { class: "tools", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "one" }, "Show"),
      search,
      el("button", { type: "button", onclick: () => choose("") }, "Show all"),
    ),
    el("div", { class: "graph-view" }, picture, panel),
    below,
  );

  let scene = null;
  let policy = null;
  const choose = (name) => {
    search.value = name;
    scene?.choose(name);
  };
  search.addEventListener("change", () => scene?.choose(search.value.trim()));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose("");
  });

  every(10, signal, async () => {
    let model;
    try {
      model = await readGraph(signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (scene === null) replace(picture, notice(`No graph: ${error.message}.`));
      return;
    }
    if (model.fingerprint === policy) {
      scene.refresh(model);
      return;
    }
    policy = model.fingerprint;
    offerPeers(store.names.length > 0 ? store.names : model.peers.map(({ name }) => name));
    scene = new Scene(model, picture, panel, (name) => (search.value = name));
    replace(below, listing(scene.onesided()));
    scene.choose(search.value.trim());
  });
}

/** The drawing, and what is selected in it. */
class Scene {
  #model;
  /** Those that are drawn, by place, the largest first; and the peers of each node. */
  #kinds;
  #groups;
  #edges;
  #drawing;
  #panel;
  #isGrouped;
  #named;
  #before = null;

  constructor(model, picture, panel, named) {
    this.#model = model;
    this.#panel = panel;
    this.#named = named;
    this.#isGrouped = model.peers.length > PEERS_MAX;
    const places = [...model.kinds.keys()];
    const largest = places.sort((a, b) => model.kinds[b].length - model.kinds[a].length);
    this.#kinds = largest.slice(0, GROUPS_MAX);
    this.#groups = this.#isGrouped
      ? this.#kinds.map((kind) => model.kinds[kind])
      : model.peers.map((_peer, at) => [at]);
    this.#edges = this.#isGrouped ? this.#groupEdges() : this.#peerEdges();
    const most = this.#groups[0]?.length ?? 1;
    const nodes = this.#groups.map((members, at) => this.#node(members, at, most));
    const label = this.#isGrouped ? "Groups of peers that are alike" : "Peers";
    if (nodes.length === 0) {
      replace(picture, notice("The relay has no peers."));
      return;
    }
    this.#drawing = new Drawing(label, nodes, this.#edges, (at) => this.#select(at));
    replace(
      picture,
      this.#introduction(),
      el("div", { class: "canvas" }, this.#drawing.node),
      legend(model.isCounted),
    );
    this.refresh(model);
  }

  /** Takes newer traffic of the same policy. */
  refresh(model) {
    this.#model = model;
    const sums = model.bytesBetween(this.#groups);
    const of = ({ a, b }) => sums.get(pairKey(a, b)) ?? 0;
    const counts = this.#edges.map(of);
    const most = Math.max(1, ...counts);
    const before = this.#before ?? counts;
    const shares = counts.map((count, at) => ({ share: count / most, isNow: count > before[at] }));
    this.#drawing?.setTraffic(shares);
    this.#before = counts;
  }

  /** Sentences about what is one-sided, by pair or by group, and how many there are. */
  onesided() {
    if (this.#isGrouped) {
      const said = this.#edges.filter(({ relation }) => !talks(relation)).map(({ said }) => said);
      return { items: said.slice(0, LISTED), count: said.length };
    }
    const pairs = this.#model.pairs().filter(({ relation }) => !talks(relation));
    const name = (peer) => this.#model.peers[peer].name;
    const items = pairs
      .slice(0, LISTED)
      .map(({ a, b, relation }) => [
        `${sentence(relation, name(a), name(b))} `,
        link(explainPath(name(a), name(b), ""), [
          "what to write",
          el("span", { class: "hidden" }, ` for ${name(a)} and ${name(b)}`),
        ]),
      ]);
    return { items, count: pairs.length };
  }

  /** Shows one peer by name, or all. */
  choose(name) {
    if (name === "") {
      this.#select(null);
      return;
    }
    const at = this.#model.places.get(name);
    if (at === undefined) {
      replace(this.#panel, notice(`${name} is not a peer of the configuration.`));
      return;
    }
    const group = this.#groups.findIndex((members) => members.includes(at));
    this.#drawing.mark(group < 0 ? null : group);
    this.#showPeer(at);
  }

  #select(at) {
    this.#drawing?.mark(at);
    if (at === null) {
      this.#named("");
      this.#showAll();
    } else if (this.#groups[at].length === 1) {
      this.#named(this.#model.peers[this.#groups[at][0]].name);
      this.#showPeer(this.#groups[at][0]);
    } else {
      this.#named("");
      this.#showGroup(at);
    }
  }

  #showAll() {
    const what = this.#isGrouped ? "a group" : "a peer";
    replace(
      this.#panel,
      el("h2", null, "Nothing is selected"),
      el("p", { class: "soft" }, `Select ${what} in the drawing, or name a peer above.`),
      el("h3", null, "Rules"),
      this.#model.opened.length === 0
        ? el("p", { class: "soft" }, "No rule opens anything that lists do not.")
        : lines(this.#model.opened),
    );
  }

  #showPeer(at) {
    const { name, about } = this.#model.peers[at];
    replace(
      this.#panel,
      el("h2", null, peerLink(name)),
      about === "" ? null : el("p", { class: "soft" }, about),
      relations(this.#model, at),
    );
  }

  #showGroup(at) {
    const members = this.#groups[at];
    const name = (group) => this.#model.groupName(this.#groups[group]);
    const near = this.#edges.filter(({ a, b }) => a === at || b === at);
    const own = this.#own(at);
    const among = own.what === "none" ? [] : [`among themselves: ${ownSaid(own)}`];
    replace(
      this.#panel,
      el("h2", null, name(at)),
      el("p", { class: "soft" }, "Peers that lists and rules treat alike."),
      el("h3", null, "Relations"),
      near.length + among.length === 0
        ? el("p", { class: "soft" }, "None.")
        : lines([...among, ...near.map(({ said }) => said)]),
      el("h3", null, "Members"),
      el(
        "ul",
        { class: "members" },
        members
          .slice(0, LISTED)
          .map((peer) => el("li", null, peerLink(this.#model.peers[peer].name))),
      ),
      members.length > LISTED
        ? el("p", { class: "soft" }, `and ${members.length - LISTED} more`)
        : null,
    );
  }

  #introduction() {
    if (!this.#isGrouped) return null;
    const { peers, kinds } = this.#model;
    const drawn = this.#groups.length;
    const groups = counted(kinds.length, "group");
    const words = [
      `${peers.length} peers in ${groups}: those that lists and rules treat alike are one.`,
    ];
    if (kinds.length > drawn) words.push(`The ${drawn} largest are drawn.`);
    return el("p", { class: "soft" }, words.join(" "));
  }

  #node(members, at, most) {
    const [first] = members;
    const { name, about, enabled } = this.#model.peers[first];
    if (!this.#isGrouped) {
      const said = [about, outline(this.#model, first)].filter((text) => text !== "");
      return { name, about: said.join("; "), own: null, size: 0, isOff: !enabled };
    }
    const own = this.#own(at);
    const size = members.length / most;
    const shown = this.#model.groupName(members);
    const count = counted(members.length, "peer");
    const text = enabled ? count : `${count}, disabled`;
    return { name: shown, about: text, own, size, isOff: !enabled };
  }

  /** The relation among the members of a group. */
  #own(at) {
    return this.#model.between(this.#kinds[at], this.#kinds[at]);
  }

  #peerEdges() {
    const name = (peer) => this.#model.peers[peer].name;
    return this.#model.pairs().map(({ a, b, relation }) => ({
      a,
      b,
      relation,
      said: sentence(relation, name(a), name(b)),
    }));
  }

  #groupEdges() {
    const names = this.#groups.map((members) => this.#model.groupName(members));
    return this.#kinds.flatMap((kind, a) =>
      this.#kinds.slice(a + 1).flatMap((other, index) => {
        const b = a + 1 + index;
        const relation = this.#model.between(kind, other);
        if (relation.what === "none") return [];
        return [{ a, b, relation, said: sentence(relation, names[a], names[b]) }];
      }),
    );
  }
}

function ownSaid({ what, label }) {
  const words = {
    whole: "they talk, with all their addresses",
    part: "they talk, with some of their addresses only",
    ruled: `by rules, ${label}`,
    crossed: "they list each other, but in different families",
  };
  return words[what] ?? "one-sided";
}

function legend(isCounted) {
  const entries = LEGEND.map(([cls, text]) =>
    el("li", null, el("span", { class: `swatch ${cls}`, "aria-hidden": "true" }), text),
  );
  const width = isCounted
    ? el(
        "li",
        null,
        "The wider a line, the more bytes it has carried; bright: some in the last seconds",
      )
    : el("li", null, "Traffic is not shown: pairs are not counted (pair_stats is off)");
  return el("ul", { class: "legend", "aria-label": "Legend" }, entries, width);
}

function lines(sentences) {
  const shown = sentences.slice(0, LISTED).map((each) => el("li", null, each));
  const more = sentences.length - shown.length;
  return el("ul", null, shown, more > 0 ? el("li", { class: "soft" }, `and ${more} more`) : null);
}

/** Below the drawing: what is one-sided. */
function listing({ items, count }) {
  const more = count - items.length;
  return el(
    "section",
    { class: "card" },
    el("h2", null, "One-sided pairs"),
    count === 0
      ? el("p", { class: "soft" }, "None.")
      : el(
          "ul",
          { class: "tidy" },
          items.map((item) => el("li", null, item)),
        ),
    more > 0 ? el("p", { class: "soft" }, `and ${more} more`) : null,
  );
}
