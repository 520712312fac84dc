//! Constants of a generation, set when it is loaded. The verifier knows their values and removes
//! unreachable code.

use core::ptr::read_volatile;

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident, $function:ident: $kind:ty;)+) => {
        $(
            #[unsafe(no_mangle)]
            static $name: $kind = 0;

            $(#[doc = $doc])+
            #[inline(always)]
            pub fn $function() -> $kind {
                // SAFETY: the static is initialised, and no program writes it. The volatile read
                // keeps the compiler from using the zero above.
                unsafe { read_volatile(&raw const $name) }
            }
        )+
    };
}

/// Whether this generation has all these features. Read where it is asked for: kept in a register it
/// would cost what needs none.
#[inline(always)]
pub fn has(all: u32) -> bool {
    features() & all == all
}

settings! {
    /// Host-order network of the IPv4 array's range.
    V4_BASE, v4_base: u32;
    /// Host part of the IPv4 array's range.
    V4_HOST_MASK, v4_host_mask: u32;
    /// Upper half of the IPv6 array's range, host order.
    V6_BASE_HIGH, v6_base_high: u64;
    /// Lower half of the IPv6 array's range, host order.
    V6_BASE_LOW, v6_base_low: u64;
    /// Host part of the IPv6 array's range.
    V6_HOST_MASK, v6_host_mask: u32;
    /// Highest index of a cell.
    LAST_CELL, last_cell: u32;
    /// Highest number of a rule set.
    LAST_SET, last_set: u32;
    /// Highest index of a grant.
    LAST_GRANT, last_grant: u32;
    /// Highest number of a rule.
    LAST_RULE, last_rule: u32;
    /// Highest slot of a peer.
    LAST_SLOT, last_slot: u32;
    /// Highest number of a group of processors with counters of its own; 0 if there is none.
    LAST_GROUP, last_group: u32;
    /// Bits of the slots in each group's part.
    SLOT_BITS, slot_bits: u32;
    /// TAI minus UTC, seconds, as a number that wraps.
    TAI_OFFSET_S, tai_offset_s: u64;
    /// The lower half of the number of this generation.
    GENERATION_NUMBER, generation_number: u32;
    /// Seed of the table of flows.
    FLOW_SEED, flow_seed: u64;
    /// The relay's IPv4 overlay address, host order; 0 if it has none.
    RELAY_V4, relay_v4: u32;
    /// Upper half of the relay's IPv6 overlay address, host order.
    RELAY_V6_HIGH, relay_v6_high: u64;
    /// Lower half of the relay's IPv6 overlay address, host order.
    RELAY_V6_LOW, relay_v6_low: u64;
    /// WireGuard's UDP port, host order.
    LISTEN_PORT, listen_port: u32;
    /// MTU of the interface, bytes.
    MTU, mtu: u32;
    /// Longest packet that takes the fast path, bytes; 0 turns the fast path off. In a mesh
    /// `MESHED` more.
    DIRECT_MTU, direct_mtu: u32;
    /// Feature bits of `relay_common::names`.
    FEATURES, features: u32;
    /// Number of a `relay_common::host_access::HostPolicy`.
    HOST_POLICY, host_policy: u32;
}
