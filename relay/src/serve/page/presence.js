// Whether a peer is connected: the rule of `Presence` in relay/src/stats/snapshot.rs.

/** Age, in seconds, up to which a handshake is fresh. */
const ONLINE = 180;
/** A handshake may complete between reading the clock and reading WireGuard. */
const SLACK = 5;

/** The words of every output, in the order in which a table sorts them. */
export const PRESENCES = ["online", "offline", "never seen", "disabled", "unknown"];

/** The presence of a peer at a time in Unix milliseconds. */
export function presence(peer, now) {
  if (!peer.enabled) return "disabled";
  if (peer.latestHandshake === 0) return "never seen";
  const age = now / 1000 - peer.latestHandshake;
  if (age < -SLACK) return "unknown";
  return age <= ONLINE ? "online" : "offline";
}

/** Whole seconds since the latest handshake; `null` if there was none or it is in the future. */
export function handshakeAge(peer, now) {
  if (peer.latestHandshake === 0) return null;
  const age = now / 1000 - peer.latestHandshake;
  return age < -SLACK ? null : Math.max(0, Math.floor(age));
}

/** How many peers there are of each presence, in words. */
export function attendance(counts) {
  const always = ["online", "offline", "never seen"];
  const shown = PRESENCES.filter((word) => always.includes(word) || counts[word] > 0);
  return shown.map((word) => `${counts[word]} ${word}`).join(", ");
}
