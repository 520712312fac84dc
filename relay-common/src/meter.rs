//! What a peer has used of its limits, and whether a packet exceeds them.
//!
//! A packet is checked against the limits of its sender and of its receiver, and charged to both only
//! if it passes both. [`pass`] is the fast path of [`check`] and [`charge`].

use core::cell::Cell;

use bytemuck::{Pod, Zeroable};

use crate::{
    Reason,
    limits::{Limits, Rate, TIME_BITS},
    period::number,
};

/// What one peer has used. One cache line.
///
/// Several processors write to it. A packet that is checked while another processor charges one may
/// pass with it.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Meter {
    from: Cell<u64>,
    to: Cell<u64>,
    day: Cell<u64>,
    used_from: Cell<u64>,
    used_to: Cell<u64>,
    reserved: [Cell<u64>; 3],
}

/// A [`Meter`] as read from the map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Used {
    /// When the bucket of what comes from the peer is full again.
    pub from: u64,
    /// The same for what goes to it.
    pub to: u64,
    /// The latest day, since 1970-01-01 (UTC), on which something was charged to a quota.
    pub day: u64,
    /// Bytes that came from the peer in the period of that day.
    pub used_from: u64,
    /// The same for what went to it.
    pub used_to: u64,
    /// Zeros.
    pub reserved: [u64; 3],
}

const _: () = assert!(size_of::<Meter>() == 64 && size_of::<Used>() == size_of::<Meter>());

/// The limits and meters of all peers, by slot, in 64 bits. Those of slot 0, which is nobody's, limit
/// nothing.
pub trait Meters {
    /// Whether both slots have limits.
    fn have_limits(&self, slots: [u64; 2]) -> bool;

    /// The limits of a slot that has some.
    fn limits(&self, slot: u64) -> &Limits;

    /// The meter of a slot.
    fn meter(&self, slot: u64) -> Option<&Meter>;

    /// Adds to a word atomically.
    fn add(&self, word: &Cell<u64>, by: u64);
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The boot clock, in the unit of [`TIME_BITS`].
    pub now: u64,
    /// The day since 1970-01-01 (UTC).
    pub day: u64,
}

impl Moment {
    /// Of nanoseconds of the boot clock, and a day.
    #[inline(always)]
    pub const fn new(boot_ns: u64, day: u64) -> Self {
        Self { now: boot_ns << TIME_BITS, day }
    }
}

/// Charges a packet of that many bytes to its sender and its receiver, if it passes the limits of both.
/// `None` leaves it to [`check`]: it exceeds a limit, or a period has begun.
#[inline(always)]
pub fn pass(
    meters: &impl Meters,
    [source, destination]: [u64; 2],
    bytes: u64,
    now: u64,
    today: impl FnOnce() -> u64,
) -> Option<()> {
    if !meters.have_limits([source, destination]) {
        return None;
    }
    let (from, to) = (meters.limits(source), meters.limits(destination));
    let (sender, receiver) = (meters.meter(source)?, meters.meter(destination)?);
    let full_at = [sender.from.get(), receiver.to.get()];
    if !from.from.has(full_at[0], now) || !to.to.has(full_at[1], now) {
        return None;
    }
    if from.has_quota() || to.has_quota() {
        let day = today();
        let is_open =
            |limits: &Limits, meter: &Meter| !limits.has_quota() || meter.day.get() >= day;
        let fits = is_open(from, sender)
            && is_open(to, receiver)
            && sender.sent(from) + bytes <= from.quota_from
            && receiver.received(to) + bytes <= to.quota_to;
        if !fits {
            return None;
        }
        if from.has_quota() {
            meters.add(&sender.used_from, bytes);
        }
        if to.has_quota() {
            meters.add(&receiver.used_to, bytes);
        }
    }
    take(meters, &sender.from, full_at[0], now, from.from.cost(bytes));
    take(meters, &receiver.to, full_at[1], now, to.to.cost(bytes));
    Some(())
}

/// Whether a packet of that many bytes passes the limits of its sender and its receiver. Changes
/// nothing.
///
/// # Errors
/// It exceeds a quota, or else a rate.
#[inline(always)]
pub fn check(
    meters: &impl Meters,
    [source, destination]: [u64; 2],
    bytes: u64,
    moment: Moment,
) -> Result<(), Reason> {
    if !meters.have_limits([source, destination]) {
        return Err(Reason::Inconsistent);
    }
    let (from, to) = (meters.limits(source), meters.limits(destination));
    let sender = meters.meter(source).ok_or(Reason::Inconsistent)?;
    let receiver = meters.meter(destination).ok_or(Reason::Inconsistent)?;
    if from.periods()[0] != 0 {
        let [used_from, used_to] = sender.used(from, moment.day);
        if used_from + (used_to & from.together) + bytes > from.quota_from {
            return Err(Reason::Quota);
        }
    }
    if to.periods()[1] != 0 {
        let [used_from, used_to] = receiver.used(to, moment.day);
        if used_to + (used_from & to.together) + bytes > to.quota_to {
            return Err(Reason::Quota);
        }
    }
    let has = |rate: &Rate, full_at: u64| rate.has(rate.mended(full_at, moment.now), moment.now);
    if !has(&from.from, sender.from.get()) || !has(&to.to, receiver.to.get()) {
        return Err(Reason::Rate);
    }
    Ok(())
}

/// Charges a packet that passes to its sender and its receiver.
#[inline(always)]
pub fn charge(
    meters: &impl Meters,
    [source, destination]: [u64; 2],
    bytes: u64,
    moment: Moment,
) -> Option<()> {
    if !meters.have_limits([source, destination]) {
        return None;
    }
    let (from, to) = (meters.limits(source), meters.limits(destination));
    let (sender, receiver) = (meters.meter(source)?, meters.meter(destination)?);
    if from.has_quota() {
        sender.begin(from, moment.day);
        meters.add(&sender.used_from, bytes);
    }
    if to.has_quota() {
        receiver.begin(to, moment.day);
        meters.add(&receiver.used_to, bytes);
    }
    for (rate, word) in [(&from.from, &sender.from), (&to.to, &receiver.to)] {
        let (found, now) = (word.get(), moment.now);
        let full_at = rate.mended(found, now);
        if full_at != found {
            word.set(full_at);
        }
        take(meters, word, full_at, now, rate.cost(bytes));
    }
    Some(())
}

/// Takes from a bucket that is full at that time. From one in use nothing is lost that another
/// processor takes meanwhile.
#[inline(always)]
fn take(meters: &impl Meters, word: &Cell<u64>, full_at: u64, now: u64, cost: u64) {
    if cost == 0 {
        return;
    }
    if full_at > now {
        meters.add(word, cost);
    } else {
        word.set(now + cost);
    }
}

impl Meter {
    /// What counts against the quota of what comes from the peer.
    #[inline(always)]
    fn sent(&self, limits: &Limits) -> u64 {
        self.used_from.get() + (self.used_to.get() & limits.together)
    }

    /// What counts against the quota of what goes to it.
    #[inline(always)]
    fn received(&self, limits: &Limits) -> u64 {
        self.used_to.get() + (self.used_from.get() & limits.together)
    }

    /// Bytes used from and to the peer in the periods of a day.
    #[inline(always)]
    fn used(&self, limits: &Limits, day: u64) -> [u64; 2] {
        let used = |word: &Cell<u64>, period: u32| match self.is_over(period, day) {
            true => 0,
            false => word.get(),
        };
        [used(&self.used_from, limits.periods()[0]), used(&self.used_to, limits.periods()[1])]
    }

    /// Begins the periods of a day.
    #[inline(always)]
    fn begin(&self, limits: &Limits, day: u64) {
        if day <= self.day.get() {
            return;
        }
        if self.is_over(limits.periods()[0], day) {
            self.used_from.set(0);
        }
        if self.is_over(limits.periods()[1], day) {
            self.used_to.set(0);
        }
        self.day.set(day);
    }

    /// Whether the period of the latest day that was charged is over. A clock that is set back begins
    /// none.
    #[inline(always)]
    fn is_over(&self, period: u32, day: u64) -> bool {
        day > self.day.get() && number(period, day) > number(period, self.day.get())
    }
}

#[cfg(test)]
mod tests;
