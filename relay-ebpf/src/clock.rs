//! The boot clock for the fast path of flows, in ticks.
//!
//! Asking for the time takes as long as half of that path. A packet asks for its jiffy, which is one
//! load, and only the first packet of a jiffy for the time.

use core::cell::Cell;

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use relay_common::flow;

/// The lower half of a jiffy's number, and below it the time in that jiffy. One word, so that several
/// processors may write it.
struct Known(Cell<u64>);

// SAFETY: the word is read and written as a whole.
unsafe impl Sync for Known {}

/// Before the first packet: the end of time, at which every flow has expired.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.clock")]
static KNOWN: Known = Known(Cell::new(u32::MAX as u64));

/// The time, as it was earlier in this jiffy.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: the helper takes no arguments.
    let jiffy = unsafe { bpf_jiffies64() } << 32;
    // SAFETY: the static is a map value. The volatile read keeps the compiler from using its
    // initial value.
    let known = unsafe { KNOWN.0.as_ptr().read_volatile() } ^ jiffy;
    if known >> 32 == 0 {
        return known;
    }
    // SAFETY: the helper takes no arguments.
    let now = u64::from(flow::ticks(unsafe { bpf_ktime_get_boot_ns() }));
    // SAFETY: as above.
    unsafe { KNOWN.0.as_ptr().write_volatile(jiffy | now) };
    now
}
