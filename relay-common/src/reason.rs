//! Why a packet was dropped.

/// What a reason says about the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The policy does not allow the packet: a list or a setting lacks something.
    Policy,
    /// No router would forward this packet.
    Packet,
    /// The relay's own state is wrong; `relay up` repairs it.
    Relay,
    /// The relays of a mesh do not agree where a peer is at home; their agents settle it.
    Mesh,
}

labelled! {
    /// Why a packet was dropped. Every dropped packet has exactly one reason.
    pub enum Reason;

    /// What the reason says about the cause.
    disposition: Disposition;

    /// Neither peer's allowed_ips hold the other.
    NotInEitherList = 0, "not_in_either_list", Disposition::Policy;
    /// The sender's allowed_ips lack the destination; the receiver's hold the source.
    NotInSourceList = 1, "not_in_source_list", Disposition::Policy;
    /// The receiver's allowed_ips lack the source; the sender's hold the destination.
    NotInDestinationList = 2, "not_in_destination_list", Disposition::Policy;
    /// No peer owns the destination and egress does not take it.
    DestinationUnknown = 3, "destination_unknown", Disposition::Policy;
    /// No peer owns the source.
    SourceUnknown = 4, "source_unknown", Disposition::Policy;
    /// The relay itself is the destination and host_access does not allow it.
    HostAccess = 5, "host_access", Disposition::Policy;
    /// Forwarded into the overlay from another interface, which egress does not allow.
    ForwardedIn = 6, "forwarded_in", Disposition::Policy;
    /// Sender and receiver are the same peer.
    Hairpin = 7, "hairpin", Disposition::Packet;
    /// TTL or hop limit used up.
    TtlExceeded = 8, "ttl_exceeded", Disposition::Packet;
    /// Larger than the interface's MTU, and not to be fragmented.
    TooBig = 9, "too_big", Disposition::Packet;
    /// Version, header length or total length contradict the packet.
    MalformedHeader = 10, "malformed_header", Disposition::Packet;
    /// IPv4 header checksum wrong.
    BadChecksum = 11, "bad_checksum", Disposition::Packet;
    /// IPv4 options or an IPv6 hop-by-hop header.
    IpOptions = 12, "ip_options", Disposition::Packet;
    /// An IPv6 routing header.
    SourceRouting = 13, "source_routing", Disposition::Packet;
    /// A multicast address.
    Multicast = 14, "multicast", Disposition::Packet;
    /// A broadcast address, of the overlay or the limited one.
    Broadcast = 15, "broadcast", Disposition::Packet;
    /// A link-local address.
    LinkLocal = 16, "link_local", Disposition::Packet;
    /// A loopback, unspecified, IPv4-mapped or reserved address, or one of translated IPv4 (NAT64, 6to4,
    /// Teredo) or of a cloud's metadata service that no list, route or rule names.
    ReservedAddress = 17, "reserved_address", Disposition::Packet;
    /// Program and counters disagree about a slot.
    Inconsistent = 18, "inconsistent", Disposition::Relay;
    /// fast_path is off, and the host's routing does not send the packet out of the interface.
    NotRouted = 19, "not_routed", Disposition::Relay;
    /// A UDP message of the relay's own WireGuard, routed into the tunnel that it carries.
    OwnTunnel = 20, "own_tunnel", Disposition::Packet;
    /// The pair has rules, but none lets the sender begin this, and it answers no flow.
    NoRule = 21, "no_rule", Disposition::Policy;
    /// The rule that allowed it has ended (until).
    RuleEnded = 22, "rule_ended", Disposition::Policy;
    /// The sender began too many flows, in a second or at once, or the table of flows has no room.
    FlowLimit = 23, "flow_limit", Disposition::Policy;
    /// A fragment between peers with rules, whose first fragment has not passed.
    NoFirstFragment = 24, "no_first_fragment", Disposition::Packet;
    /// A fragment between peers with rules that cuts or overlaps the transport header.
    BadFragment = 25, "bad_fragment", Disposition::Packet;
    /// An ICMP error that quotes no packet of a flow between its sender and its receiver, or, to the
    /// relay, none that the relay sent to its sender.
    UnrelatedError = 26, "unrelated_error", Disposition::Packet;
    /// Sender or receiver is disabled (enabled = false).
    Disabled = 27, "disabled", Disposition::Policy;
    /// Faster than rate_from of the sender or rate_to of the receiver.
    Rate = 28, "rate", Disposition::Policy;
    /// More than the quota of the sender or of the receiver leaves in this period.
    Quota = 29, "quota", Disposition::Policy;
    /// Another relay sent it, and its source is no peer that is at home there.
    WrongHome = 30, "wrong_home", Disposition::Mesh;
    /// Another relay or the host sent it, and its destination is no peer that is at home here.
    NotHere = 31, "not_here", Disposition::Mesh;
}
