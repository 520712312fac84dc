//! Leaves of addresses, from the arrays or the tries.

use relay_common::{Leaf, header::Headers};

use crate::{
    maps,
    tables::{RangeV4, RangeV6},
};

/// The leaves of a packet's source and destination.
#[inline(always)]
pub fn leaves(headers: &Headers) -> (Leaf, Leaf) {
    match headers {
        Headers::V4(header) => (leaf_v4(header.source()), leaf_v4(header.destination())),
        Headers::V6(header) => (leaf_v6(header.source()), leaf_v6(header.destination())),
    }
}

/// The leaf of an IPv4 address in host order.
#[inline(always)]
pub fn leaf_v4(address: u32) -> Leaf {
    let leaf = RangeV4::read().leaf(address).or_else(|| maps::prefix_v4(address));
    leaf.copied().unwrap_or(Leaf::NOBODY)
}

/// The leaf of an IPv6 address in host order, upper and lower half.
#[inline(always)]
pub fn leaf_v6(address: [u64; 2]) -> Leaf {
    let leaf = RangeV6::read().leaf(address).or_else(|| maps::prefix_v6(address));
    leaf.copied().unwrap_or(Leaf::NOBODY)
}
