//! Numbers compared without branches.
//!
//! VERIFIER: in a loop with branches it follows every combination of the ways that they may go.
//! `opaque` returns its argument, and keeps the compiler from putting branches back.

/// 1 if `one` is below `other`, else 0; both are below 2^63.
#[inline(always)]
pub const fn is_below(one: u64, other: u64) -> u64 {
    one.wrapping_sub(other) >> 63
}

/// The lesser of two numbers below 2^63.
#[inline(always)]
pub fn lesser(one: u64, other: u64, opaque: impl Fn(u64) -> u64) -> u64 {
    let difference = one.wrapping_sub(other);
    other.wrapping_add(difference & 0u64.wrapping_sub(opaque(difference >> 63)))
}
