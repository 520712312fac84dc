// Building elements. Names come from the operator: text goes in as text nodes, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. `props` are attributes, apart from `class`, `dataset` and functions, which are
 * listeners (`onclick`). `null`, `undefined` and `false` leave an attribute or a child out.
 */
export function el(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  put(node, ...children);
  return node;
}

/** Appends children: nodes, text, arrays of either. */
export function put(node, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
  return node;
}

/** Replaces what is in a node. */
export function replace(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

/** The same, unless the focus is in it: it would be lost. */
export function replaceIdle(node, ...children) {
  return node.contains(document.activeElement) ? node : replace(node, ...children);
}

/** Sets text only where it differs, so that nothing is laid out in vain. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute only where it differs. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A sentence in which `commands` stand between backticks. */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 === 1 ? el("code", null, part) : part));
}

/** A link to a view of this page. */
export function link(path, text, props) {
  return el("a", { href: path, ...props }, text);
}

/** The address of a peer's page. */
export function peerPath(name) {
  return `#/peer/${encodeURIComponent(name)}`;
}

/** A link to a peer's page. */
export function peerLink(name) {
  return link(peerPath(name), name, { class: "name", title: name });
}

/** The address of an answer of `explain`. */
export function explainPath(from, to, service) {
  const query = new URLSearchParams({ from, to });
  if (service) query.set("service", service);
  return `#/explain?${query}`;
}

/** A line that says why something is not shown. */
export function notice(text) {
  return el("p", { class: "notice" }, prose(text));
}

/** A table with a caption for screen readers. Columns: `[text, class]`. */
export function table(caption, columns, rows) {
  const head = columns.map(([text, cls]) => el("th", { scope: "col", class: cls }, text));
  return el(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    el(
      "table",
      null,
      el("caption", { class: "hidden" }, caption),
      el("thead", null, el("tr", null, head)),
      el(
        "tbody",
        null,
        rows.map((cells) => row(columns, cells)),
      ),
    ),
  );
}

function row(columns, cells) {
  return el(
    "tr",
    null,
    cells.map((cell, at) => el("td", { class: columns[at][1] }, cell)),
  );
}

/** Names for the inputs that take a peer; one list for the whole page. */
export function offerPeers(names) {
  const id = "peer-names";
  const list = document.getElementById(id) ?? document.body.appendChild(el("datalist", { id }));
  if (list.childElementCount !== names.length || list.firstChild?.value !== names[0]) {
    replace(
      list,
      names.map((name) => el("option", { value: name })),
    );
  }
  return id;
}
