// What happened of late.

import { el, notice, peerLink, put, replace } from "../dom.js";
import { KINDS, latest, onEvent, sentence } from "../events.js";
import { dateTime } from "../units.js";

/** Rows at a time. */
const SHOWN = 200;

/** Kinds that are left out; stays when the view is opened again. */
const without = new Set();

/** Shows the view until the signal. */
export function openEvents(root, _parameters, signal) {
  const list = el("ol", { class: "events" });
  const none = notice("Nothing has happened since this page was opened.");
  const boxes = [...KINDS.keys()].map((kind) => {
    const box = el("input", {
      type: "checkbox",
      checked: !without.has(kind),
      onchange: () => {
        if (box.checked) without.delete(kind);
        else without.add(kind);
        replace(list);
        show();
      },
    });
    return el("label", { class: "check" }, box, ` ${kind}`);
  });
  put(
    root,
    el("h1", null, "Events"),
    el(
      "fieldset",
      { class: "tools checks" },
      el("legend", { class: "hidden" }, "Show events about"),
      boxes,
    ),
    none,
    list,
  );

  let newest = 0;
  function show() {
    const left = new Set([...without].flatMap((kind) => KINDS.get(kind)));
    const events = latest().filter(({ type }) => !left.has(type));
    // Only what is new is added, above the rest.
    const isAnew = list.childElementCount === 0;
    const fresh = isAnew ? events.slice(0, SHOWN) : events.filter(({ place }) => place > newest);
    list.prepend(...fresh.map(item));
    while (list.childElementCount > SHOWN) list.lastChild.remove();
    newest = latest()[0]?.place ?? 0;
    none.hidden = list.childElementCount > 0;
    none.textContent =
      without.size > 0 ? "No such event." : "Nothing has happened since this page was opened.";
  }
  show();
  onEvent(show, signal);
}

/** A line of the list. */
export function item(event) {
  const at = dateTime(Date.parse(event.time));
  return el(
    "li",
    { "data-type": event.type },
    el("time", { datetime: event.time }, at),
    el("span", { class: "kind-of" }, event.type.replace(/^.*_/, "")),
    el(
      "span",
      { class: "what" },
      sentence(event).map((part) => (part.peer ? peerLink(part.peer) : part)),
    ),
  );
}
