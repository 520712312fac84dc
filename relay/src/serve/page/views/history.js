// Charts of what was recorded.

import { ask } from "../api.js";
import { el, offerPeers, put, replace } from "../dom.js";
import { historyPanel } from "../history-panel.js";
import { store } from "../store.js";

/** What a history may be of, each with the fields that name it. */
const SUBJECTS = new Map([
  ["relay", { text: "the whole relay", fields: [], names: ["from peers", "to peers"] }],
  ["peer", { text: "a peer", fields: ["peer"], names: ["from it", "to it"] }],
  ["pair", { text: "a pair of peers", fields: ["from", "to"], names: ["there", "back"] }],
  ["rule", { text: "a rule", fields: ["rule"], names: ["let through", null] }],
]);

/** Shows the view until the signal. */
export function openHistory(root, parameters, signal) {
  const list = offerPeers(store.names);
  store.subscribe(() => offerPeers(store.names), signal);
  const named = [...SUBJECTS].find(
    ([, { fields }]) => fields.length > 0 && fields.every((field) => parameters.get(field)),
  );
  const place = el("div", { class: "card" });
  const fields = el("span", { class: "fields" });
  const of = el(
    "select",
    { id: "of" },
    [...SUBJECTS].map(([key, { text }]) => el("option", { value: key }, text)),
  );
  of.value = named?.[0] ?? "relay";
  let span = parameters.get("span") ?? "hour";
  let shown = null;

  function remember(subject) {
    const query = new URLSearchParams({ ...subject, span });
    history.replaceState(null, "", `#/history?${query}`);
  }

  function show() {
    const { fields: wanted, names } = SUBJECTS.get(of.value);
    const inputs = wanted.map((field) => fields.querySelector(`[name=${field}]`));
    const subject = Object.fromEntries(inputs.map(({ name, value }) => [name, value.trim()]));
    if (Object.values(subject).some((value) => value === "")) {
      shown?.abort();
      replace(place, el("p", { class: "soft" }, "Name what to show."));
      return;
    }
    shown?.abort();
    shown = new AbortController();
    const chosen = (key) => {
      span = key;
      remember(subject);
    };
    replace(place, historyPanel({ subject, names, span, chosen }, shown.signal));
  }
  signal.addEventListener("abort", () => shown?.abort());

  async function ready() {
    const { fields: wanted } = SUBJECTS.get(of.value);
    const inputs = wanted.map((field) => {
      const id = `history-${field}`;
      const value = parameters.get(field) ?? "";
      const props = { id, name: field, value, autocomplete: "off", spellcheck: "false" };
      const offered = field === "rule" ? "rule-names" : list;
      const input = el("input", { ...props, list: offered, onchange: show });
      return [el("label", { for: id }, field), input];
    });
    replace(fields, inputs.flat());
    show();
    if (wanted.includes("rule")) put(fields, await ruleNames(signal));
  }
  of.addEventListener("change", ready);

  put(
    root,
    el("h1", null, "History"),
    el(
      "form",
      {
        class: "tools",
        onsubmit: (event) => {
          event.preventDefault();
          show();
        },
      },
      el("label", { for: "of" }, "Of"),
      of,
      fields,
    ),
    el("h2", { class: "hidden" }, "Charts"),
    place,
  );
  ready();
}

/** Rules to choose from; none where they cannot be read. */
async function ruleNames(signal) {
  const { rules } = await ask("rules", {}, signal).catch(() => ({ rules: [] }));
  const options = rules.map(({ rule }) => el("option", { value: rule }));
  return el("datalist", { id: "rule-names" }, options);
}
