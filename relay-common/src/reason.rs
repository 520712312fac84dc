//! Why a packet was not relayed.

/// What a reason tells of the sender's or the relay's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The policy says no: some list or setting is short.
    Policy,
    /// No router would forward this packet.
    Packet,
    /// The relay's own state is wrong; `relay up` repairs it.
    Relay,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $index:literal, $label:literal, $disposition:ident;)+) => {
        /// Why a packet was not relayed: exactly one for every refused packet.
        ///
        /// Labels are spelled the same in text, JSON and Prometheus. Indices are part of the ABI.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name = $index,)+
        }

        impl Reason {
            /// Every reason, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its spelling in every output.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// What it means, in the words of its documentation.
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+).trim_ascii(),)+
                }
            }

            /// Whose side it tells of.
            pub const fn disposition(self) -> Disposition {
                match self {
                    $(Self::$name => Disposition::$disposition,)+
                }
            }
        }
    };
}

reasons! {
    /// Neither peer's allowed_ips hold the other.
    NotInEitherList = 0, "not_in_either_list", Policy;
    /// The sender's allowed_ips lack the destination; the receiver's hold the source.
    NotInSourceList = 1, "not_in_source_list", Policy;
    /// The receiver's allowed_ips lack the source; the sender's hold the destination.
    NotInDestinationList = 2, "not_in_destination_list", Policy;
    /// No peer owns the destination and egress does not take it.
    DestinationUnknown = 3, "destination_unknown", Policy;
    /// No peer owns the source.
    SourceUnknown = 4, "source_unknown", Policy;
    /// The relay itself is the destination and host_access does not allow it.
    HostAccess = 5, "host_access", Policy;
    /// Forwarded into the overlay from another interface, which egress does not allow.
    ForwardedIn = 6, "forwarded_in", Policy;
    /// Sender and receiver are the same peer.
    Hairpin = 7, "hairpin", Packet;
    /// TTL or hop limit used up.
    TtlExceeded = 8, "ttl_exceeded", Packet;
    /// Larger than the interface's MTU, and not to be fragmented.
    TooBig = 9, "too_big", Packet;
    /// Version, header length or total length contradict the packet.
    MalformedHeader = 10, "malformed_header", Packet;
    /// IPv4 header checksum wrong.
    BadChecksum = 11, "bad_checksum", Packet;
    /// IPv4 options or an IPv6 hop-by-hop header.
    IpOptions = 12, "ip_options", Packet;
    /// An IPv6 routing header.
    SourceRouting = 13, "source_routing", Packet;
    /// A multicast address.
    Multicast = 14, "multicast", Packet;
    /// A broadcast address, of the overlay or the limited one.
    Broadcast = 15, "broadcast", Packet;
    /// A link-local address.
    LinkLocal = 16, "link_local", Packet;
    /// A loopback, unspecified, IPv4-mapped or reserved address.
    ReservedAddress = 17, "reserved_address", Packet;
    /// Program and counters disagree about a slot.
    Inconsistent = 18, "inconsistent", Relay;
    /// fast_path is off, and the host's routing does not send the packet out of the interface.
    NotRouted = 19, "not_routed", Relay;
    /// A message of the relay's own WireGuard, on its way into the tunnel that it is for.
    OwnTunnel = 20, "own_tunnel", Packet;
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its index in the ABI.
    pub const fn index(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_positions_and_labels_are_unique() {
        for (position, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index() as usize, position);
            assert_eq!(Reason::ALL.iter().filter(|r| r.label() == reason.label()).count(), 1);
            assert!(reason.label().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!(reason.describe().ends_with('.'));
        }
    }
}
