//! Constants of a guard, set when it is loaded. The verifier knows their values.

use core::ptr::read_volatile;

use relay_common::guard::Limit;

#[unsafe(no_mangle)]
static GUARD_PORT: u16 = 0;
#[unsafe(no_mangle)]
static GUARD_INTERVAL_NS: u64 = 0;
#[unsafe(no_mangle)]
static GUARD_TOLERANCE_NS: u64 = 0;

/// The relay's UDP port, as it lies in the header.
#[inline(always)]
pub fn port() -> u16 {
    read(&GUARD_PORT)
}

/// What a source may send.
#[inline(always)]
pub fn limit() -> Limit {
    Limit { interval_ns: read(&GUARD_INTERVAL_NS), tolerance_ns: read(&GUARD_TOLERANCE_NS) }
}

#[inline(always)]
fn read<T: Copy>(setting: &'static T) -> T {
    // SAFETY: a static that is initialised and never written by a program. The volatile read keeps
    // the compiler from using the zero above.
    unsafe { read_volatile(setting) }
}
