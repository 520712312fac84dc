//! All pinned maps.

use relay_common::{
    Event, PairCounters, PeerCounters,
    counters::{DROPPED_STRIDE, MAX_PAIRS_COUNTED, MAX_RULES, RuleCounters},
    event::EVENTS_KEPT,
    flow::{DATAGRAM_SETS, FlowSet, SETS},
    guard::{Attempt, Counts, Flow, FlowKey},
    held,
    mesh::{Claim, MOVES_LEN},
    meter::Used,
    names,
    trial::{Difference, DifferenceKey, MAX_DIFFERENCES, Tried},
    usage::{MAX_HOLDERS, MAX_USES, Use, UseKey},
};

use super::map::{
    Entries::{Configured, Fixed, Growing, Multiple, PerEntry, PerProcessor},
    PinnedMap,
};

/// Slots of peers are below this. Kernel WireGuard has four times as many peers
/// (`MAX_PEERS_PER_DEVICE`, drivers/net/wireguard/messages.h, 6.12), but a hash for that many takes
/// 16 MiB, and whoever reads a slot walks all its buckets.
pub(in super::super) const MAX_PEERS: u32 = 1 << 18;

/// Slot of each public key. No program uses it.
pub(in super::super) const SLOTS: PinnedMap =
    PinnedMap::hash::<[u8; 32], u32>("slots", "slots", Fixed(MAX_PEERS));

/// Traffic by slot, in epochs.
pub(in super::super) const COUNTERS: PinnedMap =
    PinnedMap::array::<PeerCounters>("counters", names::COUNTERS, Growing);

/// Traffic by group of processors and slot, in epochs.
pub(in super::super) const SPREAD: PinnedMap =
    PinnedMap::array::<PeerCounters>("spread", names::SPREAD, Multiple { of: &COUNTERS });

/// Dropped packets by slot and reason, in epochs.
pub(in super::super) const DROPPED: PinnedMap = PinnedMap::array::<u64>(
    "dropped",
    names::DROPPED,
    PerEntry { of: &COUNTERS, factor: DROPPED_STRIDE },
);

/// The ring of dropped packets.
pub(in super::super) const EVENTS: PinnedMap =
    PinnedMap::array::<Event>("events", names::EVENTS, Fixed(EVENTS_KEPT));

/// Number of the latest dropped packet in the ring.
pub(in super::super) const EVENT_COUNT: PinnedMap =
    PinnedMap::array::<u64>("event_count", names::EVENT_COUNT, Fixed(1));

/// Traffic by pair of slots.
pub(in super::super) const PAIRS: PinnedMap =
    PinnedMap::hash::<u64, PairCounters>("pairs", names::PAIR_COUNTERS, Fixed(MAX_PAIRS_COUNTED));

/// What each slot has used of its limits, in the epochs of the counters.
pub(in super::super) const METERS: PinnedMap =
    PinnedMap::array::<Used>("meters", names::METERS, PerEntry { of: &COUNTERS, factor: 1 });

/// Where the peer of each slot is at home, in the epochs of the counters.
pub(in super::super) const HOMES: PinnedMap =
    PinnedMap::array::<u64>("homes", names::HOMES, PerEntry { of: &COUNTERS, factor: 1 });

/// What each slot's home tells the others about its peer, in the epochs of the counters. No program
/// uses it.
pub(in super::super) const CLAIMS: PinnedMap =
    PinnedMap::array::<Claim>("claims", names::CLAIMS, PerEntry { of: &COUNTERS, factor: 1 });

/// The ring of peers that came home.
pub(in super::super) const MOVES: PinnedMap =
    PinnedMap::ring("moves", names::MOVES, Fixed(MOVES_LEN));

/// Number of each rule, by its name. No program uses it.
pub(in super::super) const RULES: PinnedMap =
    PinnedMap::hash::<[u8; 32], u32>("rules", "rules", Fixed(MAX_RULES));

/// Traffic by number of rule.
pub(in super::super) const RULE_COUNTERS: PinnedMap =
    PinnedMap::array::<RuleCounters>("rule_counters", names::RULE_COUNTERS, Fixed(MAX_RULES));

/// Flows.
pub(in super::super) const FLOWS: PinnedMap =
    PinnedMap::array::<FlowSet>("flows", names::FLOWS, Fixed(SETS));

/// The seed of their hashes. No program uses it.
pub(in super::super) const FLOW_SEED: PinnedMap =
    PinnedMap::array::<u64>("flow_seed", "flow_seed", Fixed(1));

/// Datagrams in fragments.
pub(in super::super) const FRAGMENTS: PinnedMap =
    PinnedMap::array::<FlowSet>("fragments", names::FRAGMENTS, Fixed(DATAGRAM_SETS));

/// Places of fragments that arrive before the first one.
pub(in super::super) const HELD_PLACES: u32 = held::SETS * held::PLACES;

/// Fragments that arrived before the first one.
pub(in super::super) const HELD: PinnedMap =
    PinnedMap::array::<held::Held>("held", names::HELD, Fixed(HELD_PLACES));

/// What both policies of a trial make of a packet, by processor.
pub(in super::super) const TRIED: PinnedMap =
    PinnedMap::per_processor::<Tried>("tried", names::TRIED);

/// What a candidate makes something else of.
pub(in super::super) const DIFFERENCES: PinnedMap = PinnedMap::hash::<DifferenceKey, Difference>(
    "differences",
    names::DIFFERENCES,
    Fixed(MAX_DIFFERENCES),
);

/// What peers have used of each other.
pub(in super::super) const USES: PinnedMap =
    PinnedMap::hash::<UseKey, Use>("uses", names::USES, Fixed(MAX_USES));

/// Number of services that are kept because of each slot.
pub(in super::super) const HOLDERS: PinnedMap =
    PinnedMap::hash::<u32, u64>("holders", names::HOLDERS, Fixed(MAX_HOLDERS));

/// Messages by processor and outcome.
pub(in super::super) const GUARD_COUNTS: PinnedMap =
    PinnedMap::array::<Counts>("guard_counts", names::GUARD_COUNTS, PerProcessor);

/// Buckets of sources.
pub(in super::super) const GUARD_SOURCES: PinnedMap =
    PinnedMap::lru_hash::<u64, u64>("guard_sources", names::GUARD_SOURCES, Configured);

/// Confirmed flows.
pub(in super::super) const GUARD_FLOWS: PinnedMap =
    PinnedMap::lru_hash::<FlowKey, Flow>("guard_flows", names::GUARD_FLOWS, Configured);

/// Initiations that no data has followed.
pub(in super::super) const GUARD_ATTEMPTS: PinnedMap =
    PinnedMap::lru_hash::<FlowKey, Attempt>("guard_attempts", names::GUARD_ATTEMPTS, Configured);

/// All declarations.
pub(super) const ALL: [&PinnedMap; 25] = [
    &SLOTS,
    &COUNTERS,
    &SPREAD,
    &DROPPED,
    &EVENTS,
    &EVENT_COUNT,
    &PAIRS,
    &METERS,
    &HOMES,
    &CLAIMS,
    &MOVES,
    &RULES,
    &RULE_COUNTERS,
    &FLOWS,
    &FLOW_SEED,
    &FRAGMENTS,
    &HELD,
    &TRIED,
    &DIFFERENCES,
    &USES,
    &HOLDERS,
    &GUARD_COUNTS,
    &GUARD_SOURCES,
    &GUARD_FLOWS,
    &GUARD_ATTEMPTS,
];
