//! Clocks for the fast paths.
//!
//! Asking for the time takes as long as half of such a path. A packet asks for its jiffy, which is one
//! load, and only the first packet of a jiffy for the time.

use core::cell::Cell;

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns, bpf_ktime_get_tai_ns};
use relay_common::{flow, period::DAY_S};

use crate::settings;

/// The lower half of a jiffy's number, and below it the time in that jiffy. One word, so that several
/// processors may write it.
struct Known(Cell<u64>);

// SAFETY: the word is read and written as a whole.
unsafe impl Sync for Known {}

/// Before the first packet: the end of time, at which every flow has expired.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.clock")]
static KNOWN: Known = Known(Cell::new(u32::MAX as u64));

/// Above its [`JIFFY_BITS`], nanoseconds of the boot clock. Before the first packet: time 0, at which
/// no bucket has refilled.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.clock")]
static KNOWN_NS: Known = Known(Cell::new(0));

/// Above its [`JIFFY_BITS`], the day.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.clock")]
static KNOWN_DAY: Known = Known(Cell::new(0));

/// Lower bits of a word that hold those of a jiffy's number. They are the same again after 65 seconds
/// at least: if nothing asked meanwhile, for one jiffy the time is that old.
const JIFFY_BITS: u32 = 16;

/// The boot clock in ticks, as it was earlier in this jiffy.
#[inline(always)]
pub fn ticks() -> u64 {
    let jiffy = jiffy() << 32;
    let known = KNOWN.read() ^ jiffy;
    if known >> 32 == 0 {
        return known;
    }
    let now = u64::from(flow::ticks(boot_ns()));
    KNOWN.write(jiffy | now);
    now
}

/// The boot clock in nanoseconds, as it was earlier in this jiffy, to 66 microseconds.
#[inline(always)]
pub fn recent_ns() -> u64 {
    KNOWN_NS.once_a_jiffy(|| boot_ns() >> JIFFY_BITS << JIFFY_BITS)
}

/// The day of UTC since 1970-01-01, as it was earlier in this jiffy.
#[inline(always)]
pub fn recent_day() -> u64 {
    KNOWN_DAY.once_a_jiffy(|| day() << JIFFY_BITS) >> JIFFY_BITS
}

/// The boot clock in nanoseconds.
#[inline(always)]
pub fn boot_ns() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The day of UTC since 1970-01-01.
#[inline(always)]
pub fn day() -> u64 {
    // SAFETY: the helper takes no arguments (kernel 6.1).
    let tai_s = unsafe { bpf_ktime_get_tai_ns() } / 1_000_000_000;
    tai_s.wrapping_sub(settings::tai_offset_s()) / DAY_S
}

#[inline(always)]
fn jiffy() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_jiffies64() }
}

impl Known {
    /// What was asked for earlier in this jiffy, or is now. Its lowest [`JIFFY_BITS`] count for
    /// nothing.
    #[inline(always)]
    fn once_a_jiffy(&self, ask: impl FnOnce() -> u64) -> u64 {
        const MASK: u64 = (1 << JIFFY_BITS) - 1;
        let jiffy = jiffy();
        let known = self.read();
        if (known ^ jiffy) & MASK == 0 {
            return known;
        }
        let asked = ask();
        self.write(asked | jiffy & MASK);
        asked
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        // SAFETY: the static is a map value. The volatile read keeps the compiler from using its
        // initial value.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    #[inline(always)]
    fn write(&self, word: u64) {
        // SAFETY: as above.
        unsafe { self.0.as_ptr().write_volatile(word) };
    }
}
