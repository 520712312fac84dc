//! Constants of a guard, set when it is loaded. The verifier knows their values.

use core::ptr::read_volatile;

use relay_common::{bucket::Bucket, guard::confirmations};

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

/// The relay's UDP port, in network byte order.
#[inline(always)]
pub fn port() -> u32 {
    read(&GUARD_GLANCE[0])
}

/// An IPv4 block that contains the overlay, and its mask, in network byte order.
#[inline(always)]
pub fn overlay_v4() -> [u32; 2] {
    [read(&GUARD_GLANCE[1]), read(&GUARD_GLANCE[2])]
}

/// The first four bytes of the overlay's IPv6 addresses, in network byte order, and whether these
/// differ.
#[inline(always)]
pub fn overlay_v6() -> (u32, bool) {
    (read(&GUARD_GLANCE[3]), read(&GUARD_GLANCE[4]) != 0)
}

/// Limit of initiations from a source.
#[inline(always)]
pub fn limit() -> Bucket {
    Bucket { interval_ns: read(&GUARD_INTERVAL_NS), tolerance_ns: read(&GUARD_TOLERANCE_NS) }
}

/// Limit of new confirmed flows.
#[inline(always)]
pub fn confirmed() -> Bucket {
    confirmations(read(&GUARD_ROOM))
}

/// The seed of [`relay_common::guard::Suspicion::place`].
#[inline(always)]
pub fn seed() -> u64 {
    read(&GUARD_SEED)
}

#[inline(always)]
fn read<T: Copy>(setting: &'static T) -> T {
    // SAFETY: the static is initialised, and no program writes it. The volatile read keeps the
    // compiler from using the zero above.
    unsafe { read_volatile(setting) }
}
