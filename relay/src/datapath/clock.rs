//! Clocks of the kernel, and what separates them.

use std::{fmt, time::Duration};

use relay_common::flow;
use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

/// Rules with `until` end early or late: the kernel's TAI offset has changed since their ends were
/// computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retimed {
    /// The offset then, seconds.
    pub loaded_s: i32,
    /// The offset now, seconds.
    pub now_s: i32,
}

/// A difference that is left alone, seconds: leap seconds.
const TOLERATED_S: u32 = 2;

impl Retimed {
    /// `None` if the difference of the two offsets is too small to matter.
    pub(super) fn of(loaded_s: i32, now_s: i32) -> Option<Self> {
        (loaded_s.abs_diff(now_s) > TOLERATED_S).then_some(Self { loaded_s, now_s })
    }
}

impl fmt::Display for Retimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loaded_s, now_s } = self;
        let when = if now_s > loaded_s { "early" } else { "late" };
        write!(
            f,
            "rules with until end {} s {when}: the kernel's TAI offset was {loaded_s} s when the \
             policy was loaded, and is {now_s} s",
            loaded_s.abs_diff(*now_s)
        )
    }
}

/// The boot clock, in ticks of [`flow`].
pub(super) fn boot_ticks() -> u32 {
    flow::ticks(boot_ns())
}

/// The boot clock, nanoseconds.
pub(super) fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// TAI minus UTC by the kernel's clocks, seconds: 0 until a time service sets it, then 37.
pub(super) fn tai_offset_s() -> i32 {
    loop {
        // Somebody may set the clock, or something delay this, between the two reads.
        let [first, second] = [read_offset_s(), read_offset_s()];
        if first == second {
            return first;
        }
    }
}

fn read_offset_s() -> i32 {
    let utc = clock_gettime(ClockId::Realtime);
    let tai = clock_gettime_dynamic(DynamicClockId::Tai).expect("Linux has it since 3.10");
    let ns = |time: Timespec| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    let rounded = (ns(tai) - ns(utc) + 500_000_000).div_euclid(1_000_000_000);
    i32::try_from(rounded).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_second_is_left_alone() {
        assert_eq!(Retimed::of(37, 38), None);
        let set = Retimed::of(0, 37).expect("a difference").to_string();
        assert!(set.starts_with("rules with until end 37 s early: "), "{set}");
        let reset = Retimed::of(37, 0).expect("a difference").to_string();
        assert!(reset.starts_with("rules with until end 37 s late: "), "{reset}");
    }
}
