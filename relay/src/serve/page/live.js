// The streams of the server, kept open while somebody looks.

import { resource } from "./api.js";

/** Seconds between attempts, and how long a stream may be silent. */
const PAUSES = [1, 2, 5];
const SILENCE = 8;
/** A tab in the background gives its connection back after so many seconds. */
const HIDDEN = 20;

/**
 * Keeps a stream of server-sent events open. `listeners` are by the name of the event, `lost` is
 * told when the stream breaks. With `isSteady` something comes each second, so silence is a break.
 */
export function follow(name, listeners, lost, isSteady) {
  let source = null;
  let attempts = 0;
  let retry = null;
  let watchdog = null;
  let hiding = null;

  const close = () => {
    source?.close();
    source = null;
    clearTimeout(retry);
    clearTimeout(watchdog);
  };
  const fail = () => {
    close();
    lost();
    retry = setTimeout(open, PAUSES[Math.min(attempts, PAUSES.length - 1)] * 1000);
    attempts += 1;
  };
  const alive = () => {
    attempts = 0;
    clearTimeout(watchdog);
    if (isSteady) watchdog = setTimeout(fail, SILENCE * 1000);
  };
  const open = () => {
    close();
    const opened = new EventSource(resource(name));
    source = opened;
    opened.onopen = alive;
    opened.onerror = fail;
    for (const [event, listener] of Object.entries(listeners)) {
      opened.addEventListener(event, ({ data }) => {
        if (source !== opened) return;
        alive();
        listener(JSON.parse(data));
      });
    }
    if (isSteady) watchdog = setTimeout(fail, SILENCE * 1000);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN * 1000);
    else if (source === null) open();
  });
  open();
}
