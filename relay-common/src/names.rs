//! Names and numbers by which the loader finds what the programs declare.

/// Version of every layout in this crate. Of another version's pins only those are used whose name
/// and shape are this version's.
pub const ABI_VERSION: u32 = 1;

/// Bits of `skb->mark` that `relay_ingress` sets on what it passes up; the fence drops what lacks
/// one of them. All other bits are left as they are.
///
/// Bits that nothing known uses: kube-proxy 0xc000, CNI port mappings 0x2000, Cilium 0x0f00,
/// Tailscale 0xff0000, Weave 0x70000, AWS' CNI 0x80, Istio 0x539, wg-quick 0xca6c, Calico the lowest
/// of 0xffff0000 that it needs, Antrea 0x80000000. Two of them, so that no single bit that somebody
/// sets on every packet opens the fence.
pub const PASSED: u32 = 0x1000_1000;

/// Bits of `skb->mark` that the fence sets on answers of published ports to peers.
pub const ANSWER: u32 = PASSED | 0x2000_0000;

const _: () = assert!(crate::question::QUESTION & PASSED != PASSED);

/// Program on ingress of the WireGuard interface.
pub const INGRESS_PROGRAM: &str = "relay_ingress";
/// Program on egress of the WireGuard interface.
pub const EGRESS_PROGRAM: &str = "relay_egress";

/// XDP program on the underlay interfaces.
pub const GUARD_PROGRAM: &str = "relay_guard";

/// Section of [`crate::Leaf`], indexed by the host part of IPv4 overlay addresses.
pub const LEAVES_V4: &str = ".rodata.v4";
/// Section of [`crate::Leaf`], indexed by the host part of IPv6 overlay addresses.
pub const LEAVES_V6: &str = ".rodata.v6";
/// Section of [`crate::Pair`], row-displaced.
pub const PAIRS: &str = ".rodata.pairs";
/// LPM trie of [`crate::Leaf`] for IPv4 addresses outside the array's range.
pub const PREFIXES_V4: &str = "PREFIXES_V4";
/// LPM trie of [`crate::Leaf`] for IPv6 addresses outside the array's range.
pub const PREFIXES_V6: &str = "PREFIXES_V6";
/// Hash of host ports open to peers: [`crate::verdict::port_key`] → 1.
pub const HOST_PORTS: &str = "HOST_PORTS";
/// Array of `u64`, indexed by slot: when the next ICMP error to a peer is due.
pub const ERRORS_DUE: &str = "ERRORS_DUE";
/// Array with one [`crate::Generation`].
pub const GENERATION: &str = "GENERATION";
/// Array of [`crate::PeerCounters`], indexed by slot; outlives generations.
pub const COUNTERS: &str = "COUNTERS";
/// Array of `u64` packets, indexed by [`crate::refused_index`]; outlives generations.
pub const REFUSED: &str = "REFUSED";

/// Array of [`crate::event::Event`], a ring; outlives generations.
pub const EVENTS: &str = "EVENTS";
/// Array with one `u64`: how many events there were; outlives generations.
pub const EVENT_COUNT: &str = "EVENT_COUNT";
/// Hash of [`crate::counters::pair_key`] → [`crate::PairCounters`]; outlives generations.
pub const PAIR_COUNTERS: &str = "PAIR_COUNTERS";

/// Array with one [`crate::guard::Identity`].
pub const GUARD: &str = "GUARD";
/// Array of [`crate::guard::Counts`], indexed by processor; outlives the guard.
pub const GUARD_COUNTS: &str = "GUARD_COUNTS";
/// LRU hash of a source's bucket: [`crate::guard::source_v4`] or its neighbour → `u64`.
pub const GUARD_SOURCES: &str = "GUARD_SOURCES";
/// LRU hash of [`crate::guard::FlowKey`] → [`crate::guard::Flow`].
pub const GUARD_FLOWS: &str = "GUARD_FLOWS";
/// Longest-prefix trie of the overlay's networks, those of IPv4 as IPv4-mapped ones.
pub const GUARD_OVERLAY: &str = "GUARD_OVERLAY";
/// LRU hash of [`crate::guard::FlowKey`] → [`crate::guard::Attempt`].
pub const GUARD_ATTEMPTS: &str = "GUARD_ATTEMPTS";

/// Ring buffer of aya-log.
pub const LOGS: &str = "AYA_LOGS";

/// Host-order network of the IPv4 array's range.
pub const V4_BASE: &str = "V4_BASE";
/// Host part of the IPv4 array's range: its size less one.
pub const V4_HOST_MASK: &str = "V4_HOST_MASK";
/// Upper 64 bits of the IPv6 array's range, host order.
pub const V6_BASE_HIGH: &str = "V6_BASE_HIGH";
/// Lower 64 bits of the IPv6 array's range, host order.
pub const V6_BASE_LOW: &str = "V6_BASE_LOW";
/// Host part of the IPv6 array's range: its size less one.
pub const V6_HOST_MASK: &str = "V6_HOST_MASK";
/// Highest index of a pair.
pub const LAST_PAIR: &str = "LAST_PAIR";
/// The relay's IPv4 overlay address, host order; 0 is none.
pub const RELAY_V4: &str = "RELAY_V4";
/// Upper half of the relay's IPv6 overlay address, host order; both halves 0 is none.
pub const RELAY_V6_HIGH: &str = "RELAY_V6_HIGH";
/// Lower half of the relay's IPv6 overlay address, host order.
pub const RELAY_V6_LOW: &str = "RELAY_V6_LOW";
/// WireGuard's UDP port, host order.
pub const LISTEN_PORT: &str = "LISTEN_PORT";
/// MTU of the WireGuard interface, bytes.
pub const MTU: &str = "MTU";
/// Longest packet that goes by redirect without a closer look, bytes; 0 is none.
pub const DIRECT_MTU: &str = "DIRECT_MTU";
/// [`FAST_PATH`] and its neighbours.
pub const FEATURES: &str = "FEATURES";
/// One of [`crate::verdict::HostPolicy`]'s numbers.
pub const HOST_POLICY: &str = "HOST_POLICY";

/// What the guard's first look knows, as it lies in headers: the UDP port, in the lower half of a
/// word; a block of IPv4 around the overlay, and its mask; the first four bytes of an IPv6 address
/// in the overlay; not 0 where those are not all the same.
pub const GUARD_GLANCE: &str = "GUARD_GLANCE";
/// Of the limit of a source ([`crate::guard::Limit`]): nanoseconds in which a token comes back.
pub const GUARD_INTERVAL_NS: &str = "GUARD_INTERVAL_NS";
/// Of the same limit: how far its bucket may be from full, nanoseconds.
pub const GUARD_TOLERANCE_NS: &str = "GUARD_TOLERANCE_NS";

/// Flows of the guard that there is room for.
pub const GUARD_ROOM: &str = "GUARD_ROOM";
/// A random number that the guard mixes into addresses and ports.
pub const GUARD_SEED: &str = "GUARD_SEED";

/// Bit of [`FEATURES`]: packets between peers leave by redirect.
pub const FAST_PATH: u32 = 1;
/// Bit of [`FEATURES`]: packets to addresses nobody owns go to the host's routing when the
/// sender's list holds them, and may come back.
pub const EGRESS_STACK: u32 = 2;
/// Bit of [`FEATURES`]: every packet is logged.
pub const TRACE: u32 = 4;
/// Bit of [`FEATURES`]: relayed packets are counted for each pair of peers too.
pub const PAIR_STATS: u32 = 8;
