// Starts the page: the stream, the header, and one view at a time.

import { el, prose, replace, setText } from "./dom.js";
import { follow } from "./live.js";
import { store } from "./store.js";
import { timeOfDay } from "./units.js";
import { keepEvents } from "./events.js";
import { openDropped } from "./views/dropped.js";
import { openEvents } from "./views/events.js";
import { openExplain } from "./views/explain.js";
import { openGraph } from "./views/graph.js";
import { openHistory } from "./views/history.js";
import { openPeer } from "./views/peer.js";
import { openPeers } from "./views/peers.js";

/** Views by the first part of the address behind `#/`. */
const VIEWS = new Map([
  ["", openPeers],
  ["graph", openGraph],
  ["dropped", openDropped],
  ["explain", openExplain],
  ["history", openHistory],
  ["events", openEvents],
  ["peer", openPeer],
]);

const main = document.getElementById("main");
let open = null;

/** Shows the view that the address names. */
function route() {
  const hash = location.hash || "#/";
  // Such as the link that skips to the content.
  if (!hash.startsWith("#/")) return;
  const [path, query] = hash.slice(2).split("?");
  const [name, subject] = path.split("/");
  const view = VIEWS.get(name) ?? openMissing;
  const isFirst = open === null;
  open?.abort();
  open = new AbortController();
  replace(main);
  const parameters = new URLSearchParams(query ?? "");
  if (subject !== undefined) parameters.set("name", decode(subject));
  view(main, parameters, open.signal);
  for (const link of document.querySelectorAll("#views a")) {
    const isCurrent = link.getAttribute("href") === `#/${name}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showTitle();
  if (!isFirst) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function showTitle() {
  const heading = main.querySelector("h1")?.textContent ?? "relay";
  const title = `${heading} · ${store.relay?.interface ?? "relay"}`;
  if (document.title !== title) document.title = title;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function openMissing(root) {
  root.append(el("h1", null, "There is no such view"));
  root.append(el("p", null, el("a", { href: "#/" }, "Show the peers")));
}

/** The line at the top right, and the bar below the header. */
function showConnection() {
  const connection = document.getElementById("connection");
  const trouble = document.getElementById("trouble");
  const words = { connecting: "connecting", live: "live", gone: "no relay", lost: "no connection" };
  setText(connection, words[store.state]);
  connection.dataset.state = store.state;
  document.body.dataset.state = store.state;
  if (store.relay) setText(document.getElementById("interface"), store.relay.interface);
  showTitle();
  const since = store.time > 0 ? ` What is shown is from ${timeOfDay(store.time)}.` : "";
  const why = store.error.replace(/\.$/, "");
  const said = {
    connecting: "",
    live: "",
    gone: `The relay cannot be read: ${why}.${since} Trying again each second.`,
    lost: `relay serve does not answer.${since} Trying again.`,
  };
  const text = said[store.state];
  if (trouble.dataset.text !== text) replace(trouble, prose(text));
  trouble.dataset.text = text;
  trouble.hidden = text === "";
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
store.subscribe(showConnection);
follow(
  "live",
  {
    stats: (stats) => store.take(stats),
    gone: ({ error }) => store.fail("gone", error),
  },
  () => store.fail("lost", ""),
  true,
);
keepEvents();
route();
