// Who may talk to whom, from the answer of /api/v1/graph. Pure.

/** A relation, read from its other end. */
const MIRRORED = { lists: "listed", listed: "lists", there: "back", back: "there" };

/** No relation at all. */
const NONE = { what: "none", way: null, label: "" };

/** Characters of the first member's name, where names have nothing in common. */
const FIRST = 12;

/** Whether anything passes. */
export function talks({ what }) {
  return what === "whole" || what === "part" || what === "ruled";
}

/** Peers, and what lies between them. A kind is peers that lists and rules treat alike. */
export class GraphModel {
  #kindOf = [];
  /** By kind, then by the other kind. */
  #relations = [];
  #traffic = new Map();

  constructor(graph) {
    this.peers = graph.peers;
    this.kinds = graph.kinds;
    this.opened = graph.opened;
    this.places = new Map(graph.peers.map(({ name }, place) => [name, place]));
    /** The same text: nothing but traffic differs. */
    this.fingerprint = JSON.stringify({ ...graph, traffic: null });
    graph.kinds.forEach((members, kind) => {
      for (const peer of members) this.#kindOf[peer] = kind;
    });
    this.#relations = graph.kinds.map(() => new Map());
    for (const { a, b, relation, way, label } of graph.relations) {
      const there = { what: relation, way: way ?? null, label: label ?? "" };
      this.#relations[a].set(b, there);
      if (a !== b) this.#relations[b].set(a, mirrored(there));
    }
    this.isCounted = graph.traffic !== null;
    for (const { a, b, bytes } of graph.traffic ?? []) this.#traffic.set(pairKey(a, b), bytes);
  }

  /** The relation of two peers, by their places. */
  relation(a, b) {
    return a === b ? NONE : this.between(this.#kindOf[a], this.#kindOf[b]);
  }

  /** The relation of two kinds, or among the peers of one. */
  between(a, b) {
    return this.#relations[a].get(b) ?? NONE;
  }

  /** Bytes between two peers, both ways; 0 if there were none. */
  bytes(a, b) {
    return this.#traffic.get(pairKey(a, b)) ?? 0;
  }

  /** Every peer that is related to one, as `{ peer, relation }`. */
  related(a) {
    const all = this.peers.map((_peer, peer) => ({ peer, relation: this.relation(a, peer) }));
    return all.filter(({ relation }) => relation.what !== "none");
  }

  /** Every related pair once, as `{ a, b, relation }`. */
  pairs() {
    return this.peers.flatMap((_peer, a) =>
      this.related(a)
        .filter(({ peer }) => peer > a)
        .map(({ peer, relation }) => ({ a, b: peer, relation })),
    );
  }

  /** Bytes between groups of peers, by the places of two groups. */
  bytesBetween(groups) {
    const groupOf = [];
    groups.forEach((members, group) => {
      for (const peer of members) groupOf[peer] = group;
    });
    const sums = new Map();
    for (const [key, bytes] of this.#traffic) {
      const [a, b] = key.split(" ").map((peer) => groupOf[Number(peer)]);
      if (a === undefined || b === undefined) continue;
      sums.set(pairKey(a, b), (sums.get(pairKey(a, b)) ?? 0) + bytes);
    }
    return sums;
  }

  /** A name for a group: what its members' names begin with, or its first. */
  groupName(members) {
    const names = members.map((peer) => this.peers[peer].name);
    if (names.length === 1) return names[0];
    let same = names[0];
    for (const name of names) {
      while (!name.startsWith(same)) same = same.slice(0, -1);
    }
    const whole = same.replace(/[-_.0-9]+$/, "");
    const begin = whole.length > 2 ? whole : names[0].slice(0, FIRST);
    return `${begin}… (${names.length})`;
  }
}

/** Two places as the key of a pair. */
export function pairKey(a, b) {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function mirrored({ what, way, label }) {
  // Where each end may begin something else.
  const turned = label.replace(/^→ (.*); ← (.*)$/, "→ $2; ← $1");
  return { what: MIRRORED[what] ?? what, way: MIRRORED[way] ?? way, label: turned };
}

/** What a relation means, said of `one` and `other`. */
export function sentence({ what, way, label }, one, other) {
  switch (what) {
    case "whole":
      return `${one} and ${other} talk, with all their addresses`;
    case "part":
      return `${one} and ${other} talk, with some of their addresses only`;
    case "lists":
      return `${one} lists ${other}, which does not list ${one}: nothing passes`;
    case "listed":
      return `${other} lists ${one}, which does not list ${other}: nothing passes`;
    case "crossed":
      return `${one} and ${other} list each other, but in different families: nothing passes`;
    case "ruled":
      if (way === "both") return `by rules, either of ${one} and ${other} may begin: ${label}`;
      return way === "there"
        ? `by rules, ${one} may begin ${label} with ${other}`
        : `by rules, ${other} may begin ${label} with ${one}`;
    default:
      return `neither of ${one} and ${other} lists the other`;
  }
}
