// "Can A reach B?"

import { answer } from "../answer.js";
import { ask } from "../api.js";
import { el, explainPath, notice, offerPeers, put, replace } from "../dom.js";
import { store } from "../store.js";

/** Shows the view until the signal. */
export function openExplain(root, parameters, signal) {
  const list = offerPeers(store.names);
  store.subscribe(() => offerPeers(store.names), signal);
  const input = (id, props) =>
    el("input", {
      id,
      value: parameters.get(id) ?? "",
      autocomplete: "off",
      spellcheck: "false",
      ...props,
    });
  const from = input("from", { list, required: true, placeholder: "peer or address" });
  const to = input("to", { list, required: true, placeholder: "peer or address" });
  const service = input("service", { placeholder: "tcp/22, udp/53, icmp/echo" });
  const result = el("section", { "aria-label": "Answer", "aria-live": "polite" });
  const field = (label, node) =>
    el("div", { class: "field" }, el("label", { for: node.id }, label), node);
  const swap = el(
    "button",
    {
      type: "button",
      onclick: () => {
        [from.value, to.value] = [to.value, from.value];
        from.focus();
      },
    },
    "Swap",
  );

  const form = el(
    "form",
    {
      class: "card question",
      onsubmit: (event) => {
        event.preventDefault();
        const path = explainPath(from.value.trim(), to.value.trim(), service.value.trim());
        // The address names the question, so that it can be passed on.
        history.replaceState(null, "", path);
        show();
      },
    },
    field("Can", from),
    field("reach", to),
    field("on (may be empty)", service),
    el(
      "div",
      { class: "actions" },
      el("button", { type: "submit", class: "primary" }, "Ask the relay"),
      swap,
    ),
  );

  async function show() {
    const asked = { from: from.value.trim(), to: to.value.trim(), service: service.value.trim() };
    try {
      const explained = await ask("explain", asked, signal);
      const all = explained.allowed ? "Yes" : "No";
      const heading = el("h2", { class: "overall", "data-allowed": explained.allowed }, all);
      replace(
        result,
        el("div", { class: "card" }, heading, answer(explained, asked.service !== "")),
      );
    } catch (error) {
      if (error.name !== "AbortError") replace(result, notice(error.message));
    }
  }

  put(
    root,
    el("h1", null, "Can A reach B?"),
    el(
      "p",
      { class: "soft" },
      "The running program answers with an echo request, or with what a client would send first " +
        "for the service. Nothing is sent, and nothing is counted.",
    ),
    form,
    result,
  );
  if (from.value !== "" && to.value !== "") show();
}
