// All peers: state, rates now, the last hour.

import { el, link, notice, put } from "../dom.js";
import { PRESENCES, presence } from "../presence.js";
import { PeerTable } from "../peer-table.js";
import { store } from "../store.js";
import { openProblems } from "../problems.js";
import { openSummary } from "../summary.js";

/** Peers of a page: a browser lays out so many rows at once without effort. */
const PAGE = 100;
/** Seconds after which peers change their places, while sorted by what changes. */
const ARRANGE = 5;

/** What was chosen stays when the view is left and opened again. */
const chosen = { filter: "", state: "", page: 0, sort: "place", descending: false };

/** Shows the view until the signal. */
export function openPeers(root, _parameters, signal) {
  const found = el("p", { class: "found", role: "status" });
  const filter = el("input", {
    type: "search",
    id: "filter",
    value: chosen.filter,
    placeholder: "name, address, endpoint, key",
    autocomplete: "off",
    spellcheck: "false",
  });
  const state = el(
    "select",
    { id: "state" },
    el("option", { value: "" }, "any state"),
    PRESENCES.map((word) => el("option", { value: word, selected: word === chosen.state }, word)),
  );
  const peers = new PeerTable((sort) => {
    // One order, then the other, then that of the configuration.
    const firstIsDescending = sort !== "name" && sort !== "state";
    const isSecond = chosen.descending !== firstIsDescending;
    if (chosen.sort !== sort) choose({ sort, descending: firstIsDescending });
    else if (!isSecond) choose({ descending: !firstIsDescending });
    else choose({ sort: "place", descending: false });
  });
  const pager = el("nav", { class: "pager", "aria-label": "Pages of peers" });
  put(
    root,
    el("h1", null, "Peers"),
    openProblems(signal),
    openSummary(signal),
    el(
      "form",
      { class: "tools", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "filter" }, "Filter"),
      filter,
      el("label", { for: "state" }, "State"),
      state,
      found,
    ),
    peers.node,
    pager,
  );

  let arrangedAt = -Infinity;
  let names = null;

  function arrange() {
    arrangedAt = performance.now();
    names = store.names;
    const matching = matches(store);
    const sorted = peers.sort(matching, chosen.sort, chosen.descending);
    const pages = Math.max(1, Math.ceil(sorted.length / PAGE));
    chosen.page = Math.min(chosen.page, pages - 1);
    const first = chosen.page * PAGE;
    peers.show(sorted.slice(first, first + PAGE), first, sorted.length);
    peers.mark(chosen.sort, chosen.descending);
    const all = store.names.length;
    const of = sorted.length === all ? `${all} peers` : `${sorted.length} of ${all} peers`;
    if (found.textContent !== of) found.textContent = of;
    showPager(pager, first, sorted.length, pages, arrange);
  }

  function change() {
    if (!store.relay) return;
    const isDue = performance.now() - arrangedAt > ARRANGE * 1000;
    // Nothing moves away from under a pointer, or from the keyboard's focus.
    const mayMove = isDue && !peers.isInUse();
    if (names !== store.names || mayMove) arrange();
    else peers.update();
  }

  filter.addEventListener("input", () => choose({ filter: filter.value }));
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    filter.value = "";
    choose({ filter: "" });
  });
  state.addEventListener("change", () => choose({ state: state.value }));
  function choose(what) {
    Object.assign(chosen, what, { page: 0 });
    arrange();
  }

  if (store.relay) arrange();
  else peers.wait();
  store.subscribe(change, signal);
  peers.readHistory(signal, (text) => pager.before(notice(text)));
}

/** Peers that the filter and the state let through, in the order of the configuration. */
function matches({ names, peers }) {
  const words = chosen.filter.split(/\s+/).filter((word) => word !== "");
  const now = store.now();
  return names
    .map((name) => peers.get(name))
    .filter(({ data }) => {
      if (chosen.state !== "" && presence(data, now) !== chosen.state) return false;
      if (words.length === 0) return true;
      const text = [data.name, data.endpoint, ...data.allowedIps].join(" ").toLowerCase();
      // Any few letters are somewhere in some key.
      const has = (word) => text.includes(word.toLowerCase()) || data.publicKey.startsWith(word);
      return words.every(has);
    });
}

function showPager(pager, first, count, pages, arrange) {
  pager.hidden = pages < 2;
  if (pager.hidden) return;
  if (!pager.firstChild) {
    const turn = (by) => () => {
      chosen.page += by;
      arrange();
      document.getElementById("peers").scrollIntoView();
    };
    put(
      pager,
      el("button", { type: "button", onclick: turn(-1) }, "Previous"),
      el("span", { class: "numbers" }),
      el("button", { type: "button", onclick: turn(1) }, "Next"),
      link("#/graph", "Who may talk to whom", { class: "aside" }),
    );
  }
  const [previous, shown, next] = pager.children;
  previous.disabled = chosen.page === 0;
  next.disabled = chosen.page === pages - 1;
  const text = `${first + 1} to ${Math.min(first + PAGE, count)} of ${count}`;
  if (shown.textContent !== text) shown.textContent = text;
}
