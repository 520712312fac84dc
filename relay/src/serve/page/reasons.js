// What the labels mean: the sentences of relay-common/src/reason.rs.

/**
 * Kind and meaning by label. `policy`: a list or a setting does not allow it; `packet`: no router
 * would forward it; `relay`: `relay up` repairs it.
 */
const REASONS = {
  not_in_either_list: ["policy", "Neither peer's allowed_ips hold the other."],
  not_in_source_list: [
    "policy",
    "The sender's allowed_ips lack the destination; the receiver's hold the source.",
  ],
  not_in_destination_list: [
    "policy",
    "The receiver's allowed_ips lack the source; the sender's hold the destination.",
  ],
  destination_unknown: ["policy", "No peer owns the destination and egress does not take it."],
  source_unknown: ["policy", "No peer owns the source."],
  host_access: ["policy", "The relay itself is the destination and host_access does not allow it."],
  forwarded_in: [
    "policy",
    "Forwarded into the overlay from another interface, which egress does not allow.",
  ],
  hairpin: ["packet", "Sender and receiver are the same peer."],
  ttl_exceeded: ["packet", "TTL or hop limit used up."],
  too_big: ["packet", "Larger than the interface's MTU, and not to be fragmented."],
  malformed_header: ["packet", "Version, header length or total length contradict the packet."],
  bad_checksum: ["packet", "IPv4 header checksum wrong."],
  ip_options: ["packet", "IPv4 options or an IPv6 hop-by-hop header."],
  source_routing: ["packet", "An IPv6 routing header."],
  multicast: ["packet", "A multicast address."],
  broadcast: ["packet", "A broadcast address, of the overlay or the limited one."],
  link_local: ["packet", "A link-local address."],
  reserved_address: ["packet", "A loopback, unspecified, IPv4-mapped or reserved address, or one of translated IPv4 (NAT64, 6to4, Teredo) or of a cloud's metadata service that no list, route or rule names."],
  inconsistent: ["relay", "Program and counters disagree about a slot."],
  not_routed: [
    "relay",
    "fast_path is off, and the host's routing does not send the packet out of the interface.",
  ],
  own_tunnel: [
    "packet",
    "A UDP message of the relay's own WireGuard, routed into the tunnel that it carries.",
  ],
  no_rule: [
    "policy",
    "The pair has rules, but none lets the sender begin this, and it answers no flow.",
  ],
  rule_ended: ["policy", "The rule that allowed it has ended (until)."],
  flow_limit: [
    "policy",
    "The sender began too many flows, in a second or at once, or the table of flows has no room.",
  ],
  no_first_fragment: [
    "packet",
    "A fragment between peers with rules, whose first fragment has not passed.",
  ],
  bad_fragment: [
    "packet",
    "A fragment between peers with rules that cuts or overlaps the transport header.",
  ],
  unrelated_error: [
    "packet",
    "An ICMP error that quotes no packet of a flow between its sender and its receiver, or, to the relay, none that the relay sent to its sender.",
  ],
  disabled: ["policy", "Sender or receiver is disabled (enabled = false)."],
  rate: ["policy", "Faster than rate_from of the sender or rate_to of the receiver."],
  quota: ["policy", "More than the quota of the sender or of the receiver leaves in this period."],
  wrong_home: ["mesh", "Another relay sent it, and its source is no peer that is at home there."],
  not_here: [
    "mesh",
    "Another relay or the host sent it, and its destination is no peer that is at home here.",
  ],
};

/** The meaning of a reason; empty for one that this page does not know. */
export function meaning(label) {
  return Object.hasOwn(REASONS, label) ? REASONS[label][1] : "";
}

/** Who can mend it, as a sentence; empty where nobody needs to. */
export function mender(label) {
  const kind = Object.hasOwn(REASONS, label) ? REASONS[label][0] : "";
  if (kind === "packet") return "No router would forward such a packet.";
  if (kind === "mesh") return "The relays of a site do not agree yet; `relay mesh status` shows them.";
  return kind === "relay" ? "The relay's own state is wrong; `relay up` repairs it." : "";
}

/** Counts above zero as `[label, count]`, most first. */
export function mostFirst(counts) {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
}

/** `2 no_rule, 1 rate`, as `relay stats` shows them. */
export function mostFirstText(counts) {
  const shown = mostFirst(counts).map(([label, count]) => `${count} ${label}`);
  return shown.join(", ") || "0 packets";
}
