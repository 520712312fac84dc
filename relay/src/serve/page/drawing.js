// Nodes on a circle, and a curve for each relation: the picture of `relay graph --format svg`.

import { setAttribute, svg } from "./dom.js";

/** Pixels, as in relay/src/graph/svg.rs. */
const LINE = 22;
const RADIUS_MIN = 130;
const CHARACTER = 7.6;
const NAME_MAX = 20;
const GAP = 12;
const DOT = 5;
const DOT_MORE = 9;
const RING = 4;
const SPACE = 3;
const PULL = 0.5;
const STROKE = 1.3;
const STROKE_MORE = 4.5;
/** Size of an arrow, which shows at the end of the widest curve. */
const HEAD = 12;
/** Nodes up to which upright names do not touch. */
const UPRIGHT_MAX = 12;
/** How much larger than its own pixels a picture may become. */
const LARGEST = 1.35;
/** Curves above which each is drawn fainter. */
const FAINT = 150;

/** How a relation is drawn: class, and which ends have an arrow. */
function look({ what, way }) {
  if (what === "whole" || what === "part") return { cls: what, start: false, end: false };
  if (what === "ruled") return { cls: what, start: way !== "there", end: way !== "back" };
  return { cls: "onesided", start: what !== "lists", end: what !== "listed" };
}

/**
 * A picture. `nodes` are `{ name, about, own, size, isOff }`, where `own` is the relation among the
 * members of a group, `size` a share from 0 to 1, and `isOff` marks a disabled peer; `edges` are
 * `{ a, b, relation, said }`. `select` is called with the place of a node, or `null`.
 */
export class Drawing {
  #nodes = [];
  #edges = [];
  #selected = null;
  #select;
  #circle;
  /** Of each node, with its ring. */
  #radii;

  constructor(label, nodes, edges, select) {
    this.#select = select;
    const radius = Math.max((nodes.length * LINE) / (2 * Math.PI), RADIUS_MIN);
    const isUpright = nodes.length <= UPRIGHT_MAX;
    this.#radii = nodes.map(({ size, own }) => dotRadius(size) + (isRinged(own) ? RING : 0));
    this.#circle = { radius, count: nodes.length };
    const frame = this.#frame(nodes, isUpright);
    const curves = svg("g", { "aria-hidden": "true", class: "edges" });
    const dots = svg("g", { class: "nodes" });
    for (const edge of edges) curves.append(this.#edge(edge));
    nodes.forEach((node, at) => dots.append(this.#node(node, at, isUpright)));
    this.node = svg(
      "svg",
      {
        class: [
          "graph",
          ...(edges.length > FAINT ? ["faint"] : []),
          ...(isUpright ? [] : ["crowded"]),
        ].join(" "),
        viewBox: frame.join(" "),
        role: "group",
        "aria-label": label,
      },
      markers(),
      curves,
      dots,
    );
    // A few peers are not drawn larger than life.
    this.node.style.maxInlineSize = `${Math.round(frame[2] * LARGEST)}px`;
    this.node.addEventListener("keydown", (event) => this.#press(event));
  }

  /** The width of curves: `shares` from 0 to 1 and whether something passes now, in their order. */
  setTraffic(shares) {
    this.#edges.forEach(({ path }, at) => {
      const { share, isNow } = shares[at];
      setAttribute(path, "stroke-width", (STROKE + STROKE_MORE * Math.sqrt(share)).toFixed(1));
      path.classList.toggle("now", isNow);
    });
  }

  /** Marks a node and its curves; `null` marks none. */
  mark(selected) {
    this.#selected = selected;
    this.node.classList.toggle("has-selection", selected !== null);
    const near = new Set([selected]);
    for (const { a, b, path } of this.#edges) {
      const isOn = a === selected || b === selected;
      path.classList.toggle("on", isOn);
      if (isOn) near.add(a).add(b);
    }
    this.#nodes.forEach((node, at) => {
      node.classList.toggle("near", near.has(at));
      setAttribute(node, "aria-pressed", String(at === selected));
    });
  }

  #press(event) {
    const at = this.#nodes.indexOf(document.activeElement);
    if (at < 0) return;
    const count = this.#nodes.length;
    const to = {
      ArrowRight: (at + 1) % count,
      ArrowDown: (at + 1) % count,
      ArrowLeft: (at + count - 1) % count,
      ArrowUp: (at + count - 1) % count,
      Home: 0,
      End: count - 1,
    }[event.key];
    if (to !== undefined) this.#focus(to);
    else if (event.key === "Enter" || event.key === " ") this.#toggle(at);
    else if (event.key === "Escape") this.#select(null);
    else return;
    event.preventDefault();
  }

  /** The node is the one that the Tab key reaches. */
  #focus(at) {
    for (const node of this.#nodes) setAttribute(node, "tabindex", "-1");
    setAttribute(this.#nodes[at], "tabindex", "0");
    this.#nodes[at].focus();
  }

  #toggle(at) {
    this.#select(at === this.#selected ? null : at);
  }

  #edge({ a, b, relation, said }) {
    const { cls, start, end } = look(relation);
    const head = (is) => (is ? `url(#head-${cls})` : null);
    const path = svg(
      "path",
      {
        class: cls,
        // An arrow ends before the dot, a plain curve under it.
        d: this.#curve(a, b, start ? this.#radii[a] + SPACE : 0, end ? this.#radii[b] + SPACE : 0),
        "stroke-width": STROKE,
        "marker-start": head(start),
        "marker-end": head(end),
      },
      svg("title", null, said),
    );
    this.#edges.push({ a, b, path });
    return path;
  }

  #node({ name, about, own, size, isOff }, at, isUpright) {
    const { x, y } = this.#point(at, this.#circle.radius);
    const dot = dotRadius(size);
    const shown = shortened(name);
    const node = svg(
      "g",
      {
        class: isOff ? "node off" : "node",
        role: "button",
        tabindex: at === 0 ? "0" : "-1",
        "aria-pressed": "false",
        "aria-label": `${name}: ${about}`,
        onclick: () => this.#toggle(at),
      },
      svg("title", null, `${name}: ${about}`),
      isRinged(own)
        ? svg("circle", { class: `own ${look(own).cls}`, cx: x, cy: y, r: dot + RING })
        : null,
      svg("circle", { class: "dot", cx: x, cy: y, r: dot }),
      svg("text", { ...this.#place(at, dot + GAP, isUpright), "aria-hidden": "true" }, shown),
    );
    this.#nodes.push(node);
    return node;
  }

  /** The smallest frame that holds every node with its name. */
  #frame(nodes, isUpright) {
    const bounds = { left: 0, right: 0, top: 0, bottom: 0 };
    nodes.forEach(({ name }, at) => {
      const inner = this.#circle.radius + GAP + DOT + DOT_MORE;
      const text = shortened(name).length * CHARACTER;
      const { x, y } = this.#point(at, isUpright ? inner : inner + text);
      const side = isUpright ? text * Math.sign(Math.round(x)) : 0;
      const [width, height] = isUpright ? [x === 0 ? text / 2 : 0, LINE] : [LINE, LINE];
      bounds.left = Math.min(bounds.left, x + side - width);
      bounds.right = Math.max(bounds.right, x + side + width);
      bounds.top = Math.min(bounds.top, y - height);
      bounds.bottom = Math.max(bounds.bottom, y + height);
    });
    const { left, right, top, bottom } = bounds;
    return [left, top, right - left, bottom - top].map(Math.round);
  }

  /** Where a name stands: outwards from its node. */
  #place(at, gap, isUpright) {
    const angle = this.#angle(at);
    const { x, y } = this.#point(at, this.#circle.radius + gap);
    const isLeft = Math.cos(angle) < -0.01;
    const isMiddle = isUpright && Math.abs(Math.cos(angle)) < 0.01;
    const side = isLeft ? "end" : "start";
    const turned = (angle * 180) / Math.PI + (isLeft ? 180 : 0);
    return {
      x: x.toFixed(1),
      y: y.toFixed(1),
      dy: "0.35em",
      "text-anchor": isMiddle ? "middle" : side,
      transform: isUpright ? null : `rotate(${turned.toFixed(1)} ${x.toFixed(1)} ${y.toFixed(1)})`,
    };
  }

  /** From node to node, drawn towards the middle, and no further than the two are apart. */
  #curve(from, to, gapFrom, gapTo) {
    const { radius } = this.#circle;
    const a = this.#point(from, radius - gapFrom);
    const b = this.#point(to, radius - gapTo);
    const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    const apart = Math.hypot(a.x - b.x, a.y - b.y);
    const depth = Math.hypot(middle.x, middle.y);
    const pull = 1 - (depth > apart ? (PULL * apart) / depth : PULL);
    const points = [a, { x: middle.x * pull, y: middle.y * pull }, b];
    const [first, control, last] = points.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`);
    return `M${first}Q${control} ${last}`;
  }

  /** The first node is on top, the others follow clockwise. */
  #angle(at) {
    return (at / Math.max(this.#circle.count, 1)) * 2 * Math.PI - Math.PI / 2;
  }

  #point(at, radius) {
    const angle = this.#angle(at);
    return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  }
}

function dotRadius(size) {
  return DOT + DOT_MORE * size;
}

/** Whether the members of a group have a relation among themselves. */
function isRinged(own) {
  return own !== null && own.what !== "none";
}

function shortened(name) {
  return name.length > NAME_MAX ? `${name.slice(0, NAME_MAX - 1)}…` : name;
}

/** Arrows; their colours are in the style sheet. */
function markers() {
  const marker = (cls) =>
    svg(
      "marker",
      {
        id: `head-${cls}`,
        viewBox: "0 0 10 10",
        refX: 9,
        refY: 5,
        markerWidth: HEAD,
        markerHeight: HEAD,
        markerUnits: "userSpaceOnUse",
        orient: "auto-start-reverse",
      },
      svg("path", { class: `head ${cls}`, d: "M0 1L10 5L0 9z" }),
    );
  return svg("defs", null, marker("ruled"), marker("onesided"));
}
