//! Constants of a guard, set when it is loaded. The verifier knows their values.

use core::ptr::read_volatile;

use relay_common::{bucket::Bucket, guard::confirmations, names::NO_PORT};

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

/// The first four bytes of the overlay's IPv6 addresses, in network byte order. [`port_v6`] is
/// [`NO_PORT`] if these differ.
#[inline(always)]
pub fn overlay_v6() -> u32 {
    read(&GUARD_GLANCE[3])
}

/// [`port`], or [`NO_PORT`] if [`overlay_v6`] does not cover the overlay.
#[inline(always)]
pub fn port_v6() -> u32 {
    read(&GUARD_GLANCE[4])
}

/// Whether an address (upper and lower half, host byte order) is in the blocks that contain the
/// overlay. Most are not, and need no trie look-up.
#[inline(always)]
pub fn may_be_overlay([high, low]: [u64; 2]) -> bool {
    let [block, mask] = overlay_v4();
    let is_v4 = high == 0 && low >> 32 == 0xffff;
    port_v6() == NO_PORT
        || ((high >> 32) as u32).to_be() == overlay_v6()
        || is_v4 && (low as u32).to_be() & mask == block
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
