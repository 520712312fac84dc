//! Counters, indexed by slot.

use bytemuck::{Pod, Zeroable};

use crate::Reason;

/// Traffic of one peer, seen from the relay: rx is from the peer, tx to it.
///
/// Bytes are those of the inner IP packets on the wire: a GRO aggregate counts as the packets it
/// was made of, each with its header. One cache line, updated by atomic adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct PeerCounters {
    /// Packets from the peer that were relayed to another peer.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets of other peers relayed to the peer.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Packets from the peer to the relay itself, or through it to beyond the overlay.
    pub host_rx_packets: u64,
    /// Their bytes.
    pub host_rx_bytes: u64,
    /// Packets from the relay itself, or through it from beyond the overlay, to the peer.
    pub host_tx_packets: u64,
    /// Their bytes.
    pub host_tx_bytes: u64,
}

const _: () = assert!(size_of::<PeerCounters>() == 64);

/// Traffic from one peer to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PairCounters {
    /// Packets relayed.
    pub packets: u64,
    /// Their bytes, as in [`PeerCounters`].
    pub bytes: u64,
}

const _: () = assert!(size_of::<PairCounters>() == 16);

/// Traffic that a rule let through, in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RuleCounters {
    /// Packets relayed.
    pub packets: u64,
    /// Their bytes, as in [`PeerCounters`].
    pub bytes: u64,
    /// Flows begun.
    pub flows: u64,
    /// When a packet came last that is none of an established flow, nanoseconds of the boot clock; 0 if
    /// none came.
    pub last_ns: u64,
}

const _: () = assert!(size_of::<RuleCounters>() == 32);

/// Numbers of rules are below this. Number 0 stands for no rule.
pub const MAX_RULES: u32 = 1 << 14;

/// Largest number of pairs of peers with counters of their own.
pub const MAX_PAIRS_COUNTED: u32 = 1 << 20;

/// Key of the counters of all pairs without counters of their own.
pub const OTHER_PAIRS: u64 = u64::MAX;

/// Key of a pair of slots.
#[inline(always)]
pub const fn pair_key(source: u32, destination: u32) -> u64 {
    (source as u64) << 32 | destination as u64
}

/// The slots of a key.
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
pub const fn pair_slots(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// Counters of dropped packets reserved for each slot; [`Reason::COUNT`] of them are used.
pub const DROPPED_STRIDE: u32 = 32;

const _: () = assert!(Reason::COUNT <= DROPPED_STRIDE as usize);

/// Slot of packets whose source belongs to no peer.
pub const UNATTRIBUTED_SLOT: u32 = 0;

/// Index into the array of traffic that is spread over groups of processors: of a slot, in the part of
/// the group that a processor belongs to. There are `last_group + 1` groups, a power of two, each with
/// `2^slot_bits` slots.
#[inline(always)]
pub const fn spread_index(slot: u32, processor: u32, last_group: u32, slot_bits: u32) -> u32 {
    slot | (processor & last_group) << slot_bits
}

/// Index into the array of dropped packets.
#[inline(always)]
pub const fn dropped_index(slot: u32, reason: Reason) -> u32 {
    slot * DROPPED_STRIDE + reason.index()
}

/// Bytes on the wire of a GSO aggregate of `segments` packets that is `len` bytes long with a single
/// header of `header_len` bytes (skb_gso_network_seglen(), net/core/gso.c).
#[inline(always)]
pub const fn wire_bytes(len: u32, segments: u32, header_len: u32) -> u64 {
    len as u64 + (segments as u64 - 1) * header_len as u64
}
