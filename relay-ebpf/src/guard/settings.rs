//! Constants of a guard, set when it is loaded. The verifier knows their values.

use core::ptr::read_volatile;

use relay_common::guard::{Limit, confirmations};

#[unsafe(no_mangle)]
static GUARD_GLANCE: [u32; 5] = [0; 5];
#[unsafe(no_mangle)]
static GUARD_INTERVAL_NS: u64 = 0;
#[unsafe(no_mangle)]
static GUARD_TOLERANCE_NS: u64 = 0;
#[unsafe(no_mangle)]
static GUARD_ROOM: u32 = 0;
#[unsafe(no_mangle)]
static GUARD_SEED: u64 = 0;

/// The relay's UDP port, as it lies in the header.
#[inline(always)]
pub fn port() -> u32 {
    read(&GUARD_GLANCE[0])
}

/// A block of IPv4 around the overlay, and its mask, as they lie in the header.
#[inline(always)]
pub fn overlay_v4() -> [u32; 2] {
    [read(&GUARD_GLANCE[1]), read(&GUARD_GLANCE[2])]
}

/// The first four bytes of an IPv6 address in the overlay, as they lie in the header, and whether
/// they are not all the same.
#[inline(always)]
pub fn overlay_v6() -> (u32, bool) {
    (read(&GUARD_GLANCE[3]), read(&GUARD_GLANCE[4]) != 0)
}

/// What a source may send.
#[inline(always)]
pub fn limit() -> Limit {
    Limit { interval_ns: read(&GUARD_INTERVAL_NS), tolerance_ns: read(&GUARD_TOLERANCE_NS) }
}

/// How many flows may be confirmed in a while.
#[inline(always)]
pub fn confirmed() -> Limit {
    confirmations(read(&GUARD_ROOM))
}

/// What nobody outside knows.
#[inline(always)]
pub fn seed() -> u64 {
    read(&GUARD_SEED)
}

#[inline(always)]
fn read<T: Copy>(setting: &'static T) -> T {
    // SAFETY: a static that is initialised and never written by a program. The volatile read keeps
    // the compiler from using the zero above.
    unsafe { read_volatile(setting) }
}
