use crate::bucket::Bucket;

/// Of the initiations over the limit of their source, one in this many is let through. An attacker
/// who spoofs a peer's address and knows the relay's public key delays the peer, but shuts it out
/// no more than the kernel's queue does.
pub const BY_CHANCE: u32 = 8;

/// Limit of cookie replies from all sources together, except from flows that sent data recently.
/// The relay gets one for each handshake message that it sends to a peer under load, which is rare.
pub const COOKIE_REPLIES: Bucket = Bucket::new(200, 200);

/// Whether a random number selects one in `one_in`.
#[inline(always)]
pub const fn is_share(random: u32, one_in: u32) -> bool {
    random < u32::MAX / one_in
}

/// Key of the bucket of an IPv4 source, its address in host order. These keys lie in ::/32, which
/// nobody has (RFC 4291, section 2.4).
#[inline(always)]
pub const fn source_v4(address: u32) -> u64 {
    address as u64
}

/// Key of the bucket of an IPv6 source: its /64, the upper half of its address in host order.
#[inline(always)]
pub const fn source_v6(high: u64) -> u64 {
    high
}
