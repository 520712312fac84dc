//! Names and numbers that programs and loader agree on.

/// Version of all layouts in this crate. A pin of another version is used only if its name and shape
/// are those of this version.
pub const ABI_VERSION: u32 = 4;

/// Bits of `skb->mark` that `relay_ingress` sets on packets that it passes up. The fence drops
/// packets that lack one of them. All other bits stay as they are.
///
/// No known software uses these bits: kube-proxy uses 0xc000, CNI port mappings 0x2000, Cilium 0x0f00,
/// Tailscale 0xff0000, Weave 0x70000, AWS' CNI 0x80, Istio 0x539, wg-quick 0xca6c, Calico as many of
/// 0xffff0000 as it needs from the lowest, Antrea 0x80000000. There are two bits so that software that
/// sets one bit on every packet does not open the fence.
pub const PASSED: u32 = 0x1000_1000;

/// Bits of `skb->mark` that the fence sets on answers from published ports to peers.
pub const ANSWER: u32 = PASSED | 0x2000_0000;

const _: () = assert!(crate::probe::PROBE & PASSED != PASSED);

/// Program on ingress of the WireGuard interface.
pub const INGRESS_PROGRAM: &str = "relay_ingress";
/// Program on egress of the WireGuard interface.
pub const EGRESS_PROGRAM: &str = "relay_egress";

/// [`INGRESS_PROGRAM`] that compares what it decides with what [`TRIAL_PROGRAM`] left, while a
/// candidate is tried.
pub const COMPARING_PROGRAM: &str = "relay_compare";
/// Program in front of it, which decides by the candidate and does nothing.
pub const TRIAL_PROGRAM: &str = "relay_trial";

/// [`INGRESS_PROGRAM`] that counts what peers use of each other, while that is learnt.
pub const LEARNING_PROGRAM: &str = "relay_learn";

/// Program on ingress of the transit interfaces.
pub const TRANSIT_PROGRAM: &str = "relay_transit";

/// XDP program on the underlay interfaces.
pub const GUARD_PROGRAM: &str = "relay_guard";

/// Section of [`crate::Leaf`], indexed by the host part of IPv4 overlay addresses.
pub const LEAVES_V4: &str = ".rodata.v4";
/// Section of [`crate::Leaf`], indexed by the host part of IPv6 overlay addresses.
pub const LEAVES_V6: &str = ".rodata.v6";
/// Section of [`crate::Cell`], row-displaced.
pub const CELLS: &str = ".rodata.cells";
/// Section of [`crate::rules::Directions`], parallel to [`CELLS`].
pub const DIRECTIONS: &str = ".rodata.dirs";
/// Section of [`crate::rules::RuleSet`], indexed by number.
pub const RULE_SETS: &str = ".rodata.sets";
/// Section of [`crate::rules::Grant`], row-displaced: rule sets by service class.
pub const GRANTS: &str = ".rodata.grants";
/// Section of `u16`: the class of each [`crate::service`] index.
pub const SERVICES: &str = ".rodata.services";
/// Section of `u64`, indexed by rule: when it ends, nanoseconds of TAI.
pub const RULE_ENDS: &str = ".rodata.ends";
/// Section of [`crate::limits::Limits`], indexed by slot.
pub const LIMITS: &str = ".rodata.limits";
/// LPM trie of [`crate::Leaf`] for IPv4 addresses outside the array's range.
pub const PREFIXES_V4: &str = "PREFIXES_V4";
/// LPM trie of [`crate::Leaf`] for IPv6 addresses outside the array's range.
pub const PREFIXES_V6: &str = "PREFIXES_V6";
/// Hash of host ports open to peers: [`crate::host_access::port_key`] → 1.
pub const HOST_PORTS: &str = "HOST_PORTS";
/// Array of `u64`, indexed by slot: state of the bucket [`crate::icmp::ERRORS`].
pub const ERRORS_DUE: &str = "ERRORS_DUE";
/// Array with one [`crate::Generation`].
pub const GENERATION: &str = "GENERATION";
/// Array of [`crate::PeerCounters`], indexed by slot; outlives generations.
pub const COUNTERS: &str = "COUNTERS";
/// Array of [`crate::PeerCounters`], indexed by [`crate::counters::spread_index`]: what processors count
/// instead of in [`COUNTERS`] where there are several; outlives generations.
pub const SPREAD: &str = "SPREAD";
/// Array of `u64` dropped packets, indexed by [`crate::dropped_index`]; outlives generations.
pub const DROPPED: &str = "DROPPED";

/// Array of [`crate::event::Event`], a ring; outlives generations.
pub const EVENTS: &str = "EVENTS";
/// Array with one `u64`: number of the latest event; outlives generations.
pub const EVENT_COUNT: &str = "EVENT_COUNT";
/// Hash of [`crate::counters::pair_key`] → [`crate::PairCounters`]; outlives generations.
pub const PAIR_COUNTERS: &str = "PAIR_COUNTERS";

/// Array of [`crate::flow::FlowSet`]; outlives generations.
pub const FLOWS: &str = "FLOWS";
/// Array of `u64`, indexed by slot: state of the bucket [`crate::flow::OPENINGS`].
pub const OPENINGS_DUE: &str = "OPENINGS_DUE";
/// Array of [`crate::flow::FlowSet`] for datagrams in fragments; outlives generations.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// Array of [`crate::held::Held`]; outlives generations.
pub const HELD: &str = "HELD";
/// Array of [`crate::counters::RuleCounters`], indexed by rule; outlives generations.
pub const RULE_COUNTERS: &str = "RULE_COUNTERS";

/// Array of [`crate::meter::Meter`], indexed by slot; outlives generations.
pub const METERS: &str = "METERS";

/// Array by processor with one [`crate::trial::Tried`], of a trial.
pub const TRIED: &str = "TRIED";
/// Hash of [`crate::trial::DifferenceKey`] → [`crate::trial::Difference`], of a trial.
pub const DIFFERENCES: &str = "DIFFERENCES";

/// Hash of [`crate::usage::UseKey`] → [`crate::usage::Use`]; outlives generations.
pub const USES: &str = "USES";
/// Hash of slots → `u64`: the services in [`USES`] that a peer was the first to send a packet of;
/// outlives generations.
pub const HOLDERS: &str = "HOLDERS";

/// Array of the words of [`crate::mesh::Home`], indexed by slot; outlives generations.
pub const HOMES: &str = "HOMES";
/// Ring buffer of slots (`u32`) of peers whose home became this relay; outlives generations.
pub const MOVES: &str = "MOVES";

/// Array of [`crate::mesh::Claim`], indexed by slot. No program uses it.
pub const CLAIMS: &str = "CLAIMS";

/// Array with one [`crate::mesh::Identity`].
pub const TRANSIT: &str = "TRANSIT";

/// Array with one [`crate::guard::Identity`].
pub const GUARD: &str = "GUARD";
/// Array of [`crate::guard::Counts`], indexed by processor; outlives the guard.
pub const GUARD_COUNTS: &str = "GUARD_COUNTS";
/// LRU hash of the buckets of sources: [`crate::guard::source_v4`] or
/// [`crate::guard::source_v6`] → `u64`.
pub const GUARD_SOURCES: &str = "GUARD_SOURCES";
/// LRU hash of [`crate::guard::FlowKey`] → [`crate::guard::Flow`].
pub const GUARD_FLOWS: &str = "GUARD_FLOWS";
/// LPM trie of the overlay's networks, those of IPv4 as IPv4-mapped ones.
pub const GUARD_OVERLAY: &str = "GUARD_OVERLAY";
/// LRU hash of [`crate::guard::FlowKey`] → [`crate::guard::Attempt`].
pub const GUARD_ATTEMPTS: &str = "GUARD_ATTEMPTS";

/// Ring buffer of aya-log.
pub const LOGS: &str = "AYA_LOGS";

/// Host-order network of the IPv4 array's range.
pub const V4_BASE: &str = "V4_BASE";
/// Host part of the IPv4 array's range: its size minus one.
pub const V4_HOST_MASK: &str = "V4_HOST_MASK";
/// Upper 64 bits of the IPv6 array's range, host order.
pub const V6_BASE_HIGH: &str = "V6_BASE_HIGH";
/// Lower 64 bits of the IPv6 array's range, host order.
pub const V6_BASE_LOW: &str = "V6_BASE_LOW";
/// Host part of the IPv6 array's range: its size minus one.
pub const V6_HOST_MASK: &str = "V6_HOST_MASK";
/// Highest index of a cell.
pub const LAST_CELL: &str = "LAST_CELL";
/// Highest index of a rule set.
pub const LAST_SET: &str = "LAST_SET";
/// Highest index of a grant.
pub const LAST_GRANT: &str = "LAST_GRANT";
/// Highest number of a rule.
pub const LAST_RULE: &str = "LAST_RULE";
/// Highest slot of a peer.
pub const LAST_SLOT: &str = "LAST_SLOT";
/// Highest number of a group of processors with counters of its own; 0 if all count in [`COUNTERS`].
pub const LAST_GROUP: &str = "LAST_GROUP";
/// Bits of the slots in each group's part of [`SPREAD`].
pub const SLOT_BITS: &str = "SLOT_BITS";
/// TAI minus UTC, seconds.
pub const TAI_OFFSET_S: &str = "TAI_OFFSET_S";
/// The lower half of [`crate::Generation::number`].
pub const GENERATION_NUMBER: &str = "GENERATION_NUMBER";
/// A random number that is mixed into the hashes of flows, the same for as long as the flows live.
pub const FLOW_SEED: &str = "FLOW_SEED";
/// The relay's IPv4 overlay address, host order; 0 if it has none.
pub const RELAY_V4: &str = "RELAY_V4";
/// Upper half of the relay's IPv6 overlay address, host order; both halves are 0 if it has none.
pub const RELAY_V6_HIGH: &str = "RELAY_V6_HIGH";
/// Lower half of the relay's IPv6 overlay address, host order.
pub const RELAY_V6_LOW: &str = "RELAY_V6_LOW";
/// WireGuard's UDP port, host order.
pub const LISTEN_PORT: &str = "LISTEN_PORT";
/// MTU of the WireGuard interface, bytes.
pub const MTU: &str = "MTU";
/// Longest packet that takes the fast path, bytes; 0 turns the fast path off. In a mesh
/// [`MESHED`] more.
pub const DIRECT_MTU: &str = "DIRECT_MTU";
/// Added to [`DIRECT_MTU`] in a mesh: more than any MTU. So the fast path tells by a number that it has
/// read anyway, and without a mesh the verifier leaves nothing of the test.
pub const MESHED: u32 = 1 << 16;
/// [`FAST_PATH`] and the other feature bits.
pub const FEATURES: &str = "FEATURES";
/// Number of a [`crate::host_access::HostPolicy`].
pub const HOST_POLICY: &str = "HOST_POLICY";

/// Index of the relay's WireGuard interface, to which `relay_transit` redirects.
pub const OWN_INTERFACE: &str = "OWN_INTERFACE";
/// Upper 64 bits of the addresses on transit interfaces, host order.
pub const TRANSIT_HIGH: &str = "TRANSIT_HIGH";

/// What the guard's fast path compares header fields with, in network byte order: the UDP port, in
/// the lower half of a word; an IPv4 block that contains the overlay, and its mask; the first four
/// bytes of the overlay's IPv6 addresses; the UDP port again, or [`NO_PORT`] if those differ.
pub const GUARD_GLANCE: &str = "GUARD_GLANCE";
/// Not a UDP port: every IPv6 datagram takes the slow path.
pub const NO_PORT: u32 = u32::MAX;
/// `interval_ns` of the [`crate::bucket::Bucket`] of a source.
pub const GUARD_INTERVAL_NS: &str = "GUARD_INTERVAL_NS";
/// `tolerance_ns` of the [`crate::bucket::Bucket`] of a source.
pub const GUARD_TOLERANCE_NS: &str = "GUARD_TOLERANCE_NS";

/// Capacity of the guard's table of flows.
pub const GUARD_ROOM: &str = "GUARD_ROOM";
/// A random number that the guard mixes into addresses and ports.
pub const GUARD_SEED: &str = "GUARD_SEED";

/// Bit of [`FEATURES`]: packets between peers leave by redirect.
pub const FAST_PATH: u32 = 1;
/// Bit of [`FEATURES`]: packets to addresses that nobody owns go to the host's routing if the
/// sender's list contains them, and answers may come back.
pub const EGRESS_STACK: u32 = 2;
/// Bit of [`FEATURES`]: every packet is logged.
pub const TRACE: u32 = 4;
/// Bit of [`FEATURES`]: relayed packets are also counted by pair of peers.
pub const PAIR_STATS: u32 = 8;
/// Bit of [`FEATURES`]: there are rules.
pub const RULES: u32 = 16;
/// Bit of [`FEATURES`]: some rules end.
pub const ENDS: u32 = 32;
/// Bit of [`FEATURES`]: some peers have limits.
pub const LIMITED: u32 = 64;
/// Bit of [`FEATURES`]: peers may be at home at other relays.
pub const MESH: u32 = 128;
